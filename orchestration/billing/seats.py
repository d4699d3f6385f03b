"""Units that are held: each change weighs the days from its own to the segment's end, both counted.

Which tier a unit falls in goes by the running total of full units; what it costs, by the weighed ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import reduce

from orchestration.billing.charges import ZERO, Priced, Slice, by_day, detail_of, stated
from orchestration.billing.models.tiered import bounded, tier_fees, tier_of, volume_fee
from orchestration.billing.segments import ChargeTerms, PriceFrom, Segment
from orchestration.errors import Problem
from orchestration.money import EXACT, decimal_text, round_fraction


@dataclass(frozen=True, slots=True)
class _Held:
    """Positions (low, high] that were taken one after the other at the prices of one version; below 0 they are owed."""

    low: Decimal
    high: Decimal
    price: PriceFrom


@dataclass(frozen=True, slots=True)
class _Move:
    """Positions (low, high] that are taken (`sign` 1) or given back (-1), with the share of the period that is left."""

    low: Decimal
    high: Decimal
    sign: int
    weight: Fraction
    price: PriceFrom


@dataclass(frozen=True, slots=True)
class Change:
    """Full units added on a day, or removed (below 0), and the share of the period for which they are."""

    day: date
    units: Decimal
    weight: Fraction


def seats(terms: ChargeTerms, segment: Segment, slices: Sequence[Slice], decimals: int) -> tuple[Priced, Decimal]:
    """`weighed` by the days that are left: `slices` are full units by the day on which they are added, or removed.

    What was in force before the segment is added on its first day.
    """
    days = by_day(slices)
    return weighed(terms, [Change(s.day, s.quantity, weight_of(segment, s.day)) for s in days], decimals)


def weighed(terms: ChargeTerms, changes: Sequence[Change], decimals: int) -> tuple[Priced, Decimal]:
    """The parts of the amount, and the weighed quantity: rounded once to `decimals` places, the sum of the parts'.

    Who leaves gives back the latest positions, at the prices that they had. Only `per_unit` knows positions below 0;
    the other models price them as 0 and report it, and where the changes weigh less than 0 in all, nothing is due. A
    tier's flat fee is due when the running total has gone above the bound below it. In `volume` the total at the end
    chooses the tier for all.
    """
    moves = list(_moves(terms, changes))
    if terms.charge.tiers and sum((Fraction(c.units) * c.weight for c in changes), Fraction(0)) < 0:
        return Priced((), _owed(terms, moves)), ZERO
    volume = terms.charge.model == "volume"
    total = reduce(EXACT.add, (change.units for change in changes), ZERO)
    number_of_all = tier_of(terms.charge, total) if volume else None
    quantities: dict[tuple[date, int | None], Decimal] = {}
    prices: dict[tuple[date, int | None], tuple[PriceFrom, Decimal]] = {}
    exact, shown = Fraction(0), ZERO
    for move in moves:
        for number, price, units in _tiered(terms, move, number_of_all):
            exact += Fraction(units) * move.sign * move.weight
            before, shown = shown, round_fraction(exact, decimals)
            key = (move.price.from_day, number)
            quantities[key] = EXACT.add(quantities.get(key, ZERO), EXACT.subtract(shown, before))
            prices[key] = (move.price, price)
    details = [
        detail_of(prices[key][0], key[1], quantities[key], prices[key][1])
        for key in sorted(quantities, key=lambda k: (k[1] or 0, k[0]))
    ]
    if number_of_all is not None:
        details += volume_fee(terms, number_of_all, total)
    else:
        details += tier_fees(terms, max((move.high for move in moves), default=ZERO))
    return Priced(tuple(details), _owed(terms, moves)), shown


def weight_of(segment: Segment, day: date) -> Fraction:
    """The days from `day` to the segment's end, both counted, of those of the full period."""
    return Fraction((segment.end - day).days, segment.period_days)


def _moves(terms: ChargeTerms, changes: Sequence[Change]) -> Iterator[_Move]:
    """Each change as positions, cut where those begin that had other prices."""
    held: list[_Held] = []
    total = ZERO
    for change in changes:
        target = EXACT.add(total, change.units)
        sign = 1 if target > total else -1
        while total != target:
            # Towards 0 the latest positions go, away from it new ones come.
            back = bool(held) and (held[-1].high > 0) == (sign < 0)
            if back:
                last = held.pop()
                stop = max(target, last.low) if sign < 0 else min(target, last.high)
                rest = (last.low, stop) if sign < 0 else (stop, last.high)
                if rest[0] < rest[1]:
                    held.append(_Held(*rest, last.price))
                price = last.price
            else:
                stop, price = target, terms.price_on(change.day)
                held.append(_Held(min(total, stop), max(total, stop), price))
            yield _Move(min(total, stop), max(total, stop), sign, change.weight, price)
            total = stop


def _tiered(
    terms: ChargeTerms, move: _Move, number_of_all: int | None
) -> Iterator[tuple[int | None, Decimal, Decimal]]:
    """(tier, price, units) of a move, of units above 0 alone where there are tiers; without, it is one part."""
    if not terms.charge.tiers:
        yield None, stated(move.price, "price"), EXACT.subtract(move.high, move.low)
        return
    for number, below, tier in bounded(terms.charge):
        if number_of_all is not None:
            below, high = ZERO, move.high if number == number_of_all else ZERO
        else:
            high = move.high if tier.up_to is None else min(move.high, tier.up_to)
        units = EXACT.subtract(high, max(move.low, below))
        if units > 0:
            yield number, move.price.charge.tiers[number - 1].unit_price, units


def _owed(terms: ChargeTerms, moves: Sequence[_Move]) -> tuple[Problem, ...]:
    lowest = min((move.low for move in moves), default=ZERO)
    if lowest >= 0 or not terms.charge.tiers:
        return ()
    message = f"the units held fall to {decimal_text(lowest)}; below 0 they are priced as 0"
    return (Problem("negative_quantity", message, f"charge '{terms.charge.key}'"),)
