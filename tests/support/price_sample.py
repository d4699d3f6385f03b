"""A short sample of cases with the answers of the second computation: what every changed program is held to."""

from __future__ import annotations

from functools import lru_cache
from itertools import count, islice

from price_bridge import differences, known
from price_case import Case
from price_cases import case_of


@lru_cache(maxsize=4)
def sample(cases: int) -> tuple[Case, ...]:
    """The first cases that the program can price."""
    return tuple(islice((case for seed in count() if known(case := case_of(seed))), cases))


def unlike(cases: int) -> list[str] | None:
    """How the first case differs on which the two computations don't agree, or nothing."""
    for case in sample(cases):
        if found := differences(case):
            return found
    return None
