"""The first and the last lines of a raw file: a sample whose cost doesn't grow with the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestration.ingest.formats.base import Format
from orchestration.ingest.inflate import packing_of
from orchestration.ingest.lines import BOM, MAX_LINE
from orchestration.ingest.raw import RawStore
from orchestration.ingest.texts import record_a_line, text_of
from orchestration.ingest.tombstone import BEGINS
from orchestration.ledger.rows import FileRow

LINES = 1000
SPAN = 2 << 20
"""Bytes at either end in which the lines are looked for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Text of the lines that a format's reader sees first, and the first and last of the lines that were new."""

    head: str
    first: list[str]
    last: list[str]


def sampled(raw: RawStore, row: FileRow, form: Format) -> Sample:
    """Up to LINES lines from either end of a file, none of them twice; lines that are no text are left out."""
    start, end, whole = _ends(raw, row, form)
    start = start.removeprefix(BOM)
    skip = max(row.first_line - 1, 1 if form.header else 0)
    if whole:
        lines = _lines(start + end)
        new = lines[skip:]
        first, last = new[:LINES], new[LINES:][-LINES:]
    else:
        # The line that the first span ends in, and the one that the second begins in, are cut.
        lines = _lines(start[: start.rfind(b"\n") + 1])
        first = lines[skip:][:LINES]
        left = max(row.lines - skip - len(first), 0)
        last = _lines(end.partition(b"\n")[2])[-min(left, LINES) :] if left else []
    return Sample("\n".join(_texts(lines[: form.head])), list(_texts(first)), list(_texts(last)))


def _ends(raw: RawStore, row: FileRow, form: Format) -> tuple[bytes, bytes, bool]:
    """The first SPAN bytes of a file's text, the last SPAN after them, and whether these are all."""
    if record_a_line(raw, form, row.sha256):
        with raw.local(row.sha256).open("rb") as handle:
            start = handle.read(SPAN)
            if packing_of(start, row.path) is None:
                size = os.fstat(handle.fileno()).st_size
                handle.seek(max(SPAN, size - SPAN))
                return start, handle.read(SPAN), size <= 2 * SPAN
    return _ends_of(text_of(raw, form, row.sha256, row.path, row.path))


def _ends_of(chunks: Iterable[bytes]) -> tuple[bytes, bytes, bool]:
    start, end, size = b"", b"", 0
    for chunk in chunks:
        size += len(chunk)
        taken = SPAN - len(start)
        start += chunk[:taken]
        end = (end + chunk[taken:])[-SPAN:]
    return start, end, size <= 2 * SPAN


def _lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        if len(line) > MAX_LINE or line.startswith(BEGINS):
            continue
        try:
            yield line.decode().rstrip("\r")
        except UnicodeDecodeError:
            continue
