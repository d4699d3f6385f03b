"""Spans: the days of a subscription, cut wherever what prices them is another.

All days are local to the customer and half-open. The cuts are put on one line (periods, stays, trial, versions), and
what lies between two of them is asked what it is on its first day.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

from orchestration.catalog.charges import Charge
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan, PlanVersion
from orchestration.catalog.versions import structure

ONE_DAY = timedelta(days=1)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Span:
    """Days [start, end) of a period on one plan. `version` is the one whose structure is in force; periods are counted
    from `anchor`. What lies in a trial costs nothing."""

    subscription: str
    customer: str
    plan: Plan
    version: PlanVersion
    period_start: date
    period_end: date
    start: date
    end: date
    trial: bool
    anchor: date

    @property
    def currency(self) -> str:
        return self.plan.currency

    @property
    def period_days(self) -> int:
        return (self.period_end - self.period_start).days

    def share(self, charge: Charge) -> tuple[int, int]:
        """(active days, days of the full period), by dates or in months of 30 days; equal if nothing is prorated."""
        if not charge.prorated:
            return self.period_days, self.period_days
        count = _thirty if charge.days else _by_date
        return count(self.start, self.end), count(self.period_start, self.period_end)


def _by_date(start: date, end: date) -> int:
    return (end - start).days


def _thirty(start: date, end: date) -> int:
    """Each month has 30 days: its 31st begins when its 30th does."""
    first, last = ((day.year * 12 + day.month) * 30 + min(day.day, 30) for day in (start, end))
    return last - first


def nth_start(anchor: date, unit: str, every: int, n: int) -> date:
    """The anchor plus n whole intervals, clamped to the month's last day from the anchor itself."""
    if unit in _DAYS:
        return anchor + n * every * _DAYS[unit] * ONE_DAY
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + n * every * _MONTHS[unit], 12)
    after = date(year + month // 11, (month + 1) % 12 + 1, 1)
    return min(date(year, month + 1, 1) + (anchor.day - 1) * ONE_DAY, after - ONE_DAY)


def periods_over(anchor: date, unit: str, every: int, first: date, last: date) -> list[tuple[date, date]]:
    """The periods from the one that holds the day `first` to the one that holds `last`."""
    if last < first:
        return []
    longest = every * (_DAYS[unit] if unit in _DAYS else 31 * _MONTHS[unit])
    n = (first - anchor).days // longest if first >= anchor else 0
    while nth_start(anchor, unit, every, n) > first:
        n -= 1
    starts = [nth_start(anchor, unit, every, n)]
    while starts[-1] <= last:
        n += 1
        starts.append(nth_start(anchor, unit, every, n))
    return [(start, end) for start, end in pairwise(starts) if end > first]


@dataclass(frozen=True, slots=True)
class _Stay:
    """Rows of a subscription that follow one another on one plan."""

    row: Subscription
    plan: Plan
    anchor: date
    trial_end: date


def spans(rows: Sequence[Subscription], plans: Mapping[str, Plan], through: date) -> list[Span]:
    """The spans of one subscription that have begun by the day `through`, ascending; `rows` in any order.

    Raises ValueError where a plan has no version in force.
    """
    found: list[Span] = []
    for stay in _stays(rows, plans):
        plan, end = stay.plan, stay.row.end or date.max
        last_day = min(through, end - ONE_DAY)
        for period in periods_over(stay.anchor, plan.interval, plan.every, stay.row.start, last_day):
            found += _cut(stay, period, max(period[0], stay.row.start), min(period[1], end))
    return [span for span in found if span.start <= through]


def _cut(stay: _Stay, period: tuple[date, date], first: date, last: date) -> Iterator[Span]:
    chosen = _structures(stay.plan, first, last)
    cuts = {first, last, *(day for day, _ in chosen), min(max(stay.trial_end, first), last)}
    for start, end in pairwise(sorted(cuts)):
        version = chosen[bisect_right(chosen, start, key=lambda pair: pair[0]) - 1][1]
        yield Span(
            stay.row.subscription,
            stay.row.customer,
            stay.plan,
            version,
            *period,
            start,
            end,
            start < stay.trial_end,
            stay.anchor,
        )


def _structures(plan: Plan, first: date, last: date) -> list[tuple[date, PlanVersion]]:
    """The version that a plan has on a stay's first day of a period, and those that change more than prices at once."""
    ordered = sorted(plan.versions, key=lambda version: version.effective)
    earlier = [version for version in ordered if version.effective <= first]
    if not earlier:
        raise ValueError(f"plan '{plan.key}' has no version in force on {first}")
    chosen = [(first, earlier[-1])]
    for version in ordered[len(earlier) :]:
        other = version.effective < last and structure(version) != structure(chosen[-1][1])
        if other and version.at_once:
            chosen.append((version.effective, version))
    return chosen


def _stays(rows: Sequence[Subscription], plans: Mapping[str, Plan]) -> Iterator[_Stay]:
    counted: Subscription | None = None
    for row in _joined(sorted(rows, key=lambda row: row.start)):
        plan = plans[row.plan]
        trial_end = row.trial_end or row.start + (0 if counted else plan.trial_days) * ONE_DAY
        counted = row if counted is None or row.restart else counted
        yield _Stay(row, plan, _anchor(plans[counted.plan], plan.interval, counted.start), trial_end)


def _joined(rows: Sequence[Subscription]) -> list[Subscription]:
    """Where a row goes on with the plan of the one before, nothing begins."""
    found: list[Subscription] = []
    for row in rows:
        last = found[-1] if found else None
        goes_on = last is not None and (last.end, last.plan, last.customer) == (row.start, row.plan, row.customer)
        if last is not None and goes_on and not row.restart and row.trial_end is None:
            found[-1] = last.model_copy(update={"end": row.end})
        else:
            found.append(row)
    return found


def _anchor(counted: Plan, unit: str, start: date) -> date:
    """Where periods are counted from: a stated day, the first day of a phase, or the calendar's (Monday for weeks)."""
    if isinstance(counted.anchor, date):
        return counted.anchor
    return start if counted.anchor == "subscription" else date(2000, 1, 3 if unit == "week" else 1)


def own_spans(span: Span, charge: Charge, through: date) -> list[Span]:
    """The span, or its parts by the charge's own interval that have begun by a day."""
    if charge.interval is None:
        return [span]
    last = min(through, span.end - ONE_DAY)
    return [
        replace(span, period_start=start, period_end=end, start=max(start, span.start), end=min(end, span.end))
        for start, end in periods_over(span.anchor, charge.interval, charge.every or 1, span.start, last)
    ]
