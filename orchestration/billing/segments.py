"""Segments: the part of a billing period that a subscription spends on one plan, and the prices in force in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction

from orchestration.billing.overrides import overridden, override_on
from orchestration.catalog.charges import Charge
from orchestration.catalog.models import Subscription
from orchestration.catalog.phases import Part, Phase, parts_of, phases_of
from orchestration.catalog.plans import Plan, PlanVersion
from orchestration.catalog.terms import Override
from orchestration.catalog.versions import following, version_on
from orchestration.periods import Interval, fixed_days_between, periods


@dataclass(frozen=True, slots=True)
class Segment:
    """All are local days of the customer, half-open. `period_*` bound the full period, `start` and `end` the part of
    it in which the subscription is active on this plan. A `trial` is measured and priced 0.

    `anchor` is what its periods are counted from. `version` is the day of the plan's version whose structure is in
    force: that of the day on which the plan's part of the period began, or one that cut it. Without them, those of the
    period's and the segment's own first day.
    """

    subscription: str
    customer: str
    plan: str
    currency: str
    period_start: date
    period_end: date
    start: date
    end: date
    trial: bool = False
    anchor: date | None = None
    version: date | None = None

    @property
    def days(self) -> int:
        """Active local days, by dates: a day of 23 or 25 hours is one day."""
        return (self.end - self.start).days

    @property
    def period_days(self) -> int:
        return (self.period_end - self.period_start).days

    def prorated_days(self, charge: Charge) -> tuple[int, int]:
        """(active days, days of the full period), as the charge counts them: by dates, or in months of 30 days."""
        if charge.days is None:
            return self.days, self.period_days
        of_days = fixed_days_between(self.period_start, self.period_end, charge.days)
        return fixed_days_between(self.start, self.end, charge.days), of_days

    def fraction(self, charge: Charge) -> Fraction:
        """The exact share of the full period by which what stands for a whole period is reduced."""
        return Fraction(*self.prorated_days(charge))


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


def segments(phases: Sequence[Subscription], plans: Mapping[str, Plan], through: date) -> list[Segment]:
    """The segments of one subscription that have begun by `through` (that day included), ascending.

    `phases` are the rows that share one subscription key, in any order. Periods are counted from the calendar, from a
    stated date or from the first day of the first phase, as the first phase's plan says: a change of plan keeps the
    anchor, unless it says `restart`; then they are counted anew, as the new plan says. Where a later plan has another
    interval, its periods are counted from the same anchor. Raises ValueError for rows of several subscriptions or
    phases that overlap.
    """
    return [
        segment
        for phase in phases_of(phases, plans)
        for part in parts_of(phase, through)
        for segment in _cut(phase, part)
        if segment.start <= through
    ]


def _cut(phase: Phase, part: Part) -> Iterator[Segment]:
    """A phase's days of a period, cut at the end of its trial and at versions that take effect at once."""
    trial_ends = {phase.trial_end} if part.first < phase.trial_end < part.last else set()
    days = sorted({part.first, *part.versions} | trial_ends)
    version = None
    for start, end in zip(days, [*days[1:], part.last], strict=True):
        version = part.versions.get(start, version)
        yield Segment(
            subscription=phase.row.subscription,
            customer=phase.row.customer,
            plan=phase.plan.key,
            currency=phase.plan.currency,
            period_start=part.period_start,
            period_end=part.period_end,
            start=start,
            end=end,
            trial=start < phase.trial_end,
            anchor=phase.anchor,
            version=None if version is None else version.effective,
        )


def charge_segments(segment: Segment, charge: Charge, through: date) -> Iterator[Segment]:
    """The segments of a charge in one of its plan, ascending: the same, or cut to the periods of its own interval.

    They are counted from the plan's anchor. Those that begin after `through` are left out.
    """
    if charge.interval is None:
        yield segment
        return
    interval = Interval(charge.interval, charge.every or 1)
    last_day = min(through, segment.end - timedelta(days=1))
    for start, end in periods(segment.anchor or segment.period_start, interval, segment.start, last_day):
        first, last = max(start, segment.start), min(end, segment.end)
        yield replace(segment, period_start=start, period_end=end, start=first, end=last)


def versions_in(plan: Plan, segment: Segment) -> list[tuple[date, PlanVersion]]:
    """The versions that price a segment, each with the first day on which it does so.

    The first is the one in force at the segment's start. A later one that changes prices alone follows on its day; one
    that changes more waits, whole, for the next period, and so do versions built upon it. Raises ValueError when no
    version is in force at the start.
    """
    base = version_on(plan, segment.version or segment.start)
    if base is None:
        raise ValueError(f"plan '{plan.key}' has no version in force on {segment.start}")
    chosen = [(segment.start, base)]
    for version, cuts in following(plan, base, segment.end):
        if cuts:
            break
        if version.effective <= segment.start:
            chosen = [(segment.start, version)]
        else:
            chosen.append((version.effective, version))
    return chosen


def charge_prices(plan: Plan, segment: Segment, overrides: Iterable[Override] = ()) -> list[ChargeTerms]:
    """The terms of every charge of a segment, in the order of the plan's version in force at its start.

    `overrides` are of any customer and charge; those of this one replace the plan's prices on their days. A fee is that
    of the segment's first day.
    """
    chosen = versions_in(plan, segment)
    own = [o for o in overrides if (o.customer, o.plan) == (segment.customer, plan.key)]
    day, version = chosen[0]
    if len(chosen) == 1 and not own:
        return [ChargeTerms(charge, (PriceFrom(day, version.effective, charge),)) for charge in version.charges]
    return [_terms(charge.key, chosen, own, segment.end) for charge in version.charges]


def charge_terms(plan: Plan, segment: Segment, charge: str, overrides: Iterable[Override] = ()) -> ChargeTerms:
    """As `charge_prices`, for one charge in a segment of its own."""
    own = [o for o in overrides if (o.customer, o.plan) == (segment.customer, plan.key)]
    return _terms(charge, versions_in(plan, segment), own, segment.end)


def _terms(
    key: str, chosen: Sequence[tuple[date, PlanVersion]], overrides: Sequence[Override], end: date
) -> ChargeTerms:
    start, own = chosen[0][0], [o for o in overrides if o.charge == key]
    edges = {day for o in own for day in (o.start, o.end) if day is not None and start < day < end}
    prices: list[PriceFrom] = []
    for day in sorted({from_day for from_day, _ in chosen} | edges):
        version = next(version for from_day, version in reversed(chosen) if from_day <= day)
        charge = next(charge for charge in version.charges if charge.key == key)
        override = override_on(own, day)
        contract = "" if override is None else override.contract
        prices.append(PriceFrom(day, version.effective, overridden(charge, override), contract))
        if charge.model == "flat":
            break
    return ChargeTerms(prices[0].charge, tuple(prices))
