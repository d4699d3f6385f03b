"""What becomes of differences to what was issued: on the next invoice, on a note of their own, or only in a report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

from orchestration.billing.causes import MADE_BY_PLANS
from orchestration.billing.due import DueLine, Wait
from orchestration.catalog.plans import Corrections
from orchestration.money import Money


@dataclass(frozen=True, slots=True)
class Policy:
    """What plans and the instance say of corrections: by plan (without a word: `next_invoice`), the days after a
    period's end within which what costs more is billed, the floors by currency, and the periods by subscription for
    which a reviewed row keeps what a report-only plan would give back."""

    by_plan: Mapping[str, Corrections] = field(default_factory=dict)
    horizon_days: int = 400
    floors: Mapping[str, Decimal] = field(default_factory=dict)
    withheld: Collection[tuple[str, date]] = ()


def decided(lines: Iterable[DueLine], policy: Policy, day: date) -> list[DueLine]:
    """The lines in their order, corrections with what becomes of them at a cut-off on `day`.

    What a plan caps or commits to moves against the lines it is for, so the differences of a subscription are judged
    together where such a line is among them, and else those of each of its periods.
    """
    listed = list(lines)
    bounded = {d.line.subscription for d in listed if _differs(d) and d.line.charge in MADE_BY_PLANS}
    units: dict[tuple[str, date | None], list[int]] = defaultdict(list)
    for place, due in enumerate(listed):
        if _differs(due):
            period = None if due.line.subscription in bounded else due.line.period_start
            units[due.line.subscription, period].append(place)
    for places in units.values():
        for place, due in zip(places, _unit([listed[p] for p in places], policy, day), strict=True):
            listed[place] = due
    return list(_above_floor(listed, policy.floors))


def _differs(due: DueLine) -> bool:
    return due.before is not None and not due.void


def _unit(lines: Sequence[DueLine], policy: Policy, day: date) -> Iterator[DueLine]:
    """More is kept back where it comes too late or the plan only reports; less never, but by a reviewed row."""
    why = [_kept(due, policy, day) for due in lines]
    kept = sum((d.amount for d, w in zip(lines, why, strict=True) if w), Money.zero(lines[0].line.currency))
    for due, wait in zip(lines, why, strict=True):
        key = due.line.subscription, due.line.period_start
        if wait and kept > Money.zero(kept.currency):
            yield replace(due, waits=wait)
        elif wait == "report_only" and key in policy.withheld and due.amount < Money.zero(kept.currency):
            yield replace(due, waits="withheld")
        else:
            yield replace(due, own=policy.by_plan.get(due.line.plan) == "own_document")


def _kept(due: DueLine, policy: Policy, day: date) -> Wait:
    if policy.by_plan.get(due.line.plan) == "report_only":
        return "report_only"
    if due.line.subscription and (day - due.line.period_end) > timedelta(policy.horizon_days):
        return "late_horizon"
    return ""


def _above_floor(lines: Sequence[DueLine], floors: Mapping[str, Decimal]) -> Iterator[DueLine]:
    """Differences of a customer in a currency wait together, while their sum is small in either direction."""
    sums: dict[tuple[str, str], Money] = {}
    for due in lines:
        if _differs(due) and not due.waits:
            key = due.line.customer, due.line.currency
            sums[key] = sums.get(key, Money.zero(due.line.currency)) + due.amount
    small = {key for key, total in sums.items() if abs(total.amount) < floors.get(key[1], Decimal(0))}
    for due in lines:
        waits = _differs(due) and not due.waits and (due.line.customer, due.line.currency) in small
        yield replace(due, waits="correction_floor") if waits else due
