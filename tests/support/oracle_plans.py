"""Which plan prices a meter of a customer on a day, and from which day its billing period runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from oracle_time import period_start

from orchestration.catalog import Catalog
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan

_CALENDAR = {"week": date(2000, 1, 3)}


def plan_of_day(catalog: Catalog, customer: str, meter: str, day: date) -> tuple[str | None, date | None]:
    """(plan, start of its period), of stacked subscriptions the one that isn't; nothing where none prices the meter."""
    for row in sorted(catalog.subscriptions, key=lambda s: (s.stacking, s.subscription, s.start)):
        if row.customer == customer and row.start <= day and (row.end is None or day < row.end):
            plan = catalog.plans[row.plan]
            phases = [s for s in catalog.subscriptions if s.subscription == row.subscription]
            start = _period_start(catalog, phases, plan, day)
            if meter in _meters_priced(plan, max(start, _phase_start(phases, row))):
                return plan.key, start
    return None, None


def _phase_start(phases: Sequence[Subscription], row: Subscription) -> date:
    """The first day of a phase; rows that follow one another on one plan are one phase."""
    for other in phases:
        if other.end == row.start and other.plan == row.plan:
            return _phase_start(phases, other)
    return row.start


def _period_start(catalog: Catalog, phases: Sequence[Subscription], plan: Plan, day: date) -> date:
    """Periods are counted from the calendar, or from the subscription's first day if its first plan says so."""
    first = min(phases, key=lambda s: s.start)
    if catalog.plans[first.plan].anchor == "calendar":
        anchor = _CALENDAR.get(plan.interval, date(2000, 1, 1))
    else:
        anchor = first.start
    return period_start(anchor, plan.interval, plan.every, day)


def _meters_priced(plan: Plan, segment_start: date) -> set[str | None]:
    """By the version in force when the segment starts: a later one that adds a charge waits for the next period."""
    in_force = max((v for v in plan.versions if v.effective <= segment_start), key=lambda v: v.effective)
    return {charge.meter for charge in in_force.charges}
