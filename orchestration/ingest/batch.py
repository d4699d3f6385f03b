"""One batch: its files parsed side by side, judged together, committed in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from orchestration.catalog.models import Source
from orchestration.crash import crash_point
from orchestration.errors import IntegrityFailure
from orchestration.ingest.drift import write_fields
from orchestration.ingest.engine import connect
from orchestration.ingest.lake import Lake
from orchestration.ingest.parse import Parsed, ParseTask, parse_file
from orchestration.ingest.raw import RawStore
from orchestration.ingest.verdicts import LakeFile, judge_batch
from orchestration.ledger.rows import BatchRow, FileRow

WORKERS = 2


@dataclass(frozen=True, slots=True)
class Workshop:
    """What reading raw files takes: the folders of an instance (or of a scratch copy) and the instance key."""

    raw: RawStore
    lake: Lake
    scratch: Path
    key: bytes

    @classmethod
    def of(cls, home: Path, key: bytes) -> Workshop:
        home = home.resolve()
        return cls(RawStore(home / "raw"), Lake(home / "lake"), home / "scratch" / "ingest", key)

    def connect(self) -> duckdb.DuckDBPyConnection:
        return connect(self.scratch, self.key, [self.raw.root, self.lake.root])


def mapping_json(source: Source) -> str:
    """The source's rules as the ledger keeps them; `Source.model_validate_json` reads them back."""
    return source.model_dump_json()


def task_of(row: FileRow, batch: BatchRow, lake: Lake) -> ParseTask:
    """How a file of the ledger was, and is always, read."""
    return ParseTask(
        sha256=row.sha256,
        path=row.path,
        source=Source.model_validate_json(row.mapping_json),
        file_id=row.file_id,
        tape_id=row.tape_id,
        first_line=row.first_line,
        now_us=batch.now_us,
        skew_us=batch.skew_us,
        events=lake.events(batch.batch_id, row.file_id),
        quarantine=lake.quarantine(batch.batch_id, row.file_id),
    )


def parse_all(shop: Workshop, tasks: Sequence[ParseTask]) -> list[Parsed]:
    """Parse files side by side, each by one thread; results in the order of the tasks."""
    if not tasks:
        return []
    workers = min(WORKERS, len(tasks))
    free = [shop.connect() for _ in range(workers)]

    def work(task: ParseTask) -> Parsed:
        con = free.pop()
        try:
            return parse_file(con, shop.raw, task)
        finally:
            free.append(con)

    try:
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(work, tasks))
    finally:
        for con in free:
            con.close()


def lake_files(lake: Lake, rows: Sequence[FileRow]) -> list[LakeFile]:
    """The lake files among `rows` whose events have ids of their own."""
    mappings: dict[str, Source] = {}
    for row in rows:
        if row.mapping_json not in mappings:
            mappings[row.mapping_json] = Source.model_validate_json(row.mapping_json)
    return [
        LakeFile(row.file_id, row.batch_id, lake.events(row.batch_id, row.file_id), mappings[row.mapping_json])
        for row in rows
        if row.tape_id is None
    ]


def make_batch(
    shop: Workshop, batch: BatchRow, rows: Sequence[FileRow], history: Sequence[FileRow]
) -> tuple[list[FileRow], list[Parsed]]:
    """Write all lake files of a batch and count its lines.

    Args:
        rows: the batch's files; their counts are not read.
        history: the files of all batches before.
    Returns:
        The rows with their counts, each adding up, and what the parser said of each.
    """
    parsed = parse_all(shop, [task_of(row, batch, shop.lake) for row in rows])
    con = shop.connect()
    try:
        new, old = lake_files(shop.lake, rows), lake_files(shop.lake, history)
        verdicts = judge_batch(con, shop.lake, batch.batch_id, new, old)
        counted = [_counted(row, p, *verdicts.get(row.file_id, (0, 0))) for row, p in zip(rows, parsed, strict=True)]
        write_fields(con, shop.raw, shop.lake, batch.batch_id, counted)
    finally:
        con.close()
    crash_point("lake_batch_written")
    return counted, parsed


def _counted(row: FileRow, parsed: Parsed, duplicates: int, conflicts: int) -> FileRow:
    result = replace(
        row,
        lines=parsed.lines,
        accepted=parsed.events - duplicates - conflicts,
        duplicate=parsed.earlier + duplicates,
        conflict=conflicts,
        quarantined=parsed.quarantined,
        blank=parsed.blank,
        min_us=parsed.min_us,
        max_us=parsed.max_us,
    )
    total = result.accepted + result.duplicate + result.conflict + result.quarantined + result.blank
    if total != result.lines or result.accepted < 0:
        raise IntegrityFailure(
            f"{result.lines} lines, but {total} in buckets",
            where=f"{row.source}: {row.path}",
            not_done="the batch was not committed",
            next_step="report this with the file",
        )
    return result
