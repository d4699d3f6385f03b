"""Prices by event: what each event of a segment pays. The rules that SQL follows where it classifies events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from orchestration.billing.charges import ZERO, Slice, SlicePart, stated
from orchestration.billing.segments import ChargeTerms
from orchestration.catalog.charges import Charge
from orchestration.money import EXACT


class Part(NamedTuple):
    """What an event pays: `quantity` of its money, and whether it counts as an event (1) of that part or not (0)."""

    part: SlicePart
    quantity: Decimal
    event: int


def classify(terms: ChargeTerms, events: Iterable[tuple[date, Decimal]]) -> Iterator[list[Part]]:
    """For each event of a segment its parts; their quantities sum to its money. `events` in the order of (time, key).

    Events are free until the free events are used up, or the free amount is, whichever ends first. The event that goes
    above the free amount has two parts: what is free of it, and the rest, which pays the whole fixed fee. An event of 0
    is like any other. An event below 0 uses up no amount; once nothing is free it gives back its rate and no fixed fee,
    and knows no bounds. Bounds are for the rate and the fixed fee together.
    """
    charge = terms.charge
    may_be_free = charge.free_events is not None or charge.free_amount is not None
    used, seen = ZERO, 0
    for day, money in events:
        ended = charge.free_events is not None and seen >= charge.free_events
        left = None if charge.free_amount is None else EXACT.subtract(charge.free_amount, used)
        free = ZERO
        if may_be_free and not ended and (left is None or left > 0):
            if left is None or money <= left:
                used, seen = EXACT.add(used, max(money, ZERO)), seen + 1
                yield [Part("free", money, 1)]
                continue
            free = left
        used, seen = EXACT.add(used, free), seen + 1
        paid = _paid(terms, day, EXACT.subtract(money, free))
        yield [Part("free", free, 0), paid] if free else [paid]


def _paid(terms: ChargeTerms, day: date, money: Decimal) -> Part:
    """What is above the free amount, of an event that isn't free."""
    if money < 0:
        return Part("units", money, 0)
    price = terms.price_on(day)
    fee = Fraction(money) * Fraction(stated(price, "rate")) + Fraction(price.charge.fixed or ZERO)
    return Part(_bound(price.charge, fee), money, 1)


def _bound(charge: Charge, fee: Fraction) -> SlicePart:
    if charge.min_per_event is not None and fee < Fraction(charge.min_per_event):
        return "at_min"
    if charge.max_per_event is not None and fee > Fraction(charge.max_per_event):
        return "at_max"
    return "units"


def sliced(terms: ChargeTerms, events: Iterable[tuple[date, Decimal]]) -> list[Slice]:
    """The slices that a charge by event is rated from: one for each part of each event."""
    known = list(events)
    found = []
    for (day, _), parts in zip(known, classify(terms, known), strict=True):
        found += [Slice(day, part.quantity, events=part.event, part=part.part) for part in parts]
    return found
