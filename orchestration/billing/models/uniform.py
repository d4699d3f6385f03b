"""Models that know one price for every unit of a day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

from orchestration.billing.charges import ONE, ZERO, Priced, Slice, detail_of, stated
from orchestration.billing.segments import ChargeTerms, PriceFrom
from orchestration.money import EXACT


def flat(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """A fixed amount for a full period; no usage enters it."""
    if slices:
        raise ValueError(f"charge '{terms.charge.key}': a flat fee has an amount and no usage")
    first = terms.prices[0]
    return Priced((detail_of(first, None, ONE, stated(first, "amount"), "fee"),))


def per_unit(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """Every unit at the price of its day; negative quantities give negative amounts."""
    return uniform(terms, slices, lambda price: stated(price, "price"))


def dynamic(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """Amounts that came with the events, times the multiplier of their day; those below 0 give money back."""
    return uniform(terms, slices, lambda price: ONE if price.charge.multiplier is None else price.charge.multiplier)


def uniform(terms: ChargeTerms, slices: Sequence[Slice], price_of: Callable[[PriceFrom], Decimal]) -> Priced:
    """The quantities of each version's days, at what `price_of` finds in it."""
    found: dict[date, Decimal] = {}
    for piece in slices:
        from_day = terms.price_on(piece.day).from_day
        found[from_day] = EXACT.add(found.get(from_day, ZERO), piece.quantity)
    return Priced(
        tuple(
            detail_of(price, None, found[price.from_day], price_of(price))
            for price in terms.prices
            if price.from_day in found
        )
    )
