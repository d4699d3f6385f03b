"""Bytes as delivered to bytes of text: gzip by its magic, every member, checksums and lengths checked, with caps."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

GZIP_MAGIC = b"\x1f\x8b"
BLOCK = 4 << 20
MAX_INFLATED = 50 << 30
MAX_RATIO = 200
RATIO_APPLIES_ABOVE = 1 << 20
_FEED = 1 << 16


class Refused(Exception):
    """The file as a whole can't be taken; the message is the reason it is held for."""


def is_gzip(head: bytes, name: str) -> bool:
    """Whether the content is gzip: the first bytes decide, never the name.

    Raises Refused for a file that is named as gzip and ends before its magic does.
    """
    if name.endswith(".gz") and len(head) < 2 and head in (b"", GZIP_MAGIC[:1]):
        raise Refused("bad_gzip: empty" if not head else "bad_gzip: truncated")
    return head[:2] == GZIP_MAGIC


class Inflater:
    """Inflates concatenated gzip members in bounded memory. Raises Refused with the reason."""

    def __init__(self, block: int = BLOCK) -> None:
        self._block = block
        self._member = zlib.decompressobj(wbits=31)
        self._between = b""
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Inflated blocks for one piece of the delivered bytes, in order."""
        for start in range(0, len(data), _FEED):
            piece = data[start : start + _FEED]
            self._taken += len(piece)
            yield from self._inflate(piece)

    def _inflate(self, piece: bytes) -> Iterator[bytes]:
        rest = piece
        while rest:
            if self._member.eof:
                rest = self._next_member(rest)
                if not rest:
                    return
            try:
                out = self._member.decompress(rest, self._block)
            except zlib.error as error:
                raise Refused(f"bad_gzip: {str(error).rpartition(': ')[2]}") from error
            rest = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._count(len(out))
            if out:
                yield out
        yield from self._drain()

    def _drain(self) -> Iterator[bytes]:
        """What the member still holds back although its input is used up."""
        while not self._member.eof:
            out = self._member.decompress(b"", self._block)
            if not out:
                return
            self._count(len(out))
            yield out

    def _next_member(self, rest: bytes) -> bytes:
        rest = self._between + rest
        if len(rest) < 2 and rest == GZIP_MAGIC[: len(rest)]:
            self._between = rest
            return b""
        if rest[:2] != GZIP_MAGIC:
            raise Refused("bad_gzip: trailing garbage")
        self._between = b""
        self._member = zlib.decompressobj(wbits=31)
        return rest

    def _count(self, size: int) -> None:
        self._given += size
        if self._given > MAX_INFLATED:
            raise Refused(f"too_large: more than {MAX_INFLATED} bytes inflated")
        if self._given > RATIO_APPLIES_ABOVE and self._given > MAX_RATIO * self._taken:
            raise Refused(f"expansion_ratio: more than {MAX_RATIO} times its compressed size")

    def finish(self) -> None:
        """Call at the end of the delivered bytes."""
        if self._between:
            raise Refused("bad_gzip: trailing garbage")
        if not self._member.eof:
            raise Refused("bad_gzip: truncated")


def inflated(delivered: Iterable[bytes], name: str = "", block: int = BLOCK) -> Iterator[bytes]:
    """The text bytes of a delivered file, in blocks. Raises Refused."""
    pieces = iter(delivered)
    head = next(pieces, b"")
    inflater = Inflater(block) if is_gzip(head, name) else None
    size = 0
    while head:
        if inflater is None:
            size += len(head)
            if size > MAX_INFLATED:
                raise Refused(f"too_large: more than {MAX_INFLATED} bytes")
            yield head
        else:
            yield from inflater.feed(head)
        head = next(pieces, b"")
    if inflater is not None:
        inflater.finish()
