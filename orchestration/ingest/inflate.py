"""Bytes as delivered to bytes of text: gzip, bzip2 and Zstandard by their magic, every member of them, with caps.

What a compressed file says of itself (checksums, lengths, its own end) is checked.
"""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import zstandard

GZIP_MAGIC = b"\x1f\x8b"
BLOCK = 4 << 20
MAX_INFLATED = 50 << 30
MAX_RATIO = 200
RATIO_APPLIES_ABOVE = 1 << 20
_FEED = 1 << 16
_ZSTD_FEED = 1 << 11
_ZSTD_WINDOW = 1 << 27


class Refused(Exception):
    """The file as a whole can't be taken; the message is the reason it is held for."""


@dataclass(frozen=True, slots=True)
class Packing:
    """A way of compressing: how its content begins, how its files are named, and what inflates them.

    `start` are the bytes that all content begins with, `needs` is how many `magic` looks at.
    """

    name: str
    magic: re.Pattern[bytes]
    start: bytes
    needs: int
    suffix: str
    inflater: Callable[[int], Inflating]


class Inflating(Protocol):
    """Inflates what was delivered, piece by piece, in bounded memory. Raises Refused."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> None: ...


def packing_of(head: bytes, name: str) -> Packing | None:
    """How content is compressed: its first bytes decide, never the name.

    Raises Refused for a file that is named as compressed and ends before its magic does.
    """
    for packing in PACKINGS:
        if packing.magic.match(head):
            return packing
        begun = packing.start.startswith(head) or head.startswith(packing.start)
        if name.endswith(packing.suffix) and len(head) < packing.needs and begun:
            raise Refused(f"bad_{packing.name}: empty" if not head else f"bad_{packing.name}: truncated")
    return None


class _Capped:
    """Counts what goes in and comes out, and refuses a bomb."""

    def __init__(self) -> None:
        self._taken = 0
        self._given = 0

    def _count(self, size: int) -> None:
        self._given += size
        if self._given > MAX_INFLATED:
            raise Refused(f"too_large: more than {MAX_INFLATED} bytes inflated")
        if self._given > RATIO_APPLIES_ABOVE and self._given > MAX_RATIO * self._taken:
            raise Refused(f"expansion_ratio: more than {MAX_RATIO} times its compressed size")


class Inflater(_Capped):
    """Inflates concatenated gzip members in bounded memory. Raises Refused with the reason."""

    def __init__(self, block: int = BLOCK) -> None:
        super().__init__()
        self._block = block
        self._member = zlib.decompressobj(wbits=31)
        self._between = b""

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

    def finish(self) -> None:
        """Call at the end of the delivered bytes."""
        if self._between:
            raise Refused("bad_gzip: trailing garbage")
        if not self._member.eof:
            raise Refused("bad_gzip: truncated")


class Bunzipper(_Capped):
    """Inflates concatenated bzip2 streams in bounded memory; their checksums are checked. Raises Refused."""

    def __init__(self, block: int = BLOCK) -> None:
        super().__init__()
        self._block = block
        self._stream = bz2.BZ2Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _FEED):
            rest = data[start : start + _FEED]
            self._taken += len(rest)
            while rest or not (self._stream.needs_input or self._stream.eof):
                if self._stream.eof:
                    self._stream = bz2.BZ2Decompressor()
                try:
                    out = self._stream.decompress(rest, self._block)
                except (OSError, ValueError) as error:
                    raise Refused(f"bad_bzip2: {error}") from error
                rest = self._stream.unused_data if self._stream.eof else b""
                self._count(len(out))
                if out:
                    yield out

    def finish(self) -> None:
        if not self._stream.eof:
            raise Refused("bad_bzip2: truncated")


class Unzstd(_Capped):
    """Inflates concatenated Zstandard frames. Raises Refused.

    A frame's checksum is checked where it has one. The input is fed in pieces so small that even the densest block
    can't swell beyond some 64 MiB before the caps are looked at; windows above 128 MiB are refused.
    """

    def __init__(self, block: int = BLOCK) -> None:
        super().__init__()
        self._new = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
        self._frame = self._new()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_FEED):
            rest = data[start : start + _ZSTD_FEED]
            self._taken += len(rest)
            while rest:
                if self._frame.eof:
                    self._frame = self._new()
                try:
                    out = self._frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise Refused(f"bad_zstd: {str(error).rpartition(': ')[2]}") from error
                rest = self._frame.unused_data if self._frame.eof else b""
                self._count(len(out))
                if out:
                    yield out

    def finish(self) -> None:
        if not self._frame.eof:
            raise Refused("bad_zstd: truncated")


_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
"""A stream's first block or its end; a frame, or one that is to be skipped."""

PACKINGS = (
    Packing("gzip", re.compile(re.escape(GZIP_MAGIC)), GZIP_MAGIC, 2, ".gz", Inflater),
    Packing("bzip2", _BZIP2, b"BZh", 10, ".bz2", Bunzipper),
    Packing("zstd", _ZSTD, b"\x28\xb5\x2f\xfd", 4, ".zst", Unzstd),
)

MAGIC = max(packing.needs for packing in PACKINGS)
"""How many of a file's first bytes tell how it is packed."""


def inflated(delivered: Iterable[bytes], name: str = "", block: int = BLOCK) -> Iterator[bytes]:
    """The text bytes of a delivered file, in blocks. Raises Refused."""
    pieces = iter(delivered)
    head = next(pieces, b"")
    packing = packing_of(head, name)
    inflater = packing.inflater(block) if packing else None
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
