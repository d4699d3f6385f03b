"""Retrying quarantined lines: read again from their raw files, under today's mapping and parser, into a new batch.

What became an event enters as any new line does: judged against the whole history, committed in one transaction. What
is still bad stays where it is. Places don't change, so a log line gets the id that it would have had at first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from orchestration.catalog.models import Settings
from orchestration.catalog.sources import Source
from orchestration.errors import CatalogInvalid
from orchestration.ingest.batch import Workshop, make_batch, mapping_json
from orchestration.ingest.discover import Entry
from orchestration.ingest.formats import FORMATS, check_source
from orchestration.ingest.formats.detect import resolve
from orchestration.ingest.inflate import Refused
from orchestration.ingest.parse import PARSER_VERSION, head_text, table_head
from orchestration.ingest.quarantined import Wanted, listed
from orchestration.ingest.rebuild import rebuild_lake
from orchestration.ingest.retries import Retries, paths_sql, still_quarantined
from orchestration.ingest.run import MAX_BATCH_LINES
from orchestration.ingest.texts import text_of
from orchestration.ingest.written import Parsed
from orchestration.ledger.rows import BatchRow, FileRow
from orchestration.ledger.store import Ledger

_MINUTE_US = 60_000_000


@dataclass(slots=True)
class RetryReport:
    """Counts are in lines. `entered` by the reason that they were quarantined for, and the bucket they are in now."""

    batches: list[int] = field(default_factory=list)
    files: int = 0
    entered: dict[tuple[str, str], int] = field(default_factory=dict)
    still: dict[str, int] = field(default_factory=dict)
    """By the reason of today, lines that stay quarantined; `blank` for those that hold nothing."""
    skipped: list[Entry] = field(default_factory=list)
    """Files that could not be read again, and why."""


def retry(
    home: Path,
    ledger: Ledger,
    settings: Settings,
    sources: Sequence[Source],
    now_us: int,
    wanted: Wanted,
    *,
    dry_run: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> RetryReport:
    """Read quarantined lines again; those that are events today leave the quarantine. The caller holds the lock.

    Args:
        now_us: the run's now, in microseconds. dry_run: only count what would enter; nothing is committed.
    Raises:
        CatalogInvalid: a source can't be read by its format. IntegrityFailure: raw store or counts are wrong.
    """
    problems = [problem for source in sources for problem in check_source(source)]
    if problems:
        raise CatalogInvalid(problems)
    shop, result = Workshop.of(home, ledger), RetryReport()
    shop.lake.drop_uncommitted(ledger.next_batch_id() - 1)
    rebuild_lake(home, ledger, report)
    skew_us = settings.future_skew_minutes * _MINUTE_US
    for files in _portions(shop, ledger, sources, wanted, result):
        batch = BatchRow(ledger.next_batch_id(), now_us, skew_us, PARSER_VERSION)
        report(f"reading the quarantined lines of {len(files)} file(s) again")
        rows = [
            replace(row, file_id=file_id, batch_id=batch.batch_id)
            for file_id, row in enumerate(files, ledger.next_file_id())
        ]
        rows = _enter(shop, batch, rows, ledger.files(), result)
        if dry_run:
            shop.lake.drop_uncommitted(batch.batch_id - 1)
        elif rows:
            ledger.commit_batch(batch, rows, [], [])
            result.batches.append(batch.batch_id)
    return result


def _portions(
    shop: Workshop, ledger: Ledger, sources: Sequence[Source], wanted: Wanted, result: RetryReport
) -> Iterator[list[FileRow]]:
    """Rows to retry, under today's mapping and not yet numbered, in portions that fit into a batch."""
    by_name = {source.name: source for source in sources}
    left: dict[int, int] = {}
    for found in listed(shop, ledger, wanted):
        left[found.row.file_id] = left.get(found.row.file_id, 0) + found.lines
    files = {row.file_id: row for row in ledger.files()}
    portion: list[FileRow] = []
    lines = 0
    for file_id, count in left.items():
        row = files[file_id]
        try:
            retried = _under(shop, row, by_name.get(row.source), wanted.reason)
        except Refused as refused:
            result.skipped.append(Entry(row.source, row.path, str(refused)))
            continue
        if portion and lines + count > MAX_BATCH_LINES:
            yield portion
            portion, lines = [], 0
        portion.append(retried)
        lines += count
    if portion:
        yield portion


