"""Place as identity: which log a file without ids continues, so that each of its lines counts once.

A tape is one growing log of a stream. A file is recognised by its first line and by the hash of as many bytes as the
tape has been read; its path only decides between "another log" and "this log was changed".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from orchestration.ingest.inflate import Refused
from orchestration.ingest.landing import Landed
from orchestration.ledger.rows import TapeRow

Reread = Callable[[TapeRow], Iterator[bytes]]
"""Gives the inflated bytes of the raw file that a tape was last read from; erased lines are NUL characters."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a file stands on its tape: `first_line` is its first line that is new (lines + 1 where none is)."""

    tape: TapeRow
    first_line: int


def place(
    stream: str,
    path: str,
    landed: Landed,
    file_id: int,
    tapes: Sequence[TapeRow],
    reread: Reread,
    current: Callable[[], Iterator[bytes]],
    *,
    first: int = 1,
) -> Placed:
    """Find the tape that a file continues or repeats, or begin one.

    Args:
        tapes: the tapes of the stream that begin like this file, and those that were last read under its path.
        current: gives the inflated bytes of this file.
        first: the first line that tells logs apart; 2 where line 1 names the columns and is always the same.
    Raises:
        Refused: `source_mutated`: what had been read of this log has changed.
    """
    alike = [tape for tape in tapes if tape.head_sha == landed.head_sha]
    reached = [tape for tape in alike if tape.consumed_bytes <= landed.inflated]
    before = prefix_hashes(current(), {tape.consumed_bytes for tape in reached}) if reached else {}
    continued = [tape for tape in reached if before.get(tape.consumed_bytes) == (tape.prefix_sha, True)]
    if continued:
        tape = max(continued, key=lambda t: (t.consumed_bytes, t.tape_id))
        return Placed(_advanced(tape, path, landed, file_id), tape.consumed_lines + 1)
    for tape in alike:
        if landed.inflated < tape.consumed_bytes and _difference(reread(tape), current()) is None:
            return Placed(tape, landed.lines + 1)
    for tape in tapes:
        # Of a log that had nothing but names of columns, nothing was counted.
        if tape.path == path and tape.consumed_lines >= first:
            _must_be_another_log(tape, landed, tape in alike, reread, current)
    tape_id = hashlib.sha256(f"{stream}\n{landed.sha256}".encode()).hexdigest()[:16]
    begun = TapeRow(tape_id, stream, landed.head_sha, 0, 0, "", path, file_id)
    return Placed(_advanced(begun, path, landed, file_id), 1)


def prefix_hashes(chunks: Iterable[bytes], offsets: Collection[int]) -> dict[int, tuple[str, bool]]:
    """For each offset that a text reaches: SHA-256 of the bytes before it, and whether a line ends exactly there."""
    waiting = sorted(offsets, reverse=True)
    found: dict[int, tuple[str, bool]] = {}
    digest, size, last = hashlib.sha256(), 0, b"\n"
    open_at: int | None = None
    for chunk in filter(None, chunks):
        if open_at is not None:
            found[open_at] = (found[open_at][0], chunk[:1] == b"\n")
            open_at = None
        at = 0
        while waiting and waiting[-1] <= size + len(chunk):
            offset = waiting.pop()
            cut = offset - size
            digest.update(chunk[at:cut])
            ends = (chunk[cut - 1 : cut] if cut else last) == b"\n" or chunk[cut : cut + 1] == b"\n"
            # At the end of what there is, so far, a line ends as well.
            open_at = offset if cut == len(chunk) and not ends else None
            found[offset] = (digest.hexdigest(), ends or open_at is not None)
            at = cut
        digest.update(chunk[at:])
        size, last = size + len(chunk), chunk[-1:]
    return found


def _advanced(tape: TapeRow, path: str, landed: Landed, file_id: int) -> TapeRow:
    return replace(
        tape,
        consumed_bytes=landed.inflated,
        consumed_lines=landed.lines,
        prefix_sha=landed.whole_sha,
        path=path,
        file_id=file_id,
    )


def _must_be_another_log(
    tape: TapeRow, landed: Landed, alike: bool, reread: Reread, current: Callable[[], Iterator[bytes]]
) -> None:
    """A file under the path of a tape that it doesn't continue: a new log after a rotation, or an edited one.

    An edited one is `alike`, or still has, at its old place, the last line that was read.
    """
    kept = False
    if not alike and landed.inflated >= tape.consumed_bytes:
        start, last = _last_line(reread(tape), tape.consumed_bytes)
        # A last line that was erased tells nothing.
        kept = last.strip(b"\0 \r\n\t") != b"" and _at(current(), start, len(last)) == last
    if alike or kept:
        line = _difference(reread(tape), current()) or tape.consumed_lines
        raise Refused(f"source_mutated: line {line} is not what was read before")


def _difference(before: Iterator[bytes], now: Iterator[bytes]) -> int | None:
    """The number of the first line in which two texts differ; None where the shorter begins the longer.

    What was erased of the text before stands there as NUL characters, and differs from nothing.
    """
    line, left, right = 1, b"", b""
    while True:
        left = left or next(before, b"")
        right = right or next(now, b"")
        size = min(len(left), len(right))
        if not size:
            return None
        if left[:size] != right[:size]:
            same = next((n for n in range(size) if left[n] != right[n] and left[n]), size)
            if same < size:
                return line + left.count(b"\n", 0, same)
        line += left.count(b"\n", 0, size)
        left, right = left[size:], right[size:]


def _last_line(chunks: Iterator[bytes], size: int) -> tuple[int, bytes]:
    """Offset and bytes of the last line, its newline included, of the first `size` bytes."""
    tail, seen = b"", 0
    for chunk in chunks:
        seen += len(chunk)
        tail = tail + chunk
        if seen >= size:
            tail = tail[: len(tail) - (seen - size)]
            seen = size
        cut = tail.rfind(b"\n", 0, len(tail) - 1)
        tail = tail[cut + 1 :]
        if seen == size:
            break
    return size - len(tail), tail


def _at(chunks: Iterator[bytes], start: int, size: int) -> bytes:
    """`size` bytes from offset `start`."""
    found, seen = b"", 0
    for chunk in chunks:
        if seen + len(chunk) > start:
            found += chunk[max(0, start - seen) :]
            if len(found) >= size:
                break
        seen += len(chunk)
    return found[:size]
