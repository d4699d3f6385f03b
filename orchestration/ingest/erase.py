"""Erasing personal data from what was taken: what a reviewed row is about, once, and in all that comes later.

What a row erases: docs/decisions.md, "Erasure". Callers hold the instance's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.reviews import Erase
from orchestration.catalog.sources import Source
from orchestration.durable import make_folder
from orchestration.errors import ConfigInvalid
from orchestration.ingest.batch import WORKERS, Workshop
from orchestration.ingest.erase_find import Lines, find_copies, find_lines
from orchestration.ingest.erase_keep import Kept, keep, keyed, reads_of, refuse_compared
from orchestration.ingest.erase_write import (
    commit,
    finish,
    refuse_unwritable,
    require_same,
    unwritable,
    write_objects,
)
from orchestration.ingest.formats.base import PROPERTY
from orchestration.ingest.rebuild import rebuild_lake
from orchestration.ingest.retries import paths_sql
from orchestration.ledger.erasures import Erasure
from orchestration.ledger.rows import FileRow
from orchestration.ledger.store import Ledger
from orchestration.sqltext import identifier, literal

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Touched:
    """A file that a row is about, with the numbers of its lines, and how many of them are events."""

    file: FileRow
    lines: tuple[int, ...]
    events: int
    by_reference: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """What an erasure would do: files and lines, and files that can't be written again, with the reason by hash."""

    row: Erase
    touched: tuple[Touched, ...]
    unwritable: Mapping[str, str]


def row_of(catalog: Catalog, name: str) -> Erase:
    """Raises ConfigInvalid if erasures.yaml has no such row."""
    for row in catalog.reviews.erasures:
        if row.name == name:
            return row
    raise ConfigInvalid(
        f"no row of erasures.yaml is called '{name}'",
        where="erasures.yaml",
        not_done="nothing was erased",
        next_step="write the row: whose data, who asked, when and why; `tallystick erase --hash` makes the user's hash",
    )


def plan(home: Path, ledger: Ledger, catalog: Catalog, row: Erase, report: Report = lambda _: None) -> Planned:
    """What the row would erase now. Nothing is changed but what an interrupted run or erasure left."""
    finish(home, ledger)
    rebuild_lake(home, ledger, report)
    shop, files = Workshop.of(home, ledger), ledger.files()
    refuse_compared(reads_of(ledger, catalog), row.properties)
    with shop.connect(WORKERS) as con:
        lines = find_lines(con, shop, catalog, files, row, since=0)
        _refuse_left(con, shop, files, row, lines)
        return Planned(row, tuple(_touched(con, shop, ledger, files, lines)), unwritable(files, lines))


def erase(
    home: Path, ledger: Ledger, catalog: Catalog, row: Erase, now_us: int, report: Report = lambda _: None
) -> Erasure | None:
    """Erase what the row is about and isn't erased yet; None where there is nothing.

    Raises:
        InputHeld: a file of it can't be written again. ConfigInvalid: a token would change what was counted.
        IntegrityFailure: raw files are damaged, or what would be kept reads otherwise. Nothing was erased.
    """
    planned = plan(home, ledger, catalog, row, report)
    files, lines = ledger.files(), {t.file.sha256: t.lines for t in planned.touched}
    refuse_unwritable(files, lines)
    if not lines:
        return None
    said = {name: getattr(row, name) for name in ("name", "by", "reason")}
    said |= {"on": row.on.isoformat(), "approved_by": row.approved_by or ""}
    return _erase(home, ledger, catalog, lines, row.properties, said, now_us, report, seen=len(ledger.batches()))


def erase_again(
    home: Path, ledger: Ledger, catalog: Catalog, now_us: int, report: Report = lambda _: None
) -> list[tuple[FileRow, str]]:
    """Erase what has come since under rows that were erased before: copies, and further lines of their users.

    Returns files of such lines that can't be written again, with the reason.
    """
    last, mark = ledger.next_batch_id() - 1, home / "lake" / "erased-upto"
    upto = int(mark.read_text()) if mark.exists() else 0
    done = {erasure.name: erasure for erasure in ledger.erasures()}
    if not done or upto >= last:
        return []
    rows, stuck = {row.name: row for row in catalog.reviews.erasures}, []
    for name, erasure in done.items():
        shop, files, row = Workshop.of(home, ledger), ledger.files(), rows.get(name)
        with shop.connect(WORKERS) as con:
            found = [find_copies(con, shop, files, name)]
            found += [find_lines(con, shop, catalog, files, row, upto)] if row is not None else []
        lines = _merged(found)
        bad = unwritable(files, lines)
        stuck += [(file, bad[file.sha256]) for file in files if file.sha256 in bad and file.retry_of is None]
        lines = {sha256: numbers for sha256, numbers in lines.items() if sha256 not in bad}
        if lines:
            said = {n: getattr(erasure, n) for n in ("name", "by", "on", "reason", "approved_by")}
            _erase(home, ledger, catalog, lines, row.properties if row else (), said, now_us, report, seen=upto)
    make_folder(mark.parent)
    mark.write_text(f"{last}\n")
    return stuck


