"""Measured units to priced units: on the segment's total, rounded once, and still known by the day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

from orchestration.billing.charges import ZERO, Slice, merged
from orchestration.catalog.charges import Conversion
from orchestration.money import EXACT, Rounding, round_fraction, round_ratio

QUANTITY_DECIMALS = 9
"""A quantity on a line has at most so many decimals, and is priced as shown."""
_STEP = Decimal(1).scaleb(-QUANTITY_DECIMALS)

_MODES: dict[str, Rounding] = {"up": "up", "down": "down", "half_up": "half_away", "half_even": "half_even"}


def is_quantity(value: Decimal) -> bool:
    """Whether a number is finite and has no more decimals than a quantity, zeros at its end counted."""
    if value.same_quantum(_STEP):  # as the engine gives them
        return True
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -QUANTITY_DECIMALS


def converted(measured: Decimal, conversion: Conversion) -> Decimal:
    """One quantity in the unit that is priced, rounded as the conversion says."""
    return _converter(conversion)(measured)


def _converter(conversion: Conversion) -> Callable[[Decimal], Decimal]:
    ratio, decimals, mode = conversion.ratio, conversion.decimals, _MODES.get(conversion.rounding)
    times, over = ratio.numerator, ratio.denominator

    def convert_one(measured: Decimal) -> Decimal:
        units, parts = measured.as_integer_ratio()
        if mode is None:
            return round_ratio(units * times, parts * over, QUANTITY_DECIMALS)
        return round_ratio(units * times, parts * over, decimals, mode)

    return convert_one


def convert(slices: Sequence[Slice], conversion: Conversion) -> list[Slice]:
    """Measured days to priced days, ascending.

    The running total is converted and rounded day by day, and a day has what it adds to it. So the days sum exactly to
    the total converted and rounded once, and a rounded-up unit belongs to the day on which it was begun.
    """
    return running(slices, _converter(conversion))


def convert_windows(slices: Sequence[Slice], conversion: Conversion) -> list[Slice]:
    """Each window by itself, as it is priced."""
    return [piece._replace(quantity=converted(piece.quantity, conversion)) for piece in slices]


def divided(slices: Sequence[Slice], divisor: int) -> list[Slice]:
    """Sums over time, days or weeks to their average, ascending by day.

    As in `convert`, the days sum exactly to the total divided and rounded once, half away from zero.
    """
    return running(slices, lambda total: round_fraction(Fraction(total) / divisor, QUANTITY_DECIMALS))


def running(slices: Sequence[Slice], function: Callable[[Decimal], Decimal]) -> list[Slice]:
    """Slices, ascending, each with what it adds to the `function` of the running total: they sum to that of the total.

    The function of 0 is 0.
    """
    found: list[Slice] = []
    total, shown = ZERO, ZERO
    for piece in merged(slices):
        total = EXACT.add(total, piece.quantity)
        before, shown = shown, function(total)
        found.append(Slice(piece.day, EXACT.subtract(shown, before), *piece[2:]))
    return found
