"""A line's formula: all that led to its amount, as text, so that it can be evaluated again from the formula alone.

exact = sum of the details' amounts x proration; gross = exact, rounded; amount = gross - discount - excess + top-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from orchestration.billing.bounds import Settled
from orchestration.billing.charges import Priced, Slice, by_day, total
from orchestration.billing.segments import Segment
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.money import Rounding, decimal_text


class Steps(NamedTuple):
    """What each step has found. `share`, `proration` and `included` are (active days, days of the full period): of
    minimum and maximum, of the amount, and of included units, of which `used` were used up."""

    priced: Priced
    proration: tuple[int, int]
    exact: Fraction | Decimal
    rounding: Rounding
    settled: Settled
    share: tuple[int, int]
    included: tuple[int, int]
    used: Decimal
    trial: bool


def formula_of(charge: Charge, steps: Steps) -> dict[str, Any]:
    """From quantity to amount, every number as text; options that the charge doesn't have are left out."""
    settled = steps.settled
    formula: dict[str, Any] = {
        "model": charge.model,
        "details": [detail.as_dict() for detail in steps.priced.details],
        "proration": _share(steps.proration),
        "exact": decimal_text(steps.exact),
        "currency": settled.gross.currency,
        "rounding": steps.rounding,
        "gross": settled.gross.text,
        "amount": settled.amount.text,
    }
    if steps.trial:
        return formula | {"trial": "true"} | _conversion(charge)
    if charge.model == "package":
        formula["package"] = {
            "size": decimal_text(charge.size or 0),
            "free": decimal_text(charge.free or 0),
            "counted": "full" if charge.whole else "started",
        }
    if charge.included:
        formula["included"] = {
            "units": decimal_text(charge.included),
            "proration": _share(steps.included),
            "used": decimal_text(steps.used),
        }
    if charge.discount_percent:
        formula["discount"] = {"percent": decimal_text(charge.discount_percent), "amount": settled.discount.text}
    share = _share(steps.share)
    if charge.maximum is not None:
        limit = decimal_text(charge.maximum)
        formula["maximum"] = {"amount": limit, "proration": share, "excess": settled.excess.text}
    if charge.minimum is not None:
        least = decimal_text(charge.minimum)
        formula["minimum"] = {"amount": least, "proration": share, "top_up": settled.top_up.text}
    return formula | _conversion(charge)


def _share(days: tuple[int, int]) -> str:
    return "1" if days[0] == days[1] else f"{days[0]}/{days[1]}"


def _conversion(charge: Charge) -> dict[str, Any]:
    if charge.convert is None:
        return {}
    given = charge.convert
    factor = "divide_by" if given.divide_by is not None else "multiply_by"
    found = {
        factor: decimal_text(given.divide_by or given.multiply_by or 0),
        "unit": given.unit,
        "rounding": given.rounding,
    }
    return {"conversion": found | ({"decimals": str(given.decimals)} if given.decimals else {})}


def measuring_of(
    charge: Charge,
    segment: Segment,
    slices: Sequence[Slice],
    divisor: int,
    meter: Meter | None,
    window: Mapping[str, str] | None,
) -> dict[str, Any]:
    """How the quantity came from what was measured, where it is not its plain sum."""
    found: dict[str, Any] = {}
    if charge.watermark is not None:
        found["watermark"] = {"of": charge.watermark.of, "window": charge.watermark.window}
        if charge.watermark.percentile is not None:
            found["watermark"]["percentile"] = str(charge.watermark.percentile)
        if charge.watermark.take != "greatest":
            found["watermark"]["take"] = charge.watermark.take
    if window is not None:
        found["window"] = dict(window)
    if divisor != 1:
        found["average"] = {"sum": decimal_text(total(slices)), "divided_by": str(divisor)}
    if charge.active is not None:
        found["active"] = {"per": charge.active.per, "take": charge.active.take}
    if charge.by_dimension == "each":
        found["by_dimension"] = "each"
    if charge.prorate is not None:
        found |= _by_days(segment, slices, meter is not None and meter.by_items)
    return found


def _by_days(segment: Segment, slices: Sequence[Slice], items: bool) -> dict[str, Any]:
    """The changes or items that are weighed by days."""
    if items:
        rows = [
            {"day": piece.day.isoformat(), "rank": str(piece.rank), "days": decimal_text(piece.quantity)}
            for piece in by_day(slices)
        ]
        return {"items": rows}
    changes = [
        {
            "day": piece.day.isoformat(),
            "change": decimal_text(piece.quantity),
            "weight": f"{(segment.end - piece.day).days}/{segment.period_days}",
        }
        for piece in by_day(slices)
    ]
    return {"changes": changes}


def average_price(amount: Fraction | Decimal, quantity: Fraction | Decimal) -> Fraction:
    """What a unit costs on average, exact, for whoever explains an amount; 0 where there are none."""
    return Fraction(amount) / Fraction(quantity) if quantity else Fraction(0)


def paid_quantity(quantity: Decimal, formula: Mapping[str, Any]) -> Fraction:
    """What of a line's quantity the model doesn't give for nothing."""
    free = (Fraction(detail["quantity"]) for detail in formula["details"] if detail["part"] == "free")
    return Fraction(quantity) - sum(free, Fraction(0))
