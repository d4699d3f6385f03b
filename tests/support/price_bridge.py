"""The program's own answer to a case of pricing, in the form of the second computation's, and where the two differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from fractions import Fraction

from oracle_pricing import all_rows
from price_case import METERS, Case, Row, Use

from orchestration.billing.charges import MODELS, Slice
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import ChargeTerms, Segment, charge_prices, segments
from orchestration.catalog.charges import Charge
from orchestration.money import Money

SAME = ("plan", "charge", "period_start", "period_end", "start", "end", "quantity", "gross", "trial")
"""What of a line has to be the same in both computations."""


def known(case: Case) -> bool:
    """Whether the program can price all of the case."""
    plans = [case.plans[phase.plan] for phase in case.phases]
    versions = [version for plan in plans for version in plan.versions]
    if case.half_even or any(plan.trial_days for plan in plans) or any(phase.trial_end for phase in case.phases):
        return False
    return not any(version.at_once for version in versions) and all(
        priceable(charge) for version in versions for charge in version.charges
    )


def priceable(charge: Charge) -> bool:
    """Whether the program knows all that the charge asks for."""
    later = charge.included or charge.days or any(tier.block for tier in charge.tiers)
    return charge.model in MODELS and not later


def program_rows(case: Case) -> list[Row]:
    """The lines of charges that the program makes, of every segment that has begun by the cut-off."""
    return [_row(line) for line in program_lines(case)]


def program_lines(case: Case) -> list[Line]:
    found: list[Line] = []
    for segment in segments(case.phases, case.plans, case.cut_off):
        for terms in charge_prices(case.plans[segment.plan], segment):
            meter = METERS[terms.charge.meter] if terms.charge.meter is not None else None
            found.append(rate(terms, segment, slices_of(case, segment, terms), meter))
    return found


def slices_of(case: Case, segment: Segment, terms: ChargeTerms) -> list[Slice]:
    """What the warehouse hands over for a line."""
    charge = terms.charge
    uses = [use for use in case.uses if use.meter == charge.meter and segment.start <= use.day < segment.end]
    if charge.meter is not None and METERS[charge.meter].aggregation == "max":
        uses = sorted(uses, key=lambda use: -use.quantity)[:1]
    return [_slice(use) for use in uses]


def _slice(use: Use) -> Slice:
    if not use.cell:
        return Slice(use.day, use.quantity)
    hours = (use.day - date(1970, 1, 1)) // timedelta(hours=1) + use.hour
    return Slice(use.day, use.quantity, cell=use.cell, hour_us=hours * 3_600_000_000)


def _row(line: Line) -> Row:
    return Row(
        charge=line.charge,
        kind="fee" if line.meter is None else "usage",
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
        advance=line.due == "advance",
        tax_category=line.tax_category,
    )


def _minor(amount: Money | None) -> int:
    return 0 if amount is None else amount.minor


def differences(case: Case) -> list[str]:
    """Each thing that the two computations say differently of a case."""
    expected = [row for row in all_rows(case) if row.start <= case.cut_off]
    return list(_rows_differ(expected, program_rows(case)))


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
