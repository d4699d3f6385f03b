"""What a plan says of the sum of its lines: the cap of a period, and the commitment that is topped up to.

Both come after every charge has been rounded, reduced and topped up by itself, and before anything that concerns whole
documents: coupons, credits, adjustments, tax and corrections of other periods don't count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, Literal

from orchestration.billing.rating import Line
from orchestration.billing.segments import Segment
from orchestration.catalog.plans import Commitment, Plan, PlanVersion
from orchestration.catalog.pricecheck import commitment_interval
from orchestration.catalog.versions import version_on
from orchestration.money import Money, Rounding, decimal_text
from orchestration.periods import periods

CAP: Final = "cap"
TRUE_UP: Final = "true_up"
_NAMES = {CAP: "Spend cap", TRUE_UP: "Minimum commitment"}


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a cap or a commitment is held against: days [start, end) of a plan, in a period of its own."""

    first: Segment
    period_start: date
    period_end: date
    start: date
    end: date

    @property
    def proration(self) -> Fraction:
        return Fraction((self.end - self.start).days, (self.period_end - self.period_start).days)


def plan_lines(
    plans: Mapping[str, Plan],
    parts: Sequence[Segment],
    lines: Sequence[Line],
    end: date | None,
    rounding: Callable[[date], Rounding] = lambda _: "half_away",
) -> list[Line]:
    """The lines that the plans of one subscription add to those of its charges, by start: caps, then true-ups.

    `parts` are its segments, ascending, `lines` all lines of its charges in them, and `end` is the first day after the
    subscription, None for one without. `rounding` is that of the money of who sells in the period that begins on a
    day. Raises ValueError for a line outside every segment.
    """
    if not any(
        v.cap is not None or v.commitment is not None for key in {p.plan for p in parts} for v in plans[key].versions
    ):
        return []
    by_part = _by_part(parts, lines)
    caps = [line for scope, of_scope in _capped(plans, parts, by_part) for line in _cap(plans, scope, of_scope)]
    known = [*lines, *caps]
    return caps + [
        line
        for commitment, scope in _committed(plans, parts)
        for line in _true_up(
            commitment, scope, [line for line in known if _counts(line, scope)], end, rounding(scope.period_start)
        )
    ]


def _by_part(parts: Sequence[Segment], lines: Sequence[Line]) -> list[list[Line]]:
    starts = [part.start for part in parts]
    found: list[list[Line]] = [[] for _ in parts]
    for line in lines:
        index = bisect_right(starts, line.start) - 1
        if index < 0 or line.end > parts[index].end or line.plan != parts[index].plan:
            raise ValueError(f"{line.key} lies in no segment of its subscription")
        found[index].append(line)
    return found


def _version(plans: Mapping[str, Plan], part: Segment) -> PlanVersion:
    """The version whose structure is in force in a segment."""
    version = version_on(plans[part.plan], part.version or part.start)
    if version is None:
        raise ValueError(f"plan '{part.plan}' has no version in force on {part.start}")
    return version


def _capped(
    plans: Mapping[str, Plan], parts: Sequence[Segment], by_part: Sequence[Sequence[Line]]
) -> Iterator[tuple[_Scope, list[Line]]]:
    """Each period of a plan, which may have a cap, from its first day to its last, pauses and trials included, with its
    lines.

    A version that cuts the period as a change of plan does has a cap of its own.
    """
    found: dict[tuple[str, date, date, date], list[int]] = {}
    for index, part in enumerate(parts):
        key = (part.plan, part.period_start, part.period_end, _version(plans, part).effective)
        found.setdefault(key, []).append(index)
    for (_, start, end, _), of_period in found.items():
        first, last = parts[of_period[0]], parts[of_period[-1]]
        scope = _Scope(first, start, end, first.start, last.end)
        yield scope, [line for index in of_period for line in by_part[index]]


