"""Random cases of pricing, the same for the same seed; usage is often aimed at a bound, or one unit beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

from oracle_calendar import ONE_DAY, Part, parts, period_of
from oracle_pricing import included, line
from oracle_units import units
from price_case import CUSTOMER, DECIMALS, METERS, Case, Use
from price_terms import (
    REGIONS,
    adjustments,
    chance,
    charge_at,
    coupons,
    grants,
    overrides,
    plan,
    taxes,
)

from orchestration.catalog.charges import Charge
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan

FRAMES: tuple[tuple[int, str, int], ...] = (
    (70, "month", 1),
    (78, "week", 1),
    (84, "day", 10),
    (90, "month", 2),
    (97, "quarter", 1),
    (100, "year", 1),
)


def case_of(seed: int) -> Case:
    rng = Random(seed)
    currency = rng.choice(("EUR", "EUR", "EUR", "EUR", "JPY", "KWD", "CLF"))
    frame, phases, cut_off = _life(rng)
    cuts = _days_in(rng, phases[0].start, cut_off)
    plans = {key: plan(rng, key, currency, frame, cuts) for key in sorted({phase.plan for phase in phases})}
    agreed = overrides(rng, plans.values(), cuts)
    case = Case(plans=plans, phases=phases, cut_off=cut_off, overrides=agreed, half_even=chance(rng, 10))
    case = replace(case, uses=tuple(_uses(rng, case)))
    if chance(rng, 25):
        case = _bounded(rng, case)
    rates, exemptions = taxes(rng, cut_off - timedelta(days=rng.randrange(40)))
    keys = [charge.key for one in plans.values() for charge in one.versions[0].charges]
    return replace(
        case,
        coupons=coupons(rng, currency, keys),
        grants=grants(rng, currency, phases[0].start, cut_off),
        adjustments=adjustments(rng, currency, cut_off),
        rates=rates,
        exemptions=exemptions,
    )


def _life(rng: Random) -> tuple[dict[str, Any], tuple[Subscription, ...], date]:
    """(interval and anchor, phases, cut-off): one or two periods of a subscription, with or without stubs."""
    luck = rng.randrange(100)
    unit, every = next((unit, every) for most, unit, every in FRAMES if luck < most)
    start = date(rng.choice((2024, 2026)), 1, 1) + timedelta(days=rng.randrange(365))
    if chance(rng, 15):
        start = (start.replace(day=1) + timedelta(days=31)).replace(day=1) - ONE_DAY
    anchor: Any = rng.choice(("calendar", "subscription", "subscription", start - timedelta(days=rng.randrange(40))))
    if unit == "day" and anchor == "calendar":
        anchor = "subscription"
    first = date(2000, 1, 3) if unit == "week" else date(2000, 1, 1)
    origin = start if anchor == "subscription" else first if anchor == "calendar" else anchor
    period = period_of(origin, unit, every, start)
    if chance(rng, 60):
        start = origin if anchor == "subscription" else period[0]
    for _ in range(rng.choice((0, 0, 0, 1))):
        period = period_of(origin, unit, every, period[1])
    end = None
    if chance(rng, 25):
        end = max(start + ONE_DAY, period[0] + timedelta(days=rng.randrange(1, (period[1] - period[0]).days + 1)))
    frame = {"interval": unit, "every": every, "anchor": anchor}
    restart = anchor == "subscription" and chance(rng, 25)
    return frame, tuple(_phases(rng, start, end, period, restart)), period[1]


def _phases(
    rng: Random, start: date, end: date | None, period: tuple[date, date], restart: bool
) -> Iterator[Subscription]:
    known: dict[str, Any] = {"subscription": "sub", "customer": CUSTOMER}
    first, last = max(start, period[0]), min(end or period[1], period[1])
    change = first + timedelta(days=rng.randrange((last - first).days)) if chance(rng, 35) else start
    trial = start + timedelta(days=rng.randrange(1, 25)) if chance(rng, 10) else None
    if change <= start:
        yield Subscription(**known, plan="first", start=start, end=end, trial_end=trial)
        return
    yield Subscription(**known, plan="first", start=start, end=change, trial_end=trial)
    yield Subscription(**known, plan="second", start=change, end=end, restart=restart)


def _days_in(rng: Random, start: date, end: date) -> list[date]:
    days = (end - start).days
    return sorted(start + timedelta(days=rng.randrange(1, days)) for _ in range(2)) if days > 2 else []


def _uses(rng: Random, case: Case) -> Iterator[Use]:
    """For each segment and each meter that is priced in it: a total, cut into days."""
    for part in parts(case):
        last = min(part.end, case.cut_off)
        if part.start >= last:
            continue
        done: set[str] = set()
        for charge in part.version.charges:
            if charge.meter is not None and charge.meter not in done and not chance(rng, 6):
                done.add(charge.meter)
                yield from _used(rng, charge, part, (last - part.start).days)


def _used(rng: Random, charge: Charge, part: Part, days: int) -> Iterator[Use]:
    assert charge.meter is not None
    if charge.model == "percentage":
        yield from _events(rng, charge, part, days)
        return
    quantities = _cut(rng, _target(rng, charge, part), charge.meter)
    # What a total below 0 owes of `flat_fee_at_zero`, and which days' units it takes from those included, is not said.
    sharing = [other for other in part.version.charges if other.meter == charge.meter]
    may_fall = not any(other.flat_fee_at_zero or other.included for other in sharing)
    if charge.meter == "units" and charge.model in ("per_unit", "graduated") and may_fall and chance(rng, 15):
        quantities.append(Decimal(-rng.randrange(1, 25)))
    if charge.model == "dynamic" and may_fall and chance(rng, 20):
        quantities.append(Decimal(-rng.randrange(1, 25)))
    for quantity in quantities:
        cell = ""
        if charge.model == "matrix":
            cell = json.dumps({"region": rng.choice(REGIONS), "tier": rng.choice(("gold", "free"))})
        day = part.start + timedelta(days=rng.randrange(days))
        yield Use(charge.meter, day, quantity, rng.randrange(24) if cell else 0, cell)


def _target(rng: Random, charge: Charge, part: Part) -> Decimal:
    """A total that is at a bound of the charge, one unit below or above it, or anything."""
    bounds = [Decimal(0), *bounds_of(charge)]
    priced = Fraction(rng.choice(bounds)) + rng.choice((-1, 0, 1)) if chance(rng, 70) else Fraction(rng.randrange(45))
    if chance(rng, 20):
        priced += Fraction(rng.randrange(10**9), 10**9) if charge.meter in ("units", "peak", "money") else 0
    priced += included(charge, part) / 10**9 if charge.included else 0
    if charge.convert is not None:
        priced *= Fraction(charge.convert.divide_by)
    decimals = 0 if charge.meter in ("calls", "users") else 9
    return max(Decimal(0), Decimal(int(priced * 10**decimals)).scaleb(-decimals))


def bounds_of(charge: Charge) -> list[Decimal]:
    """Quantities at which something begins: tiers, blocks, packages."""
    found = [tier.up_to for tier in charge.tiers if tier.up_to is not None]
    below = Decimal(0)
    for tier in charge.tiers:
        if tier.block is not None:
            found += [below + tier.block, below + 2 * tier.block]
        below = tier.up_to or below
    if charge.size is not None:
        free = charge.free or Decimal(0)
        found += [free, free + charge.size, free + 3 * charge.size]
    return found


def _cut(rng: Random, total: Decimal, meter: str) -> list[Decimal]:
    """The total in up to four parts; of a mark one part is the total and the others are less."""
    parts_of: list[Decimal] = []
    for _ in range(rng.randrange(4) if total > 1 else 0):
        whole = int(total)
        piece = Decimal(rng.randrange(whole + 1))
        parts_of.append(piece)
        total -= 0 if METERS[meter].aggregation == "max" else piece
    if total or chance(rng, 50):
        parts_of.append(total)
    rng.shuffle(parts_of)
    return parts_of


def _events(rng: Random, charge: Charge, part: Part, days: int) -> Iterator[Use]:
    """Events of money, as many as are free or about so many, often up to the free amount exactly."""
    number = rng.randrange(8)
    if charge.free_events is not None and chance(rng, 60):
        number = charge.free_events + rng.choice((-1, 0, 1))
    left = charge.free_amount + rng.choice((-1, 0, 1)) if charge.free_amount is not None else None
    for n in range(number):
        value = Decimal(rng.choice((0, rng.randrange(10), rng.randrange(200)))) if chance(rng, 70) else Decimal("3.333")
        if left is not None and chance(rng, 60):
            value = left if n == number - 1 else min(left, Decimal(rng.randrange(30)))
            left -= value
        day = part.start + timedelta(days=rng.randrange(days))
        yield Use("money", day, max(Decimal(0), value), rng.randrange(24))


def _bounded(rng: Random, case: Case) -> Case:
    """The case with a minimum or maximum that a line meets exactly, or by a minor unit above or below."""
    part = rng.choice(parts(case))
    charge = rng.choice(part.version.charges)
    row = line(case, part, charge_at(charge, minimum=None, maximum=None))
    share = part.share(charge.days == 30)
    bound = Fraction(row.gross - row.discount + rng.choice((-1, 0, 1)), 10 ** DECIMALS[case.currency]) / share
    if part.trial or bound < 0 or not charge.prorated or (bound * 10**12).denominator != 1:
        return case
    other = rng.choice(("minimum", "maximum"))
    update = {"minimum": None, "maximum": None, other: Decimal(int(bound * 10**12)).scaleb(-12)}
    return replace(case, plans={**case.plans, part.plan.key: _with(part.plan, charge.key, update)})


def _with(plan: Plan, key: str, update: dict[str, Any]) -> Plan:
    versions = tuple(
        version.model_copy(
            update={"charges": tuple(charge_at(c, **update) if c.key == key else c for c in version.charges)}
        )
        for version in plan.versions
    )
    return plan.model_copy(update={"versions": versions})


def quantity_units(value: Fraction) -> Fraction:
    """A quantity in billionths, to compare with `units`."""
    return value * units(Decimal(1))
