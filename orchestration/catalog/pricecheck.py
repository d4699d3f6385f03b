"""Checks of plans and of what customers agreed: intervals, caps, commitments, trials, overrides; by file and line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise

from orchestration.catalog.charges import Charge
from orchestration.catalog.models import Customer, Subscription
from orchestration.catalog.overriding import override_faults
from orchestration.catalog.phases import parts_of, phases_of
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Commitment, Plan, PlanVersion
from orchestration.catalog.terms import Override
from orchestration.errors import Problem
from orchestration.money import CURRENCIES
from orchestration.periods import Interval, divides, period_containing

RESERVED = frozenset({"cap", "true_up"})
"""What the lines of caps and commitments are called; no charge can be."""


def price_check(
    plans: Sequence[Plan],
    customers: Sequence[Customer],
    subscriptions: Sequence[Subscription],
    overrides: Sequence[Override],
    places: Places,
) -> list[Problem]:
    """All problems of plans, trials, restarts and overrides that are valid each by itself."""
    by_key = {plan.key: plan for plan in plans}
    return [
        *(problem for plan in plans for problem in _plan(plan, places)),
        *_trials_and_restarts(subscriptions, by_key, places),
        *_overrides(overrides, by_key, {c.customer for c in customers}, subscriptions, places),
        *_overlapping(overrides, places),
    ]


def _plan(plan: Plan, places: Places) -> Iterable[Problem]:
    for index, version in enumerate(plan.versions):
        for number, charge in enumerate(version.charges):
            where = places.of(plan, "versions", index, "charges", number)
            for code, message in (*_interval(plan, charge), *_amounts(plan, charge)):
                yield Problem(code, f"plan '{plan.key}', charge '{charge.key}': {message}", where)
        of_version = places.of(plan, "versions", index)
        for field, code, message in (*_cap(plan, version), *_commitment(plan, version)):
            where = places.of(plan, "versions", index, field)
            yield Problem(code, f"plan '{plan.key}': {message}", where or of_version)


def _length(unit: str, every: int) -> str:
    return unit if every == 1 else f"{every} {unit}s"


def _interval(plan: Plan, charge: Charge) -> Iterable[tuple[str, str]]:
    if charge.key in RESERVED:
        yield "reserved_key", "the lines of caps and commitments are called so; give the charge another key"
    whole = Interval(plan.interval, plan.every)
    own = whole if charge.interval is None else Interval(charge.interval, charge.every or 1)
    if not divides(own, whole):
        message = (
            f"its interval ({_length(own.unit, own.every)}) does not divide the plan's "
            f"({_length(whole.unit, whole.every)}); its periods would lie in two of the plan's"
        )
        yield "interval_divides", message
    if charge.days is not None and own.unit in ("day", "week"):
        yield "days_30", f"'days: 30' counts months of 30 days, a period of {_length(own.unit, own.every)} has none"


def _amounts(plan: Plan, charge: Charge) -> Iterable[tuple[str, str]]:
    for name in ("minimum", "maximum"):
        amount = getattr(charge, name)
        if amount is not None and -int(amount.as_tuple().exponent) > CURRENCIES[plan.currency]:
            yield "too_many_decimals", f"{name} {amount} has more decimals than {plan.currency}"


def _cap(plan: Plan, version: PlanVersion) -> Iterable[tuple[str, str, str]]:
    if version.cap is None:
        return
    if -int(version.cap.as_tuple().exponent) > CURRENCIES[plan.currency]:
        yield "cap", "too_many_decimals", f"the cap {version.cap} has more decimals than {plan.currency}"
    categories = sorted({charge.tax_category for charge in version.charges})
    if len(categories) > 1:
        message = f"a cap is one line of one tax category, its charges have {', '.join(categories)}"
        yield "cap", "cap_categories", message


def _commitment(plan: Plan, version: PlanVersion) -> Iterable[tuple[str, str, str]]:
    commitment = version.commitment
    if commitment is None:
        return
    if -int(commitment.amount.as_tuple().exponent) > CURRENCIES[plan.currency]:
        message = f"the commitment {commitment.amount} has more decimals than {plan.currency}"
        yield "commitment", "too_many_decimals", message
    whole, own = Interval(plan.interval, plan.every), commitment_interval(plan, commitment)
    if not divides(whole, own):
        message = (
            f"the plan's interval ({_length(whole.unit, whole.every)}) does not divide that of the commitment "
            f"({_length(own.unit, own.every)}); its lines would lie in two periods of it"
        )
        yield "commitment", "interval_divides", message
    if version.cap is not None and divides(own, whole) and version.cap < commitment.amount:
        message = f"the cap {version.cap} is below the commitment {commitment.amount}, which could never be reached"
        yield "cap", "cap_below_commitment", message


def commitment_interval(plan: Plan, commitment: Commitment) -> Interval:
    """The commitment's own interval, or the plan's."""
    if commitment.interval is None:
        return Interval(plan.interval, plan.every)
    return Interval(commitment.interval, commitment.every)


def _trials_and_restarts(
    subscriptions: Sequence[Subscription], plans: dict[str, Plan], places: Places
) -> Iterable[Problem]:
    for row in subscriptions:
        if row.trial_end is not None and not row.start < row.trial_end <= (row.end or date.max):
            message = (
                f"subscription '{row.subscription}' has a trial until {row.trial_end}, which is not within its days "
                f"from {row.start} to {row.end or 'no end'}"
            )
            yield Problem("trial_outside", message, places.of(row))
    for key, rows in by_subscription(subscriptions).items():
        if rows[0].restart:
            message = f"subscription '{key}' begins on {rows[0].start}: 'restart' belongs on a later phase"
            yield Problem("restart_nothing", message, places.of(rows[0]))
        for before, after in pairwise(rows):
            a, b = plans.get(before.plan), plans.get(after.plan)
            if after.restart and a and b and b.anchor == a.anchor and b.anchor != "subscription":
                message = (
                    f"subscription '{key}' says 'restart', but plan '{b.key}' counts from '{b.anchor}' as before, so "
                    "nothing begins anew; leave it out, or give the plan 'anchor: subscription'"
                )
                yield Problem("restart_nothing", message, places.of(after))


def _overrides(
    overrides: Sequence[Override],
    plans: dict[str, Plan],
    customers: set[str],
    subscriptions: Sequence[Subscription],
    places: Places,
) -> Iterable[Problem]:
    for row in overrides:
        where, place = places.of(row), f"contract '{row.contract}' of customer '{row.customer}'"
        if row.customer not in customers:
            yield Problem("unknown_customer", f"{place}: unknown customer '{row.customer}'", where)
        if row.end is not None and row.end <= row.start:
            yield Problem("empty_interval", f"{place} ends before it starts", where)
        plan = plans.get(row.plan)
        if plan is None:
            yield Problem("unknown_plan", f"{place}: unknown plan '{row.plan}'", where)
            continue
        if row.charge not in {c.key for v in plan.versions for c in v.charges}:
            known = ", ".join(sorted({c.key for v in plan.versions for c in v.charges}))
            message = f"{place}: plan '{plan.key}' has no charge '{row.charge}' (its charges: {known})"
            yield Problem("unknown_charge", message, where)
        for version in _priced_by(plan, row, plans, [s for s in subscriptions if s.customer == row.customer]):
            for charge in (c for c in version.charges if c.key == row.charge):
                for fault in (*override_faults(charge, row), *_override_decimals(plan, row)):
                    message = f"{place}, charge '{row.charge}' of plan '{plan.key}' as of {version.effective}: {fault}"
                    yield Problem("override_shape", message, where)


def _override_decimals(plan: Plan, row: Override) -> Iterable[str]:
    if row.amount is not None and -int(row.amount.as_tuple().exponent) > CURRENCIES[plan.currency]:
        yield f"fee {row.amount} has more decimals than {plan.currency}"


def _priced_by(
    plan: Plan, row: Override, plans: dict[str, Plan], subscriptions: Sequence[Subscription]
) -> list[PlanVersion]:
    """The versions by whose structure the customer is priced on days of the override.

    One that is effective later may wait for the next period. Who isn't on the plan as yet will begin by any of those
    that are effective on these days.
    """
    latest = max(plan.versions[-1].effective, row.start)
    found: dict[date, PlanVersion] = {}
    for rows in by_subscription(subscriptions).values():
        if any(s.plan not in plans for s in rows) or overlapping(rows):
            continue
        for phase in phases_of(rows, plans):
            if phase.plan is not plan:
                continue
            _, through = period_containing(phase.anchor, phase.interval, max(latest, phase.row.start))
            for part in parts_of(phase, through):
                days = sorted(part.versions)
                for day, until in zip(days, [*days[1:], part.last], strict=True):
                    if day < (row.end or date.max) and row.start < until:
                        found[part.versions[day].effective] = part.versions[day]
    if not found:
        effective = [v for v in plan.versions if v.effective < (row.end or date.max)]
        after = [v for v in effective if v.effective > row.start]
        found = {v.effective: v for v in (*effective[: len(effective) - len(after)][-1:], *after)}
    return [found[day] for day in sorted(found)]


def by_subscription(subscriptions: Sequence[Subscription]) -> dict[str, list[Subscription]]:
    """The rows of each subscription, ascending."""
    found: dict[str, list[Subscription]] = defaultdict(list)
    for row in sorted(subscriptions, key=lambda row: row.start):
        found[row.subscription].append(row)
    return found


def overlapping(rows: Sequence[Subscription]) -> bool:
    """Whether a day belongs to two of the rows, which are ascending."""
    return any(before.end is None or before.end > after.start for before, after in pairwise(rows))


def _overlapping(overrides: Sequence[Override], places: Places) -> Iterable[Problem]:
    by_charge: dict[tuple[str, str, str], list[Override]] = defaultdict(list)
    for row in overrides:
        for other in by_charge[row.customer, row.plan, row.charge]:
            if row.start < (other.end or date.max) and other.start < (row.end or date.max):
                message = (
                    f"contracts '{row.contract}' and '{other.contract}' of customer '{row.customer}' both price charge "
                    f"'{row.charge}' of plan '{row.plan}' on the same days; the other is at {places.of(other)}"
                )
                yield Problem("overlap", message, places.of(row))
        by_charge[row.customer, row.plan, row.charge].append(row)
