"""What a charge is: a fixed fee, or a meter at a price, with all that bounds and reduces it.

Every model refuses unknown fields, so that a misspelt option is an error and not a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestration.catalog.fields import AccountCode, DecimalText, Key, Model, Name

ModelName = Literal[
    "flat",
    "per_unit",
    "graduated",
    "volume",
    "package",
    "percentage",
    "graduated_percentage",
    "matrix",
    "dynamic",
]
IntervalName = Literal["day", "week", "month", "quarter", "year"]
Percent = Annotated[DecimalText, Field(le=100)]
"""Out of a hundred: 12.5 is one eighth."""


class Tier(Model):
    """Units up to and including `up_to` (the last tier has none) at `price`; `flat_fee` once when it is entered.

    In `graduated_percentage` the units are money and the tier has a `rate`: a fraction, 0.029 for 2.9 %. With `block`,
    units of the tier are sold by blocks of so many: each started one is charged whole, and `price` is that of a block.
    """

    up_to: DecimalText | None = None
    price: DecimalText | None = None
    rate: DecimalText | None = None
    flat_fee: DecimalText = Decimal(0)
    block: DecimalText | None = None

    @property
    def unit_price(self) -> Decimal:
        """The price of a unit, or the rate of a unit of money."""
        return self.price if self.price is not None else self.rate or Decimal(0)


class Cell(Model):
    """The price of a unit whose dimensions have these values, all of them."""

    match: Mapping[Name, str] = Field(min_length=1)
    price: DecimalText


class Conversion(Model):
    """Measured units to priced units, on the segment's total: divided or multiplied, and rounded or not.

    What is rounded has `decimals` places: 0 for whole units, below 0 for tens, hundreds and so on.
    """

    divide_by: DecimalText | None = None
    multiply_by: DecimalText | None = None
    unit: str
    rounding: Literal["none", "up", "down", "half_up", "half_even"] = "none"
    decimals: int = Field(default=0, ge=-9, le=9)

    @model_validator(mode="after")
    def _one_factor(self) -> Conversion:
        given = [factor for factor in (self.divide_by, self.multiply_by) if factor is not None]
        if len(given) != 1:
            raise ValueError("a conversion has either divide_by or multiply_by")
        if given[0] == 0:
            raise ValueError(f"{'divide_by' if self.multiply_by is None else 'multiply_by'} is 0")
        if self.rounding == "none" and self.decimals:
            raise ValueError("'decimals' say how far to round, and there is no 'rounding'")
        return self

    @property
    def ratio(self) -> Fraction:
        """Priced units of one measured unit."""
        if self.divide_by is not None:
            return 1 / Fraction(self.divide_by)
        return Fraction(self.multiply_by or 0)


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
    and removed, each by the days on which it is there. Rates are fractions (0.029), what is named a percent is out of a
    hundred. Amounts are in the plan's currency, `included` is in the unit that is priced. `account` is the revenue
    account that its lines are booked to, that of the plan if it has none.
    """

    key: Key
    name: str
    model: ModelName
    meter: Name | None = None
    # What the models take: `OPTIONS` says which of them takes what.
    amount: DecimalText | None = None
    price: DecimalText | None = None
    tiers: tuple[Tier, ...] = ()
    size: DecimalText | None = None
    free: DecimalText | None = None
    whole: bool | None = None
    rate: DecimalText | None = None
    fixed: DecimalText | None = None
    free_events: int | None = Field(default=None, ge=0)
    free_amount: DecimalText | None = None
    min_per_event: DecimalText | None = None
    max_per_event: DecimalText | None = None
    cells: tuple[Cell, ...] = ()
    default: DecimalText | None = None
    multiplier: DecimalText | None = None
    # How the quantity comes about.
    watermark: Watermark | None = None
    active: Active | None = None
    by_dimension: Literal["total", "each"] = "total"
    prorate: Literal["days"] | None = None
    convert: Conversion | None = None
    included: DecimalText = Decimal(0)
    line_per: Name | None = None
    # When and for how long.
    due: Literal["arrears", "advance"] = "arrears"
    interval: IntervalName | None = None
    every: int | None = Field(default=None, ge=1, le=120)
    prorated: bool = True
    days: Literal[30] | None = None
    flat_fee_at_zero: bool = False
    # What comes after the gross amount.
    discount_percent: Percent = Decimal(0)
    minimum: DecimalText | None = None
    maximum: DecimalText | None = None
    tax_category: Key = "standard"
    account: AccountCode | None = None

    @model_validator(mode="after")
    def _checked(self) -> Charge:
        faults = [f"charge '{self.key}'{fault}" for fault in charge_shape(self)]
        if faults:
            raise ValueError("; ".join(faults))
        return self


