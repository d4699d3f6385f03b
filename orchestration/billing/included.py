"""Included units: what a plan gives before anything is priced."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from orchestration.billing.charges import ZERO, Slice
from orchestration.billing.conversion import QUANTITY_DECIMALS, running
from orchestration.money import round_fraction


def less_included(slices: Sequence[Slice], included: Fraction) -> list[Slice]:
    """What is left to be priced, by slice: shared by all cells, used up by day, hour, then cell.

    `included` may be a fraction of a unit, where it is prorated: what is left of the total is rounded once. A total at
    or below 0 uses nothing up.
    """

    def left(total: Decimal) -> Decimal:
        if total <= 0:
            return total
        beyond = Fraction(total) - included
        return round_fraction(beyond, QUANTITY_DECIMALS) if beyond > 0 else ZERO

    return running(slices, left)
