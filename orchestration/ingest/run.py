"""Ingest: everything new at the sources, in batches, each committed to the ledger with its counts."""

from __future__ import annotations

import errno
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from orchestration.catalog.models import Settings, Source
from orchestration.crash import crash_point
from orchestration.errors import CatalogInvalid, OutOfResources
from orchestration.ingest.batch import Workshop, make_batch, mapping_json
from orchestration.ingest.discover import Candidate, Entry, discover
from orchestration.ingest.formats import FORMATS, check_source
from orchestration.ingest.inflate import Refused, inflated
from orchestration.ingest.landing import Deferred, Landed, check_table, land
from orchestration.ingest.lines import Census
from orchestration.ingest.parse import PARSER_VERSION
from orchestration.ingest.rebuild import rebuild_lake
from orchestration.ingest.report import BUCKETS, IngestReport
from orchestration.ingest.tapes import Placed, place
from orchestration.ledger.rows import BatchRow, DeliveryRow, FileRow, TapeRow
from orchestration.ledger.store import Ledger

MAX_BATCH_LINES = 5_000_000
MAX_BATCH_BYTES = 2 << 30
LANDERS = 4
"""How many files are fetched side by side."""
_MINUTE_US = 60_000_000
_SCARCE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EIO}


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
        raise _resources(home, error) from error
    work.result.seconds = time.monotonic() - started
    return work.result


def _resources(home: Path, error: OSError | duckdb.Error) -> Exception:
    """The error as OutOfResources, if that is what it is."""
    scarce = isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException)
    if not scarce and not (isinstance(error, OSError) and error.errno in _SCARCE):
        return error
    free = shutil.disk_usage(home).free
    return OutOfResources(
        f"{error} ({free} bytes are free on the volume of the instance)",
        where=str(getattr(error, "filename", None) or home),
        not_done="the batch in work was not committed; earlier ones stand",
        next_step="free space, memory or descriptors and run again: it goes on where it stopped",
    )


