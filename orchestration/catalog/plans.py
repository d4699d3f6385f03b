"""What is sold: plans, their versions, and the charges that price meters.

Every model refuses unknown fields, so that a misspelt option is an error and not a default.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from orchestration.catalog.fields import (
    CurrencyCode,
    Day,
    DecimalText,
    Key,
    Model,
    Name,
)


class Tier(Model):
    """Units up to and including `up_to` (the last tier has none) at `price`; `flat_fee` once when it is entered."""

    up_to: DecimalText | None = None
    price: DecimalText
    flat_fee: DecimalText = Decimal(0)


class Conversion(Model):
    """Measured units to priced units: quantity / divide_by, on the segment's total, rounded to whole units or not."""

    divide_by: DecimalText
    unit: str
    rounding: Literal["none", "up", "down", "half_up", "half_even"] = "none"

    @model_validator(mode="after")
    def _not_zero(self) -> Conversion:
        if self.divide_by == 0:
            raise ValueError("divide_by is 0")
        return self


WindowLength = Literal["1m", "5m", "15m", "1h", "1d"]


class Watermark(Model):
    """Price a window value of the segment instead of its total.

    `take` is the greatest window, or with `percentile` the one at that rank of all windows (empty ones are 0, or what
    is carried); the sum of the greatest of each day; or each window, priced by itself.
    """

    of: Literal["count", "sum", "max", "level", "unique_count"]
    window: WindowLength = "1h"
    percentile: int | None = Field(default=None, ge=1, le=100)
    take: Literal["greatest", "daily_sum", "each_window"] = "greatest"

    @model_validator(mode="after")
    def _percentile_of_all(self) -> Watermark:
        if self.percentile is not None and self.take != "greatest":
            raise ValueError(f"'percentile' ranks all windows, it can't be combined with '{self.take}'")
        return self


class Active(Model):
    """Distinct values by the day or the ISO week instead of the whole period, and what is made of them.

    Of weeks, those whose Sunday lies in the period.
    """

    per: Literal["day", "week"]
    take: Literal["sum", "max", "mean"] = "sum"


class Charge(Model):
    """One priced thing on a plan: a fixed fee (`flat`), or a meter at a price.

    Distinct values count once in a period, whatever their dimensions; `by_dimension: each` adds the counts apart.
    `prorate: days` prices seats: units that are carried, each by the days for which it is held; or items that are added
    and removed, each by the days on which it is there.
    """

    key: Key
    name: str
    model: Literal["flat", "per_unit", "graduated"]
    meter: Name | None = None
    amount: DecimalText | None = None
    price: DecimalText | None = None
    tiers: tuple[Tier, ...] = ()
    due: Literal["arrears", "advance"] = "arrears"
    watermark: Watermark | None = None
    active: Active | None = None
    by_dimension: Literal["total", "each"] = "total"
    prorate: Literal["days"] | None = None
    convert: Conversion | None = None
    prorated: bool = True
    flat_fee_at_zero: bool = False

    @model_validator(mode="after")
    def _model_has_its_price(self) -> Charge:
        wanted = {"flat": "amount", "per_unit": "price", "graduated": "tiers"}[self.model]
        given = {"amount": self.amount is not None, "price": self.price is not None, "tiers": bool(self.tiers)}
        if not given.pop(wanted):
            raise ValueError(f"charge '{self.key}': model '{self.model}' has no {wanted} (missing price)")
        for other, present in given.items():
            if present:
                raise ValueError(f"charge '{self.key}': model '{self.model}' takes no {other}")
        if (self.model == "flat") != (self.meter is None):
            raise ValueError(f"charge '{self.key}': a flat fee names no meter, every other model names one")
        if self.model != "flat" and self.due == "advance":
            raise ValueError(f"charge '{self.key}': usage is billed in arrears")
        _check_tiers(self.key, self.tiers)
        return self


def _check_tiers(charge: str, tiers: tuple[Tier, ...]) -> None:
    """Tiers must cover every quantity above 0 exactly once."""
    below = Decimal(0)
    for number, tier in enumerate(tiers, 1):
        last = number == len(tiers)
        if last != (tier.up_to is None):
            fault = "the last tier has an up_to: quantities above it have 0 prices" if last else "only the last is open"
            raise ValueError(f"charge '{charge}', tier {number}: {fault}")
        if tier.up_to is not None:
            if tier.up_to <= below:
                raise ValueError(
                    f"charge '{charge}', tier {number}: up_to {tier.up_to} is not above {below}; "
                    f"a quantity of {tier.up_to} would have 2 prices"
                )
            below = tier.up_to


class PlanVersion(Model):
    """The charges of a plan from a day on."""

    effective: Day
    charges: tuple[Charge, ...] = Field(min_length=1)


class Plan(Model):
    """What is sold: charges by version, the billing interval and its anchor."""

    key: Key
    name: str
    currency: CurrencyCode
    interval: Literal["day", "week", "month", "quarter", "year"] = "month"
    every: int = Field(default=1, ge=1, le=120)
    anchor: Literal["calendar", "subscription"] = "calendar"
    versions: tuple[PlanVersion, ...] = Field(min_length=1)
