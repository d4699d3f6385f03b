"""Raw objects written again without erased lines, proved to read alike, committed, and what they replace removed.

The order: new objects are on the disk; a mark says that what is derived has to go; one transaction of the ledger names
new objects beside old hashes; the old objects and all that was made from them are removed; the mark is taken away.
Ended anywhere, the next run or erasure goes on from the mark, and the same erasure writes the same objects.
"""

from __future__ import annotations

import bz2
import gzip
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import duckdb
import zstandard

from orchestration.durable import Point, make_folder, step, sync_folder, write_file
from orchestration.errors import InputHeld, IntegrityFailure
from orchestration.ingest.batch import WORKERS, Workshop, parse_all, tasks_of
from orchestration.ingest.erase_find import Lines
from orchestration.ingest.erase_keep import Kept
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.inflate import MAGIC, packing_of
from orchestration.ingest.lake import Lake
from orchestration.ingest.raw import Incoming
from orchestration.ingest.texts import text_of
from orchestration.ingest.tombstone import Tombstone, rewritten
from orchestration.ledger.erasures import ERASURE, Erasure, Rewritten, rewritten_files
from orchestration.ledger.rows import FileRow
from orchestration.ledger.store import Ledger
from orchestration.sqltext import literal

WAREHOUSE = "warehouse"
"""Folder of the instance that holds generations: they hold what was erased, and the next run builds another."""
_SAME = ("line", "source", "event_id", "time_us", "event_type", "feed", "credential", "user_key", "status", "bytes")


def unwritable(files: Sequence[FileRow], lines: Lines) -> dict[str, str]:
    """By hash, why an object can't be written again."""
    forms: dict[str, set[tuple[bool, bool]]] = {}
    for file in files:
        if file.sha256 in lines:
            form = FORMATS[file.format]
            forms.setdefault(file.sha256, set()).add((form.table, form.record_a_line))
    found = {sha: "a Parquet file has no lines that could be replaced" for sha, f in forms.items() if f & _TABLES}
    several = "two sources number its lines in two ways"
    return {sha: several for sha, f in forms.items() if len(f) > 1} | found


_TABLES = {(True, True), (True, False)}


def refuse_unwritable(files: Sequence[FileRow], lines: Lines) -> None:
    """Raise InputHeld, naming the files, if an object can't be written again."""
    found = unwritable(files, lines)
    if found:
        named = "\n".join(f"    {_path_of(files, sha)} ({sha}): {why}" for sha, why in sorted(found.items()))
        raise InputHeld(
            f"{len(found)} file(s) hold lines of the subject and can't be written again:\n{named}",
            where="erasures.yaml",
            not_done="nothing was erased",
            next_step="narrow the row to a 'feed' whose files are text, and say what becomes of these",
        )


def _path_of(files: Sequence[FileRow], sha256: str) -> str:
    return next(file.path for file in files if file.sha256 == sha256)


def write_objects(shop: Workshop, files: Sequence[FileRow], lines: Lines, kept: Kept, name: str) -> list[Rewritten]:
    """Write every object again, durably, with tombstones of the row `name`. Nothing refers to them yet."""
    made = []
    for sha256, numbers in lines.items():
        row = next(file for file in files if file.sha256 == sha256)
        with shop.raw.at_hand(sha256, row.path):
            made.append(_write_object(shop, row, numbers, kept, name))
    return made


def _write_object(shop: Workshop, row: FileRow, numbers: Sequence[int], kept: Kept, name: str) -> Rewritten:
    def stone(entries: Mapping[str, Mapping[str, Any]]) -> Callable[[int], bytes]:
        return lambda size: Tombstone(name, size, entries).line()

    form, before = FORMATS[row.format], shop.raw.rewritten(row.sha256)
    put = {line: stone(kept[row.sha256, line]) for line in numbers}
    packing = packing_of(next(shop.raw.read(row.sha256, row.path, MAGIC), b""), "")
    incoming = shop.raw.incoming()
    try:
        with _packed(incoming, packing.name if packing else "") as out:
            for chunk in rewritten(text_of(shop.raw, form, row.sha256, row.path), put):
                out.write(chunk)
        now = incoming.keep()
    except BaseException:
        incoming.drop()
        raise
    return Rewritten(row.sha256, before.now if before else row.sha256, now, tuple(numbers), not form.record_a_line)


def _packed(incoming: Incoming, packing: str) -> IO[bytes]:
    """A writer that compresses as the file was delivered; its bytes depend on what is written alone."""
    raw = cast(IO[bytes], _Sink(incoming))
    if packing == "gzip":
        return cast(IO[bytes], gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))
    if packing == "bzip2":
        return cast(IO[bytes], bz2.BZ2File(raw, "wb"))
    if packing == "zstd":
        return cast(IO[bytes], zstandard.ZstdCompressor().stream_writer(raw, closefd=False))
    return raw