@dataclass(slots=True)
class _Pending:
    """Files fetched and placed, not yet parsed."""

    rows: list[FileRow] = field(default_factory=list)
    by_bytes: dict[tuple[str, str], FileRow] = field(default_factory=dict)
    censuses: dict[int, Census] = field(default_factory=dict)
    """What was found in the text of the files, by id."""
    tapes: dict[str, TapeRow] = field(default_factory=dict)
    deliveries: list[DeliveryRow] = field(default_factory=list)
    lines: int = 0
    bytes: int = 0
    _tape_ids: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)

    def put_tape(self, tape: TapeRow) -> None:
        self.tapes[tape.tape_id] = tape
        for sign in (tape.head_sha, tape.path):
            self._tape_ids.setdefault((tape.stream, sign), {})[tape.tape_id] = None

    def tapes_like(self, stream: str, head_sha: str, path: str) -> list[TapeRow]:
        """The tapes of a stream that begin alike, and those that were last read under a path."""
        ids = self._tape_ids.get((stream, head_sha), {}) | self._tape_ids.get((stream, path), {})
        found = [self.tapes[tape_id] for tape_id in ids]
        return [tape for tape in found if tape.head_sha == head_sha or tape.path == path]


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
        self._shop = Workshop.of(home, ledger.key)
        self._pending = _Pending()
        self._other: list[DeliveryRow] = []

    def clean(self) -> None:
        """Remove what an interrupted run left: half-written raw files, lake files of a batch that never was."""
        left = self._shop.raw.clean() + self._shop.lake.drop_uncommitted(self._ledger.next_batch_id() - 1)
        if left:
            self._notice("", "", f"{left} leftover(s) of an interrupted run removed")

    def take(self, sources: Sequence[Source]) -> None:
        con = self._shop.connect()
        try:
            candidates = list(self._candidates(sources))
            again: list[Candidate] = []
            for candidate, landed in self._landing(candidates):
                if not self._register(con, candidate, landed, last_try=False):
                    again.append(candidate)
            # A file may look mutated only because the log that it replaced is listed after it.
            for candidate, landed in self._landing(again):
                self._register(con, candidate, landed, last_try=True)
        finally:
            con.close()
        self._commit()
        if self._other:
            self._ledger.record_deliveries(self._other)

    def _candidates(self, sources: Sequence[Source]) -> Iterator[Candidate]:
        told: set[str] = set()
        listings = [(source, discover(self._home, source)) for source in sources]
        owners: dict[Path, list[str]] = {}
        for source, listing in listings:
            for candidate in listing.candidates:
                owners.setdefault(candidate.file, []).append(source.name)
        for source, listing in listings:
            for entry in listing.refused:
                if entry.path not in told:
                    told.add(entry.path)
                    self.result.refused.append(entry)
            self.result.unreadable += listing.unreadable
            known = self._ledger.deliveries(source.name)
            for candidate in listing.candidates:
                seen = known.get(candidate.path)
                same = seen and (seen.size, seen.mtime_ns) == (candidate.size, candidate.mtime_ns)
                if same and seen and seen.status != "held":
                    continue
                others = [name for name in owners[candidate.file] if name != source.name]
                if others and not (seen and seen.status == "taken"):
                    # Each source would count its lines as events of its own, and bill them again.
                    self._hold(candidate, "", f"matched_by_several_sources: also by {', '.join(others)}")
                else:
                    yield candidate

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

    def _register(
        self, con: duckdb.DuckDBPyConnection, candidate: Candidate, landing: Future[Landed], *, last_try: bool
    ) -> bool:
        """Place one landed file in the pending batch. False if it is to be tried again, last."""
        sha256 = ""
        try:
            landed = landing.result()
            sha256 = landed.sha256
            if FORMATS[landed.source.format].table:
                check_table(con, self._shop.raw, landed)
            self._enter(replace(candidate, source=landed.source), landed)
        except Deferred as reason:
            self.result.deferred.append(Entry(candidate.source.name, candidate.path, str(reason)))
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
            reason = f"the same bytes as '{twin.path}' ({landed.sha256})"
            self._notice(candidate.source.name, candidate.path, f"duplicate_of: {reason}")
            self._other.append(self._delivery(candidate, landed.sha256, "duplicate_of", reason))
            return
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
        self._pending.rows.append(row)
        self._pending.by_bytes[row.stream, row.sha256] = row
        if landed.census:
            self._pending.censuses[file_id] = landed.census
        self._pending.deliveries.append(self._delivery(candidate, landed.sha256, "taken", ""))
        self._pending.lines += landed.lines
        self._pending.bytes += landed.inflated

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
            stored = self._shop.raw.read(sha256, path)
            return stored if form.table else form.unpack(inflated(stored))

        def reread(tape: TapeRow) -> Iterator[bytes]:
            row = files.get(tape.file_id) or self._ledger.file(tape.file_id)
            return bytes_of(row.sha256, row.path)

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
        )

    def _hold(self, candidate: Candidate, sha256: str, reason: str) -> None:
        self.result.held.append(Entry(candidate.source.name, candidate.path, reason))
        self._other.append(self._delivery(candidate, sha256, "held", reason))
        self._say(f"held: {candidate.source.name}: {candidate.path}: {reason}")

    def _notice(self, source: str, path: str, text: str) -> None:
        self.result.notices.append(Entry(source, path, text))

    def _commit(self) -> None:
        pending, self._pending = self._pending, _Pending()
        if not pending.rows:
            return
        batch = BatchRow(self._ledger.next_batch_id(), self._now_us, self._skew_us, PARSER_VERSION)
        self._say(f"batch {batch.batch_id}: reading {len(pending.rows)} file(s), {pending.lines} line(s)")
        rows, parsed = make_batch(self._shop, batch, pending.rows, self._ledger.files(), pending.censuses)
        crash_point("ingest_before_commit")
        self._ledger.commit_batch(batch, rows, list(pending.tapes.values()), pending.deliveries)
        crash_point("ingest_after_commit")
        result = self.result
        result.batches.append(batch.batch_id)
        result.files += len(rows)
        for row in rows:
            result.lines += row.lines
            for bucket in BUCKETS:
                setattr(result, bucket, getattr(result, bucket) + getattr(row, bucket))
        for found in parsed:
            result.rounded += found.rounded
            for reason, count in found.reasons.items():
                result.reasons[reason] = result.reasons.get(reason, 0) + count
