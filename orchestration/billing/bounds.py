"""What a charge's own terms make of a gross amount: discount, maximum, minimum, in this order. Each is rounded once."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from orchestration.catalog.charges import Charge
from orchestration.money import Money, Rounding


class Settled(NamedTuple):
    """amount = gross - discount - excess + top_up."""

    gross: Money
    discount: Money
    excess: Money
    top_up: Money

    @property
    def amount(self) -> Money:
        return self.gross - self.discount - self.excess + self.top_up

    @classmethod
    def zero(cls, currency: str) -> Settled:
        nothing = Money.zero(currency)
        return cls(nothing, nothing, nothing, nothing)


def settle(charge: Charge, gross: Money, share: tuple[int, int], rounding: Rounding) -> Settled:
    """The discount of `gross`, then the excess over the maximum, then what is missing to the minimum.

    `share` is (active days, days of the full period): maximum and minimum are for that part of it.
    """

    def above_zero(exact: Fraction) -> Money:
        return Money.of(max(exact, Fraction(0)), gross.currency, rounding)

    discount = excess = top_up = Money.zero(gross.currency)
    if charge.discount_percent:
        discount = Money.of(Fraction(gross.amount) * Fraction(charge.discount_percent) / 100, gross.currency, rounding)
    net = gross - discount
    if charge.maximum is None and charge.minimum is None:
        return Settled(gross, discount, excess, top_up)
    part = Fraction(*share)
    if charge.maximum is not None:
        excess = above_zero(Fraction(net.amount) - Fraction(charge.maximum) * part)
    if charge.minimum is not None:
        top_up = above_zero(Fraction(charge.minimum) * part - Fraction((net - excess).amount))
    return Settled(gross, discount, excess, top_up)
