"""Fetching one file: copied, hashed, inflated and looked through once, before anything is decided about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import duckdb

from orchestration.catalog.sources import Source
from orchestration.ingest.discover import Candidate
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.detect import resolve
from orchestration.ingest.inflate import PACKINGS, Refused, inflated, packing_of
from orchestration.ingest.lines import BOM, MAX_LINE, Census
from orchestration.ingest.opening import Opened, open_candidate
from orchestration.ingest.parse import head_text, table_head
from orchestration.ingest.raw import Incoming, RawStore
from orchestration.ledger.rows import ReferenceRow


@dataclass(slots=True)
class Landed:
    """A file in the raw store, and what one look through its inflated bytes found.

    `source` is the candidate's, with the format that was found in place of 'auto'. The hashes, of a log without ids,
    are those of the inflated bytes up to its first telling line, and of all of them. `reference` is how to read the
    file again where it was not copied.
    """

    source: Source
    sha256: str
    size: int
    inflated: int = 0
    lines: int = 0
    census: Census | None = None
    head_sha: str = ""
    whole_sha: str = ""
    unterminated: bool = False
    notices: list[str] = field(default_factory=list)
    reference: ReferenceRow | None = None


def land(raw: RawStore, candidate: Candidate) -> Landed:
    """Copy a file into the raw store. Several files may be landed side by side.

    Raises:
        Refused: the file is held.
        Deferred: it changed or vanished meanwhile.
        OSError: it can't be opened or read (PermissionError and the like), or the disk is full.
        StoreFailed: its store broke off.
    """
    opened = open_candidate(candidate)
    try:
        incoming = raw.incoming()
        try:
            delivered = _delivered(opened, incoming)
            beginning = next(delivered, b"")
            candidate = replace(candidate, source=resolve(candidate.source, beginning, candidate.path, FORMATS))
            landed = _looked_through(candidate, chain([beginning], delivered))
            opened.check_unchanged()
            landed.sha256 = incoming.sha256
            if candidate.source.raw == "reference":
                landed.reference = opened.reference(landed.sha256)
        except BaseException:
            incoming.drop()
            raise
        if landed.reference is not None:
            incoming.lend(landed.reference)
        else:
            incoming.keep()
    finally:
        opened.close()
    if not FORMATS[candidate.source.format].table:
        landed.notices += _misnamed(candidate.path, beginning)
    return landed


def _looked_through(candidate: Candidate, delivered: Iterable[bytes]) -> Landed:
    form = FORMATS[candidate.source.format]
    # The first line after the names of columns is the first that tells logs apart.
    look = _Look(form.head + 1, hashed=form.positional(candidate.source) and not form.table)
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


def _delivered(opened: Opened, incoming: Incoming) -> Iterator[bytes]:
    for data in opened.blocks():
        incoming.write(data)
        yield data


class _Look:
    """One pass over the inflated bytes: lines, the head of so many lines, and of a log without ids two hashes."""

    def __init__(self, head_lines: int, *, hashed: bool) -> None:
        self.head = b""
        self._census = Census()
        self._hashed = hashed
        self._left = head_lines
        self._head_sha = hashlib.sha256()
        self._sha = hashlib.sha256()

    def take(self, block: bytes) -> None:
        if not block:
            return
        if self._left:
            self._take_head(block)
        if self._hashed:
            self._sha.update(block)
        self._census.take(block)

    def _take_head(self, block: bytes) -> None:
        end = 0
        while self._left and end < len(block):
            found = block.find(b"\n", end)
            self._left -= found >= 0
            end = found + 1 or len(block)
        # Without its newline the last line of the head is the same whether or not it was complete when first seen.
        self._head_sha.update(block[: end - (not self._left)])
        if len(self.head) <= MAX_LINE:
            self.head += block[:end]

    def result(self, candidate: Candidate) -> Landed:
        census = self._census
        return Landed(
            source=candidate.source,
            sha256="",
            size=candidate.size,
            inflated=census.size,
            lines=census.lines,
            census=census,
            head_sha=self._head_sha.hexdigest(),
            whole_sha=self._sha.hexdigest(),
            unterminated=census.unterminated,
        )


def _check_lines(candidate: Candidate, landed: Landed, head: bytes) -> None:
    source = candidate.source
    if landed.unterminated and source.unterminated == "hold":
        raise Refused("unterminated: the last line has no newline")
    if head.startswith(BOM):
        landed.notices.append("a byte order mark at its beginning was left out")
    form = FORMATS[source.format]
    if form.head and landed.lines:
        form.reader(source, head_text(form, [head]))


def check_table(con: duckdb.DuckDBPyConnection, raw: RawStore, landed: Landed) -> None:
    """Read a landed Parquet file's mapped columns once, so that a damaged page is found before anything is taken.

    Its rows are its lines. Raises Refused.
    """
    try:
        head, landed.lines = table_head(con, raw.local(landed.sha256))
        reader = FORMATS[landed.source.format].reader(landed.source, head)
        # A count is answered without unpacking the values, and a damaged page is found in these.
        con.execute(f"SELECT bit_xor(hash(rows)) FROM ({reader.sql}) AS rows").fetchall()
    except duckdb.Error as error:
        raise Refused(f"bad_parquet: {str(error).splitlines()[0]}") from error
    landed.head_sha = landed.whole_sha = landed.sha256
    landed.unterminated = False
