"""The end of reading: the tables `parsed` and `bad` to the lake files of each raw file, and the counts of its lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from orchestration.catalog.sources import Source
from orchestration.errors import IntegrityFailure
from orchestration.ingest.disguise import disguised
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.lake import write_parquet
from orchestration.ingest.lines import Census
from orchestration.sqltext import literal

SMALL = 256 << 10
"""Files of so many bytes, and those that inflate to four times as many, are read many at a time."""
_PLACES = 10**12
_GOOD = "NOT slow AND reason IS NULL"


@dataclass(frozen=True, slots=True)
class ParseTask:
    """A raw file, its reading rules and where its lake files go.

    `size` is that of the raw bytes. `first_line` is the first line that is new; those before are duplicates by place
    and are not read. `only` is SQL that selects the lines to take (a column `line`); the file's other lines were dealt
    with before.
    """

    sha256: str
    path: str
    source: Source
    file_id: int
    tape_id: str | None
    first_line: int
    now_us: int
    skew_us: int
    size: int
    events: Path
    quarantine: Path
    erased: Path
    only: str | None = None
    census: Census | None = None
    """What landing found in the file's text; None where nobody has looked yet."""


def small(task: ParseTask) -> bool:
    """Whether a file can be read with others of its source."""
    form = FORMATS[task.source.format]
    return task.size <= SMALL and not form.table and not form.head and task.first_line == 1 and task.only is None


