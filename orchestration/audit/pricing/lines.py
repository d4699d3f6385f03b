"""Lines: one charge in one span from quantity to amount, with the formula that tells all of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from orchestration.audit.charged import Charged, Quantity
from orchestration.audit.pricing.amounts import MODELS, Detail, amount_of, each_window
from orchestration.audit.pricing.held import items, seats
from orchestration.audit.pricing.numbers import amount_text, minor_units, nearest, of_minor
from orchestration.audit.pricing.pieces import Counted, Piece, by_window, counted, is_mark, pieces_of, together, total
from orchestration.catalog.charges import Charge, Conversion
from orchestration.catalog.meters import Meter
from orchestration.money import decimal_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Key(NamedTuple):
    """What a line is, whatever it costs."""

    subscription: str
    charge: str
    period_start: date
    start: date
    value: str


class Bounds(NamedTuple):
    """Minor units: amount = gross - discount - excess + top-up."""

    gross: int
    discount: int = 0
    excess: int = 0
    top_up: int = 0

    @property
    def amount(self) -> int:
        return self.gross - self.discount - self.excess + self.top_up

    def less(self, other: Bounds) -> Bounds:
        return Bounds(*(a - b for a, b in zip(self, other, strict=True)))

    def plus(self, other: Bounds) -> Bounds:
        return Bounds(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of a line beside what was issued for it. `kind` is that of documents."""

    key: Key
    kind: str
    customer: str
    plan: str
    name: str
    meter: str | None
    due: str
    currency: str
    period_end: date
    end: date
    measured: Fraction
    quantity: Fraction
    unit: str
    bounds: Bounds
    tax_category: str
    formula: Mapping[str, Any] = field(default_factory=dict)
    trial: bool = False

    @property
    def amount(self) -> int:
        return self.bounds.amount

    @property
    def tax_date(self) -> date:
        """The last day of the period, the first of what is billed in advance."""
        return self.key.period_start if self.due == "advance" else self.period_end - timedelta(days=1)

    def is_due(self, cut_off: date) -> bool:
        """Arrears when their period has ended by the cut-off, what is in advance when it has begun."""
        return self.key.start <= cut_off if self.due == "advance" else self.period_end <= cut_off


def lines_of(item: Charged, meter: Meter | None, measured: Sequence[Quantity], *, even: bool) -> Iterator[Line]:
    """The line of a charge, also of no usage; with lines by value one for each that was measured. `even` is how the
    seller rounds halves."""
    charge = item.terms.charge
    by_value: dict[str, list[Quantity]] = defaultdict(list)
    if charge.line_per is None:
        by_value[""] = list(measured)
    for row in measured if charge.line_per is not None else ():
        if row.part != "unmeasured":
            by_value[row.value].append(row)
    for value in sorted(by_value):
        yield _line(item, meter, value, by_value[value], even)


def _line(item: Charged, meter: Meter | None, value: str, rows: Sequence[Quantity], even: bool) -> Line:
    charge, span = item.terms.charge, item.segment
    raw = pieces_of(rows)
    measured = quantity = Fraction(1)
    step: Counted | None = None
    if meter is None:
        details = MODELS[charge.model](item.terms, ())
    else:
        step = counted(item, meter, raw)
        details, quantity = _priced(item, meter, step.left)
        measured = step.measured
    if span.trial:
        details = []
    share, days = span.share(charge), (span.period_days, span.period_days)
    whole = share if meter is None or is_mark(charge, meter) else days
    exact = amount_of(details) * Fraction(*whole)
    bounds = Bounds(0) if span.trial else bounded(charge, exact, Fraction(*share), span.currency, even)
    formula = {
        "model": charge.model,
        "details": [one.shown() for one in details],
        "proration": days_text(whole),
        "exact": decimal_text(exact),
        "currency": span.currency,
        "rounding": "half_even" if even else "half_away",
        "gross": amount_text(bounds.gross, span.currency),
        "amount": amount_text(bounds.amount, span.currency),
        **({"trial": "true"} if span.trial else _reductions(charge, bounds, share, step, span.currency)),
        **({} if charge.convert is None else {"conversion": _conversion(charge.convert)}),
        **_measuring(item, meter, raw, rows),
    }
    return Line(
        key=Key(span.subscription, charge.key, span.period_start, span.start, value),
        kind="fee" if meter is None else "usage",
        customer=span.customer,
        plan=span.plan.key,
        name=charge.name,
        meter=charge.meter,
        due=charge.due,
        currency=span.currency,
        period_end=span.period_end,
        end=span.end,
        measured=measured,
        quantity=quantity,
        unit="period" if meter is None else meter.unit if charge.convert is None else charge.convert.unit,
        bounds=bounds,
        tax_category=charge.tax_category,
        formula=formula,
        trial=span.trial,
    )


