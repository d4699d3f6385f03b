"""Items that are added and removed.

Each is priced by the days on which it is there, in the tier of its rank when it was added.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from orchestration.billing.charges import ZERO, Priced, Slice, by_day, detail_of
from orchestration.billing.models.tiered import tier_fees, tier_of
from orchestration.billing.models.uniform import per_unit
from orchestration.billing.segments import ChargeTerms, PriceFrom
from orchestration.money import EXACT


def items(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """The parts of the amount.

    `slices` are days of items / days of the full period, by the day and the rank of their addition: what an item was
    the n-th of at that instant. Those carried into the segment are added on its first day, in the order in which they
    came. A tier's flat fee is due when an item was added in it, or beyond.
    """
    if not terms.charge.tiers:
        return per_unit(terms, slices)
    found: dict[tuple[int, date], tuple[PriceFrom, Decimal]] = {}
    for piece in by_day(slices):
        price = terms.price_on(piece.day)
        key = (tier_of(terms.charge, Decimal(piece.rank or 1)), price.from_day)
        before = found[key][1] if key in found else ZERO
        found[key] = (price, EXACT.add(before, piece.quantity))
    details = [
        detail_of(price, number, quantity, price.charge.tiers[number - 1].unit_price)
        for (number, _), (price, quantity) in sorted(found.items(), key=lambda item: item[0])
    ]
    greatest = max((piece.rank or 1 for piece in slices), default=0)
    return Priced((*details, *tier_fees(terms, Decimal(greatest))))
