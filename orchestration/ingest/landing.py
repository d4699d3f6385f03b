"""Fetching one file: copied, hashed, inflated and looked through once, before anything is decided about it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import duckdb

from orchestration.catalog.models import Source
from orchestration.ingest.discover import Candidate
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.detect import resolve
from orchestration.ingest.inflate import PACKINGS, Refused, inflated, packing_of
from orchestration.ingest.lines import BOM
from orchestration.ingest.parse import head_text, table_head
from orchestration.ingest.raw import READ_BLOCK, Incoming, RawStore

_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR}


class Deferred(Exception):
    """The file changes while it is looked at, or is gone: taken by a later run. Not an error."""


@dataclass(slots=True)
class Landed:
    """A file in the raw store, and what one look through its inflated bytes found.

    `source` is the candidate's, with the format that was found in place of 'auto'. `prefix_sha` has, for each offset
    that was asked for and that the file reaches, the hash of the bytes before it and whether a line ends exactly there.
    """

    source: Source
    sha256: str
    size: int
    inflated: int = 0
    lines: int = 0
    head_sha: str = ""
    whole_sha: str = ""
    unterminated: bool = False
    prefix_sha: dict[int, tuple[str, bool]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def land(con: duckdb.DuckDBPyConnection, raw: RawStore, candidate: Candidate, offsets: Collection[int]) -> Landed:
    """Copy a file into the raw store.

    Args:
        offsets: sizes of inflated prefixes whose hash is wanted.
    Raises:
        Refused: the file is held.
        Deferred: it changed or vanished meanwhile.
        OSError: it can't be opened or read (PermissionError and the like), or the disk is full.
    """
    descriptor = _open(candidate)
    try:
        incoming = raw.incoming()
        try:
            delivered = _delivered(descriptor, incoming)
            beginning = next(delivered, b"")
            candidate = replace(candidate, source=resolve(candidate.source, beginning, candidate.path, FORMATS))
            landed = _looked_through(candidate, chain([beginning], delivered), offsets)
            _unchanged(descriptor, candidate)
            landed.sha256 = incoming.sha256
        except BaseException:
            incoming.drop()
            raise
        incoming.keep()
    finally:
        os.close(descriptor)
    if FORMATS[candidate.source.format].table:
        _check_table(con, raw, candidate, landed)
    else:
        landed.notices += _misnamed(candidate.path, beginning)
    return landed


def _looked_through(candidate: Candidate, delivered: Iterable[bytes], offsets: Collection[int]) -> Landed:
    form = FORMATS[candidate.source.format]
    look = _Look(offsets, max(form.head, 1))
    for block in delivered if form.table else form.unpack(inflated(delivered, candidate.path)):
        look.take(block)
    landed = look.result(candidate)
    if not form.table:
        _check_lines(candidate, landed, look.head)
    return landed


def _misnamed(path: str, beginning: bytes) -> list[str]:
    packing = packing_of(beginning, path)
    return [
        f"its name and its content disagree about {other.name}; the content decides"
        for other in PACKINGS
        if path.endswith(other.suffix) != (other is packing)
    ]


def _open(candidate: Candidate) -> int:
    """Open without following a link or waiting for a writer, and make sure that it is what was listed."""
    try:
        descriptor = os.open(candidate.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _GONE:
            raise Deferred("gone, or became something else than a file") from error
        raise
    try:
        inside = Path(os.path.realpath(candidate.file)).is_relative_to(candidate.root)
        if not inside or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Deferred("became something else than a file")
        _unchanged(descriptor, candidate)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unchanged(descriptor: int, candidate: Candidate) -> None:
    now = os.fstat(descriptor)
    if (now.st_size, now.st_mtime_ns) != (candidate.size, candidate.mtime_ns):
        raise Deferred("changing")


def _delivered(descriptor: int, incoming: Incoming) -> Iterator[bytes]:
    while data := os.read(descriptor, READ_BLOCK):
        incoming.write(data)
        yield data


class _Look:
    """One pass over the inflated bytes: lines, the head of so many lines, hashes of prefixes."""

    def __init__(self, offsets: Collection[int], head_lines: int) -> None:
        self.head = b""
        self._head_lines = head_lines
        self._head_done = False
        self._head_sha = hashlib.sha256()
        self._sha = hashlib.sha256()
        self._offsets = sorted(set(offsets), reverse=True)
        self._found: dict[int, tuple[str, bool]] = {}
        self._open: tuple[int, str] | None = None
        self._size = 0
        self._lines = 0
        self._last = b"\n"

    def take(self, block: bytes) -> None:
        if not block:
            return
        self._take_head(block)
        self._lines += block.count(b"\n")
        rest, at = memoryview(block), 0
        self._settle(block, 0)
        while self._offsets and self._offsets[-1] <= self._size + len(block):
            offset = self._offsets.pop()
            cut = offset - self._size
            self._sha.update(rest[at:cut])
            before = block[cut - 1 : cut] if cut else self._last
            self._reach(offset, before)
            at = cut
            self._settle(block, cut)
        self._sha.update(rest[at:])
        self._size += len(block)
        self._last = block[-1:]

    def _reach(self, offset: int, before: bytes) -> None:
        """A line ends here after a newline; without one, only if the file or the line goes no further."""
        if before == b"\n":
            self._found[offset] = (self._sha.hexdigest(), True)
        else:
            self._open = (offset, self._sha.hexdigest())

    def _settle(self, block: bytes, at: int) -> None:
        if self._open is not None and at < len(block):
            offset, digest = self._open
            self._found[offset] = (digest, block[at : at + 1] == b"\n")
            self._open = None

    def _take_head(self, block: bytes) -> None:
        if self._lines < self._head_lines and len(self.head) <= 1 << 20:
            end = 0
            for _ in range(self._head_lines - self._lines):
                end = block.find(b"\n", end) + 1 or len(block)
            self.head += block[:end]
        if not self._head_done:
            end = block.find(b"\n")
            self._head_sha.update(block if end < 0 else block[: end + 1])
            self._head_done = end >= 0

    def result(self, candidate: Candidate) -> Landed:
        if self._open is not None:
            self._found[self._open[0]] = (self._open[1], True)
        unterminated = self._last != b"\n"
        return Landed(
            source=candidate.source,
            sha256="",
            size=candidate.size,
            inflated=self._size,
            lines=self._lines + unterminated,
            head_sha=self._head_sha.hexdigest(),
            whole_sha=self._sha.hexdigest(),
            unterminated=unterminated,
            prefix_sha=self._found,
        )


def _check_lines(candidate: Candidate, landed: Landed, head: bytes) -> None:
    source = candidate.source
    if landed.unterminated and source.unterminated == "hold":
        raise Refused("unterminated: the last line has no newline")
    if head.startswith(BOM):
        landed.notices.append("a byte order mark at its beginning was left out")
    form = FORMATS[source.format]
    if form.head and landed.lines:
        form.reader(source, head_text([head], form.head))


def _check_table(con: duckdb.DuckDBPyConnection, raw: RawStore, candidate: Candidate, landed: Landed) -> None:
    """Read a Parquet file's mapped columns once, so that a damaged page is found before anything is taken."""
    try:
        head, landed.lines = table_head(con, raw.path(landed.sha256))
        reader = FORMATS[candidate.source.format].reader(candidate.source, head)
        # A count is answered without unpacking the values, and a damaged page is found in these.
        con.execute(f"SELECT bit_xor(hash(rows)) FROM ({reader.sql}) AS rows").fetchall()
    except duckdb.Error as error:
        raise Refused(f"bad_parquet: {str(error).splitlines()[0]}") from error
    landed.head_sha = landed.whole_sha = landed.sha256
    landed.unterminated = False
