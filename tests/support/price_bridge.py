"""The program's own answer to a case of pricing, in the form of the second computation's, and where the two differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from fractions import Fraction

from oracle_pricing import all_rows, answer, extra_rows
from price_case import COUNTRY, DECIMALS, ENTITY, METERS, Answer, Case, Row, Use

from orchestration.billing.adjustments import adjustment_lines
from orchestration.billing.charges import Slice
from orchestration.billing.commitments import plan_lines
from orchestration.billing.credits import Used
from orchestration.billing.due import due_lines, grouped
from orchestration.billing.per_event import sliced
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import (
    ChargeTerms,
    Segment,
    charge_prices,
    charge_segments,
    charge_terms,
    segments,
)
from orchestration.billing.statements import Agreed, Statement, paid, statements
from orchestration.billing.taxes import Buyer, TaxTotal
from orchestration.money import CURRENCIES, Money, Rounding

SAME = (
    "plan",
    "kind",
    "period_start",
    "period_end",
    "start",
    "end",
    "quantity",
    "gross",
    "discount",
    "excess",
    "top_up",
    "amount",
    "trial",
    "advance",
    "tax_category",
)
"""What of a line has to be the same in both computations."""
TOTALS = ("subtotal", "reductions", "taxes", "total", "prepaid", "due", "left")


def program_lines(case: Case) -> list[Line]:
    """All lines that the program makes of charges and plans, of every segment that has begun by the cut-off."""
    parts = segments(case.phases, case.plans, case.cut_off)
    lines: list[Line] = []
    for part in parts:
        plan = case.plans[part.plan]
        for terms in charge_prices(plan, part, case.overrides):
            for own in charge_segments(part, terms.charge, case.cut_off):
                if own is part:
                    lines.append(_rated(case, own, terms))
                else:
                    lines.append(_rated(case, own, charge_terms(plan, own, terms.charge.key, case.overrides)))
    ends = [phase.end for phase in case.phases]
    end = None if None in ends else max(day for day in ends if day is not None)
    return lines + plan_lines(case.plans, parts, lines, end, lambda _: rounding_of(case))


def rounding_of(case: Case) -> Rounding:
    return "half_even" if case.half_even else "half_away"


def _rated(case: Case, segment: Segment, terms: ChargeTerms) -> Line:
    meter = METERS[terms.charge.meter] if terms.charge.meter is not None else None
    return rate(terms, segment, slices_of(case, segment, terms), meter, rounding=rounding_of(case))


def slices_of(case: Case, segment: Segment, terms: ChargeTerms) -> list[Slice]:
    """What the warehouse hands over for a line."""
    charge = terms.charge
    uses = [use for use in case.uses if use.meter == charge.meter and segment.start <= use.day < segment.end]
    if charge.model == "percentage":
        return sliced(terms, [(use.day, use.quantity) for use in sorted(uses, key=lambda use: (use.day, use.hour))])
    if charge.meter is not None and METERS[charge.meter].aggregation == "max":
        uses = sorted(uses, key=lambda use: (-use.quantity, use.day))[:1]
    return [_slice(use) for use in uses]


def _slice(use: Use) -> Slice:
    if not use.cell:
        return Slice(use.day, use.quantity)
    hours = (use.day - date(1970, 1, 1)) // timedelta(hours=1) + use.hour
    return Slice(use.day, use.quantity, cell=use.cell, hour_us=hours * 3_600_000_000)


def row_of(line: Line) -> Row:
    return Row(
        charge=line.charge,
        kind=line.kind,
        plan=line.plan,
        period_start=line.period_start,
        period_end=line.period_end,
        start=line.start,
        end=line.end,
        quantity=Fraction(line.quantity),
        gross=_minor(line.gross if line.gross is not None else line.amount),
        discount=_minor(line.discount),
        excess=_minor(line.excess),
        top_up=_minor(line.top_up),
        trial=line.trial,
        advance=line.due == "advance" and line.kind != "adjustment",
        tax_category=line.tax_category,
    )


def _minor(amount: Money | None) -> int:
    return 0 if amount is None else amount.minor


def statement_of(case: Case, lines: Sequence[Line]) -> Statement | None:
    """The document of the cut-off; None where no line is due."""
    due = due_lines([*lines, *adjustment_lines(case.adjustments)], {}, case.cut_off)
    groups = grouped(due, lambda *_: ENTITY)
    if not groups:
        return None
    (group,) = groups
    buyer = Buyer(ENTITY, COUNTRY, case.rates, case.exemptions)
    agreed = Agreed(buyer, case.coupons, case.grants, rounding=rounding_of(case))
    (statement,) = statements(group, agreed, Used(), case.cut_off)
    return paid(statement, agreed, Used(), case.cut_off)


def program_answer(case: Case, lines: Sequence[Line] | None = None) -> Answer | None:
    """The document in the form of the second computation's answer."""
    found = statement_of(case, program_lines(case) if lines is None else lines)
    if found is None:
        return None
    return Answer(
        rows=tuple(row_of(stated.due.line) for stated in found.stated),
        subtotal=found.subtotal.minor,
        reductions={use.id: use.amount.minor for use in found.uses if use.amount.minor},
        taxes={(tax.category, _tax_name(tax)): tax.amount.minor for tax in found.taxes},
        total=found.total.minor,
        prepaid={use.id: use.amount.minor for use in found.payments if use.amount.minor},
        due=found.amount_due.minor,
        left=tuple(stated.net.minor for stated in found.stated),
    )


def _tax_name(tax: TaxTotal) -> str:
    return f"exempt: {tax.exemption}" if tax.exemption else f"{tax.name} {tax.percent.normalize():f}"


assert all(CURRENCIES[code] == decimals for code, decimals in DECIMALS.items())


def expected_of(case: Case) -> tuple[list[Row], Answer]:
    """What the second computation says: all lines that have begun, and the document."""
    rows = all_rows(case)
    return [row for row in rows + extra_rows(case, rows) if _begun(row, case)], answer(case)


def _begun(row: Row, case: Case) -> bool:
    """Lines of charges that have begun by the cut-off, and those of plans whose period has ended by it."""
    return row.start <= case.cut_off if row.kind in ("fee", "usage") else row.period_end <= case.cut_off


def differences(case: Case, expected: tuple[list[Row], Answer] | None = None) -> list[str]:
    """Each thing that the two computations say differently of a case."""
    rows, document = expected or expected_of(case)
    lines = program_lines(case)
    made = [row for line in lines if _begun(row := row_of(line), case)]
    found = list(_rows_differ(rows, made))
    theirs = program_answer(case, lines)
    if theirs is None:
        return found + (["no document"] if document.rows else [])
    found += _rows_differ(document.rows, theirs.rows)
    for name in TOTALS:
        want, have = getattr(document, name), getattr(theirs, name)
        if want != have:
            found.append(f"{name} is {have}, not {want}")
    return found


def _rows_differ(expected: Sequence[Row], found: Sequence[Row]) -> Iterator[str]:
    ours, theirs = {row.key: row for row in expected}, {row.key: row for row in found}
    if len(theirs) != len(found):
        yield "a line stands twice"
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in theirs or key not in ours:
            yield f"{key}: {'no such line' if key not in theirs else 'a line too many'}"
            continue
        for name in SAME:
            want, have = getattr(ours[key], name), getattr(theirs[key], name)
            if want != have:
                yield f"{key}: {name} is {have}, not {want}"
