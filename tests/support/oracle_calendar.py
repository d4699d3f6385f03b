"""Parts of billing periods, found by labelling every local day and looking where the label changes.

From the text of semantics.md, section 3; nothing of the project's period or segment code is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any

from oracle_time import boundary
from price_case import Case

from orchestration.catalog.charges import Charge
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan, PlanVersion

ONE_DAY = timedelta(days=1)
Bounds = tuple[date, date]


@lru_cache(maxsize=4096)
def _period_of(anchor: date, unit: str, every: int, day: date) -> Bounds:
    number = 0
    while boundary(anchor, unit, (number + 1) * every) <= day:
        number += 1
    while boundary(anchor, unit, number * every) > day:
        number -= 1
    return boundary(anchor, unit, number * every), boundary(anchor, unit, (number + 1) * every)


def period_of(anchor: date, unit: str, every: int, day: date, near: Bounds | None = None) -> Bounds:
    """The period [start, end) of a day, found by walking from the anchor; `near` may be a period that holds it."""
    if near is not None and near[0] <= day < near[1]:
        return near
    return _period_of(anchor, unit, every, day)


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a period with one plan: a segment. `version` is the one whose structure is in force."""

    plan: Plan
    version: PlanVersion
    period_start: date
    period_end: date
    start: date
    end: date
    trial: bool

    def share(self, thirty: bool = False) -> Fraction:
        """Active days / days of the full period, counted one by one."""
        return Fraction(count(self.start, self.end, thirty), count(self.period_start, self.period_end, thirty))


def count(start: date, end: date, thirty: bool) -> int:
    """Days of [start, end). Of 30-day months a day before the last counts one, the last what makes 30 of the month:
    the 31st none and the 28th of February three."""
    return sum(_weight(start + timedelta(days=n)) if thirty else 1 for n in range((end - start).days))


def _weight(day: date) -> int:
    last = (day + ONE_DAY).month != day.month
    if day.day >= 30:
        # From the 30th to the 31st no day passes: the month's 30th day is its last.
        return 1 if last else 0
    return 31 - day.day if last else 1


@dataclass(frozen=True, slots=True)
class Stay:
    """Rows of a subscription that follow one another on one plan."""

    plan: Plan
    start: date
    end: date | None
    anchor_rule: str | date
    anchor_start: date
    trial_end: date


def stays(case: Case) -> list[Stay]:
    """The stays of the subscription, ascending; each keeps the anchor of the one before unless it restarts it."""
    found: list[Stay] = []
    for row in sorted(case.phases, key=lambda phase: phase.start):
        plan = case.plans[row.plan]
        last = found[-1] if found else None
        if last is not None and last.end == row.start and last.plan.key == plan.key:
            found[-1] = Stay(plan, last.start, row.end, last.anchor_rule, last.anchor_start, last.trial_end)
            continue
        anew = last is None or row.restart
        rule, start = (plan.anchor, row.start) if anew or last is None else (last.anchor_rule, last.anchor_start)
        found.append(Stay(plan, row.start, row.end, rule, start, _trial_end(row, plan, last is None)))
    return found


def _trial_end(row: Subscription, plan: Plan, first: bool) -> date:
    if row.trial_end is not None:
        return row.trial_end
    return row.start + timedelta(days=plan.trial_days if first else 0)


def anchor_of(stay: Stay, unit: str) -> date:
    """Where the periods of a stay are counted from."""
    if isinstance(stay.anchor_rule, date):
        return stay.anchor_rule
    if stay.anchor_rule == "subscription":
        return stay.anchor_start
    return date(2000, 1, 3) if unit == "week" else date(2000, 1, 1)


def parts(case: Case, charge: Charge | None = None, commitment: bool = False) -> list[Part]:
    """The parts of all days up to the end of the period in which the cut-off lies, ascending.

    With a charge, those of its own interval; with `commitment`, those of the commitment's own.
    """
    own = None if charge is None or charge.interval is None else (charge.interval, charge.every or 1)
    key = (id(case.plans), id(case.phases), case.cut_off, own, commitment)
    if key not in _known or _known[key][0] is not case.plans:
        _known.clear() if len(_known) > 64 else None
        _known[key] = (case.plans, case.phases, [part for stay in stays(case) for part in _walk(case, stay, *key[3:])])
    return _known[key][2]


