"""Why an amount differs from what was issued, as far as the two evaluations and what came to be known tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from orchestration.billing.rating import Line, LineKey
from orchestration.money import EXACT, Money

Cause: TypeAlias = Literal[
    "late usage", "retraction", "identity", "price", "ended", "plan change", "catalog", "rules", "void"
]
RULES_VERSION = "2"
"""Version of the billing rules; every document names the one by which it was made."""
MADE_BY_PLANS: dict[str, Literal["cap", "true_up"]] = {"cap": "cap", "true_up": "true_up"}
"""Lines that no charge makes, by the keys that they have instead."""
_MEASURING = ("watermark", "active", "by_dimension")

Changed: TypeAlias = tuple[Line, Mapping[str, Any], Decimal, str]
"""A line as it is now, as the latest document shows it, what was issued for it, and by which rules."""
Begins: TypeAlias = Mapping[tuple[str, date], str]
"""The plans of segments, by subscription and first day."""


def causes_of(
    changed: Sequence[Changed], now: Collection[LineKey], begins: Begins, known: Mapping[LineKey, Cause]
) -> dict[LineKey, Cause]:
    """The cause of each change. What a plan adds to its lines changes as the one of them does that changes most."""
    found: dict[LineKey, Cause] = {}
    weights: dict[str, tuple[Decimal, Cause]] = {}
    for line, shown, amount, rules in changed:
        if line.charge in MADE_BY_PLANS:
            continue
        cause = _cause(line, shown, rules, begins, known.get(line.key), is_gone=line.key not in now)
        found[line.key] = cause
        weight = abs(EXACT.subtract(line.amount.amount, amount))
        if weight > weights.get(line.subscription, (Decimal(-1), cause))[0]:
            weights[line.subscription] = weight, cause
    for line, shown, _, rules in changed:
        if line.charge in MADE_BY_PLANS:
            _, cause = weights.get(line.subscription, (Decimal(0), "rules" if rules != RULES_VERSION else "price"))
            found[line.key] = _moved(line, shown, begins) or cause
    return found


def _moved(line: Line, shown: Mapping[str, Any], begins: Begins) -> Cause | None:
    """The cause of a line whose segment has become another."""
    end_shown = date.fromisoformat(shown["end"])
    if line.end < end_shown:
        return "plan change" if (line.subscription, line.end) in begins else "ended"
    if line.plan != shown["plan"]:
        return "plan change"
    return "catalog" if line.end > end_shown else None


def _cause(
    line: Line, shown: Mapping[str, Any], rules: str, begins: Begins, known: Cause | None, *, is_gone: bool
) -> Cause:
    lost_alone = is_gone and begins.get((line.subscription, line.start)) == shown["plan"]
    # A value that nothing is measured for has no line any more; a charge that has none was taken out of its plan.
    if lost_alone and not line.value:
        return "catalog"
    moved = None if lost_alone else _moved(line, shown, begins)
    if moved is not None:
        return moved
    if not is_gone and _measured_by(line.formula, line.meter) != _measured_by(shown["formula"], shown["meter"]):
        return "catalog"
    if line.measured == Decimal(shown["measured"]):
        return "rules" if rules not in ("", RULES_VERSION) else "price"
    return known or "late usage"


def _measured_by(formula: Mapping[str, Any], meter: str | None) -> list[Any]:
    return [meter, *(formula.get(name) for name in _MEASURING)]


def gone(shown: Mapping[str, Any], end: date | None = None) -> Line:
    """An issued line that is worth nothing: its segment no longer exists, so nothing is active and nothing is owed.

    Of what a plan adds to its lines, the segment may be there, and nothing to cap or to top up any more. `end` is that
    of a line that is taken back as it was billed.
    """
    start = date.fromisoformat(shown["start"])
    by_plan = shown["charge"] in MADE_BY_PLANS
    return Line(
        subscription=shown["subscription"],
        customer=shown["customer"],
        plan=shown["plan"],
        charge=shown["charge"],
        name=shown["name"],
        meter=shown["meter"],
        due=shown["due"],
        currency=shown["currency"],
        period_start=date.fromisoformat(shown["period_start"]),
        period_end=date.fromisoformat(shown["period_end"]),
        start=start,
        end=end or (date.fromisoformat(shown["end"]) if by_plan else start),
        measured=Decimal(0),
        quantity=Decimal(0),
        unit=shown["unit"],
        amount=Money.zero(shown["currency"]),
        formula={"model": "none", "details": [], "proration": "0", "exact": "0"},
        kind=MADE_BY_PLANS.get(shown["charge"], "usage" if shown["meter"] else "fee"),
        value=shown.get("value", ""),
        tax_category=shown["tax_category"],
    )