def _merged(found: Sequence[Lines]) -> Lines:
    merged: dict[str, tuple[int, ...]] = {}
    for lines in found:
        for sha256, numbers in lines.items():
            merged[sha256] = tuple(sorted({*merged.get(sha256, ()), *numbers}))
    return merged


def _erase(
    home: Path,
    ledger: Ledger,
    catalog: Catalog,
    lines: Lines,
    tokens: Sequence[str],
    said: Mapping[str, str],
    now_us: int,
    report: Report,
    *,
    seen: int,
) -> Erasure:
    """`seen` is the last batch that a generation of the warehouse can hold."""
    shop, files = Workshop.of(home, ledger), ledger.files()
    report(f"writing {len(lines)} raw object(s) again")
    with shop.connect(WORKERS) as con:
        kept: Kept = keep(con, shop, ledger, reads_of(ledger, catalog), lines, tokens)
    made = write_objects(shop, files, lines, kept, said["name"])
    require_same(shop, ledger, made, ledger.erasures())
    erasure = Erasure(
        ledger.next_journal_seq(), **said, now_us=now_us, last_batch=ledger.next_batch_id() - 1, objects=tuple(made)
    )
    touched = [f for f in files if f.sha256 in lines and f.min_us is not None]
    commit(home, ledger, erasure, published=any(f.batch_id <= seen for f in touched))
    rebuild_lake(home, ledger, report)
    return erasure


def _touched(
    con: duckdb.DuckDBPyConnection, shop: Workshop, ledger: Ledger, files: Sequence[FileRow], lines: Lines
) -> Iterator[Touched]:
    references = {reference.sha256 for reference in ledger.references()}
    for sha256, numbers in lines.items():
        row = next(file for file in files if file.sha256 == sha256)
        events = con.execute(
            "SELECT count(DISTINCT e.line) FROM every_event AS e JOIN ledger_files AS f USING (file_id) "
            "WHERE f.sha256 = $1 AND list_contains($2::BIGINT[], e.line)",
            [sha256, list(numbers)],
        ).fetchall()
        yield Touched(row, numbers, events[0][0], sha256 in references)


def _refuse_left(
    con: duckdb.DuckDBPyConnection, shop: Workshop, files: Sequence[FileRow], row: Erase, lines: Lines
) -> None:
    """A value that becomes a token must do so wherever it stands, or it is counted twice. Raises ConfigInvalid."""
    for name in row.properties:
        column, held = identifier(f"{PROPERTY}{name}"), []
        for file in files:
            source = Source.model_validate_json(file.mapping_json)
            if file.min_us is not None and name in source.properties and name not in source.hash:
                held.append(shop.lake.events(file.batch_id, file.file_id))
        if not held:
            continue
        read = f"SELECT file_id, line, {column} AS value FROM read_parquet({paths_sql(held)}, union_by_name = true)"
        con.execute(
            "CREATE OR REPLACE TEMP TABLE holding AS SELECT f.sha256, e.line, e.value "
            f"FROM ({read}) AS e JOIN ledger_files AS f USING (file_id)"
        )
        con.execute(
            "CREATE OR REPLACE TEMP TABLE going AS "
            "SELECT unnest($1::VARCHAR[]) AS sha256, unnest($2::BIGINT[]) AS line",
            [
                [sha for sha, numbers in lines.items() for _ in numbers],
                [n for numbers in lines.values() for n in numbers],
            ],
        )
        ((left,),) = con.execute(
            "SELECT count(*) FROM holding ANTI JOIN going USING (sha256, line) "
            "WHERE value IN (SELECT value FROM holding SEMI JOIN going USING (sha256, line))"
        ).fetchall()
        if left:
            raise ConfigInvalid(
                f"{left} line(s) outside of row '{row.name}' hold the same '{name}'",
                where="erasures.yaml",
                not_done="nothing was erased, as a value that is a token in some lines only would be counted twice",
                next_step="widen the row to these lines, or leave the property out of it if no meter reads it",
            )


def hash_of(ledger: Ledger, text: str) -> str:
    """The keyed hash by which the lake, and a row of erasures.yaml, know an end user."""
    return keyed(ledger.key, text)


def quarantined_with(home: Path, ledger: Ledger, text: str) -> list[tuple[str, int]]:
    """Quarantined lines in which a text stands, as (hash of the file as delivered, line): they are nobody's events."""
    shop, found = Workshop.of(home, ledger), []
    with shop.connect() as con:
        for file in ledger.files():
            path = shop.lake.quarantine(file.batch_id, file.file_id)
            if file.quarantined > 0 and path.exists():
                rows = con.execute(f"SELECT line, raw FROM read_parquet({literal(str(path))}) ORDER BY line").fetchall()
                found += [(file.sha256, line) for line, raw in rows if text.encode() in raw]
    return found
