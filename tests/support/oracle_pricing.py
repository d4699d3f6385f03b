"""A second computation of prices: from plans, subscriptions and measured usage to a document's lines and totals.

Made from the text of semantics.md, sections 3 to 5, by walking days and units. It shares no code with
orchestration/billing, and reads nothing of the project but the catalog's data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from oracle_calendar import Part, parts, prices_on, stays
from oracle_documents import document, minor, rounded
from oracle_units import AMOUNT, UNIT, WALKS, Piece, Prices, total, units
from price_case import METERS, Answer, Case, Row, Use

from orchestration.catalog.charges import Charge, Conversion


def answer(case: Case) -> Answer:
    """The document of the cut-off."""
    return document(case, sorted(due_rows(case), key=_order))


def _order(row: Row) -> tuple[bool, date, date, str]:
    """By period and segment; adjustments last."""
    return row.kind == "adjustment", row.period_start, row.start, row.charge


def due_rows(case: Case) -> list[Row]:
    """Every line that is due at the cut-off, and the adjustments."""
    rows = all_rows(case)
    rows += extra_rows(case, rows)
    return [row for row in rows if _is_due(row, case.cut_off)] + _adjustments(case)


def extra_rows(case: Case, rows: Sequence[Row]) -> list[Row]:
    """What plans add to the lines of charges: caps and true-ups."""
    return _caps(case, rows) + _true_ups(case, rows)


def _is_due(row: Row, cut_off: date) -> bool:
    if row.advance:
        return row.start <= cut_off
    return row.period_end <= cut_off


def all_rows(case: Case) -> list[Row]:
    """The lines of charges, of every segment."""
    rows: list[Row] = []
    by_interval: dict[tuple[str | None, int | None], list[Part]] = {}
    charges: dict[tuple[str, str], Charge] = {}
    for plan in {phase.plan for phase in case.phases}:
        for version in case.plans[plan].versions:
            charges |= {(plan, charge.key): charge for charge in version.charges}
    for (plan_key, key), some in sorted(charges.items()):
        wanted = (some.interval, some.every)
        if wanted not in by_interval:
            by_interval[wanted] = parts(case, some)
        for part in by_interval[wanted]:
            mine = [charge for charge in part.version.charges if charge.key == key]
            if part.plan.key == plan_key and mine:
                rows.append(line(case, part, mine[0]))
    return rows


def line(case: Case, part: Part, charge: Charge) -> Row:
    """Steps 1 to 3: quantity, gross, discount, excess and top-up."""
    prices = _prices(case, part, charge)
    share = part.share(charge.days == 30) if charge.prorated else Fraction(1)
    pieces, quantity = priced_pieces(case, part, charge)
    exact = gross_exact(charge, prices, pieces, part, share)
    gross = 0 if part.trial else rounded(minor(exact, case.currency), case.half_even)
    discount = rounded(Fraction(gross) * Fraction(charge.discount_percent) / 100, case.half_even)
    net = gross - discount
    excess, top_up = 0, 0
    if charge.maximum is not None and not part.trial:
        above = net - minor(charge.maximum, case.currency) * share
        excess = rounded(above, case.half_even) if above > 0 else 0
    if charge.minimum is not None and not part.trial:
        below = minor(charge.minimum, case.currency) * share - (net - excess)
        top_up = rounded(below, case.half_even) if below > 0 else 0
    return Row(
        charge=charge.key,
        kind="fee" if charge.model == "flat" else "usage",
        plan=part.plan.key,
        period_start=part.period_start,
        period_end=part.period_end,
        start=part.start,
        end=part.end,
        quantity=quantity,
        gross=gross,
        discount=discount,
        excess=excess,
        top_up=top_up,
        trial=part.trial,
        advance=charge.due == "advance",
        tax_category=charge.tax_category,
    )


def _prices(case: Case, part: Part, charge: Charge) -> Prices:
    if len(part.plan.versions) == 1 and not case.overrides:
        return lambda day: charge
    return lru_cache(lambda day: prices_on(case, part, charge.key, day))


def gross_exact(charge: Charge, prices: Prices, pieces: Sequence[Piece], part: Part, share: Fraction) -> Fraction:
    """The model's amount, of marks and fees only the share of the period."""
    if charge.model == "flat":
        return Fraction(prices(part.start).amount or Decimal(0)) * share
    if not pieces and charge.model != "percentage":
        pieces = [Piece(part.start, 0)]
    amount = Fraction(WALKS[charge.model](prices, pieces), AMOUNT)
    return amount * share if is_mark(charge) else amount


def is_mark(charge: Charge) -> bool:
    return charge.meter is not None and METERS[charge.meter].aggregation == "max"


def priced_pieces(case: Case, part: Part, charge: Charge) -> tuple[list[Piece], Fraction]:
    """What the prices are for, in the order of use, and the quantity that the line shows."""
    if charge.model == "flat":
        return [], Fraction(1)
    uses = measured(case, part, charge)
    pieces = [Piece(use.day, units(use.quantity), use.cell) for use in uses]
    if charge.convert is not None:
        pieces = converted(pieces, charge.convert)
    if charge.included and not part.trial:
        pieces = less_included(pieces, included(charge, part))
    return pieces, Fraction(total(pieces), UNIT)


