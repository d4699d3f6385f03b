"""What the operator writes, as types: sources, meters, plans, customers, credentials, subscriptions.

Every model refuses unknown fields, so that a misspelt option is an error and not a default.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from orchestration.catalog.fields import (
    NUMBER,
    CurrencyCode,
    Day,
    DecimalText,
    ExternalKey,
    Instant,
    Key,
    Model,
    Name,
    Zone,
)
from orchestration.catalog.stores import StoreOptions, check_store

_TEXT_FIELDS = {"source", "feed", "event_type", "credential", "user", "method", "path", "endpoint", "address", "agent"}
EVENT_FIELDS = frozenset(_TEXT_FIELDS | {"status", "bytes"})
"""What every event has (or lacks), whatever its source; further fields are properties that a source declares."""


class Entity(Model):
    """A seller: the legal person whose name and number series stand on documents."""

    key: Key
    name: str
    address: str
    tax_id: str = ""
    zone: Zone = "UTC"
    series: str = Field(default="INV", pattern=r"^[A-Z]{1,8}$")
    zero_invoices: Literal["issue", "skip"] = "issue"


class Settings(Model):
    """Rules of the whole instance (`instance.yaml`)."""

    entities: tuple[Entity, ...] = Field(min_length=1)
    grace_days: int = Field(default=3, ge=0, le=90)
    future_skew_minutes: int = Field(default=5, ge=0, le=1440)
    unmeasured_limit: int = Field(default=0, ge=0)
    quarantine_alert_percent: int = Field(default=50, ge=0, le=100)


class Network(Model):
    """How much of an address is kept in plain: the bits of its network."""

    ipv4: int = Field(default=24, ge=8, le=28)
    ipv6: int = Field(default=48, ge=16, le=64)


Droppable = Literal["user", "method", "path", "status", "bytes", "address", "agent", "extra"]
"""Fields of an event without which it can still be known, placed in time and billed to somebody."""


class Source(Model):
    """Where events come from, how they are written, and which of their fields are read.

    `path` is a glob below `root` (relative to the instance folder, or s3://, gs://, az://); `{name}` captures one path
    part, and the captures tell streams apart: equal lines of two gateways are two events. A file of whose lines more
    than `hold_above_percent` can't be read is held whole (100: never).

    The capture `{sequence}` is a number that tells no streams apart: one left out is missing. `expect` says that each
    stream delivers each UTC hour or day, or that its silence means nothing; without it the hours before tell.
    `manifest` is a glob of lists of what was sent.

    End users, addresses and user agents are kept as keyed hashes only. `drop` names fields that are not kept at
    all, `hash` properties of which only the keyed hash is, and `network` asks for the network of an address.
    """

    name: Key
    root: str = "inbox"
    store: StoreOptions | None = None
    raw: Literal["copy", "reference"] = "copy"
    path: str
    format: Key
    event_type: str = "request"
    zone: Zone | None = None
    fields: dict[Name, str] = Field(default_factory=dict)
    constants: dict[Name, str] = Field(default_factory=dict)
    properties: dict[Name, str] = Field(default_factory=dict)
    quantity: Name | None = None
    ignore: tuple[Name, ...] = ()
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    not_before: Instant = datetime(2000, 1, 1, tzinfo=UTC)
    unterminated: Literal["hold", "accept"] = "hold"
    more_decimals: Literal["refuse", "round"] = "refuse"
    expect: Literal["hourly", "daily", "irregular"] | None = None
    manifest: str | None = None
    hold_above_percent: int = Field(default=80, ge=0, le=100)
    drop: tuple[Droppable, ...] = ()
    hash: tuple[Name, ...] = ()
    network: Network | None = None

    @model_validator(mode="after")
    def _hashed_is_read(self) -> Source:
        for name in self.hash:
            if name == self.quantity or name not in self.properties:
                raise ValueError(f"'{name}' can't be hashed: it is not a property, or it is the quantity")
        return self

    @model_validator(mode="after")
    def _quantity_is_read(self) -> Source:
        if self.quantity is not None and self.quantity not in self.properties:
            raise ValueError(f"quantity '{self.quantity}' is not one of this source's properties")
        check_store(self.root, self.store, self.raw)
        return self


class Condition(Model):
    """One comparison. With a missing field it is false."""

    field: Name
    op: Literal["eq", "ne", "in", "not_in", "lt", "le", "gt", "ge", "exists"]
    value: str | int | tuple[str | int, ...] | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> Condition:
        many = isinstance(self.value, tuple)
        if self.op == "exists":
            if self.value is not None:
                raise ValueError("'exists' takes no value")
        elif (self.op in ("in", "not_in")) != many or self.value is None:
            raise ValueError(f"'{self.op}' takes {'a list of values' if self.op in ('in', 'not_in') else 'one value'}")
        elif self.op in ("lt", "le", "gt", "ge") and not NUMBER.fullmatch(str(self.value)):
            raise ValueError(f"'{self.op}' compares numbers, '{self.value}' is none")
        for value in self.value if isinstance(self.value, tuple) else (self.value,):
            if isinstance(value, int) and not NUMBER.fullmatch(str(value)):
                raise ValueError(f"{value} is no number of at most 15 digits")
        return self


class All(Model):
    all: tuple[Filter, ...]


class AnyOf(Model):
    any: tuple[Filter, ...]


class Not(Model):
    not_: Filter = Field(alias="not")


Filter = Condition | All | AnyOf | Not


def filter_fields(node: Filter | None) -> set[str]:
    """Names of the fields that a filter compares."""
    return {condition.field for condition in filter_conditions(node)}


def filter_conditions(node: Filter | None) -> list[Condition]:
    """The comparisons of a filter, however they are combined."""
    if node is None:
        return []
    if isinstance(node, Condition):
        return [node]
    children = node.all if isinstance(node, All) else node.any if isinstance(node, AnyOf) else (node.not_,)
    return [condition for child in children for condition in filter_conditions(child)]


class Meter(Model):
    """What is counted: an aggregation over the events of one type."""

    key: Name
    name: str
    unit: str = "unit"
    event_type: str
    aggregation: Literal["count", "sum", "max", "unique_count"]
    value: Name | None = None
    filter: Filter | None = None
    allow_negative: bool = False
    description: str = ""

    @model_validator(mode="after")
    def _value_where_needed(self) -> Meter:
        if (self.aggregation == "count") != (self.value is None):
            need = "takes no value" if self.aggregation == "count" else "needs the field that it reads as value"
            raise ValueError(f"aggregation '{self.aggregation}' {need}")
        return self


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


class Watermark(Model):
    """Price the greatest window value of the segment instead of its total."""

    of: Literal["count", "sum", "max"]
    window: Literal["1h", "1d"] = "1h"


class Charge(Model):
    """One priced thing on a plan: a fixed fee (`flat`), or a meter at a price."""

    key: Key
    name: str
    model: Literal["flat", "per_unit", "graduated"]
    meter: Name | None = None
    amount: DecimalText | None = None
    price: DecimalText | None = None
    tiers: tuple[Tier, ...] = ()
    due: Literal["arrears", "advance"] = "arrears"
    watermark: Watermark | None = None
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


class Customer(Model):
    """Who is billed."""

    customer: Key
    name: str
    address: str
    country: str = Field(pattern=r"^[A-Z]{2}$")
    tax_id: str = ""
    zone: Zone
    entity: Key
    terms_days: int = Field(default=30, ge=0, le=365)


class Credential(Model):
    """An API key, account or subject, and whose it is from an instant (inclusive) to another (exclusive)."""

    credential: ExternalKey
    customer: Key
    source: Key | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None


class Subscription(Model):
    """A customer on a plan from a local day (inclusive) to another (exclusive).

    Rows that share a subscription key are its phases: a change of plan is the end of one and the start of the next.
    """

    subscription: Key
    customer: Key
    plan: Key
    start: Day
    end: Day | None = None
    stacking: bool = False
