"""Entitlements (`entitlements.yaml`): how much of a meter the customers of a plan may use in a window of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from orchestration.catalog.fields import DecimalText, Key, Model, Name
from orchestration.catalog.meters import Meter
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Plan
from orchestration.errors import Problem

FILE, KEY = "entitlements.yaml", "entitlements"


class Entitlement(Model):
    """`limit` units of a meter in each window of a plan's customer, in its local days.

    `hard` is what a gateway is to enforce; a `soft` one is told of, and what lies above it is overage. Weeks begin on
    Monday, `period` is the billing period of the plan. `alerts` are percentages of the limit.
    """

    plan: Key
    meter: Name
    limit: DecimalText
    per: Literal["day", "week", "month", "period"] = "period"
    kind: Literal["hard", "soft"] = "soft"
    alerts: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = (80, 100)

    @field_validator("alerts")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("alerts are written in ascending order, each once")
        return value


def check_entitlements(
    entitlements: Sequence[Entitlement], plans: Sequence[Plan], meters: Sequence[Meter], places: Places
) -> Iterator[Problem]:
    """What names no plan or meter would limit nobody; a carried meter has no quantity that a window uses up."""
    known, by_key, seen = {plan.key for plan in plans}, {meter.key: meter for meter in meters}, set()
    for row in entitlements:
        what = f"entitlement of plan '{row.plan}' on meter '{row.meter}'"
        if row.plan not in known:
            yield Problem("unknown_plan", f"{what}: no such plan", places.of(row, "plan"))
        meter = by_key.get(row.meter)
        if meter is None:
            yield Problem("unknown_meter", f"{what}: no such meter", places.of(row, "meter"))
        elif meter.carried or meter.aggregation in ("latest", "percentile", "min"):
            message = f"{what}: a window uses up counts, sums, distinct values and peaks, not '{meter.aggregation}'"
            yield Problem("not_used_up", message, places.of(row, "meter"))
        key = (row.plan, row.meter, row.per, row.kind)
        if key in seen:
            yield Problem("duplicate", f"{what} per {row.per} ({row.kind}) is written twice", places.of(row))
        seen.add(key)
