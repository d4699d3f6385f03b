"""What documents say of a line, over its days of service: each document's days sum to what it says, to the last unit.

The days of a document are those of all that stands after it less those of all that stood before. So what a correction
gives back falls on the days that it takes away, and the days of all documents are those of what stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from orchestration.money import allocate


class Shown(NamedTuple):
    """One line of one document, in minor units: its amount, and what coupons and promotional credits take off it. It
    covers so many days; `metered` says that usage made it, and not time."""

    amount: int
    reduced: int
    days: int
    metered: bool


class Days(NamedTuple):
    """Minor units by day, from the first day of the line on."""

    amounts: list[int]
    reduced: list[int]


def spread(shown: Iterable[Shown], weights: Sequence[int]) -> Iterator[Days]:
    """The days of each document of one line, oldest first. `weights` are the days of the line as it is known now.

    Usage goes to days as it is known now. What time makes goes evenly over the days that the document covers, unless
    what stands is what the line costs now.
    """
    amount = reduced = 0
    before = Days([], [])
    for one in shown:
        amount, reduced = amount + one.amount, reduced + one.reduced
        by_day = weights if sum(weights) and (one.metered or amount == sum(weights)) else [1] * max(one.days, 1)
        after = Days(*(allocate(whole, by_day) if whole else [] for whole in (amount, reduced)))
        yield Days(_less(after.amounts, before.amounts), _less(after.reduced, before.reduced))
        before = after


def _less(after: Sequence[int], before: Sequence[int]) -> list[int]:
    return [now - was for now, was in zip_longest(after, before, fillvalue=0)]