def _cap(plans: Mapping[str, Plan], scope: _Scope, lines: Sequence[Line]) -> Iterator[Line]:
    """The excess over the cap, below 0. A cap isn't prorated: it limits what a period costs, however short."""
    cap = _version(plans, scope.first).cap
    total = _sum(lines, scope.first.currency)
    if cap is None or total <= Money.of(cap, total.currency):
        return
    amount = Money.of(cap, total.currency) - total
    formula = {"model": CAP, "cap": decimal_text(cap), "lines": total.text, "proration": "1"}
    formula["exact"] = decimal_text(amount.amount)
    yield _line(CAP, scope, scope.period_end, amount, formula, lines[0].tax_category)


def _committed(plans: Mapping[str, Plan], parts: Sequence[Segment]) -> Iterator[tuple[Commitment, _Scope]]:
    """Each commitment by its own periods, cut to the days that one plan was held for: a trial's days aren't."""
    runs: list[tuple[Commitment, list[Segment]]] = []
    for before, part in pairwise([None, *parts]):
        commitment = None if part is None or part.trial else _version(plans, part).commitment
        if part is None or commitment is None:
            continue
        if before is not None and not before.trial and runs and _goes_on(plans, before, part):
            runs[-1][1].append(part)
        else:
            runs.append((commitment, [part]))
    for commitment, run in runs:
        first, end = run[0], run[-1].end
        anchor, last_day = first.anchor or first.period_start, end - timedelta(days=1)
        interval = commitment_interval(plans[first.plan], commitment)
        for period_start, period_end in periods(anchor, interval, first.start, last_day):
            days = max(period_start, first.start), min(period_end, end)
            yield commitment, _Scope(first, period_start, period_end, *days)


def _goes_on(plans: Mapping[str, Plan], before: Segment, part: Segment) -> bool:
    """Whether a plan is held on as it was: the next period of it, not a pause, a change, a restart or a cut."""
    same = (before.plan, before.end, before.anchor) == (part.plan, part.start, part.anchor)
    cut = part.start > part.period_start and before.version != part.version
    return same and not cut and _version(plans, before).commitment == _version(plans, part).commitment


def _counts(line: Line, scope: _Scope) -> bool:
    """Whether a line of the subscription is one of the plan's in the scope; a cap's may begin with a trial."""
    if line.kind == CAP:
        return scope.start < line.end <= scope.end and line.plan == scope.first.plan
    return scope.start <= line.start < scope.end


def _true_up(
    commitment: Commitment, scope: _Scope, lines: Sequence[Line], end: date | None, rounding: Rounding
) -> Iterator[Line]:
    """What the lines lack of the commitment for the days of its scope; due when its period or the subscription ends."""
    total = _sum(lines, scope.first.currency)
    exact = Fraction(commitment.amount) * scope.proration - Fraction(total.amount)
    amount = Money.of(exact, total.currency, rounding)
    if amount <= Money.zero(total.currency):
        return
    formula = {
        "model": "commitment",
        "commitment": decimal_text(commitment.amount),
        "period": [scope.period_start.isoformat(), scope.period_end.isoformat()],
        "lines": total.text,
        "proration": decimal_text(scope.proration),
    }
    due = scope.period_end if end is None else min(scope.period_end, end)
    yield _line(TRUE_UP, scope, due, amount, formula | {"exact": decimal_text(exact)}, commitment.tax_category)


def _sum(lines: Sequence[Line], currency: str) -> Money:
    return sum((line.amount for line in lines), Money.zero(currency))


def _line(
    kind: Literal["cap", "true_up"],
    scope: _Scope,
    period_end: date,
    amount: Money,
    formula: dict[str, Any],
    tax_category: str,
) -> Line:
    part = scope.first
    zero = Money.zero(part.currency)
    return Line(
        subscription=part.subscription,
        customer=part.customer,
        plan=part.plan,
        charge=kind,
        name=_NAMES[kind],
        meter=None,
        due="arrears",
        currency=part.currency,
        period_start=scope.period_start,
        period_end=period_end,
        start=scope.start,
        end=scope.end,
        measured=Decimal(1),
        quantity=Decimal(1),
        unit="period",
        amount=amount,
        formula=formula | {"details": []},
        kind=kind,
        tax_category=tax_category,
        gross=amount,
        discount=zero,
        excess=zero,
        top_up=zero,
    )