@dataclass(frozen=True, slots=True)
class Parsed:
    """Counts in lines. `events` still holds the duplicates and conflicts that a comparison with others will find."""

    lines: int
    events: int
    earlier: int
    quarantined: int
    blank: int
    rounded: int
    reasons: dict[str, int] = field(default_factory=dict)
    min_us: int | None = None
    max_us: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A file among those that were read together: how many lines stand before its own, and how many are its own."""

    task: ParseTask
    before: int
    lines: int


def write(
    con: duckdb.DuckDBPyConnection, members: Sequence[Member], overlay: Callable[[str, Source], str] | None = None
) -> list[Parsed]:
    """Write the lake files of files of one source that were read together, and empty the tables.

    `overlay` puts what was disguised before over the disguised rows, of a file with erased lines.
    """
    con.execute(
        "INSERT INTO bad SELECT line, reason, encode(text) FROM parsed WHERE reason IS NOT NULL; "
        f"CREATE OR REPLACE TEMP VIEW accepted AS FROM parsed WHERE {_GOOD}"
    )
    if members[0].task.only is not None:
        _keep_only(con, members[0].task.only)
    counted = _counted(con, members)
    rows = disguised(con, members[0].task.source)
    if overlay is not None:
        rows = overlay(rows, members[0].task.source)
    if len(members) > 1:
        con.execute(f"CREATE OR REPLACE TEMP TABLE disguised AS {rows}")
        rows = "FROM disguised"
    for member, (parsed, slow) in zip(members, counted, strict=True):
        _must_balance(parsed, member.task)
        _write(con, rows, member, parsed, in_order=not slow and overlay is None)
    con.execute(
        "DROP TABLE IF EXISTS disguised; DROP VIEW accepted; DROP TABLE parsed; DROP TABLE bad; DROP TABLE blanks"
    )
    return [parsed for parsed, _ in counted]


def _counted(con: duckdb.DuckDBPyConnection, members: Sequence[Member]) -> list[tuple[Parsed, int]]:
    """What became of the lines of each file, and how many of them were read one by one."""
    columns = [[m.task.file_id for m in members], [m.before for m in members], [m.before + m.lines for m in members]]
    con.execute(
        "CREATE OR REPLACE TEMP TABLE members AS "
        "SELECT unnest($1::INTEGER[]) AS member, unnest($2::BIGINT[]) AS before, unnest($3::BIGINT[]) AS upto",
        columns,
    )
    own = "JOIN members ON line > before AND line <= upto" if len(members) > 1 else "CROSS JOIN members"
    rows = con.execute(
        f"SELECT member, count(*) FILTER (WHERE {_GOOD}), "
        f"count(*) FILTER (WHERE {_GOOD} AND rounded), min(time_us) FILTER (WHERE {_GOOD}), "
        f"max(time_us) FILTER (WHERE {_GOOD}), count(*) FILTER (WHERE slow) FROM parsed {own} GROUP BY member"
    ).fetchall()
    counts = {row[0]: row[1:] for row in rows}
    blanks = dict(con.execute(f"SELECT member, sum(lines)::BIGINT FROM blanks {own} GROUP BY member").fetchall())
    reasons: dict[int, dict[str, int]] = {}
    found = con.execute(f"SELECT member, reason, count(*) FROM bad {own} GROUP BY ALL ORDER BY ALL")
    for file_id, reason, count in found.fetchall():
        reasons.setdefault(file_id, {})[reason] = count
    nothing = (0, 0, None, None, 0)
    return [
        _parsed(con, m, counts.get(file_id, nothing), blanks.get(file_id, 0), reasons.get(file_id, {}))
        for m in members
        for file_id in [m.task.file_id]
    ]


def _parsed(
    con: duckdb.DuckDBPyConnection, member: Member, counts: tuple[Any, ...], blanks: int, reasons: dict[str, int]
) -> tuple[Parsed, int]:
    task, lines = member.task, member.lines
    header = FORMATS[task.source.format].header and lines > 0 and task.first_line == 1
    if task.only is not None:
        ((lines, first),) = con.execute("SELECT count(*), count(*) FILTER (WHERE line = 1) FROM wanted").fetchall()
        header = header and first > 0
    parsed = Parsed(
        lines=lines,
        events=counts[0],
        earlier=task.first_line - 1,
        quarantined=sum(reasons.values()),
        blank=blanks + header,
        rounded=counts[1],
        reasons=reasons,
        min_us=counts[2],
        max_us=counts[3],
    )
    return parsed, counts[4]


def _write(con: duckdb.DuckDBPyConnection, rows: str, member: Member, parsed: Parsed, *, in_order: bool) -> None:
    task, before = member.task, member.before
    inside = f"line > {before} AND line <= {before + member.lines}"
    own = [f"CAST({task.file_id} AS INTEGER) AS file_id", f"line - {before} AS line"]
    if task.tape_id is not None:
        place = f"substr(CAST({_PLACES} + line - {before} AS VARCHAR), 2)"
        own.append(f"{literal(task.tape_id)} || ':' || {place} AS event_id")
    query = f"SELECT * REPLACE ({', '.join(own)}) FROM ({rows}) WHERE {inside}"
    # Lines that were read one by one stand at the end.
    query += "" if in_order and not small(task) else " ORDER BY line"
    if small(task):
        # A table of its own: the bytes of the file must not depend on what was read with it.
        con.execute(f"CREATE OR REPLACE TEMP TABLE own AS {query}")
        query = "FROM own"
    write_parquet(con, query, task.events)
    if parsed.reasons and task.only is None:
        bad = f"SELECT {own[0]}, {own[1]}, reason, raw FROM bad WHERE {inside} ORDER BY line"
        write_parquet(con, bad, task.quarantine)
    else:
        task.quarantine.unlink(missing_ok=True)


def _keep_only(con: duckdb.DuckDBPyConnection, only: str) -> None:
    """Forget every line that isn't selected; those that are stay in the table `wanted`."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT line FROM ({only}); "
        "DELETE FROM parsed WHERE line NOT IN (FROM wanted); DELETE FROM bad WHERE line NOT IN (FROM wanted); "
        "DELETE FROM blanks WHERE line NOT IN (FROM wanted)"
    )


def _must_balance(parsed: Parsed, task: ParseTask) -> None:
    found = parsed.events + parsed.earlier + parsed.quarantined + parsed.blank
    if found != parsed.lines:
        raise IntegrityFailure(
            f"{parsed.lines} lines, but {found} in buckets: {parsed}",
            where=f"{task.source.name}: {task.path}",
            not_done="the file was not taken",
            next_step="report this with the file: the parser of its format is wrong",
        )
