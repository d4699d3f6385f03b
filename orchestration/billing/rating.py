"""Rating: the quantity of one charge in one segment to one line, rounded once.

The order is that of the rules: quantity measured, converted on the segment's total, priced by the charge's model,
prorated, rounded to the currency's minor unit. Later steps (discount, maximum, minimum) take the gross from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Any, Literal, NamedTuple

from orchestration.billing.charges import MODELS, ONE, ZERO, Priced, Slice, by_day, each_window
from orchestration.billing.items import items
from orchestration.billing.seats import seats
from orchestration.billing.segments import ChargeTerms, Segment
from orchestration.catalog.charges import Charge, Conversion
from orchestration.catalog.meters import Meter
from orchestration.errors import Problem
from orchestration.money import EXACT, Money, Rounding, decimal_text, round_fraction

QUANTITY_DECIMALS = 9
"""A quantity on a line has at most so many decimals, and is priced as shown."""

_WHOLE_UNITS: dict[str, Rounding] = {"up": "up", "down": "down", "half_up": "half_away", "half_even": "half_even"}
_ONE_VALUE = frozenset({"max", "min", "latest", "level", "percentile"})


class LineKey(NamedTuple):
    """What a line is, whatever it costs: differences are taken between amounts of the same key."""

    subscription: str
    charge: str
    period_start: date
    start: date
    value: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One charge of one subscription in one segment. Days are local and half-open.

    `measured` is in the meter's unit, `quantity` in the unit that is priced. `gross` is `formula["exact"]` rounded
    once; `formula` holds all that led to it, every number as text. `amount` = gross - discount - excess + top_up.
    `value` is that of the dimension that has a line for each of its values, empty without. Lines that no charge makes
    (`cap`, `true_up`) have the kind as their charge, and `adjustment` its id.
    """

    subscription: str
    customer: str
    plan: str
    charge: str
    name: str
    meter: str | None
    due: Literal["arrears", "advance"]
    currency: str
    period_start: date
    period_end: date
    start: date
    end: date
    measured: Decimal
    quantity: Decimal
    unit: str
    amount: Money
    formula: dict[str, Any]
    problems: tuple[Problem, ...] = ()
    kind: Literal["fee", "usage", "cap", "true_up", "adjustment"] = "usage"
    value: str = ""
    tax_category: str = "standard"
    trial: bool = False
    gross: Money | None = None
    discount: Money | None = None
    excess: Money | None = None
    top_up: Money | None = None

    @property
    def key(self) -> LineKey:
        return LineKey(self.subscription, self.charge, self.period_start, self.start, self.value)


def convert(slices: Sequence[Slice], conversion: Conversion) -> list[Slice]:
    """Measured days to priced days, ascending.

    The running total is converted and rounded day by day, and a day has what it adds to it. So the days sum exactly to
    the total converted and rounded once, and a rounded-up unit belongs to the day on which it was begun.
    """
    return _running(slices, lambda total: _converted(total, conversion))


def divided(slices: Sequence[Slice], divisor: int) -> list[Slice]:
    """Sums over time, days or weeks to their average, ascending by day.

    As in `convert`, the days sum exactly to the total divided and rounded once, half away from zero.
    """
    return _running(slices, lambda total: round_fraction(Fraction(total) / divisor, QUANTITY_DECIMALS))


def _running(slices: Sequence[Slice], function: Callable[[Decimal], Decimal]) -> list[Slice]:
    found: list[Slice] = []
    total, shown = ZERO, ZERO
    for piece in by_day(slices):
        total = EXACT.add(total, piece.quantity)
        before, shown = shown, function(total)
        found.append(replace(piece, quantity=EXACT.subtract(shown, before)))
    return found


def _converted_windows(slices: Sequence[Slice], conversion: Conversion) -> list[Slice]:
    """Each window by itself, as it is priced."""
    return [replace(piece, quantity=_converted(piece.quantity, conversion)) for piece in slices]


def _converted(measured: Decimal, conversion: Conversion) -> Decimal:
    exact = Fraction(measured) / Fraction(conversion.divide_by)
    if conversion.rounding == "none":
        return round_fraction(exact, QUANTITY_DECIMALS)
    return round_fraction(exact, 0, _WHOLE_UNITS[conversion.rounding])


def proration(charge: Charge, segment: Segment, meter: Meter | None) -> tuple[int, int]:
    """(active days, days of the full period) by which the amount of a charge is reduced; equal when it is whole.

    Fixed fees, readings and marks are prorated: they stand for a whole period. What adds up over days is not: it
    already has only what happened in the segment.
    """
    if charge.prorated and (charge.meter is None or _is_mark(charge, meter)):
        return segment.prorated_days(charge)
    return segment.period_days, segment.period_days


def _is_mark(charge: Charge, meter: Meter | None) -> bool:
    """Whether one value stands for the segment: of a window, of an event, or of the state at its end."""
    if charge.watermark is not None:
        return charge.watermark.take == "greatest"
    if meter is None or charge.prorate is not None:
        return False
    return meter.aggregation in _ONE_VALUE or (meter.aggregation == "sum" and meter.carry)


def _total(slices: Sequence[Slice]) -> Decimal:
    counted = (EXACT.multiply(piece.quantity, Decimal(piece.windows)) for piece in slices)
    return reduce(EXACT.add, counted, ZERO)