OPTIONS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "flat": (frozenset({"amount"}), frozenset()),
    "per_unit": (frozenset({"price"}), frozenset()),
    "graduated": (frozenset({"tiers"}), frozenset({"flat_fee_at_zero"})),
    "volume": (frozenset({"tiers"}), frozenset({"flat_fee_at_zero"})),
    "package": (frozenset({"price", "size"}), frozenset({"free", "whole"})),
    "percentage": (
        frozenset({"rate"}),
        frozenset({"fixed", "free_events", "free_amount", "min_per_event", "max_per_event"}),
    ),
    "graduated_percentage": (frozenset({"tiers"}), frozenset({"flat_fee_at_zero"})),
    "matrix": (frozenset({"cells"}), frozenset({"default"})),
    "dynamic": (frozenset(), frozenset({"multiplier"})),
}
"""By model: the options that it must have, and those that it may have."""
_OF_MODELS = sorted(frozenset().union(*(must | may for must, may in OPTIONS.values())))


def _given(charge: Charge, option: str) -> bool:
    value = getattr(charge, option)
    return value is not None and value != () and value is not False


def charge_shape(charge: Charge) -> Iterator[str]:
    """What is wrong with a charge by itself, each to be written after its name."""
    must, may = OPTIONS[charge.model]
    for option in _OF_MODELS:
        if option in must and not _given(charge, option):
            yield f": model '{charge.model}' has no {option} (missing price)"
        if option not in must | may and _given(charge, option):
            yield f": model '{charge.model}' takes no {option}"
    if (charge.model == "flat") != (charge.meter is None):
        yield ": a flat fee names no meter, every other model names one"
    if charge.model != "flat" and charge.due == "advance":
        yield ": usage is billed in arrears"
    if charge.every is not None and charge.interval is None:
        yield ": 'every' counts intervals, and there is no 'interval'"
    if charge.minimum is not None and charge.maximum is not None and charge.minimum > charge.maximum:
        yield f": the minimum {charge.minimum} is above the maximum {charge.maximum}"
    yield from _size_faults(charge)
    yield from _tier_faults(charge)
    yield from _combined_faults(charge)
    yield from _cell_faults(charge)


PER_EVENT = ("fixed", "free_events", "free_amount", "min_per_event", "max_per_event")
"""Options of which each event has its own."""


def _combined_faults(charge: Charge) -> Iterator[str]:
    """Options that say two things about one quantity."""
    by_event = [option for option in PER_EVENT if _given(charge, option)]
    whole = [option for option in ("watermark", "active", "prorate", "convert") if _given(charge, option)]
    if by_event and (whole or charge.included):
        other = (whole or ["included"])[0]
        yield f": '{by_event[0]}' is for each event, '{other}' for the total; leave one of them out"
    if charge.prorate is not None and charge.model not in ("flat", "per_unit", "graduated", "volume"):
        yield f": 'prorate: days' goes with per_unit, graduated and volume, not with '{charge.model}'"
    if charge.included and charge.model == "flat":
        yield ": a flat fee has no units that could be included"
    if charge.included and charge.prorate is not None:
        yield ": 'included' units aren't weighed by days; give the first tier the price 0"
    if charge.included and charge.watermark is not None and charge.watermark.take == "each_window":
        yield ": 'each_window' prices each by itself, no units are 'included' in all; give the first tier the price 0"


def _cell_faults(charge: Charge) -> Iterator[str]:
    """Each combination of dimension values must fall in exactly one cell."""
    for number, cell in enumerate(charge.cells, 1):
        before = charge.cells[: number - 1]
        if before and cell.match.keys() != before[0].match.keys():
            named = ", ".join(sorted(before[0].match))
            yield f", cell {number}: every cell names the same dimensions ({named})"
        if any(cell.match == other.match for other in before):
            yield f", cell {number}: what it matches has 2 prices"


def _size_faults(charge: Charge) -> Iterator[str]:
    if charge.size is not None and charge.size == 0:
        yield ": a package of size 0 holds nothing"
    bounds = charge.min_per_event, charge.max_per_event
    if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:
        yield f": min_per_event {bounds[0]} is above max_per_event {bounds[1]}"


def _tier_faults(charge: Charge) -> Iterator[str]:
    """Tiers must cover every quantity above 0 exactly once, each with what its model takes."""
    below = Decimal(0)
    wanted, other = ("rate", "price") if charge.model == "graduated_percentage" else ("price", "rate")
    for number, tier in enumerate(charge.tiers, 1):
        if getattr(tier, wanted) is None or getattr(tier, other) is not None:
            yield f", tier {number}: in model '{charge.model}' a tier has a {wanted} and no {other} (missing price)"
        if tier.block is not None and (charge.model not in ("graduated", "volume") or tier.block == 0):
            yield f", tier {number}: blocks above 0 belong to the tiers of 'graduated' and 'volume'"
        if tier.block is not None and charge.prorate is not None:
            yield f", tier {number}: units weighed by days aren't sold by blocks"
        last = number == len(charge.tiers)
        if last != (tier.up_to is None):
            fault = "only the last is open, what follows would have 2 prices"
            if tier.up_to is not None:
                fault = f"the last tier has an up_to: quantities above it have 0 prices, {tier.up_to + 1} for one"
            yield f", tier {number}: {fault}"
        if tier.up_to is not None:
            if tier.up_to <= below:
                yield (
                    f", tier {number}: up_to {tier.up_to} is not above {below}; "
                    f"a quantity of {tier.up_to} would have 2 prices"
                )
            below = tier.up_to
