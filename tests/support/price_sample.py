"""A short sample of cases with the answers of the second computation: what every changed program is held to."""

from __future__ import annotations

from functools import lru_cache

from price_bridge import differences, expected_of
from price_case import Answer, Case, Row
from price_cases import case_of


@lru_cache(maxsize=4)
def sample(cases: int) -> tuple[tuple[Case, tuple[list[Row], Answer]], ...]:
    """The first cases, each with what the second computation says of it."""
    return tuple((case, expected_of(case)) for case in map(case_of, range(cases)))


def unlike(cases: int) -> list[str] | None:
    """How the first case differs on which the two computations don't agree, or nothing."""
    for case, expected in sample(cases):
        if found := differences(case, expected):
            return found
    return None
