"""The model that sells units by the package."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.billing.charges import ZERO, Priced, Slice, below_zero, by_day, detail_of, stated
from orchestration.billing.models.positions import positions, sized, units, within
from orchestration.billing.segments import ChargeTerms
from orchestration.money import EXACT


def package(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """Packages of what is above the free units: each that is started, or with `whole` each that is full.

    A package has the price of the day of its first unit. A total below 0 is priced as 0 and reported.
    """
    runs, reached = positions(terms, by_day(slices))
    size, free = stated(terms.prices[0], "size"), terms.charge.free or ZERO
    up_to = None
    if terms.charge.whole:
        full = EXACT.divide_int(EXACT.subtract(max(reached, free), free), size)
        up_to = EXACT.add(free, EXACT.multiply(full, size))
    sold = sized(within(runs, free, up_to), free, size)
    details = [detail_of(price, None, n, ZERO, "free") for price, n in units(within(runs, ZERO, free))]
    details += [detail_of(price, None, n, stated(price, "price"), "packages") for price, n in sold]
    return Priced(tuple(details), below_zero(terms, reached))
