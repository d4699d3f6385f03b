"""Bytes to numbered lines, in blocks that the engine can take; what no format could read is set aside here.

Only the newline ends a line: a carriage return, U+2028 and the like are part of it. A line is what stands before its
newline, and the last one counts even without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_LINE = 1 << 20
KEPT_OF_LONG_LINE = 4096
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is quarantined before any format sees it; of an over-long one the beginning is kept."""

    line: int
    reason: str
    raw: bytes


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


def _has_long_line(data: bytes) -> bool:
    start = 0
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