class _Sink:
    """What compressors write to."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    def write(self, data: bytes) -> int:
        self._incoming.write(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *_: object) -> None: ...


def require_same(shop: Workshop, ledger: Ledger, made: Sequence[Rewritten], erasures: Sequence[Erasure]) -> None:
    """Read the new objects as a rebuild will, and compare with the lake. Raises IntegrityFailure where they differ.

    Lines that were left as they are give the same rows; erased ones the same identity, time, customer and numbers.
    """
    again = Erasure(0, "", "", "", "", "", 0, 0, tuple(made))
    shop.raw.reads(rewritten_files([*erasures, again]))
    aside = Lake(shop.scratch / "erased-lake")
    shutil.rmtree(aside.root, ignore_errors=True)
    now = {item.sha256: item for item in made}
    batches, history = {batch.batch_id: batch for batch in ledger.batches()}, ledger.files()
    try:
        for file in (file for file in history if file.sha256 in now):
            [task] = tasks_of([file], batches[file.batch_id], shop.lake, history)
            place = file.batch_id, file.file_id
            task = replace(
                task, events=aside.events(*place), quarantine=aside.quarantine(*place), erased=aside.erased(*place)
            )
            parse_all(shop, [task])
            with shop.connect(WORKERS) as con:
                _compare(con, shop.lake, aside, file, now[file.sha256].lines)
    finally:
        shutil.rmtree(aside.root, ignore_errors=True)


def _compare(con: duckdb.DuckDBPyConnection, was: Lake, now: Lake, file: FileRow, erased: Sequence[int]) -> None:
    con.execute("CREATE OR REPLACE TEMP TABLE erased_now AS SELECT unnest($1::BIGINT[]) AS line", [list(erased)])
    place = file.batch_id, file.file_id
    before, after = (f"read_parquet({literal(str(lake.events(*place)))})" for lake in (was, now))
    pairs = [("*", "WHERE line NOT IN (FROM erased_now)"), (", ".join(_SAME), "")]
    looks = [(f"SELECT {what} FROM {before} {where}", f"SELECT {what} FROM {after} {where}") for what, where in pairs]
    if was.quarantine(*place).exists():
        reasons = [
            f"SELECT line, reason FROM read_parquet({literal(str(lake.quarantine(*place)))})" for lake in (was, now)
        ]
        looks.append((reasons[0], reasons[1]))
    for one, other in looks:
        for left, right in ((one, other), (other, one)):
            rows = con.execute(f"SELECT line FROM ({left} EXCEPT ALL {right}) ORDER BY line LIMIT 1").fetchall()
            if rows:
                raise IntegrityFailure(
                    f"written again without what is to be erased, line {rows[0][0]} of '{file.path}' reads otherwise",
                    where=f"file {file.file_id}, raw {file.sha256}",
                    not_done="nothing was erased",
                    next_step="report this with the format of the file",
                )


def commit(home: Path, ledger: Ledger, erasure: Erasure, *, published: bool) -> None:
    """Journal the erasure: from here on the new objects are the raw files. Then remove what they replace.

    `published`: generations of the warehouse may hold what was erased.
    """
    write_file(_mark(home), f"{erasure.seq} {WAREHOUSE if published else ''}\n".encode(), Point.ERASURE_MARKED)
    with ledger.transaction(Point.ERASURE_COMMITTED):
        ledger.append_journal(ERASURE, erasure.body())
    finish(home, ledger)


def finish(home: Path, ledger: Ledger) -> bool:
    """Remove what an erasure left behind, if one is marked as unfinished. Whether one was.

    Of one that was marked and not committed, nothing was erased, and what is derived stays.
    """
    mark = _mark(home)
    if not mark.exists():
        return False
    seq, *derived = mark.read_text().split()
    with step(Point.ERASED_REMOVED):
        for erasure in (e for e in ledger.erasures() if e.seq == int(seq)):
            if derived:
                shutil.rmtree(home / WAREHOUSE, ignore_errors=True)
            _remove_derived(home, ledger, erasure)
            for item in erasure.objects:
                _remove(home / "raw" / item.was[:2] / item.was)
    with step(Point.ERASURE_ENDED):
        _remove(mark)
    return True


def _mark(home: Path) -> Path:
    make_folder(home / "raw")
    return home / "raw" / "erasing"


def _remove_derived(home: Path, ledger: Ledger, erasure: Erasure) -> None:
    """Lake files of the rewritten objects, and what was extracted from any: they are made again."""
    lake, shas = Lake(home / "lake"), {item.sha256 for item in erasure.objects}
    for file in (file for file in ledger.files() if file.sha256 in shas):
        lake.drop(file.batch_id, file.file_id)
        lake.fields(file.batch_id).unlink(missing_ok=True)
    for path in lake.extracted_files():
        path.unlink()
    shutil.rmtree(home / "scratch" / "ingest", ignore_errors=True)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)
