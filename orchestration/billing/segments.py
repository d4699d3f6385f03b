"""Segments: the part of a billing period that a subscription spends on one plan, and the prices in force in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from typing import Any

from orchestration.catalog.charges import Charge
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan, PlanVersion
from orchestration.periods import Interval, anchor_of, periods


@dataclass(frozen=True, slots=True)
class Segment:
    """All are local days of the customer, half-open. `period_*` bound the full period, `start` and `end` the part of
    it in which the subscription is active on this plan. A `trial` is measured and priced 0."""

    subscription: str
    customer: str
    plan: str
    currency: str
    period_start: date
    period_end: date
    start: date
    end: date
    trial: bool = False

    @property
    def days(self) -> int:
        """Active local days, by dates: a day of 23 or 25 hours is one day."""
        return (self.end - self.start).days

    @property
    def period_days(self) -> int:
        return (self.period_end - self.period_start).days


@dataclass(frozen=True, slots=True)
class PriceFrom:
    """The prices of a charge from a day of the segment on, the version of the plan that states them, and the contract
    of an override that replaces them (empty without one)."""

    from_day: date
    version: date
    charge: Charge
    contract: str = ""


@dataclass(frozen=True, slots=True)
class ChargeTerms:
    """One charge in one segment: its structure, as in force at the segment's start, and its prices by day, ascending.

    The first of `prices` is in force from the segment's start.
    """

    charge: Charge
    prices: tuple[PriceFrom, ...]

    def price_on(self, day: date) -> PriceFrom:
        """The prices for usage of a day. Raises ValueError for a day before the segment."""
        for price in reversed(self.prices):
            if price.from_day <= day:
                return price
        raise ValueError(f"charge '{self.charge.key}' has no price on {day}")


def _joined(phases: Sequence[Subscription]) -> Iterator[Subscription]:
    """Phases by start day; rows that continue one another on the same plan are one phase, as nothing changes there."""
    current: Subscription | None = None
    for phase in sorted(phases, key=attrgetter("start")):
        if current is not None:
            if current.end is None or current.end > phase.start:
                raise ValueError(f"subscription '{phase.subscription}' has two phases on {phase.start}")
            if current.end == phase.start and (current.plan, current.customer) == (phase.plan, phase.customer):
                current = current.model_copy(update={"end": phase.end})
                continue
            yield current
        current = phase
    if current is not None:
        yield current


def segments(phases: Sequence[Subscription], plans: Mapping[str, Plan], through: date) -> list[Segment]:
    """The segments of one subscription that have begun by `through` (that day included), ascending.

    `phases` are the rows that share one subscription key, in any order. Periods are counted from the calendar, or from
    the first day of the first phase, as the first phase's plan says: a change of plan keeps the anchor. Where a later
    plan has another interval, its periods are counted from the same anchor. Raises ValueError for rows of several
    subscriptions or phases that overlap.
    """
    if len({phase.subscription for phase in phases}) > 1:
        raise ValueError("phases of more than one subscription")
    found: list[Segment] = []
    first: Subscription | None = None
    for phase in _joined(phases):
        first = first or phase
        plan = plans[phase.plan]
        interval = Interval(plan.interval, plan.every)
        anchor = anchor_of(plans[first.plan].anchor, interval, first.start)
        for period_start, period_end in periods(anchor, interval, phase.start, through):
            start = max(period_start, phase.start)
            end = period_end if phase.end is None else min(period_end, phase.end)
            if end <= start:
                break
            found.append(
                Segment(
                    subscription=phase.subscription,
                    customer=phase.customer,
                    plan=plan.key,
                    currency=plan.currency,
                    period_start=period_start,
                    period_end=period_end,
                    start=start,
                    end=end,
                )
            )
    return found


def _structure(version: PlanVersion) -> dict[str, dict[str, Any]]:
    """Everything of a version but its prices (and names, which price nothing), by charge."""
    return {
        charge.key: charge.model_dump(exclude={"name": True, "price": True, "tiers": {"__all__": {"price"}}})
        for charge in version.charges
    }


def versions_in(plan: Plan, segment: Segment) -> list[tuple[date, PlanVersion]]:
    """The versions that price a segment, each with the first day on which it does so.

    The first is the one in force at the segment's start. A later one that changes prices alone follows on its day; one
    that changes more waits, whole, for the next period, and so do versions built upon it. Raises ValueError when no
    version is in force at the start.
    """
    ordered = sorted(plan.versions, key=attrgetter("effective"))
    base = [version for version in ordered if version.effective <= segment.start]
    if not base:
        raise ValueError(f"plan '{plan.key}' has no version in force on {segment.start}")
    in_force = base[-1]
    chosen = [(segment.start, in_force)]
    later = [version for version in ordered[len(base) :] if version.effective < segment.end]
    if later:
        structure = _structure(in_force)
        chosen += [(version.effective, version) for version in later if _structure(version) == structure]
    return chosen


def charge_prices(plan: Plan, segment: Segment) -> list[ChargeTerms]:
    """The terms of every charge of a segment, in the order of the plan's version in force at its start."""
    chosen = versions_in(plan, segment)
    prices = [
        PriceFrom(from_day, version.effective, charge) for from_day, version in chosen for charge in version.charges
    ]
    return [
        ChargeTerms(charge, tuple(price for price in prices if price.charge.key == charge.key))
        for charge in chosen[0][1].charges
    ]
