"""The lake again from raw files and ledger alone: the same bytes, in the ledger's order."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from orchestration.durable import Point, step, write_file
from orchestration.errors import IntegrityFailure
from orchestration.ingest.batch import WORKERS, Workshop, lake_files, parse_all, tasks_of
from orchestration.ingest.drift import write_fields
from orchestration.ingest.lake import Lake
from orchestration.ingest.parse import PARSER_VERSION
from orchestration.ingest.verdicts import judge_batch
from orchestration.ledger.rows import BatchRow, FileRow
from orchestration.ledger.store import Ledger


def rebuild_lake(
    home: Path, ledger: Ledger, report: Callable[[str], None] = lambda _: None, lake: Path | None = None
) -> int:
    """Make again every lake file of a committed batch that is missing; how many were.

    Args:
        lake: another folder than the instance's own lake, for an audit that must not trust it.
    Raises:
        IntegrityFailure: a raw file is missing or damaged, or gives other counts than the ledger has.
    """
    shop = Workshop.of(home, ledger)
    if lake is not None:
        shop = replace(shop, lake=Lake(lake))
    _same_engine(shop)
    history: list[FileRow] = []
    made = 0
    for batch in ledger.batches():
        rows = ledger.files(batch.batch_id)
        missing = [row for row in rows if _is_missing(shop, row)]
        judged = shop.lake.verdicts(batch.batch_id).exists() and shop.lake.keys(batch.batch_id).exists()
        if missing or not judged:
            _known_parser(batch)
            report(f"lake: making batch {batch.batch_id} again ({len(missing)} of {len(rows)} files)")
            _parse_again(shop, batch, missing, history)
            _judge_again(shop, batch, rows, history)
            made += len(missing)
        if not shop.lake.fields(batch.batch_id).exists():
            _look_again(shop, batch, rows)
        history += rows
    return made


def _is_missing(shop: Workshop, row: FileRow) -> bool:
    if not shop.lake.events(row.batch_id, row.file_id).exists():
        return True
    if shop.raw.rewritten(row.sha256) is not None and not shop.lake.erased(row.batch_id, row.file_id).exists():
        return True
    return row.quarantined > 0 and not shop.lake.quarantine(row.batch_id, row.file_id).exists()


def _same_engine(shop: Workshop) -> None:
    """The keys' 64-bit hash belongs to one release of the engine: under another, the lake is made again."""
    marker, now = shop.lake.engine, f"duckdb {duckdb.__version__}\n"
    if marker.exists() and marker.read_text() == now:
        return
    with step(Point.LAKE_EMPTIED):
        shutil.rmtree(shop.lake.root, ignore_errors=True)
    write_file(marker, now.encode(), Point.LAKE_BEGUN)


def _known_parser(batch: BatchRow) -> None:
    if batch.parser_version != PARSER_VERSION:
        raise IntegrityFailure(
            f"batch {batch.batch_id} was read by parser {batch.parser_version}, this is {PARSER_VERSION}",
            not_done="the lake was not made again",
            next_step="restore lake/ from a backup, or run the version of Tallystick that took the batch",
        )


def _parse_again(shop: Workshop, batch: BatchRow, rows: Sequence[FileRow], history: Sequence[FileRow]) -> None:
    parsed = parse_all(shop, tasks_of(rows, batch, shop.lake, history))
    for row, found in zip(rows, parsed, strict=True):
        was = (row.lines, row.quarantined, row.blank, row.lines - row.quarantined - row.blank)
        now = (found.lines, found.quarantined, found.blank, found.events + found.earlier)
        if row.retry_of is not None:
            # What stayed quarantined is counted by the row that it was quarantined under.
            now = (0, -found.events, 0, found.events)
        if was != now:
            raise _other_counts(row, was, now)


def _judge_again(shop: Workshop, batch: BatchRow, rows: Sequence[FileRow], history: Sequence[FileRow]) -> None:
    con = shop.connect(WORKERS)
    try:
        new = lake_files(shop.lake, rows)
        verdicts = judge_batch(con, shop.lake, batch.batch_id, new, lake_files(shop.lake, history))
    finally:
        con.close()
    for row in rows:
        if row.tape_id is None:
            was, now = (row.duplicate, row.conflict), verdicts.get(row.file_id, (0, 0))
            if was != now:
                raise _other_counts(row, was, now)


def _look_again(shop: Workshop, batch: BatchRow, rows: Sequence[FileRow]) -> None:
    con = shop.connect()
    try:
        write_fields(con, shop.raw, shop.lake, batch.batch_id, rows)
    finally:
        con.close()


def _other_counts(row: FileRow, was: tuple[int, ...], now: tuple[int, ...]) -> IntegrityFailure:
    return IntegrityFailure(
        f"read again, '{row.path}' (raw {row.sha256}) gives the counts {now}, the ledger has {was}",
        where=f"file {row.file_id} of batch {row.batch_id}",
        not_done="the lake was not made again",
        next_step="run `tallystick verify`; if raw/ is intact, this version reads differently: report it",
    )
