"""A short sample of cases with the answers of the second computation: what every changed program is held to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import lru_cache

from price_bridge import differences, expected_of
from price_case import CUSTOMER, Answer, Case, Row, Use
from price_cases import case_of

from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan


def half_of_a_maximum() -> Case:
    """A stub of half a period whose maximum ends on half a yen: what is rounded first shows."""
    charge = {"key": "a", "name": "a", "model": "per_unit", "meter": "calls", "price": "100", "maximum": "61"}
    versions = [{"effective": "2020-01-01", "charges": [charge]}]
    plan = Plan.model_validate({"key": "first", "name": "first", "currency": "JPY", "versions": versions})
    start, cut_off = date(2026, 4, 16), date(2026, 5, 1)
    phase = Subscription(subscription="sub", customer=CUSTOMER, plan="first", start=start)
    return Case({"first": plan}, (phase,), cut_off, (Use("calls", start, Decimal(1)),))


@lru_cache(maxsize=4)
def sample(cases: int) -> tuple[tuple[Case, tuple[list[Row], Answer]], ...]:
    """One case by hand and random ones, each with what the second computation says of it."""
    return tuple((case, expected_of(case)) for case in (half_of_a_maximum(), *map(case_of, range(cases - 1))))


def unlike(cases: int) -> list[str] | None:
    """How the first case differs on which the two computations don't agree, or nothing."""
    for case, expected in sample(cases):
        if found := differences(case, expected):
            return found
    return None
