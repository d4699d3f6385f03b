"""The model that takes a share of money, event by event.

What an event pays is told by `orchestration.billing.per_event`; here the parts meet the prices of their day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from orchestration.billing.charges import ZERO, DetailPart, Priced, Slice, detail_of, stated
from orchestration.billing.segments import ChargeTerms, PriceFrom
from orchestration.catalog.charges import Charge
from orchestration.money import EXACT

_ORDER: tuple[DetailPart, ...] = ("free", "units", "event_fee", "at_min", "at_max")


def percentage(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """The rate on money and the fixed fee on events, or a bound for each event whose fee is outside it.

    Everything is at the prices of its day. Money below 0 gives the rate back.
    """
    sums: dict[tuple[DetailPart, date], Decimal] = {}
    prices: dict[tuple[DetailPart, date], tuple[PriceFrom, Decimal]] = {}
    for piece in slices:
        price = terms.price_on(piece.day)
        for part, quantity, each in _paid(terms.charge, price, piece):
            key = part, price.from_day
            sums[key] = EXACT.add(sums.get(key, ZERO), quantity)
            prices[key] = price, each
    keys = sorted(sums, key=lambda key: (_ORDER.index(key[0]), key[1]))
    return Priced(tuple(detail_of(prices[key][0], None, sums[key], prices[key][1], key[0]) for key in keys))


def _paid(charge: Charge, price: PriceFrom, piece: Slice) -> list[tuple[DetailPart, Decimal, Decimal]]:
    """What a slice pays at the prices of its day: of what part, how much money or how many events, and each of them
    how much. Whether there is a fixed fee, the charge says as it was at the segment's start."""
    part = piece.part
    if part == "at_min" or part == "at_max":
        bound = price.charge.min_per_event if part == "at_min" else price.charge.max_per_event
        return [(part, Decimal(piece.events), bound or ZERO)] if piece.events else []
    found: list[tuple[DetailPart, Decimal, Decimal]] = []
    if piece.quantity:
        found.append((part, piece.quantity, ZERO if part == "free" else stated(price, "rate")))
    if part == "units" and piece.events and charge.fixed is not None:
        found.append(("event_fee", Decimal(piece.events), price.charge.fixed or ZERO))
    return found


def fee_of(terms: ChargeTerms, piece: Slice) -> Decimal:
    """What a slice pays in all."""
    fee = ZERO
    for _, quantity, each in _paid(terms.charge, terms.price_on(piece.day), piece):
        fee = EXACT.add(fee, EXACT.multiply(quantity, each))
    return fee
