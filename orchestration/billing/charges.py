"""Charge models: quantities by day and the prices of those days to exact amounts. Nothing is rounded here.

A new model is one function, its entry in `MODELS`, its fields in the catalog's `Charge`, and its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import Literal, TypeAlias

from orchestration.billing.segments import ChargeTerms, PriceFrom
from orchestration.errors import Problem
from orchestration.money import EXACT, decimal_text

ZERO = Decimal(0)
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Slice:
    """The quantity of one local day, in the unit that the prices are for.

    `windows` is above 1 where windows are priced each by itself: so many of the day have this quantity. `rank` is set
    for items: what they were the n-th of when they were added, on that day. `cell` is what a matrix prices: a JSON
    object of the values of its dimensions, keys sorted; `hour_us` is the start of the hour, where cells share included
    units. For prices by event, `events` are how many they are and `part` is what they pay: `units` the rate on
    `quantity` (money above the free amount) and the fixed fee, `at_min` and `at_max` the bound each, `free` nothing.
    """

    day: date
    quantity: Decimal
    windows: int = 1
    rank: int | None = None
    cell: str = ""
    hour_us: int | None = None
    events: int = 0
    part: Literal["units", "free", "at_min", "at_max"] = "units"


@dataclass(frozen=True, slots=True)
class PriceDetail:
    """A part of an amount: `quantity` units at `price` each, by one version of the plan.

    `tier` counts from 1, None where the model has none. `part` is "units" for what usage caused, "fee" for a fixed
    fee and "tier_fee" for the flat fee of a tier.
    """

    version: date
    tier: int | None
    quantity: Decimal
    price: Decimal
    part: Literal["units", "fee", "tier_fee"] = "units"

    @property
    def amount(self) -> Fraction:
        """Exact, before proration and rounding."""
        return Fraction(self.quantity) * Fraction(self.price)

    def as_dict(self) -> dict[str, str]:
        """As documents hold it: every number as text."""
        return {
            "version": self.version.isoformat(),
            "part": self.part,
            "tier": "" if self.tier is None else str(self.tier),
            "quantity": decimal_text(self.quantity),
            "price": decimal_text(self.price),
            "amount": decimal_text(EXACT.multiply(self.quantity, self.price)),
        }


@dataclass(frozen=True, slots=True)
class Priced:
    """What a model says: the parts of the amount, and what is wrong with the quantity."""

    details: tuple[PriceDetail, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def amount(self) -> Fraction:
        products = (EXACT.multiply(detail.quantity, detail.price) for detail in self.details)
        return Fraction(reduce(EXACT.add, products, ZERO))


Model: TypeAlias = Callable[[ChargeTerms, Sequence[Slice]], Priced]


def by_day(slices: Iterable[Slice]) -> list[Slice]:
    """One slice a day (and rank), ascending: what came within a day is summed, so its order cannot matter."""
    slices = list(slices)
    if all(piece.windows == 1 for piece in slices) and all(a.day < b.day for a, b in pairwise(slices)):
        return slices
    days: dict[tuple[date, int], Decimal] = {}
    for piece in slices:
        key = (piece.day, piece.rank or 0)
        days[key] = EXACT.add(days.get(key, ZERO), piece.quantity)
    return [Slice(day, days[day, rank], rank=rank or None) for day, rank in sorted(days)]


def flat(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """A fixed amount for a full period; no usage enters it."""
    if terms.charge.amount is None or slices:
        raise ValueError(f"charge '{terms.charge.key}': a flat fee has an amount and no usage")
    return Priced((PriceDetail(terms.prices[0].version, None, ONE, terms.charge.amount, "fee"),))


def per_unit(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """Every unit at the price of its day; negative quantities give negative amounts."""
    found: dict[date, Decimal] = {}
    for piece in slices:
        from_day = terms.price_on(piece.day).from_day
        found[from_day] = EXACT.add(found.get(from_day, ZERO), piece.quantity)
    return Priced(
        tuple(
            PriceDetail(price.version, None, found[price.from_day], _unit_price(price))
            for price in terms.prices
            if price.from_day in found
        )
    )


def _unit_price(price: PriceFrom) -> Decimal:
    if price.charge.price is None:
        raise ValueError(f"charge '{price.charge.key}' has no price in the version of {price.version}")
    return price.charge.price


@dataclass(frozen=True, slots=True)
class _Run:
    """Units that were used one after the other at the prices of one version: positions (low, high]."""

    low: Decimal
    high: Decimal
    price: PriceFrom


def _positions(terms: ChargeTerms, days: Sequence[Slice]) -> tuple[list[_Run], Decimal]:
    """Which version prices each position, and where the running total ends.

    A day above 0 takes the next positions at its own prices. A day below 0 gives back the highest ones, at the prices
    that they had. Below 0 there are no positions: what is owed there is made up before a unit is priced again.
    """
    runs: list[_Run] = []
    total = ZERO
    for day in days:
        target = EXACT.add(total, day.quantity)
        while runs and runs[-1].high > target:
            last = runs.pop()
            if last.low < target:
                runs.append(_Run(last.low, target, last.price))
        low = max(total, ZERO)
        if target > low:
            price = terms.price_on(day.day)
            if runs and runs[-1].price is price:
                low = runs.pop().low
            runs.append(_Run(low, target, price))
        total = target
    return runs, total


def graduated(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """Each unit at the price of its tier, in the version of its day; a tier's upper bound belongs to it.

    A tier's flat fee is due once when the segment's total goes above the bound below it; at a total of 0 the first
    tier's is due with `flat_fee_at_zero`. A total below 0 is priced as 0 and reported.
    """
    runs, total = _positions(terms, by_day(slices))
    details: list[PriceDetail] = []
    tiers = terms.charge.tiers
    below = ZERO
    for number, tier in enumerate(tiers, 1):
        details += _in_tier(runs, number, below, tier.up_to)
        entered = total > below or (number == 1 and terms.charge.flat_fee_at_zero)
        if entered and tier.flat_fee:
            details.append(PriceDetail(terms.prices[0].version, number, ONE, tier.flat_fee, "tier_fee"))
        below = tier.up_to if tier.up_to is not None else below
    problems: tuple[Problem, ...] = ()
    if total < 0:
        message = f"quantity {decimal_text(total)} is below 0 and is priced as 0"
        problems = (Problem("negative_quantity", message, f"charge '{terms.charge.key}'"),)
    return Priced(tuple(details), problems)


def _in_tier(runs: Sequence[_Run], number: int, below: Decimal, up_to: Decimal | None) -> list[PriceDetail]:
    """What of the runs lies in (below, up_to], summed by version, in the order of the versions."""
    found: dict[date, tuple[PriceFrom, Decimal]] = {}
    for run in runs:
        high = run.high if up_to is None else min(run.high, up_to)
        part = EXACT.subtract(high, max(run.low, below))
        if part > 0:
            before = found[run.price.from_day][1] if run.price.from_day in found else ZERO
            found[run.price.from_day] = (run.price, EXACT.add(before, part))
    return [
        PriceDetail(price.version, number, quantity, price.charge.tiers[number - 1].unit_price)
        for _, (price, quantity) in sorted(found.items())
    ]


def each_window(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """The model applied to each window by itself, and added up: tiers begin anew in every window."""
    model = MODELS[terms.charge.model]
    found: dict[tuple[int, date, str, Decimal], PriceDetail] = {}
    problems: dict[str, Problem] = {}
    for piece in slices:
        priced = model(terms, [Slice(piece.day, piece.quantity)])
        for detail in priced.details:
            key = (detail.tier or 0, detail.version, detail.part, detail.price)
            before = found[key].quantity if key in found else ZERO
            times = EXACT.multiply(detail.quantity, Decimal(piece.windows))
            found[key] = replace(detail, quantity=EXACT.add(before, times))
        problems |= {problem.message: problem for problem in priced.problems}
    return Priced(tuple(found[key] for key in sorted(found)), tuple(problems[m] for m in sorted(problems)))


MODELS: dict[str, Model] = {"flat": flat, "per_unit": per_unit, "graduated": graduated}
"""Charge models by the name that the catalog uses."""