def _under(shop: Workshop, row: FileRow, source: Source | None, reason: str | None) -> FileRow:
    """A retry of a file under today's mapping. Raises Refused where the lines would not be the same lines."""
    if source is None:
        raise Refused(f"no_source: '{row.source}' is not in the catalog any more")
    beginning = next(shop.raw.read(row.sha256, row.path), b"")
    source = resolve(source, beginning, row.path, FORMATS)
    form, was = FORMATS[source.format], FORMATS[row.format]
    if form.table != was.table or type(form).unpack is not type(was).unpack:
        raise Refused(f"other_lines: format '{form.name}' numbers lines otherwise than '{was.name}'")
    positional = form.positional(source)
    if positional and row.tape_id is None:
        # A copy that has grown would begin a log of its own, and count them again.
        raise Refused("identity: events of this file have ids of their own, by today's mapping they would have none")
    if form.table:
        with shop.connect() as con, shop.raw.at_hand(row.sha256, row.path):
            form.reader(source, table_head(con, shop.raw.local(row.sha256))[0])
    elif form.head:
        form.reader(source, head_text(form, text_of(shop.raw, form, row.sha256, row.path)))
    return replace(
        row,
        format=source.format,
        mapping_json=mapping_json(source),
        tape_id=row.tape_id if positional else None,
        first_line=1,
        retry_of=row.file_id,
        retry_reason=reason,
    )


def _enter(
    shop: Workshop, batch: BatchRow, rows: Sequence[FileRow], history: Sequence[FileRow], result: RetryReport
) -> list[FileRow]:
    """Make the batch in the lake, without those files of which no line became an event; add what entered up."""

    def nothing_new(rows: Sequence[FileRow], parsed: Mapping[int, Parsed]) -> set[int]:
        return {row.file_id for row in rows if not parsed[row.file_id].events}

    entering, parsed = make_batch(shop, batch, rows, history, nothing_new)
    for found in parsed.values():
        for reason, count in [*found.reasons.items(), ("blank", found.blank)]:
            if count:
                result.still[reason] = result.still.get(reason, 0) + count
    result.files += len(entering)
    if entering:
        with shop.connect() as con:
            for reason, bucket, count in _buckets(con, shop, batch, entering, history):
                result.entered[reason, bucket] = result.entered.get((reason, bucket), 0) + count
    return entering


def _buckets(
    con: duckdb.DuckDBPyConnection,
    shop: Workshop,
    batch: BatchRow,
    rows: Sequence[FileRow],
    history: Sequence[FileRow],
) -> list[tuple[str, str, int]]:
    """Reason of the quarantine, bucket, lines: what entered with `rows`."""
    before = Retries(history)
    chains = [row for retried in rows if retried.retry_of for row in before.rows_of(retried.retry_of)]
    events = paths_sql(shop.lake.events(batch.batch_id, row.file_id) for row in rows)
    pairs = ", ".join(f"({row.file_id}, {row.retry_of})" for row in rows)
    return con.execute(
        "SELECT q.reason, coalesce(v.verdict, 'accepted') AS bucket, count(*) "
        f"FROM read_parquet({events}, union_by_name = true) AS e "
        f"JOIN (VALUES {pairs}) AS of(retry, original) ON e.file_id = of.retry "
        f"JOIN ({still_quarantined(shop.lake, chains)}) AS q ON q.file_id = of.original AND q.line = e.line "
        f"LEFT JOIN read_parquet({paths_sql([shop.lake.verdicts(batch.batch_id)])}) AS v "
        "ON v.file_id = e.file_id AND v.line = e.line GROUP BY ALL ORDER BY ALL"
    ).fetchall()
