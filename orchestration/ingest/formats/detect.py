"""Format 'auto': which format a file is in, told by its first lines.

It is decided once, when the file is fetched, from its bytes and the source's mapping alone, and the ledger keeps the
format that was found: nothing later guesses again. The format that recognises most of the first lines is it; of
equals the earlier in the registry, where the stricter stand first. A file that nothing recognises is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.formats.base import TARGETS, Format, LineFormat, Reader
from orchestration.ingest.inflate import Refused, inflated
from orchestration.ingest.lines import BOM

AUTO = "auto"
HEAD_BYTES = 64 << 10
HEAD_LINES = 100
_PARQUET = b"PAR1"


class Auto(LineFormat):
    """Format 'auto': stands in for the others until a file is seen."""

    name = AUTO

    def __init__(self, formats: Mapping[str, Format]) -> None:
        self._formats = formats

    def positional(self, source: Source) -> bool:
        return any(f.positional(source) for f in self._formats.values() if f is not self)

    def check(self, source: Source) -> list[Problem]:
        """Only what no format could offer: the rest is checked with each file."""
        where = f"source '{source.name}'"
        known = [name for name in (*source.fields, *source.constants) if name not in TARGETS]
        return [Problem("unknown_target", f"'{name}' is not one of {', '.join(TARGETS)}", where) for name in known]

    def reader(self, source: Source, head: str) -> Reader:
        raise AssertionError("a file is read by the format that was found for it")

    def recognises(self, source: Source, lines: list[str]) -> int:
        return 0


def resolve(source: Source, beginning: bytes, path: str, formats: Mapping[str, Format]) -> Source:
    """The source with the format of one of its files in place of 'auto'.

    Args:
        beginning: the first bytes of the file as delivered, at least HEAD_BYTES of them or all.
    Raises:
        Refused: no format recognises the file, or the one that does can't offer what the source maps.
    """
    if source.format != AUTO:
        return source
    name = "parquet" if beginning.startswith(_PARQUET) else _best(source, first_lines(beginning, path), formats)
    found = source.model_copy(update={"format": name})
    problems = formats[name].check(found)
    if problems:
        raise Refused(f"format_{name}: {problems[0].message}")
    return found


def first_lines(beginning: bytes, path: str) -> list[str]:
    """The first lines of a file that are text and not blank."""
    text = b""
    for block in inflated([beginning], path):
        text += block
        if len(text) >= HEAD_BYTES:
            break
    return list(_texts(text[:HEAD_BYTES].removeprefix(BOM)))


def _texts(data: bytes) -> Iterator[str]:
    for raw in data.split(b"\n")[:HEAD_LINES]:
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            continue
        if line.strip(" \t\r"):
            yield line


def _best(source: Source, lines: list[str], formats: Mapping[str, Format]) -> str:
    scores = {name: form.recognises(source, lines) for name, form in formats.items()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] == 0:
        raise Refused("unknown_format: no format recognises the first lines; the source can name one")
    return best
