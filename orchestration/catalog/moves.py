"""Customers who move: rows of customers.csv that hold from a day on, and the zone and seller that follow from them.

Name, address and terms hold from the row's day. Zone and seller change at the next billing period's beginning, so that
no period has two of them: that of the customer's first subscription by key that is active on the row's day, or that
day itself where none is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from orchestration.catalog.models import Customer, Subscription
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Plan
from orchestration.errors import Problem
from orchestration.periods import Interval, anchor_of, period_containing


@dataclass(frozen=True, slots=True)
class Since:
    """A row of a customer, the day from which it holds, and the day from which its zone and seller do."""

    row: Customer
    day: date
    boundary: date


def check_rows(customers: Sequence[Customer], places: Places) -> Iterable[Problem]:
    """A customer has one row without a day, and each other row a day of its own."""
    seen: dict[tuple[str, date | None], Customer] = {}
    for row in customers:
        key = row.customer, row.valid_from
        if key in seen:
            message = f"customer '{row.customer}' is also defined at {places.of(seen[key])}"
            yield Problem("duplicate", message, places.of(row))
        seen.setdefault(key, row)
    for row in customers:
        if (row.customer, None) not in seen:
            message = f"customer '{row.customer}' has no row without 'valid_from', which holds from the beginning"
            yield Problem("no_first_row", message, places.of(row))


def histories(
    customers: Iterable[Customer], subscriptions: Iterable[Subscription], plans: Mapping[str, Plan]
) -> dict[str, tuple[Since, ...]]:
    """By customer its rows, ascending; the first holds from the beginning."""
    rows: dict[str, list[Customer]] = defaultdict(list)
    for row in customers:
        rows[row.customer].append(row)
    phases: dict[str, list[Subscription]] = defaultdict(list)
    for phase in sorted(subscriptions, key=lambda s: (s.subscription, s.start)):
        phases[phase.customer].append(phase)
    found = {}
    for key, several in rows.items():
        several.sort(key=lambda row: row.valid_from or date.min)
        days = [row.valid_from or date.min for row in several]
        found[key] = tuple(
            Since(row, day, day if day == date.min else _boundary(phases[key], plans, day))
            for row, day in zip(several, days, strict=True)
        )
    return found


def as_known(history: Sequence[Since]) -> Customer:
    """The last row, with the history of zones as its zone and no day."""
    zone = history[0].row.zone
    current = zone
    for since in history[1:]:
        if since.row.zone != current:
            current = since.row.zone
            zone = f"{zone} {since.boundary} {current}"
    return history[-1].row.model_copy(update={"zone": zone, "valid_from": None})


def row_on(history: Sequence[Since], day: date) -> Customer:
    """The row that holds on a day: who the customer is then."""
    return next(since.row for since in reversed(history) if since.day <= day)


def entity_on(history: Sequence[Since], day: date) -> str:
    """Who sells to the customer in the period that begins on a day."""
    return next(since.row.entity for since in reversed(history) if since.boundary <= day)


def _boundary(phases: Sequence[Subscription], plans: Mapping[str, Plan], day: date) -> date:
    """The first day on or after `day` on which a period begins."""
    active = [p for p in phases if p.start <= day and (p.end is None or day < p.end)]
    if not active:
        return day
    key = active[0].subscription
    anchored = [p for p in phases if p.subscription == key and p.start <= day]
    begins = next((p for p in reversed(anchored) if p.restart), anchored[0])
    plan = plans[active[0].plan]
    interval = Interval(plan.interval, plan.every)
    start, end = period_containing(anchor_of(plans[begins.plan].anchor, interval, begins.start), interval, day)
    return day if start == day else end
