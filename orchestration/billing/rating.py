"""Rating: the quantity of one charge in one segment to one line. Steps 1 to 3 of the order of operations.

1. quantity: measured; converted, on the segment's total, and rounded as the conversion says; less included units;
2. gross: what the charge's model says, prorated where it applies, rounded to the currency's minor unit;
3. the discount, a percentage of gross; then the excess over the maximum; then the top-up to the minimum: each rounded.

A line's amount is gross - discount - excess + top-up. The later steps speak of several lines and begin with these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from orchestration.billing.bounds import Settled, settle
from orchestration.billing.charges import ONE, ZERO, Priced, Slice, by_day, merged, total
from orchestration.billing.conversion import QUANTITY_DECIMALS, convert, convert_windows, divided, is_quantity
from orchestration.billing.formula import Steps, formula_of, measuring_of
from orchestration.billing.included import less_included
from orchestration.billing.items import items
from orchestration.billing.models import MODELS
from orchestration.billing.seats import seats
from orchestration.billing.segments import ChargeTerms, Segment
from orchestration.billing.windows import each_window
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.errors import Problem
from orchestration.money import EXACT, Money, Rounding

_ONE_VALUE = frozenset({"max", "min", "latest", "level", "percentile"})
_ADDS_UP = frozenset({"count", "sum"})
_APART = frozenset({"matrix", "percentage"})
"""Models that price cells, or parts, of a day apart."""


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


def rate(
    terms: ChargeTerms,
    segment: Segment,
    slices: Sequence[Slice] = (),
    meter: Meter | None = None,
    *,
    window: Mapping[str, str] | None = None,
    divisor: int = 1,
    rounding: Rounding = "half_away",
    value: str = "",
) -> Line:
    """The line of one charge in one segment.

    `slices` hold measured quantities by local day of the segment, in the meter's unit (at most 9 decimals; several a
    day are summed); a watermark comes as one slice on the day of its window, and `window` says which that was. With a
    `divisor`, their sum divided by it is the quantity. A flat fee has neither slices nor meter. `rounding` is that of
    the seller's money, `value` that of the dimension which has a line of its own. Raises ValueError for usage outside
    the segment or a meter that is not the charge's.
    """
    charge = terms.charge
    _refuse_misplaced(charge, segment, slices, meter)
    measured = list(slices) if divisor == 1 else divided(slices, divisor)
    quantity, steps = _steps(terms, segment, measured, meter, rounding)
    return _line(
        terms,
        segment,
        meter,
        value,
        steps.settled,
        measured=ONE if meter is None else total(measured),
        quantity=ONE if meter is None else quantity,
        formula=formula_of(charge, steps) | measuring_of(charge, segment, slices, divisor, meter, window),
        problems=steps.priced.problems,
    )


def _steps(
    terms: ChargeTerms, segment: Segment, measured: Sequence[Slice], meter: Meter | None, rounding: Rounding
) -> tuple[Decimal, Steps]:
    """(the quantity that is priced, what each step found). Of a trial everything is measured and nothing costs."""
    charge, currency = terms.charge, segment.currency
    # 1. quantity
    units = left = counted(charge, measured)
    included, used = included_in(charge, segment, meter), ZERO
    if charge.included and not segment.trial:
        left = less_included(units, Fraction(charge.included) * Fraction(*included))
        used = EXACT.subtract(total(units), total(left))
    # 2. gross
    priced, quantity = _by_model(terms, segment, left, meter)
    if segment.trial:
        priced = Priced(())
    whole = proration(charge, segment, meter)
    exact = priced.amount if whole[0] == whole[1] else Fraction(priced.amount) * Fraction(*whole)
    # 3. discount, excess, top-up
    share = active_share(charge, segment)
    gross = Money.of(exact, currency, rounding)
    return quantity, Steps(
        priced=priced,
        proration=whole,
        exact=exact,
        rounding=rounding,
        settled=Settled.zero(currency) if segment.trial else settle(charge, gross, share, rounding),
        share=share,
        included=included,
        used=used,
        trial=segment.trial,
    )


def _line(
    terms: ChargeTerms,
    segment: Segment,
    meter: Meter | None,
    value: str,
    settled: Settled,
    *,
    measured: Decimal,
    quantity: Decimal,
    formula: dict[str, Any],
    problems: tuple[Problem, ...],
) -> Line:
    charge = terms.charge
    if problems:
        place = f"{segment.subscription}, charge '{charge.key}', {segment.start} to {segment.end}"
        problems = tuple(replace(problem, where=place) for problem in problems)
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
        measured=measured,
        quantity=quantity,
        unit=_unit(charge, meter),
        amount=settled.amount,
        formula=formula,
        problems=problems,
        kind="fee" if meter is None else "usage",
        value=value,
        tax_category=charge.tax_category,
        trial=segment.trial,
        gross=settled.gross,
        discount=settled.discount,
        excess=settled.excess,
        top_up=settled.top_up,
    )


def _unit(charge: Charge, meter: Meter | None) -> str:
    if meter is None:
        return "period"
    return meter.unit if charge.convert is None else charge.convert.unit


# 1. Quantity ----------------------------------------------------------------------------------------------------------


def counted(charge: Charge, measured: Sequence[Slice]) -> list[Slice]:
    """Measured quantities in the unit that is priced: converted on the segment's total, or window by window."""
    if by_windows(charge):
        return list(measured) if charge.convert is None else convert_windows(measured, charge.convert)
    found = merged(measured) if charge.model in _APART else by_day(measured)
    return found if charge.convert is None else convert(found, charge.convert)


