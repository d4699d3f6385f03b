"""Ingest: everything new at the sources, in batches, each committed to the ledger with its counts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb

from orchestration.catalog.models import Settings
from orchestration.catalog.sources import Source
from orchestration.errors import CatalogInvalid
from orchestration.ingest.batch import Workshop, lake_files, make_batch, mapping_json
from orchestration.ingest.discover import Candidate, Entry
from orchestration.ingest.erase_write import finish
from orchestration.ingest.formats import FORMATS, check_source
from orchestration.ingest.gathering import gather
from orchestration.ingest.inflate import Refused
from orchestration.ingest.landing import Landed, check_table, land
from orchestration.ingest.lookalikes import lookalikes
from orchestration.ingest.opening import Deferred
from orchestration.ingest.parse import PARSER_VERSION
from orchestration.ingest.pending import Pending
from orchestration.ingest.rebuild import rebuild_lake
from orchestration.ingest.report import BUCKETS, IngestReport
from orchestration.ingest.scarcity import out_of_resources
from orchestration.ingest.share import sort_out
from orchestration.ingest.stores import StoreFailed, Stores
from orchestration.ingest.tapes import Placed, place
from orchestration.ingest.texts import text_of
from orchestration.ingest.tombstone import as_delivered
from orchestration.ingest.written import Parsed
from orchestration.ledger.rows import BatchRow, DeliveryRow, FileRow, TapeRow
from orchestration.ledger.store import Ledger

MAX_BATCH_LINES = 5_000_000
MAX_BATCH_BYTES = 2 << 30
LANDERS = 4
"""How many files are fetched side by side."""
_MINUTE_US = 60_000_000


def ingest(
    home: Path,
    ledger: Ledger,
    settings: Settings,
    sources: Sequence[Source],
    now_us: int,
    report: Callable[[str], None] = lambda _: None,
) -> IngestReport:
    """Take everything new. Nothing new: no batch.

    Args:
        home: the instance's folder. now_us: the run's now, in microseconds. report: gets lines for a person.
    Raises:
        CatalogInvalid: a source can't be read by its format. IntegrityFailure: raw store or counts are wrong.
        OutOfResources: disk, memory or descriptors ran out; what was committed before stands.
    """
    started = time.monotonic()
    problems = [problem for source in sources for problem in check_source(source)]
    if problems:
        raise CatalogInvalid(problems)
    work = _Work(home, ledger, settings, now_us, report)
    try:
        work.clean()
        work.result.rebuilt = rebuild_lake(home, ledger, report)
        work.take(sorted(sources, key=lambda s: s.name))
    except (OSError, duckdb.Error) as error:
        raise out_of_resources(home, error) from error
    work.result.seconds = time.monotonic() - started
    return work.result


class _Work:
    def __init__(
        self, home: Path, ledger: Ledger, settings: Settings, now_us: int, report: Callable[[str], None]
    ) -> None:
        self.result = IngestReport()
        self._home = home
        self._ledger = ledger
        self._now_us = now_us
        self._skew_us = settings.future_skew_minutes * _MINUTE_US
        self._say = report
        self._stores = Stores(home)
        self._shop = Workshop.of(home, ledger)
        self._pending = Pending()
        self._other: list[DeliveryRow] = []
        self._again: list[Candidate] = []

    def clean(self) -> None:
        """Remove what an interrupted run left: half-written raw files, lake files of a batch that never was."""
        finish(self._home, self._ledger)
        left = self._shop.raw.clean() + self._shop.lake.drop_uncommitted(self._ledger.next_batch_id() - 1)
        if left:
            self._notice("", "", f"{left} leftover(s) of an interrupted run removed")

    def take(self, sources: Sequence[Source]) -> None:
        candidates = self._candidates(sources)
        again: list[Candidate] = []
        for candidate, landed in self._landing(candidates):
            if not self._register(candidate, landed, last_try=False):
                again.append(candidate)
        # A file may look mutated only because the log that it replaced is listed after it.
        for candidate, landed in self._landing(again):
            self._register(candidate, landed, last_try=True)
        self._commit()
        while self._again:
            again, self._again = self._again, []
            for candidate, landed in self._landing(again):
                self._register(candidate, landed, last_try=True)
            self._commit()
        self._shop.raw.clean()
        if self._other:
            self._ledger.record_deliveries(self._other)

    def _candidates(self, sources: Sequence[Source]) -> list[Candidate]:
        found = gather(self._home, self._stores, self._ledger, sources)
        self.result.refused += found.refused
        self.result.unreadable += found.unreadable
        for candidate, reason in found.held:
            self._hold(candidate, "", reason)
        return found.candidates

    def _landing(self, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, Future[Landed]]]:
        """Fetch files side by side, a few ahead; they come in the order of the listing."""
        with ThreadPoolExecutor(LANDERS) as pool:
            ahead: deque[tuple[Candidate, Future[Landed]]] = deque()
            try:
                for candidate in candidates:
                    ahead.append((candidate, pool.submit(land, self._shop.raw, candidate)))
                    if len(ahead) > 2 * LANDERS:
                        yield ahead.popleft()
                while ahead:
                    yield ahead.popleft()
            finally:
                for _, future in ahead:
                    future.cancel()

    def _register(self, candidate: Candidate, landing: Future[Landed], *, last_try: bool) -> bool:
        """Place one landed file in the pending batch. False if it is to be tried again, last."""
        sha256 = ""
        try:
            landed = landing.result()
            sha256 = landed.sha256
            if FORMATS[landed.source.format].table:
                # A connection of its own: a damaged table may break the engine, which then answers for no other file.
                with self._shop.connect() as con:
                    check_table(con, self._shop.raw, landed)
            self._enter(replace(candidate, source=landed.source), landed)
        except Deferred as reason:
            self.result.deferred.append(Entry(candidate.source.name, candidate.path, str(reason)))
        except StoreFailed as error:
            self.result.unreadable.append(Entry(candidate.source.name, candidate.path, f"unreadable: {error}"))
        except PermissionError as error:
            self._hold(candidate, "", f"unreadable: {error.strerror}")
        except Refused as refused:
            if str(refused).startswith("source_mutated") and not last_try:
                return False
            self._hold(candidate, sha256, str(refused))
        return True

    def _tapes(self, candidate: Candidate, landed: Landed) -> list[TapeRow]:
        """The tapes that the file may continue, as they will be when what is pending is committed."""
        known = self._ledger.tapes(candidate.stream, landed.head_sha, candidate.path)
        pending = self._pending.tapes_like(candidate.stream, landed.head_sha, candidate.path)
        return [tape for tape in known if tape.tape_id not in self._pending.tapes] + pending

    def _enter(self, candidate: Candidate, landed: Landed) -> None:
        for notice in landed.notices:
            self._notice(candidate.source.name, candidate.path, notice)
        twin = self._twin(candidate.stream, landed.sha256)
        if twin is not None:
            if self._pending.by_bytes.get((candidate.stream, landed.sha256)) is twin:
                self._pending.copies.setdefault(twin.file_id, []).append(candidate)
            else:
                self._is_copy(candidate, twin)
            return
        if self._shop.raw.rewritten(landed.sha256) is not None:
            raise Refused("erased: lines of these bytes were erased in another stream")
        self._make_room(landed)
        placed = self._place(candidate, landed)
        file_id = self._ledger.next_file_id() + len(self._pending.rows)
        row = FileRow(
            file_id=file_id,
            batch_id=self._ledger.next_batch_id(),
            source=candidate.source.name,
            stream=candidate.stream,
            sha256=landed.sha256,
            path=candidate.path,
            size=landed.size,
            format=candidate.source.format,
            mapping_json=mapping_json(candidate.source),
            tape_id=placed.tape.tape_id if placed else None,
            first_line=placed.first_line if placed else 1,
            lines=landed.lines,
            accepted=0,
            duplicate=0,
            conflict=0,
            quarantined=0,
            blank=0,
            min_us=None,
            max_us=None,
        )
        if placed:
            self._pending.put_tape(placed.tape)
            self._pending.tapes_after[file_id] = placed.tape
        self._pending.rows.append(row)
        self._pending.candidates.append(candidate)
        self._pending.by_bytes[row.stream, row.sha256] = row
        if landed.census:
            self._pending.censuses[file_id] = landed.census
        if landed.reference is not None:
            self._pending.references[landed.sha256] = landed.reference
        self._pending.lines += landed.lines
        self._pending.bytes += landed.inflated

    def _is_copy(self, candidate: Candidate, twin: FileRow) -> None:
        reason = f"the same bytes as '{twin.path}' ({twin.sha256})"
        self._notice(candidate.source.name, candidate.path, f"duplicate_of: {reason}")
        self._other.append(self._delivery(candidate, twin.sha256, "duplicate_of", reason))

    def _make_room(self, landed: Landed) -> None:
        """Commit what is pending if this file would take the batch over its cap."""
        pending = self._pending
        full = pending.lines + landed.lines > MAX_BATCH_LINES or pending.bytes + landed.inflated > MAX_BATCH_BYTES
        if pending.rows and full:
            self._commit()

    def _place(self, candidate: Candidate, landed: Landed) -> Placed | None:
        if not FORMATS[candidate.source.format].positional(candidate.source):
            return None
        file_id = self._ledger.next_file_id() + len(self._pending.rows)
        files = {row.file_id: row for row in self._pending.rows}
        form = FORMATS[candidate.source.format]

        def bytes_of(sha256: str, path: str) -> Iterator[bytes]:
            raw = self._shop.raw
            return raw.read(sha256, path) if form.table else text_of(raw, form, sha256, path)

        def reread(tape: TapeRow) -> Iterator[bytes]:
            row = files.get(tape.file_id) or self._ledger.file(tape.file_id)
            kept = self._shop.raw.rewritten(row.sha256)
            return as_delivered(bytes_of(row.sha256, row.path), kept.lines if kept else ())

        return place(
            candidate.stream,
            candidate.path,
            landed,
            file_id,
            self._tapes(candidate, landed),
            reread,
            lambda: bytes_of(landed.sha256, candidate.path),
            first=form.head + 1,
        )

    def _twin(self, stream: str, sha256: str) -> FileRow | None:
        return self._pending.by_bytes.get((stream, sha256)) or self._ledger.find_file(stream, sha256)

    def _delivery(self, candidate: Candidate, sha256: str, status: str, reason: str) -> DeliveryRow:
        return DeliveryRow(
            source=candidate.source.name,
            path=candidate.path,
            size=candidate.size,
            mtime_ns=candidate.mtime_ns,
            sha256=sha256,
            status=status,
            reason=reason,
            seen_us=self._now_us,
            tag=candidate.stored.tag if candidate.stored else "",
        )

    def _hold(self, candidate: Candidate, sha256: str, reason: str) -> None:
        self.result.held.append(Entry(candidate.source.name, candidate.path, reason))
        self._other.append(self._delivery(candidate, sha256, "held", reason))
        self._say(f"held: {candidate.source.name}: {candidate.path}: {reason}")

    def _sort_out(self, pending: Pending, parsed: Mapping[int, Parsed]) -> set[int]:
        """Hold files most of whose lines are bad; what was placed behind them, or is a copy, is to be tried again."""
        heads = {file_id: tape.head_sha for file_id, tape in pending.tapes_after.items()}
        held, again = sort_out(pending.rows, parsed, heads)
        for row, candidate in zip(pending.rows, pending.candidates, strict=True):
            if row.file_id in held:
                self._hold(candidate, row.sha256, held[row.file_id])
            elif row.file_id in again:
                self._again.append(candidate)
            if row.file_id in held or row.file_id in again:
                self._again += pending.copies.get(row.file_id, [])
        return again.union(held)

    def _tell_lookalikes(self, rows: Sequence[FileRow]) -> None:
        with self._shop.connect() as con:
            for feed, groups, one, other in lookalikes(con, lake_files(self._shop.lake, rows)):
                text = (
                    f"{groups} group(s) of event ids look alike and are different events, such as {one!r} and {other!r}"
                )
                self._notice(feed, "", text)

    def _notice(self, source: str, path: str, text: str) -> None:
        self.result.notices.append(Entry(source, path, text))

    def _commit(self) -> None:
        pending, self._pending = self._pending, Pending()
        if not pending.rows:
            return
        batch = BatchRow(self._ledger.next_batch_id(), self._now_us, self._skew_us, PARSER_VERSION)
        self._say(f"batch {batch.batch_id}: reading {len(pending.rows)} file(s), {pending.lines} line(s)")
        history = self._ledger.files()
        rows, parsed = make_batch(
            self._shop,
            batch,
            pending.rows,
            history,
            lambda _, parsed: self._sort_out(pending, parsed),
            pending.censuses,
        )
        if not rows:
            return
        self._tell_lookalikes(rows)
        taken = {row.file_id for row in rows}
        tapes = {tape.tape_id: tape for file_id, tape in pending.tapes_after.items() if file_id in taken}
        deliveries = [
            self._delivery(candidate, row.sha256, "taken", "")
            for row, candidate in zip(pending.rows, pending.candidates, strict=True)
            if row.file_id in taken
        ]
        references = [pending.references[row.sha256] for row in rows if row.sha256 in pending.references]
        self._ledger.commit_batch(batch, rows, list(tapes.values()), deliveries, references)
        self._shop.raw.release([reference.sha256 for reference in references])
        result = self.result
        result.batches.append(batch.batch_id)
        result.files += len(rows)
        for row in rows:
            for copy in pending.copies.get(row.file_id, []):
                self._is_copy(copy, row)
            result.lines += row.lines
            for bucket in BUCKETS:
                setattr(result, bucket, getattr(result, bucket) + getattr(row, bucket))
            found = parsed[row.file_id]
            result.rounded += found.rounded
            for reason, count in found.reasons.items():
                result.reasons[reason] = result.reasons.get(reason, 0) + count
