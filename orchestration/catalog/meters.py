"""What is counted: meters, and the typed filters that choose their events.

Every model refuses unknown fields, so that a misspelt option is an error and not a default.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from orchestration.catalog.fields import (
    NUMBER,
    Duration,
    Model,
    Name,
)

_TEXT_FIELDS = {"source", "feed", "event_type", "credential", "user", "method", "path", "endpoint", "address", "agent"}
EVENT_FIELDS = frozenset(_TEXT_FIELDS | {"status", "bytes"})
"""What every event has (or lacks), whatever its source; further fields are properties that a source declares."""


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


Aggregation = Literal["count", "sum", "min", "max", "latest", "unique_count", "weighted_sum", "level", "percentile"]
CARRIED = frozenset({"weighted_sum", "level"})
"""Aggregations of a state that lasts until it is changed; `carry` makes others so."""
MAY_CARRY = frozenset({"sum", "min", "max", "latest"})


class Meter(Model):
    """What is counted: an aggregation over the events of one type, by dimensions.

    `value` names the field that is measured; for `weighted_sum` and `level` it is a change of the level. A `level` may
    instead say which events are a `start` (+1) and which a `stop` (-1); with `session`, the field that tells which stop
    belongs to which start, `expires_after` (30m, 2h, 1d) ends a start that has no stop. A `unique_count` by `start` and
    `stop` counts items: a start adds the one that `value` names, a stop removes it, and in between it is there.

    `carry` keeps what was in force when a bucket, window or period begins: the running total of a sum, the last reading
    of a gauge.

    Of a sum of money `currency` names the field that tells in which currency an amount is; it is one of the dimensions,
    as amounts of two currencies add up to nothing. Without it, amounts are in the currency of the plan.
    """

    key: Name
    name: str
    unit: str = "unit"
    event_type: str
    aggregation: Aggregation
    value: Name | None = None
    filter: Filter | None = None
    currency: Name | None = None
    dimensions: tuple[Name, ...] = Field(default=(), max_length=6)
    carry: bool = False
    percentile: int | None = Field(default=None, ge=1, le=100)
    start: Filter | None = None
    stop: Filter | None = None
    session: Name | None = None
    expires_after: Duration | None = None
    allow_negative: bool = False
    description: str = ""

    @property
    def carried(self) -> bool:
        """Whether a state lasts from one event to the next."""
        return self.carry or self.aggregation in CARRIED or self.by_items

    @property
    def by_items(self) -> bool:
        """Whether distinct values are items that are added and removed."""
        return self.aggregation == "unique_count" and self.start is not None

    @property
    def paired_by(self) -> str | None:
        """The field that tells which stop belongs to which start."""
        return self.value if self.by_items else self.session

    @model_validator(mode="before")
    @classmethod
    def _currencies_apart(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("currency"), str):
            named = data.get("dimensions") or ()
            if isinstance(named, list | tuple) and data["currency"] not in named:
                return {**data, "dimensions": (*named, data["currency"])}
        return data

    @model_validator(mode="after")
    def _value_where_needed(self) -> Meter:
        by_starts = self.start is not None or self.stop is not None
        paired = self.aggregation in ("level", "unique_count") and self.start is not None and self.stop is not None
        if by_starts and not paired:
            raise ValueError("'start' and 'stop' come together, on a meter of aggregation 'level' or 'unique_count'")
        by_starts = by_starts and not self.by_items
        if (self.aggregation == "count" or by_starts) != (self.value is None):
            need = "needs the field that it reads as value" if self.value is None else "takes no value"
            raise ValueError(f"aggregation '{self.aggregation}'{' by start and stop' * by_starts} {need}")
        return self

    @model_validator(mode="after")
    def _options_fit(self) -> Meter:
        if self.carry and self.aggregation not in MAY_CARRY | CARRIED:
            raise ValueError(f"aggregation '{self.aggregation}' carries nothing")
        if (self.aggregation == "percentile") != (self.percentile is not None):
            raise ValueError("aggregation 'percentile' states a percentile, and no other does")
        if self.currency is not None and (self.aggregation != "sum" or self.carry):
            raise ValueError("'currency' belongs to amounts of money: a 'sum' that carries nothing")
        if self.session is not None and self.start is None:
            raise ValueError("'session' pairs a start with its stop; this meter has none")
        if self.session is not None and self.by_items:
            raise ValueError("'session' is for levels; a 'unique_count' pairs starts and stops by its value")
        if self.expires_after is not None and self.session is None:
            raise ValueError("'expires_after' needs 'session', the field that pairs a start with its stop")
        if len(set(self.dimensions)) < len(self.dimensions):
            raise ValueError("a dimension is named twice")
        return self


def meter_fields(meter: Meter) -> set[str]:
    """Names of the fields and properties that a meter reads: in filters, as value, as dimensions."""
    named = {name for name in (meter.value, meter.session) if name is not None} | set(meter.dimensions)
    return named.union(*(filter_fields(node) for node in (meter.filter, meter.start, meter.stop)))
