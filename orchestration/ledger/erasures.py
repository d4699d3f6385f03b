"""Erasures in the journal: which raw objects were written again, without what, and why.

A file of the ledger is named for ever by the hash of its bytes as delivered. What is kept of them now is another
object, which the journal names beside that hash; the chain covers both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestration.canonical import canonical_bytes
from orchestration.ledger.rows import JournalRow

ERASURE = "erasure"
"""Kind of the journal entry that an erasure writes."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A raw file whose object was written again.

    `sha256` is the hash as delivered, `was` that of the object before, `now` that of the object that is kept; `lines`
    are those that are erased. With `as_lines` the object holds the records as lines, however they were delivered.
    """

    sha256: str
    was: str
    now: str
    lines: tuple[int, ...]
    as_lines: bool


@dataclass(frozen=True, slots=True)
class Erasure:
    """One journalled erasure: the reviewed row that asked for it, and the objects with the lines that it erased.

    `seq` is its journal entry, `last_batch` the last batch that it looked through, `now_us` the now it was made at.
    """

    seq: int
    name: str
    by: str
    on: str
    reason: str
    approved_by: str
    now_us: int
    last_batch: int
    objects: tuple[Rewritten, ...]

    @property
    def lines(self) -> int:
        return sum(len(o.lines) for o in self.objects)

    def body(self) -> bytes:
        """The entry's body, canonical JSON."""
        fields: dict[str, Any] = {n: getattr(self, n) for n in ("name", "by", "on", "reason", "approved_by")}
        fields |= {"now_us": str(self.now_us), "last_batch": str(self.last_batch), "lines": str(self.lines)}
        fields["objects"] = [
            {"sha256": o.sha256, "was": o.was, "now": o.now, "lines": ranges_text(o.lines), "as_lines": o.as_lines}
            for o in self.objects
        ]
        return canonical_bytes(fields)

    @classmethod
    def of(cls, entry: JournalRow) -> Erasure:
        body = json.loads(entry.body)
        said = {n: body[n] for n in ("name", "by", "on", "reason", "approved_by")}
        objects = tuple(Rewritten(**o | {"lines": ranges_of(o["lines"])}) for o in body["objects"])
        now_us, last_batch = int(body["now_us"]), int(body["last_batch"])
        return cls(entry.seq, **said, now_us=now_us, last_batch=last_batch, objects=objects)


def erasures_of(entries: Iterable[JournalRow]) -> list[Erasure]:
    """The erasures among journal entries, in their order."""
    return [Erasure.of(entry) for entry in entries if entry.kind == ERASURE]


def rewritten_files(erasures: Iterable[Erasure]) -> Mapping[str, Rewritten]:
    """By the hash as delivered, the object that is kept now and all lines that are erased in it."""
    found: dict[str, Rewritten] = {}
    for erasure in erasures:
        for item in erasure.objects:
            before = found[item.sha256].lines if item.sha256 in found else ()
            found[item.sha256] = replace(item, lines=tuple(sorted({*before, *item.lines})))
    return found


def ranges_text(lines: Sequence[int]) -> str:
    """`1-3,7` for 1, 2, 3, 7."""
    spans: list[list[int]] = []
    for line in sorted(lines):
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def ranges_of(text: str) -> tuple[int, ...]:
    """The numbers that `ranges_text` wrote."""
    found: list[int] = []
    for span in filter(None, text.split(",")):
        first, _, last = span.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)
