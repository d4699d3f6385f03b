"""Reviewed decisions (`decisions.yaml`): which payload of an event that came with different contents counts.

A row stands for one event, for ever: what it says also holds for copies that come later. It ends by another row in its
place; the catalog that a close was made under is archived with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import model_validator

from orchestration.catalog.places import Places
from orchestration.catalog.reviews import Reviewed, Said, Sha256
from orchestration.catalog.yamltext import parse_yaml
from orchestration.errors import Problem

FILE, KEY = "decisions.yaml", "conflicts"


class ConflictDecision(Reviewed):
    """One conflict, decided or waived: `counts` is the hash of the payload that counts; `waive` leaves it the first.

    `source` and `id` are those of the event, as `marts.conflicts` shows them.
    """

    source: str
    id: str
    counts: Sha256 | None = None
    waive: bool = False
    by: Said
    reason: Said

    @model_validator(mode="after")
    def _one_of_both(self) -> ConflictDecision:
        if (self.counts is not None) == self.waive:
            raise ValueError("a row either names the hash that 'counts', or says 'waive: true'")
        return self


def check_decisions(decisions: Sequence[ConflictDecision], places: Places) -> Iterable[Problem]:
    """Two rows for one event would contradict each other, now or after the next edit."""
    seen: dict[tuple[str, str], ConflictDecision] = {}
    for row in decisions:
        first = seen.setdefault((row.source, row.id), row)
        if first is not row:
            message = f"event '{row.id}' of '{row.source}' is also decided at {places.of(first)}"
            yield Problem("duplicate", message, places.of(row))


def places_of_rows(text: str) -> list[str]:
    """`file:line` of every row of a decisions file that has been found valid."""
    data, lines, _ = parse_yaml(text, FILE)
    return [f"{FILE}:{lines[KEY, index]}" for index in range(len(data[KEY]))]