_known: dict[Any, Any] = {}
"""What was found lately, with the objects it was found for, so that none of them is another's by its id."""


def _walk(case: Case, stay: Stay, own: tuple[str, int] | None, commitment: bool) -> list[Part]:
    """A stay, day by day: a part ends where the period, the trial or the version in force is another than before."""
    plan = stay.plan
    versions = sorted(plan.versions, key=lambda version: version.effective)
    anchor = anchor_of(stay, plan.interval)
    horizon = period_of(anchor, plan.interval, plan.every, case.cut_off)[1]
    found: list[list[Any]] = []
    period, bounds, label = None, None, None
    day = stay.start
    while day < horizon and (stay.end is None or day < stay.end):
        period = period_of(anchor, plan.interval, plan.every, day, period)
        version = in_force(versions, max(stay.start, period[0]), day)
        unit, every = own or _committed(plan, version, commitment)
        bounds = period_of(anchor_of(stay, unit), unit, every, day, bounds)
        # Prices alone cut a charge's segments into versions, not a commitment's.
        now = (bounds, day < stay.trial_end, shape_of(version) if commitment else version.effective)
        if now != label:
            found.append([version, *bounds, day, day, day < stay.trial_end])
        label, day = now, day + ONE_DAY
        found[-1][4] = day
    return [Part(plan, *row) for row in found]


def _committed(plan: Plan, version: PlanVersion, commitment: bool) -> tuple[str, int]:
    if commitment and version.commitment is not None and version.commitment.interval is not None:
        return version.commitment.interval, version.commitment.every
    return plan.interval, plan.every


def in_force(versions: Sequence[PlanVersion], since: date, day: date) -> PlanVersion:
    """The version whose structure a day has: that of the day on which the stay or the period began, whichever is
    later, or one since then that takes effect at once."""
    chosen = versions[0]
    for version in versions:
        cuts = version.at_once and version.effective <= day and shape_of(version) != shape_of(chosen)
        if cuts or version.effective <= since:
            chosen = version
    return chosen


def prices_on(case: Case, part: Part, key: str, day: date) -> Charge:
    """The charge with the prices of a day: of the latest version that changes no more than prices, or a contract's."""
    shape = shape_of(part.version)
    chosen = part.version
    for version in sorted(part.plan.versions, key=lambda version: version.effective):
        later = part.version.effective < version.effective <= day
        if later and shape_of(version) == shape:
            chosen = version
    charge = next(charge for charge in chosen.charges if charge.key == key)
    for override in case.overrides:
        here = (override.plan, override.charge) == (part.plan.key, key)
        if here and override.start <= day and (override.end is None or day < override.end):
            names = ("amount", "price", "rate", "fixed", "tiers", "cells", "default", "multiplier")
            given = {name: value for name in names if (value := getattr(override, name)) not in (None, ())}
            charge = charge.model_copy(update=given)
    return charge


def shape_of(version: PlanVersion) -> object:
    """All of a version but prices, rates and names; what was found lately is remembered."""
    if id(version) not in _shapes or _shapes[id(version)][0] is not version:
        _shapes.clear() if len(_shapes) > 64 else None
        charges = [tuple(_shape(charge)) for charge in version.charges]
        _shapes[id(version)] = version, (charges, version.commitment, version.cap)
    return _shapes[id(version)][1]


_shapes: dict[int, tuple[PlanVersion, object]] = {}


def _shape(charge: Charge) -> Iterator[object]:
    for name in Charge.model_fields:
        if name == "tiers":
            yield tuple((tier.up_to, tier.flat_fee, tier.block) for tier in charge.tiers)
        elif name == "cells":
            yield tuple(tuple(sorted(cell.match.items())) for cell in charge.cells)
        elif name not in ("name", "price", "rate", "default", "multiplier"):
            yield getattr(charge, name)