def _priced(item: Charged, meter: Meter, left: Sequence[Piece]) -> tuple[list[Detail], Fraction]:
    """The parts of the amount, and the quantity that they price."""
    charge, terms = item.terms.charge, item.terms
    if by_window(charge):
        return each_window(terms, left), total(left)
    if charge.prorate is not None:
        return (items(terms, left), total(left)) if meter.by_items else seats(terms, item.segment, left)
    return MODELS[charge.model](terms, left), total(left)


def bounded(charge: Charge, exact: Fraction, share: Fraction, currency: str, even: bool) -> Bounds:
    """Step 3, on the rounded gross: discount, then the excess over the maximum, then the top-up to the minimum. Bounds
    are for the share of the period; what is above or missing is rounded, not they."""
    gross = minor_units(exact, currency, even)
    discount = nearest(gross * Fraction(charge.discount_percent) / 100, even)
    net = of_minor(gross - discount, currency)
    excess = top_up = 0
    if charge.maximum is not None:
        excess = max(0, minor_units(net - Fraction(charge.maximum) * share, currency, even))
    if charge.minimum is not None:
        left = net - of_minor(excess, currency)
        top_up = max(0, minor_units(Fraction(charge.minimum) * share - left, currency, even))
    return Bounds(gross, discount, excess, top_up)


def days_text(share: tuple[int, int]) -> str:
    return "1" if share[0] == share[1] else f"{share[0]}/{share[1]}"


def _reductions(
    charge: Charge, bounds: Bounds, share: tuple[int, int], step: Counted | None, currency: str
) -> dict[str, Any]:
    """The terms that the charge has, with what each has done."""
    found: dict[str, Any] = {}
    if charge.model == "package":
        found["package"] = {
            "size": decimal_text(charge.size or 0),
            "free": decimal_text(charge.free or 0),
            "counted": "full" if charge.whole else "started",
        }
    if charge.included and step is not None:
        found["included"] = {
            "units": decimal_text(charge.included),
            "proration": days_text(step.share),
            "used": decimal_text(step.used),
        }
    if charge.discount_percent:
        percent = decimal_text(charge.discount_percent)
        found["discount"] = {"percent": percent, "amount": amount_text(bounds.discount, currency)}
    for name, limit, part, done in (
        ("maximum", charge.maximum, "excess", bounds.excess),
        ("minimum", charge.minimum, "top_up", bounds.top_up),
    ):
        if limit is not None:
            shown = {"amount": decimal_text(limit), "proration": days_text(share), part: amount_text(done, currency)}
            found[name] = shown
    return found


def _conversion(given: Conversion) -> dict[str, str]:
    name, factor = ("multiply_by", given.multiply_by) if given.divide_by is None else ("divide_by", given.divide_by)
    found = {name: decimal_text(factor or 0), "unit": given.unit, "rounding": given.rounding}
    return found | ({"decimals": str(given.decimals)} if given.decimals else {})


def _measuring(item: Charged, meter: Meter | None, raw: Sequence[Piece], rows: Sequence[Quantity]) -> dict[str, Any]:
    """How the quantity came from what was measured, where it is not its plain sum."""
    charge, span = item.terms.charge, item.segment
    found: dict[str, Any] = {}
    if (mark := charge.watermark) is not None:
        found["watermark"] = {"of": mark.of, "window": mark.window}
        found["watermark"] |= {} if mark.percentile is None else {"percentile": str(mark.percentile)}
        found["watermark"] |= {} if mark.take == "greatest" else {"take": mark.take}
    windows = [row.window_us for row in rows if row.window_us is not None]
    if windows:
        start = _EPOCH + timedelta(microseconds=windows[0])
        found["window"] = {"start": f"{start:%Y-%m-%dT%H:%M:%S.%f}Z"}
    if item.divisor != 1:
        found["average"] = {"sum": decimal_text(total(raw)), "divided_by": str(item.divisor)}
    if charge.active is not None:
        found["active"] = {"per": charge.active.per, "take": charge.active.take}
    if charge.by_dimension == "each":
        found["by_dimension"] = "each"
    if charge.prorate is None:
        return found
    days = together(raw, apart=False)
    if meter is not None and meter.by_items:
        rows_shown = [
            (piece, {"rank": str(piece.rank or None), "days": decimal_text(piece.quantity)}) for piece in days
        ]
        return found | {"items": [{"day": piece.day.isoformat(), **shown} for piece, shown in rows_shown]}
    changes = [
        {
            "day": piece.day.isoformat(),
            "change": decimal_text(piece.quantity),
            "weight": f"{(span.end - piece.day).days}/{span.period_days}",
        }
        for piece in days
    ]
    return found | {"changes": changes}