def _refuse_misplaced(charge: Charge, segment: Segment, slices: Sequence[Slice]) -> None:
    """Usage of another day or of a finer grain than quantities have is a fault of the caller, never a price."""
    for piece in slices:
        if not segment.start <= piece.day < segment.end:
            raise ValueError(f"charge '{charge.key}': {piece.day} is not in [{segment.start}, {segment.end})")
        exponent = piece.quantity.as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -QUANTITY_DECIMALS:
            raise ValueError(f"charge '{charge.key}': {piece.quantity} is not a quantity of at most 9 decimals")


def rate(
    terms: ChargeTerms,
    segment: Segment,
    slices: Sequence[Slice] = (),
    meter: Meter | None = None,
    *,
    window: Mapping[str, str] | None = None,
    divisor: int = 1,
) -> Line:
    """The line of one charge in one segment.

    `slices` hold measured quantities by local day of the segment, in the meter's unit (at most 9 decimals; several a
    day are summed); a watermark comes as one slice on the day of its window, and `window` says which that was. With a
    `divisor`, their sum divided by it is the quantity. A flat fee has neither slices nor meter. Raises ValueError for
    usage outside the segment or a meter that is not the charge's.
    """
    charge = terms.charge
    if charge.meter != (None if meter is None else meter.key):
        raise ValueError(f"charge '{charge.key}' does not price meter '{meter.key if meter else None}'")
    _refuse_misplaced(charge, segment, slices)
    measured = list(slices) if divisor == 1 else divided(slices, divisor)
    priced, quantity = _priced(terms, segment, measured, meter)
    days, of_days = proration(charge, segment, meter)
    exact = Fraction(0) if segment.trial else priced.amount * Fraction(days, of_days)
    place = f"{segment.subscription}, charge '{charge.key}', {segment.start} to {segment.end}"
    return Line(
        subscription=segment.subscription,
        customer=segment.customer,
        plan=segment.plan,
        charge=charge.key,
        name=charge.name,
        meter=charge.meter,
        due=charge.due,
        currency=segment.currency,
        period_start=segment.period_start,
        period_end=segment.period_end,
        start=segment.start,
        end=segment.end,
        measured=ONE if meter is None else _total(measured),
        quantity=ONE if meter is None else quantity,
        unit=_unit(charge, meter),
        amount=Money.of(exact, segment.currency),
        formula=_formula(charge, priced, (days, of_days), exact, window)
        | _measuring(charge, segment, slices, divisor, meter),
        problems=tuple(replace(problem, where=place) for problem in priced.problems),
        trial=segment.trial,
    )


def _priced(
    terms: ChargeTerms, segment: Segment, measured: Sequence[Slice], meter: Meter | None
) -> tuple[Priced, Decimal]:
    """The parts of the amount, and the quantity that they price."""
    charge = terms.charge
    if charge.watermark is not None and charge.watermark.take == "each_window":
        windows = measured if charge.convert is None else _converted_windows(measured, charge.convert)
        return each_window(terms, windows), _total(windows)
    days = by_day(measured) if charge.convert is None else convert(measured, charge.convert)
    if charge.prorate is not None and meter is not None and meter.by_items:
        return items(terms, days), _total(days)
    if charge.prorate == "days":
        return seats(terms, segment, days, QUANTITY_DECIMALS)
    return MODELS[charge.model](terms, days), _total(days)


def _unit(charge: Charge, meter: Meter | None) -> str:
    if meter is None:
        return "period"
    return meter.unit if charge.convert is None else charge.convert.unit


def _formula(
    charge: Charge,
    priced: Priced,
    days: tuple[int, int],
    exact: Fraction,
    window: Mapping[str, str] | None,
) -> dict[str, Any]:
    """exact = sum of the details' amounts x proration; the line's amount = exact, rounded."""
    formula: dict[str, Any] = {
        "model": charge.model,
        "details": [detail.as_dict() for detail in priced.details],
        "proration": "1" if days[0] == days[1] else f"{days[0]}/{days[1]}",
        "exact": decimal_text(exact),
    }
    if charge.convert is not None:
        formula["conversion"] = {
            "divide_by": decimal_text(charge.convert.divide_by),
            "unit": charge.convert.unit,
            "rounding": charge.convert.rounding,
        }
    if charge.watermark is not None:
        formula["watermark"] = {"of": charge.watermark.of, "window": charge.watermark.window}
        if charge.watermark.percentile is not None:
            formula["watermark"]["percentile"] = str(charge.watermark.percentile)
        if charge.watermark.take != "greatest":
            formula["watermark"]["take"] = charge.watermark.take
    if window is not None:
        formula["window"] = dict(window)
    return formula


def _measuring(
    charge: Charge, segment: Segment, slices: Sequence[Slice], divisor: int, meter: Meter | None
) -> dict[str, Any]:
    """How the quantity came from what was measured, where it is not its plain sum."""
    found: dict[str, Any] = {}
    if divisor != 1:
        found["average"] = {"sum": decimal_text(_total(slices)), "divided_by": str(divisor)}
    if charge.active is not None:
        found["active"] = {"per": charge.active.per, "take": charge.active.take}
    if charge.by_dimension == "each":
        found["by_dimension"] = "each"
    if charge.prorate is not None and meter is not None and meter.by_items:
        found["items"] = [
            {"day": piece.day.isoformat(), "rank": str(piece.rank), "days": decimal_text(piece.quantity)}
            for piece in by_day(slices)
        ]
    elif charge.prorate is not None:
        found["changes"] = [
            {
                "day": piece.day.isoformat(),
                "change": decimal_text(piece.quantity),
                "weight": f"{(segment.end - piece.day).days}/{segment.period_days}",
            }
            for piece in by_day(slices)
        ]
    return found
