"""Phases: the rows of one subscription as what it is on, from when, in which periods, by which version of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import attrgetter
from typing import NamedTuple

from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan, PlanVersion
from orchestration.catalog.versions import following, version_on
from orchestration.periods import Interval, anchor_of, periods


@dataclass(frozen=True, slots=True)
class Phase:
    """Days on one plan. Its periods are counted from `anchor`; `trial_end` is the first day after a trial, or its first
    day without one."""

    row: Subscription
    plan: Plan
    anchor: date
    trial_end: date

    @property
    def interval(self) -> Interval:
        return Interval(self.plan.interval, self.plan.every)


class Part(NamedTuple):
    """A phase's days [first, last) of a period, and the versions whose structure is in force, by the day from which:
    the first one's is `first`. Empty where the plan has no version as yet."""

    period_start: date
    period_end: date
    first: date
    last: date
    versions: Mapping[date, PlanVersion]


def phases_of(rows: Sequence[Subscription], plans: Mapping[str, Plan]) -> Iterator[Phase]:
    """The phases of one subscription, ascending; `rows` are those that share its key, in any order.

    Periods are counted as the first phase's plan says, and anew where a phase says `restart`. Raises ValueError for
    rows of several subscriptions or phases that overlap.
    """
    if len({row.subscription for row in rows}) > 1:
        raise ValueError("phases of more than one subscription")
    counted: Subscription | None = None
    for row in _joined(rows):
        plan = plans[row.plan]
        trial_days = plan.trial_days if counted is None else 0
        if counted is None or row.restart:
            counted = row
        anchor = anchor_of(plans[counted.plan].anchor, Interval(plan.interval, plan.every), counted.start)
        yield Phase(row, plan, anchor, row.trial_end or row.start + timedelta(days=trial_days))


def _joined(rows: Sequence[Subscription]) -> Iterator[Subscription]:
    """Rows by start day; those that continue one another on the same plan are one phase, as nothing changes there."""
    current: Subscription | None = None
    for row in sorted(rows, key=attrgetter("start")):
        if current is not None:
            if current.end is None or current.end > row.start:
                raise ValueError(f"subscription '{row.subscription}' has two phases on {row.start}")
            same = (current.plan, current.customer) == (row.plan, row.customer)
            if current.end == row.start and same and not row.restart and row.trial_end is None:
                current = current.model_copy(update={"end": row.end})
                continue
            yield current
        current = row
    if current is not None:
        yield current


def parts_of(phase: Phase, through: date) -> Iterator[Part]:
    """The periods of a phase that have begun by `through`, cut to it, ascending."""
    for period_start, period_end in periods(phase.anchor, phase.interval, phase.row.start, through):
        first = max(period_start, phase.row.start)
        last = period_end if phase.row.end is None else min(period_end, phase.row.end)
        if last <= first:
            return
        version = version_on(phase.plan, first)
        versions = {} if version is None else {first: version}
        if version is not None:
            versions |= {v.effective: v for v, cuts in following(phase.plan, version, last) if cuts}
        yield Part(period_start, period_end, first, last, versions)
