"""Why a line differs from what stands of it: as the two evaluations tell, and what came to be known of it since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from operator import itemgetter

from orchestration.audit.pricing.lines import Key, Line
from orchestration.audit.pricing.plans import MADE_BY_PLANS
from orchestration.audit.pricing.record import Body, Standing

RULES = "2"
"""The version of the rules that this pricer follows."""
Later = Callable[[Key], str | None]
"""What came to be known of an issued line, beside its amount: retraction, identity or catalog."""
_MEASURING = ("watermark", "active", "by_dimension")


def causes(changed: Sequence[tuple[Line, Standing]], now: Mapping[Key, Line], later: Later) -> dict[Key, str]:
    """By key. What a plan adds has the cause of the greatest change among the lines of its subscription, of equals that
    of the one issued first."""
    plans = {(key.subscription, key.start): line.plan for key, line in now.items()}
    found: dict[Key, str] = {}
    sizes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for line, before in changed:
        if line.key.charge not in MADE_BY_PLANS:
            found[line.key] = _of_charge(line, before, plans, later, is_gone=line.key not in now)
            sizes[line.key.subscription].append((abs(line.amount - before.amount), found[line.key]))
    for line, before in changed:
        if line.key.charge in MADE_BY_PLANS:
            alone = (0, "price" if before.rules == RULES else "rules")
            _, greatest = max(sizes[line.key.subscription], key=itemgetter(0), default=alone)
            found[line.key] = _of_days(line, before.shown, plans) or greatest
    return found


def _of_charge(
    line: Line, before: Standing, plans: Mapping[tuple[str, date], str], later: Later, *, is_gone: bool
) -> str:
    shown, first_day = before.shown, (line.key.subscription, line.key.start)
    if is_gone and plans.get(first_day) == shown["plan"]:
        # The span is there and the line is not. One by value is gone where nothing is measured for the value.
        if not line.key.value:
            return "catalog"
    elif (of_days := _of_days(line, shown, plans)) is not None:
        return of_days
    if not is_gone and _measure(line.meter, line.formula) != _measure(shown["meter"], shown["formula"]):
        return "catalog"
    if line.measured != Fraction(shown["measured"]):
        return later(line.key) or "late usage"
    return "price" if before.rules in ("", RULES) else "rules"


def _of_days(line: Line, shown: Body, plans: Mapping[tuple[str, date], str]) -> str | None:
    """Whether its span has become another."""
    ended = date.fromisoformat(shown["end"])
    if line.end < ended:
        return "plan change" if (line.key.subscription, line.end) in plans else "ended"
    if line.plan != shown["plan"]:
        return "plan change"
    return "catalog" if line.end > ended else None


def _measure(meter: str | None, formula: Body) -> tuple[object, ...]:
    return meter, *(formula.get(name) for name in _MEASURING)
