"""Positions: the units of a segment one after the other, and which version prices each of them.

Tiers, packages and blocks begin anew in each segment and run on over its price versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from orchestration.billing.charges import ZERO, Slice
from orchestration.billing.segments import ChargeTerms, PriceFrom
from orchestration.money import EXACT


class Run(NamedTuple):
    """Units that were used one after the other at the prices of one version: positions (low, high]."""

    low: Decimal
    high: Decimal
    price: PriceFrom


def positions(terms: ChargeTerms, days: Sequence[Slice]) -> tuple[list[Run], Decimal]:
    """Which version prices each position, and where the running total ends. `days` ascend, and so do the versions of
    the runs: each has one at most.

    A day above 0 takes the next positions at its own prices. A day below 0 gives back the highest ones, at the prices
    that they had. Below 0 there are no positions: what is owed there is made up before a unit is priced again.
    """
    runs: list[Run] = []
    total = ZERO
    for day in days:
        quantity = day.quantity
        target = EXACT.add(total, quantity)
        if quantity < 0:
            while runs and runs[-1].high > target:
                last = runs.pop()
                if last.low < target:
                    runs.append(Run(last.low, target, last.price))
        elif quantity and target > 0:
            price = terms.price_on(day.day)
            low = runs.pop().low if runs and runs[-1].price is price else max(total, ZERO)
            runs.append(Run(low, target, price))
        total = target
    return runs, total


def within(runs: Iterable[Run], below: Decimal, up_to: Decimal | None) -> list[Run]:
    """What of the runs lies in (below, up_to]; without `up_to`, all above `below`."""
    found = []
    for run in runs:
        low, high = max(run.low, below), run.high if up_to is None else min(run.high, up_to)
        if low < high:
            found.append(Run(low, high, run.price))
    return found


def sized(runs: Iterable[Run], below: Decimal, size: Decimal) -> Iterator[tuple[PriceFrom, Decimal]]:
    """(version, how many) of the packages of `size` that begin at `below` and are started by `runs`, all above it.

    A package is of the version that prices its first unit: the one just above (below + n x size).
    """
    for run in runs:
        first, last = (_whole_up(EXACT.subtract(edge, below), size) for edge in (run.low, run.high))
        if last > first:
            yield run.price, EXACT.subtract(last, first)


def _whole_up(quantity: Decimal, size: Decimal) -> Decimal:
    """How many packages begin before the end of `quantity`."""
    whole, rest = EXACT.divmod(quantity, size)
    return EXACT.add(whole, Decimal(1)) if rest else whole


def units(runs: Iterable[Run]) -> Iterator[tuple[PriceFrom, Decimal]]:
    """(version, how many) of the units of the runs."""
    for run in runs:
        yield run.price, EXACT.subtract(run.high, run.low)
