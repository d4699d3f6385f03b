"""Models with tiers: each unit in its own tier, or all units in the tier of their total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from orchestration.billing.charges import ONE, ZERO, Priced, PriceDetail, Slice, below_zero, by_day, detail_of
from orchestration.billing.models.positions import Run, positions, sized, units, within
from orchestration.billing.segments import ChargeTerms
from orchestration.catalog.charges import Charge, Tier


def bounded(charge: Charge) -> Iterator[tuple[int, Decimal, Tier]]:
    """(number, bound below, tier) of each tier; numbers count from 1."""
    below = ZERO
    for number, tier in enumerate(charge.tiers, 1):
        yield number, below, tier
        below = tier.up_to if tier.up_to is not None else below


def tier_of(charge: Charge, quantity: Decimal) -> int:
    """The number of the tier that a quantity falls in: upper bounds belong to their tier, 0 and less to the first."""
    return next(n for n, _, tier in bounded(charge) if tier.up_to is None or quantity <= tier.up_to)


def graduated(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """Each unit at the price of its tier, in the version of its day; a tier's upper bound belongs to it.

    A tier's flat fee is due once when the segment's total goes above the bound below it; at a total of 0 the first
    tier's is due with `flat_fee_at_zero`. For a total below 0 nothing is due, and it is reported.
    """
    runs, reached = positions(terms, by_day(slices))
    if reached < 0:
        return Priced((), below_zero(terms, reached))
    details: list[PriceDetail] = []
    for number, below, tier in bounded(terms.charge):
        details += _at_tier(within(runs, below, tier.up_to), number, below, tier)
    return Priced((*details, *tier_fees(terms, reached)))


def volume(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """All units at the price of the tier that the segment's total falls in, each in the version of its day.

    That tier's flat fee is due when the total is above 0, or with `flat_fee_at_zero`. For a total below 0 nothing is
    due, and it is reported.
    """
    runs, reached = positions(terms, by_day(slices))
    if reached < 0:
        return Priced((), below_zero(terms, reached))
    number = tier_of(terms.charge, reached)
    tier = terms.charge.tiers[number - 1]
    fee = volume_fee(terms, number, reached)
    return Priced((*_at_tier(runs, number, ZERO, tier), *fee))


def _at_tier(runs: Sequence[Run], number: int, below: Decimal, tier: Tier) -> list[PriceDetail]:
    """Units, or started blocks, of one tier by the version that prices them. `runs` are those of the tier."""
    if tier.block is None:
        return [detail_of(p, number, n, p.charge.tiers[number - 1].unit_price) for p, n in units(runs)]
    blocks = sized(runs, below, tier.block)
    return [detail_of(p, number, n, p.charge.tiers[number - 1].unit_price, "blocks") for p, n in blocks]


def tier_fees(terms: ChargeTerms, reached: Decimal) -> list[PriceDetail]:
    """The flat fee of every tier that `reached`, a total or the greatest of running ones, has entered."""
    found = []
    for number, below, tier in bounded(terms.charge):
        entered = reached > below or (number == 1 and terms.charge.flat_fee_at_zero)
        if entered and tier.flat_fee:
            found.append(detail_of(terms.prices[0], number, ONE, tier.flat_fee, "tier_fee"))
    return found


def volume_fee(terms: ChargeTerms, number: int, reached: Decimal) -> list[PriceDetail]:
    """The flat fee of the tier that a total falls in."""
    fee = terms.charge.tiers[number - 1].flat_fee
    due = bool(fee) and (reached > 0 or terms.charge.flat_fee_at_zero)
    return [detail_of(terms.prices[0], number, ONE, fee, "tier_fee")] if due else []
