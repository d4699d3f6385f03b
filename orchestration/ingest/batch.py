"""One batch: its files parsed side by side, judged together, committed in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from orchestration.catalog.sources import Source
from orchestration.errors import IntegrityFailure
from orchestration.ingest.drift import write_fields
from orchestration.ingest.engine import connect
from orchestration.ingest.lake import Lake
from orchestration.ingest.lines import Census
from orchestration.ingest.parse import TOGETHER, parse_files
from orchestration.ingest.raw import RawStore
from orchestration.ingest.references import References
from orchestration.ingest.retries import Retries
from orchestration.ingest.verdicts import LakeFile, judge_batch
from orchestration.ingest.written import Parsed, ParseTask, small
from orchestration.ledger.erasures import rewritten_files
from orchestration.ledger.rows import BatchRow, FileRow
from orchestration.ledger.store import Ledger

WORKERS = 2


def raw_store(home: Path, ledger: Ledger) -> RawStore:
    """The raw files of an instance: kept, kept by reference, or written again without what was erased."""
    references = References(home, ledger.references())
    return RawStore(home / "raw", references, rewritten_files(ledger.erasures()))


@dataclass(frozen=True, slots=True)
class Workshop:
    """What reading raw files takes: the folders of an instance (or of a scratch copy) and the instance key."""

    raw: RawStore
    lake: Lake
    scratch: Path
    key: bytes

    @classmethod
    def of(cls, home: Path, ledger: Ledger) -> Workshop:
        home = home.resolve()
        raw = raw_store(home, ledger)
        return cls(raw, Lake(home / "lake"), home / "scratch" / "ingest", ledger.key)

    def connect(self, threads: int = 1) -> duckdb.DuckDBPyConnection:
        return connect(self.scratch, self.key, [self.raw.root, self.lake.root], threads)


def mapping_json(source: Source) -> str:
    """The source's rules as the ledger keeps them; `Source.model_validate_json` reads them back."""
    return source.model_dump_json()


def tasks_of(
    rows: Sequence[FileRow],
    batch: BatchRow,
    lake: Lake,
    history: Sequence[FileRow],
    censuses: Mapping[int, Census] | None = None,
) -> list[ParseTask]:
    """How files of the ledger were, and are always, read.

    Args:
        history: the files of the batches before.
        censuses: what landing found in the text of the files, by id, where it has just looked.
    """
    retries, found = Retries(history if any(row.retry_of for row in rows) else ()), censuses or {}
    return [replace(_task_of(row, batch, lake, retries), census=found.get(row.file_id)) for row in rows]


def _task_of(row: FileRow, batch: BatchRow, lake: Lake, retries: Retries) -> ParseTask:
    return ParseTask(
        sha256=row.sha256,
        path=row.path,
        source=Source.model_validate_json(row.mapping_json),
        file_id=row.file_id,
        tape_id=row.tape_id,
        first_line=row.first_line,
        now_us=batch.now_us,
        skew_us=batch.skew_us,
        size=row.size,
        events=lake.events(batch.batch_id, row.file_id),
        quarantine=lake.quarantine(batch.batch_id, row.file_id),
        erased=lake.erased(batch.batch_id, row.file_id),
        only=None if row.retry_of is None else retries.lines_of(row, lake),
    )


def parse_all(shop: Workshop, tasks: Sequence[ParseTask]) -> list[Parsed]:
    """Parse files side by side, each by one thread, small ones of a source together; in the order of the tasks."""
    portions = list(_portions(tasks))
    workers = min(WORKERS, len(portions))
    free = [shop.connect() for _ in range(workers)]

    def work(portion: list[ParseTask]) -> list[Parsed]:
        con = free.pop()
        try:
            return parse_files(con, shop.raw, portion)
        finally:
            free.append(con)

    if not tasks:
        return []
    try:
        with ThreadPoolExecutor(workers) as pool:
            return [parsed for portion in pool.map(work, portions) for parsed in portion]
    finally:
        for con in free:
            con.close()


def _portions(tasks: Sequence[ParseTask]) -> Iterator[list[ParseTask]]:
    """Cut into what is read at a time: a file, or small ones that follow each other and are read alike."""
    portion: list[ParseTask] = []
    size = 0
    for task in tasks:
        alike = portion and small(task) and small(portion[-1]) and task.source == portion[-1].source
        if portion and not (alike and size + task.size <= TOGETHER):
            yield portion
            portion, size = [], 0
        portion.append(task)
        size += task.size
    if portion:
        yield portion


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


LeaveOut = Callable[[Sequence[FileRow], Mapping[int, Parsed]], set[int]]
"""Which files don't belong into a batch after all, once it is known what is in them: their numbers."""


def make_batch(
    shop: Workshop,
    batch: BatchRow,
    rows: Sequence[FileRow],
    history: Sequence[FileRow],
    leave_out: LeaveOut,
    censuses: Mapping[int, Census] | None = None,
) -> tuple[list[FileRow], dict[int, Parsed]]:
    """Write all lake files of a batch and count its lines. A batch of no file leaves nothing behind.

    Args:
        rows: the batch's files; their counts are not read.
        history: the files of all batches before.
        leave_out: asked before duplicates are looked for, so that what is left out decides about nothing.
        censuses: what landing found in the text of the files, by id.
    Returns:
        The rows of the batch with their counts, each adding up, and by file what the parser said of all `rows`.
    """
    tasks = tasks_of(rows, batch, shop.lake, history, censuses)
    parsed = {task.file_id: found for task, found in zip(tasks, parse_all(shop, tasks), strict=True)}
    out = leave_out(rows, parsed)
    for file_id in out:
        shop.lake.drop(batch.batch_id, file_id)
    rows = [row for row in rows if row.file_id not in out]
    if not rows:
        shop.lake.drop_uncommitted(batch.batch_id - 1)
        return [], parsed
    con = shop.connect(WORKERS)
    try:
        new, old = lake_files(shop.lake, rows), lake_files(shop.lake, history)
        verdicts = judge_batch(con, shop.lake, batch.batch_id, new, old)
        counted = [_counted(row, parsed[row.file_id], *verdicts.get(row.file_id, (0, 0))) for row in rows]
        write_fields(con, shop.raw, shop.lake, batch.batch_id, counted)
    finally:
        con.close()
    return counted, parsed


def _counted(row: FileRow, parsed: Parsed, duplicates: int, conflicts: int) -> FileRow:
    retried = row.retry_of is not None
    result = replace(
        row,
        lines=0 if retried else parsed.lines,
        accepted=parsed.events - duplicates - conflicts,
        duplicate=parsed.earlier + duplicates,
        conflict=conflicts,
        quarantined=-parsed.events if retried else parsed.quarantined,
        blank=0 if retried else parsed.blank,
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
