"""The model that takes a share of money, event by event.

What an event pays is told by `orchestration.billing.per_event`; here the parts meet the prices of their day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from orchestration.billing.charges import ZERO, DetailPart, Priced, PriceDetail, Slice, SlicePart, detail_of, stated
from orchestration.billing.models.positions import by_version
from orchestration.billing.segments import ChargeTerms, PriceFrom


def percentage(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """The rate on money and the fixed fee on events, or a bound for each event whose fee is outside it.

    Everything is at the prices of its day. Money below 0 gives the rate back.
    """
    details: list[PriceDetail] = []

    def priced(part: DetailPart, of: SlicePart, quantity: Callable[[Slice], Decimal], price: _PriceOf) -> None:
        counted = [(terms.price_on(piece.day), quantity(piece)) for piece in slices if piece.part == of]
        found = by_version((at, number) for at, number in counted if number)
        details.extend(detail_of(at, None, number, price(at) or ZERO, part) for at, number in found)

    priced("free", "free", _money, lambda at: ZERO)
    priced("units", "units", _money, lambda at: stated(at, "rate"))
    if terms.charge.fixed is not None:
        priced("event_fee", "units", _events, lambda at: at.charge.fixed)
    priced("at_min", "at_min", _events, lambda at: at.charge.min_per_event)
    priced("at_max", "at_max", _events, lambda at: at.charge.max_per_event)
    return Priced(tuple(details))


_PriceOf = Callable[[PriceFrom], Decimal | None]


def _money(piece: Slice) -> Decimal:
    return piece.quantity


def _events(piece: Slice) -> Decimal:
    return Decimal(piece.events)
