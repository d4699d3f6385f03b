"""A line's amount over its local days: cut by largest remainder, so that the days sum to the line to the last unit.

Usage goes to its days by their exact amounts: each unit at the price of its place among all units of the line, of a
matrix at that of its cell, of a percentage at what its events pay. What units are included or free is no matter of
days. Seats go by how many there were on each day; fees, and what no single day caused, go evenly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from orchestration.billing.charges import ZERO, Slice
from orchestration.billing.models import MODELS
from orchestration.billing.models.percentages import fee_of
from orchestration.billing.rating import Line
from orchestration.billing.segments import ChargeTerms
from orchestration.money import CURRENCIES, EXACT, allocate

QUANTITY_STEPS = 9
PRICE_STEPS = 12
"""Decimals of quantities and of prices: both are whole numbers of such steps here."""
_APART = frozenset({"matrix", "percentage", "dynamic"})
"""Models that price each slice by itself: no unit's price depends on those before it."""


def by_days(line: Line, slices: Sequence[Slice], terms: ChargeTerms | None = None) -> list[int]:
    """Minor units of each day of [line.start, line.end); empty for a line of 0.

    `slices` are what was measured, by day, ascending; days before the line count on its first. `terms` are those of the
    charge, where one made the line.
    """
    if not line.amount or line.end <= line.start:
        return []
    days = (line.end - line.start).days
    weights: list[int] = []
    if line.kind == "usage" and terms is not None and terms.charge.model in _APART:
        weights = _amounts_by_day(line, slices, terms, days)
    elif line.kind == "usage" and line.meter is not None and "items" not in line.formula:
        weights = _weights(line, slices, days)
    return allocate(line.amount.minor, weights if sum(weights) else [1] * days)


def minor_texts(minors: Iterable[int], currency: str) -> list[str]:
    """Minor units as amounts are printed: 1230 is "12.30" of a currency with two decimals."""
    decimals = CURRENCIES[currency]
    return [_minor_text(minor, decimals) for minor in minors]


@lru_cache(4_096)
def _minor_text(minor: int, decimals: int) -> str:
    # Most days of a line have nothing, and those of a fee one of two amounts.
    return f"{EXACT.scaleb(minor, -decimals):f}"


def _amounts_by_day(line: Line, slices: Iterable[Slice], terms: ChargeTerms, days: int) -> list[int]:
    """What the slices of each day cost by themselves."""
    amounts, first = [ZERO] * days, line.start.toordinal()
    for piece in slices:
        if terms.charge.model == "percentage":
            amount = fee_of(terms, piece)
        else:
            amount = MODELS[terms.charge.model](terms, [piece]).amount
        day = max(piece.day.toordinal() - first, 0)
        amounts[day] = EXACT.add(amounts[day], EXACT.multiply(amount, piece.windows))
    return [_whole(amount, QUANTITY_STEPS + PRICE_STEPS) if amount else 0 for amount in amounts]


def _weights(line: Line, slices: Iterable[Slice], days: int) -> list[int]:
    quantities, first, scaled = [0] * days, line.start.toordinal(), EXACT.scaleb
    for piece in slices:
        steps = int(scaled(piece.quantity, QUANTITY_STEPS))
        quantities[max(piece.day.toordinal() - first, 0)] += steps * piece.windows
    if "changes" in line.formula:
        return _running(quantities)
    prices = _prices(line.formula)
    return quantities if len(prices) < 2 else _amounts(quantities, prices)


def _running(values: Sequence[int]) -> list[int]:
    total = 0
    return [total := total + value for value in values]


def _prices(formula: dict[str, Any]) -> list[tuple[int, int]]:
    """Units and price of each part of the line, in the order of the units' places."""
    parts = [part for part in formula["details"] if part["part"] == "units"]
    if len({part["price"] for part in parts}) < 2:
        return []
    found = [
        (_whole(Decimal(part["quantity"]), QUANTITY_STEPS), _whole(Decimal(part["price"]), PRICE_STEPS))
        for part in parts
    ]
    return [(quantity, price) for quantity, price in found if quantity > 0]


def _amounts(quantities: Sequence[int], prices: Sequence[tuple[int, int]]) -> list[int]:
    """What the units of each day cost at their places. Measured units are converted by the ratio of the totals."""
    measured, priced = sum(quantities), sum(quantity for quantity, _ in prices)
    if measured <= 0:
        return list(quantities)
    # Both sides times `measured`, so that the ratio leaves no fraction.
    scaled = [(quantity * measured, price) for quantity, price in prices]
    place = before = 0
    found = []
    for quantity in quantities:
        place += quantity
        amount = _up_to(place * priced, scaled) if quantity else before
        found.append(amount - before)
        before = amount
    return found


def _up_to(left: int, prices: Iterable[tuple[int, int]]) -> int:
    """What so many units cost, from the first on."""
    amount = 0
    for quantity, price in prices:
        if left <= quantity:
            return amount + max(left, 0) * price
        amount += quantity * price
        left -= quantity
    return amount


def _whole(value: Decimal, steps: int) -> int:
    return int(EXACT.scaleb(value, steps))