def by_windows(charge: Charge) -> bool:
    """Whether each window is priced by itself."""
    return charge.watermark is not None and charge.watermark.take == "each_window"


def included_in(charge: Charge, segment: Segment, meter: Meter | None) -> tuple[int, int]:
    """(active days, days of the full period) by which included units are reduced: those of what adds up over days."""
    adds_up = meter is not None and meter.aggregation in _ADDS_UP and not _is_mark(charge, meter)
    return active_share(charge, segment) if adds_up else (segment.period_days, segment.period_days)


# 2. Gross -------------------------------------------------------------------------------------------------------------


def _by_model(
    terms: ChargeTerms, segment: Segment, slices: Sequence[Slice], meter: Meter | None
) -> tuple[Priced, Decimal]:
    """The parts of the amount, and the quantity that they price."""
    charge = terms.charge
    if by_windows(charge):
        return each_window(terms, slices), total(slices)
    if charge.prorate is not None and meter is not None and meter.by_items:
        return items(terms, slices), total(slices)
    if charge.prorate == "days":
        return seats(terms, segment, slices, QUANTITY_DECIMALS)
    return MODELS[charge.model](terms, slices), total(slices)


def active_share(charge: Charge, segment: Segment) -> tuple[int, int]:
    """(active days, days of the full period): equal for a charge that isn't prorated."""
    return segment.prorated_days(charge) if charge.prorated else (segment.period_days, segment.period_days)


def proration(charge: Charge, segment: Segment, meter: Meter | None) -> tuple[int, int]:
    """(active days, days of the full period) by which the amount of a charge is reduced; equal when it is whole.

    Fixed fees, readings and marks are prorated: they stand for a whole period. What adds up over days is not: it
    already has only what happened in the segment.
    """
    if charge.meter is None or _is_mark(charge, meter):
        return active_share(charge, segment)
    return segment.period_days, segment.period_days


def _is_mark(charge: Charge, meter: Meter | None) -> bool:
    """Whether one value stands for the segment: of a window, of an event, or of the state at its end."""
    if charge.watermark is not None:
        return charge.watermark.take == "greatest"
    if meter is None or charge.prorate is not None:
        return False
    return meter.aggregation in _ONE_VALUE or (meter.aggregation == "sum" and meter.carry)


def _refuse_misplaced(charge: Charge, segment: Segment, slices: Sequence[Slice], meter: Meter | None) -> None:
    """Usage of another meter or day, or finer than quantities are, is a fault of the caller, never a price."""
    if charge.meter != (None if meter is None else meter.key):
        raise ValueError(f"charge '{charge.key}' does not price meter '{meter.key if meter else None}'")
    start, end = segment.start, segment.end
    for piece in slices:
        if not start <= piece.day < end:
            raise ValueError(f"charge '{charge.key}': {piece.day} is not in [{start}, {end})")
        if not is_quantity(piece.quantity):
            raise ValueError(f"charge '{charge.key}': {piece.quantity} is not a quantity of at most 9 decimals")
