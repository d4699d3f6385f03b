"""Tombstones: what stands in a raw object in place of a line whose personal data was erased.

A tombstone is one line of JSON, whatever the format of its file. It keeps what was made of the line: for each file of
the ledger that reads it, the row of the lake (without what names a person) with its verdict, or the reason of its
quarantine. It is read as such only where the journal says that this line of this object was erased.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BEGINS = b'{"tallystick":"erased",'


@dataclass(frozen=True, slots=True)
class Tombstone:
    """`row` names the reviewed row, `size` is that of the line as delivered, `files` what is kept, by file number.

    What is kept is {"event": {column: value}, "later": {property=field: value}, "verdict": [...]} or {"reason": text}.
    """

    row: str
    size: int
    files: Mapping[str, Mapping[str, Any]]

    def line(self) -> bytes:
        body = {"tallystick": "erased", "row": self.row, "bytes": self.size, "files": self.files}
        return json.dumps(body, separators=(",", ":")).encode()

    @classmethod
    def of(cls, line: bytes) -> Tombstone:
        """Raises ValueError for a line that is no tombstone."""
        body = json.loads(line) if line.startswith(BEGINS) else {}
        if body.keys() != {"tallystick", "row", "bytes", "files"}:
            raise ValueError("no tombstone")
        return cls(body["row"], body["bytes"], body["files"])


def numbered(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, each with its newline if it has one."""
    carry, number = b"", 1
    for chunk in chunks:
        pieces = (carry + chunk).splitlines(keepends=True) if b"\r" not in carry + chunk else _pieces(carry + chunk)
        carry = b"" if not pieces or pieces[-1].endswith(b"\n") else pieces.pop()
        for piece in pieces:
            yield number, piece
            number += 1
    if carry:
        yield number, carry


def _pieces(data: bytes) -> list[bytes]:
    """Only the newline ends a line; `bytes.splitlines` takes a carriage return for an end as well."""
    pieces = [piece + b"\n" for piece in data.split(b"\n")]
    pieces[-1] = pieces[-1][:-1]
    return pieces if pieces[-1] else pieces[:-1]


def rewritten(chunks: Iterable[bytes], put: Mapping[int, Callable[[int], bytes]]) -> Iterator[bytes]:
    """The text with some lines replaced: `put` makes the new line, without its end, from the size of the old one."""
    for number, line in numbered(chunks):
        end = b"\n" if line.endswith(b"\n") else b""
        yield put[number](len(line) - len(end)) + end if number in put else line


def tombstones(chunks: Iterable[bytes], lines: Collection[int]) -> Iterator[tuple[int, Tombstone]]:
    """The tombstones of a text at the given lines. Raises ValueError where there is none."""
    wanted = frozenset(lines)
    for number, line in numbered(chunks):
        if number in wanted:
            yield number, Tombstone.of(line.removesuffix(b"\n"))


def as_delivered(chunks: Iterable[bytes], lines: Collection[int]) -> Iterator[bytes]:
    """The text with every byte where it was delivered: an erased line is as many NUL characters as it had bytes."""
    wanted = frozenset(lines)
    if not wanted:
        yield from chunks
        return
    for number, line in numbered(chunks):
        if number in wanted:
            end = b"\n" if line.endswith(b"\n") else b""
            yield bytes(Tombstone.of(line.removesuffix(b"\n")).size) + end
        else:
            yield line
