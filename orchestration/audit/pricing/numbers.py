"""Whole minor units: rounding, text, and the split of an amount."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from orchestration.money import CURRENCIES

PLACES = 9
"""A quantity on a line has at most so many decimals."""


def nearest(value: Fraction, even: bool = False) -> int:
    """The whole number next to a value; halfway between two the one away from 0, or the even one."""
    below = value.numerator // value.denominator
    rest = 2 * (value - below)
    if rest == 1:
        return below + (below % 2 if even else value > 0)
    return below + (rest > 1)


def to_places(value: Fraction, places: int = PLACES, mode: str = "half_up") -> Fraction:
    """A value at so many decimals; `up` is away from 0 and `down` towards it. Below 0 places are tens, hundreds."""
    step = Fraction(10) ** -places
    units = value / step
    if mode in ("half_up", "half_even"):
        return step * nearest(units, mode == "half_even")
    sign = -1 if units < 0 else 1
    towards = abs(units.numerator) // units.denominator
    return step * sign * (towards + (mode == "up" and towards != abs(units)))


def minor_units(value: Fraction, currency: str, even: bool = False) -> int:
    """An amount in whole units of a currency, rounded once to its minor unit."""
    return nearest(value * 10 ** CURRENCIES[currency], even)


def of_minor(minor: int, currency: str) -> Fraction:
    return Fraction(minor, 10 ** CURRENCIES[currency])


def read_minor(text: str, currency: str) -> int:
    """Minor units of an amount as documents print it."""
    return minor_units(Fraction(text), currency)


def amount_text(minor: int, currency: str) -> str:
    """An amount as documents print it: "12.30", "-5.00", "7" for yen."""
    places = CURRENCIES[currency]
    digits = str(abs(minor)).rjust(places + 1, "0")
    whole, rest = digits[: len(digits) - places], digits[len(digits) - places :]
    return f"{'-' if minor < 0 else ''}{whole}{'.' if rest else ''}{rest}"


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Minor units in the proportions of weights, which may be below 0.

    What is left of cutting towards 0 goes, one each, to where most is lacking, of equals to the earlier. Raises
    ValueError where there is nothing to split by.
    """
    if not amount:
        return [0 for _ in weights]
    whole = sum(weights)
    if not whole:
        raise ValueError("nothing to split by: the weights sum to 0")
    return share_out(amount, [Fraction(amount * weight, whole) for weight in weights])


def share_out(amount: int, shares: Sequence[Fraction]) -> list[int]:
    """Minor units by shares that need not sum to them: each is cut towards 0, and what is left goes, one each and round
    after round, to where most is lacking, of equals to the earlier."""
    parts = [int(share) for share in shares]
    left = amount - sum(parts)
    sign = 1 if left > 0 else -1
    lacking = [sign * (share - part) for share, part in zip(shares, parts, strict=True)]
    order = sorted(range(len(parts)), key=lacking.__getitem__, reverse=True)
    for turn in range(abs(left)):
        parts[order[turn % len(order)]] += sign
    return parts
