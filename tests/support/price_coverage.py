"""Which models, bounds and pairs of features the cases of a campaign have shown, by what the answers say happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

from oracle_calendar import Part, parts
from oracle_pricing import included, line, measured, priced_pieces
from oracle_units import UNIT, units
from price_case import DECIMALS, Answer, Case
from price_terms import MODELS, charge_at

from orchestration.catalog.charges import Charge

FEATURES = (
    "commitment",
    "coupon",
    "credit",
    "discount",
    "maximum",
    "minimum",
    "plan change",
    "price version",
    "stub",
    "trial",
)
BESIDE = ("-1", "0", "+1")
BOUNDED = (
    "tier graduated",
    "tier volume",
    "tier graduated_percentage",
    "block",
    "package",
    "free units",
    "free events",
    "free amount",
    "included",
    "minimum",
    "maximum",
    "q 0",
)
WANTED = (
    *(f"model {model}" for model in MODELS),
    *(f"bound {name} {beside}" for name in BOUNDED for beside in BESIDE if (name, beside) != ("q 0", "-1")),
    *(f"pair {' & '.join(pair)}" for pair in combinations(FEATURES, 2)),
)
"""All that a campaign has to show often enough."""


def shown(case: Case, found: Answer) -> Counter[str]:
    """What this case shows; each counts once."""
    seen = {f"pair {' & '.join(pair)}" for pair in combinations(sorted(_features(case, found)), 2)}
    for part in parts(case):
        for charge in part.version.charges:
            if not part.trial and part.period_end <= case.cut_off:
                seen |= {f"model {charge.model}"}
                seen |= {f"bound {name} {BESIDE[beside + 1]}" for name, beside in _beside(case, part, charge)}
    return Counter(seen)


def _features(case: Case, found: Answer) -> Iterator[str]:
    """Those that changed something of the answer, not those that merely stand in the catalog."""
    rows = found.rows
    effects = {
        "commitment": any(row.kind == "true_up" for row in rows),
        "coupon": any(key.startswith("coupon") for key in found.reductions),
        "credit": any(key.startswith("credit") for key in found.reductions) or bool(found.prepaid),
        "discount": any(row.discount for row in rows),
        "maximum": any(row.excess for row in rows),
        "minimum": any(row.top_up for row in rows),
        "plan change": len({row.plan for row in rows if row.plan}) > 1,
        "price version": any(_repriced(case, part) for part in parts(case)),
        "stub": any((row.start, row.end) != (row.period_start, row.period_end) for row in rows if not row.trial),
        "trial": any(row.trial and row.quantity for row in rows),
    }
    return (name for name, happened in effects.items() if happened)


def _repriced(case: Case, part: Part) -> bool:
    """Whether a segment has usage before and after a change of prices alone."""
    for version in part.plan.versions:
        if part.start < version.effective < part.end and not version.at_once and not part.trial:
            days = [use.day for use in case.uses if part.start <= use.day < part.end and use.quantity]
            if days and min(days) < version.effective <= max(days):
                return True
    return False


def _beside(case: Case, part: Part, charge: Charge) -> Iterator[tuple[str, int]]:
    """(bound, how many units above it) of each bound that the line meets or misses by one unit."""
    if charge.model == "flat":
        yield from _amounts_beside(case, part, charge)
        return
    quantity = priced_pieces(case, part, charge)[1]
    for name, bound, unit in _bounds(charge):
        beside = (quantity - Fraction(bound)) / unit
        if beside in (-1, 0, 1):
            yield name, int(beside)
    if charge.model == "percentage":
        yield from _events_beside(case, part, charge)
    if charge.included:
        before = sum(units(use.quantity) for use in measured(case, part, charge))
        by = Fraction(charge.convert.divide_by) if charge.convert is not None else Fraction(1)
        beside = (Fraction(before) / by - included(charge, part)) / UNIT
        if abs(beside - round(beside)) < Fraction(1, 1000) and round(beside) in (-1, 0, 1):
            yield "included", round(beside)
    yield from _amounts_beside(case, part, charge)


def _bounds(charge: Charge) -> Iterator[tuple[str, Fraction, int]]:
    yield "q 0", Fraction(0), 1
    below = Fraction(0)
    for tier in charge.tiers:
        for n in range(1, 5) if tier.block is not None else ():
            yield "block", below + n * Fraction(tier.block or 0), 1
        if tier.up_to is not None:
            yield f"tier {charge.model}", Fraction(tier.up_to), 1
            below = Fraction(tier.up_to)
    if charge.size is not None:
        free = Fraction(charge.free or 0)
        if charge.free is not None:
            yield "free units", free, 1
        for n in range(1, 12):
            yield "package", free + n * Fraction(charge.size), 1


def _events_beside(case: Case, part: Part, charge: Charge) -> Iterator[tuple[str, int]]:
    events = measured(case, part, charge)
    if charge.free_events is not None and len(events) - charge.free_events in (-1, 0, 1):
        yield "free events", len(events) - charge.free_events
    if charge.free_amount is not None:
        beside = sum(Fraction(event.quantity) for event in events) - Fraction(charge.free_amount)
        if beside in (-1, 0, 1):
            yield "free amount", int(beside)


def _amounts_beside(case: Case, part: Part, charge: Charge) -> Iterator[tuple[str, int]]:
    """Minimum and maximum, by minor units."""
    if charge.minimum is None and charge.maximum is None:
        return
    row = line(case, part, charge_at(charge, minimum=None, maximum=None))
    for name, bound in (("minimum", charge.minimum), ("maximum", charge.maximum)):
        if bound is not None:
            share = part.share(charge.days == 30) if charge.prorated else 1
            beside = row.amount - Fraction(bound) * share * 10 ** DECIMALS[case.currency]
            if beside in (-1, 0, 1):
                yield name, int(beside)


def lacking(seen: Counter[str], least: int) -> list[str]:
    """What was shown less often than `least` times."""
    return [f"{name}: {seen[name]}" for name in WANTED if seen[name] < least]
