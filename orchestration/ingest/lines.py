"""Bytes to numbered lines, in blocks that the engine can take; what no format could read is set aside here.

Only the newline ends a line: a carriage return, U+2028 and the like are part of it. A line is what stands before its
newline, and the last one counts even without.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_LINE = 1 << 20
KEPT_OF_LONG_LINE = 4096
BOM = b"\xef\xbb\xbf"
_APART = (b"\0", b"\1", b"\r")
"""Bytes that the engine's own splitting treats in another way: an end of text, its column separator, a line end."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is quarantined before any format sees it; of an over-long one the beginning is kept."""

    line: int
    reason: str
    raw: bytes


class Census:
    """Counts the lines of a text, and tells whether the engine would split it into just these lines by itself."""

    def __init__(self) -> None:
        self.size = 0
        self.newlines = 0
        self._open = 0
        """Bytes since the last newline."""
        self._plain = True
        self._decoder = getincrementaldecoder("utf-8")()

    def take(self, chunk: bytes) -> None:
        self.newlines += chunk.count(b"\n")
        self._plain = self._plain and self._is_plain(chunk)
        self.size += len(chunk)
        last = chunk.rfind(b"\n")
        self._open = len(chunk) - last - 1 if last >= 0 else self._open + len(chunk)

    def counting(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Passes chunks through, none of them empty, and takes each."""
        for chunk in filter(None, chunks):
            self.take(chunk)
            yield chunk

    def _is_plain(self, chunk: bytes) -> bool:
        first = chunk.find(b"\n")
        if self._open + (len(chunk) if first < 0 else first) > MAX_LINE or _has_long_line(chunk, first + 1):
            return False
        if any(byte in chunk for byte in _APART) or (not self.size and chunk.startswith(BOM)):
            return False
        if chunk.isascii() and not self._decoder.getstate()[0]:
            return True
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            return False
        return True

    @property
    def plain(self) -> bool:
        """Whether all is text in lines of at most MAX_LINE bytes that nothing but newlines end."""
        return self._plain and not self._decoder.getstate()[0]

    @property
    def unterminated(self) -> bool:
        return self._open > 0

    @property
    def lines(self) -> int:
        return self.newlines + self.unterminated


@dataclass(slots=True)
class Block:
    """Consecutive lines: the readable ones as one text joined by newlines, their numbers, and the bad ones."""

    text: str
    first: int
    count: int
    numbers: list[int] | None = None
    """Numbers of the lines in `text`; None when they are `first`, `first + 1`, ..."""
    bad: list[BadLine] = field(default_factory=list)


def blocks(chunks: Iterable[bytes], skip: int = 0) -> Iterator[Block]:
    """Blocks of lines out of chunks of any size. The first `skip` lines are counted and left out.

    Memory is bounded by the chunk size plus MAX_LINE, whatever the length of a line.
    """
    carry, line = b"", 1
    long_head: bytes | None = None
    for chunk in chunks:
        if long_head is not None:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            if line > skip:
                yield _only_bad(BadLine(line, "line_too_long", long_head))
            long_head, line, chunk = None, line + 1, chunk[end + 1 :]
        data = carry + chunk
        end = data.rfind(b"\n")
        if end >= 0:
            yield from _block(data[:end], line, skip)
            line += data.count(b"\n", 0, end) + 1
        carry = data[end + 1 :]
        if len(carry) > MAX_LINE:
            long_head, carry = carry[:KEPT_OF_LONG_LINE], b""
    if long_head is not None and line > skip:
        yield _only_bad(BadLine(line, "line_too_long", long_head))
    elif carry:
        yield from _block(carry, line, skip)


def _only_bad(bad: BadLine) -> Block:
    return Block("", bad.line, 1, [], [bad])


def _block(data: bytes, first: int, skip: int) -> Iterator[Block]:
    count = data.count(b"\n") + 1
    if first + count - 1 <= skip:
        return
    if first <= skip:
        data = data.split(b"\n", skip - first + 1)[-1]
        count -= skip - first + 1
        first = skip + 1
    if first == 1 and data.startswith(BOM):
        data = data[len(BOM) :]
    text = _clean_text(data)
    yield Block(text, first, count) if text is not None else _sorted_out(data, first, count)


def _clean_text(data: bytes) -> str | None:
    """The block as text, or None if some line in it has to be set aside."""
    if b"\0" in data or _has_long_line(data):
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _has_long_line(data: bytes, start: int = 0) -> bool:
    while len(data) - start > MAX_LINE:
        end = data.rfind(b"\n", start, start + MAX_LINE + 1)
        if end < 0:
            return True
        start = end + 1
    return False


def _sorted_out(data: bytes, first: int, count: int) -> Block:
    good: list[str] = []
    numbers: list[int] = []
    bad: list[BadLine] = []
    for number, raw in enumerate(data.split(b"\n"), first):
        reason, text = _judge(raw)
        if reason is None:
            good.append(text)
            numbers.append(number)
        else:
            kept = raw[:KEPT_OF_LONG_LINE] if reason == "line_too_long" else raw
            bad.append(BadLine(number, reason, kept))
    return Block("\n".join(good), first, count, numbers, bad)


def _judge(raw: bytes) -> tuple[str | None, str]:
    if len(raw) > MAX_LINE:
        return "line_too_long", ""
    if b"\0" in raw:
        return "nul_byte", ""
    try:
        return None, raw.decode()
    except UnicodeDecodeError:
        return "invalid_utf8", ""