def measured(case: Case, part: Part, charge: Charge) -> list[Use]:
    """The usage of a segment in order: by hour, then cell, then as it came; of a mark the one that set it."""
    uses = [use for use in case.uses if use.meter == charge.meter and part.start <= use.day < part.end]
    if is_mark(charge):
        # Of equals the earliest.
        return sorted(uses, key=lambda use: (-use.quantity, use.day))[:1]
    return sorted(uses, key=lambda use: (use.day, use.hour, use.cell))


def running(pieces: Iterable[Piece], function: Callable[[int], int]) -> list[Piece]:
    """Of each piece what it adds to a function of the running total: so they sum to the function of the total."""
    found: list[Piece] = []
    so_far = 0
    for piece in pieces:
        before, so_far = so_far, so_far + piece.quantity
        found.append(Piece(piece.day, function(so_far) - function(before), piece.cell))
    return found


def converted(pieces: Sequence[Piece], conversion: Conversion) -> list[Piece]:
    by = Fraction(conversion.divide_by)

    def function(quantity: int) -> int:
        exact = Fraction(quantity) / by
        if conversion.rounding == "none":
            return rounded(exact, False)
        whole = exact / UNIT
        below = abs(whole.numerator) // whole.denominator
        sign = 1 if whole > 0 else -1
        match conversion.rounding:
            case "down":
                return sign * below * UNIT
            case "up":
                return sign * (below + (abs(whole) > below)) * UNIT
            case mode:
                return rounded(whole, mode == "half_even") * UNIT

    return running(pieces, function)


def included(charge: Charge, part: Part) -> Fraction:
    """In billionths of a unit: for what adds up over days only the share of the segment."""
    whole = Fraction(units(charge.included))
    adds_up = charge.meter is not None and METERS[charge.meter].aggregation in ("count", "sum")
    return whole * part.share(charge.days == 30) if adds_up else whole


def less_included(pieces: Sequence[Piece], free: Fraction) -> list[Piece]:
    """The first units are free; what is left is rounded once, and never below 0."""
    if total(pieces) < 0:
        return list(pieces)
    return running(pieces, lambda quantity: rounded(max(Fraction(0), quantity - free), False))


def _caps(case: Case, rows: Sequence[Row]) -> list[Row]:
    """Of each plan and period: one line of what its lines are above the cap."""
    found: list[Row] = []
    periods: dict[tuple[str, date], list[Part]] = {}
    for part in parts(case):
        periods.setdefault((part.plan.key, part.period_start), []).append(part)
    for (plan, _), of_period in periods.items():
        first, last = of_period[0], of_period[-1]
        if last.version.cap is None:
            continue
        above = _sum(rows, plan, first.period_start, first.period_end) - minor(last.version.cap, case.currency)
        if above > 0:
            found.append(_extra("cap", last, first.start, -rounded(above, case.half_even), "standard"))
    return found


def _sum(rows: Sequence[Row], plan: str, start: date, end: date) -> int:
    return sum(row.amount for row in rows if row.plan == plan and start <= row.start and row.end <= end)


def _true_ups(case: Case, rows: Sequence[Row]) -> list[Row]:
    found: list[Row] = []
    for part in parts(case, commitment=True):
        terms = part.version.commitment
        if terms is None or part.trial:
            continue
        committed = minor(terms.amount, case.currency) * part.share()
        missing = rounded(committed - _sum(rows, part.plan.key, part.start, part.end), case.half_even)
        if missing > 0:
            found.append(_extra("true_up", part, part.start, missing, terms.tax_category, _end_due(case, part)))
    return found


def _end_due(case: Case, part: Part) -> date:
    """A true-up stands at the end of the commitment's period, or of the subscription where that comes first."""
    last = stays(case)[-1].end
    return part.period_end if last is None else min(part.period_end, last)


def _extra(kind: str, part: Part, start: date, amount: int, category: str, due: date | None = None) -> Row:
    return Row(
        charge=kind,
        kind=kind,
        plan=part.plan.key,
        period_start=part.period_start,
        period_end=due or part.period_end,
        start=start,
        end=part.end,
        quantity=Fraction(1),
        gross=amount,
        discount=0,
        excess=0,
        top_up=0,
        tax_category=category,
    )


def _adjustments(case: Case) -> list[Row]:
    """Those of a day before the cut-off."""
    found = []
    for row in case.adjustments:
        if row.currency == case.currency and row.day < case.cut_off:
            day, amount = row.day, rounded(minor(row.amount, case.currency), case.half_even)
            after = day + timedelta(days=1)
            found.append(Row(
                row.id, "adjustment", "", day, after, day, after, Fraction(1), amount, 0, 0, 0, False, False,
                row.tax_category,
            ))  # fmt: skip
    return found
