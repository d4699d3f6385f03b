"""What plans add to the lines of their charges: the excess over a cap, and what is missing of a commitment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise

from orchestration.audit.pricing.lines import Bounds, Key, Line
from orchestration.audit.pricing.numbers import amount_text, minor_units, of_minor
from orchestration.audit.pricing.spans import ONE_DAY, Span, periods_over
from orchestration.money import decimal_text

CAP, TRUE_UP = "cap", "true_up"
MADE_BY_PLANS = (CAP, TRUE_UP)


@dataclass(frozen=True, slots=True)
class _Held:
    """Days [start, end) of a plan in a period of its own, against which an amount is held."""

    first: Span
    period_start: date
    period_end: date
    start: date
    end: date


def plan_lines(spans: Sequence[Span], lines: Sequence[Line], end: date, even: Callable[[date], bool]) -> list[Line]:
    """Caps, then true-ups, of one subscription: `spans` are all of its plans', ascending, `lines` those of its charges.

    `end` is the first day after the subscription, the greatest date without one; `even` says how the seller of the
    period that begins on a day rounds halves.
    """
    caps = list(_caps(spans, lines))
    return caps + [
        line for held in _committed(spans) for line in _true_up(held, [*lines, *caps], end, even(held.period_start))
    ]


def _caps(spans: Sequence[Span], lines: Sequence[Line]) -> Iterator[Line]:
    """Of each plan, period and version with a cap. It isn't prorated, and trials and pauses are in it."""
    periods: dict[tuple[str, date, date, date], list[Span]] = defaultdict(list)
    for span in spans:
        if span.version.cap is not None:
            periods[span.plan.key, span.period_start, span.period_end, span.version.effective].append(span)
    for of_period in periods.values():
        first, cap = of_period[0], of_period[0].version.cap
        own = [line for span in of_period for line in lines if _lies_in(line, span)]
        above = sum(line.amount for line in own) - minor_units(Fraction(cap or 0), first.currency)
        if above > 0:
            held = _Held(first, first.period_start, first.period_end, first.start, of_period[-1].end)
            formula = {"model": CAP, "cap": decimal_text(cap or 0), "proration": "1"}
            exact = of_minor(-above, first.currency)
            yield _line(CAP, "Spend cap", held, held.period_end, -above, exact, own, own[0].tax_category, formula)


def _lies_in(line: Line, span: Span) -> bool:
    return span.start <= line.key.start and line.end <= span.end and line.plan == span.plan.key


def _committed(spans: Sequence[Span]) -> Iterator[_Held]:
    """Each commitment by its own periods, in the days for which one plan goes on with it."""
    runs: list[list[Span]] = []
    for before, span in pairwise([None, *spans]):
        if span is None or span.trial or span.version.commitment is None:
            continue
        if before is not None and runs and runs[-1][-1] is before and _goes_on(before, span):
            runs[-1].append(span)
        else:
            runs.append([span])
    for run in runs:
        first, last_day = run[0], run[-1].end - ONE_DAY
        terms = first.version.commitment
        if terms is None:
            continue
        unit, every = (terms.interval, terms.every) if terms.interval else (first.plan.interval, first.plan.every)
        for start, end in periods_over(first.anchor, unit, every, first.start, last_day):
            yield _Held(first, start, end, max(start, first.start), min(end, last_day + ONE_DAY))


def _goes_on(before: Span, span: Span) -> bool:
    """Not after a pause, a change of plan, a restart, a version at once, or with another commitment."""
    if (before.plan.key, before.end, before.anchor) != (span.plan.key, span.start, span.anchor):
        return False
    in_period = span.start != span.period_start and before.version.effective != span.version.effective
    return not in_period and before.version.commitment == span.version.commitment


def _true_up(held: _Held, lines: Iterable[Line], end: date, even: bool) -> Iterator[Line]:
    """What the lines lack of the share of a commitment; due when its period or the subscription ends."""
    commitment, currency = held.first.version.commitment, held.first.currency
    if commitment is None:
        return
    own = [line for line in lines if _counts(line, held)]
    share = Fraction((held.end - held.start).days, (held.period_end - held.period_start).days)
    exact = Fraction(commitment.amount) * share - of_minor(sum(line.amount for line in own), currency)
    missing = minor_units(exact, currency, even)
    if missing > 0:
        formula = {
            "model": "commitment",
            "commitment": decimal_text(commitment.amount),
            "period": [held.period_start.isoformat(), held.period_end.isoformat()],
            "proration": decimal_text(share),
        }
        due = min(held.period_end, end)
        category = commitment.tax_category
        yield _line(TRUE_UP, "Minimum commitment", held, due, missing, exact, own, category, formula)


def _counts(line: Line, held: _Held) -> bool:
    """A line of the plan in these days; a cap's, which may begin with a trial, where it ends in them."""
    if line.kind == CAP:
        return held.start < line.end <= held.end and line.plan == held.first.plan.key
    return held.start <= line.key.start < held.end


def _line(
    kind: str,
    name: str,
    held: _Held,
    period_end: date,
    amount: int,
    exact: Fraction,
    lines: Sequence[Line],
    tax_category: str,
    formula: Mapping[str, object],
) -> Line:
    span = held.first
    told = amount_text(sum(line.amount for line in lines), span.currency)
    return Line(
        key=Key(span.subscription, kind, held.period_start, held.start, ""),
        kind=kind,
        customer=span.customer,
        plan=span.plan.key,
        name=name,
        meter=None,
        due="arrears",
        currency=span.currency,
        period_end=period_end,
        end=held.end,
        measured=Fraction(1),
        quantity=Fraction(1),
        unit="period",
        bounds=Bounds(amount),
        tax_category=tax_category,
        formula={**formula, "lines": told, "exact": decimal_text(exact), "details": []},
    )
