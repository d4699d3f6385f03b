"""Where events come from: sources, how their files are written, and which of their fields are read.

Every model refuses unknown fields, so that a misspelt option is an error and not a default.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field, model_validator

from orchestration.catalog.fields import (
    Instant,
    Key,
    Model,
    Name,
    Zone,
)
from orchestration.catalog.stores import StoreOptions, check_store


class Network(Model):
    """How much of an address is kept in plain: the bits of its network."""

    ipv4: int = Field(default=24, ge=8, le=28)
    ipv6: int = Field(default=48, ge=16, le=64)


class Latency(Model):
    """Which raw field says how long a request took, and in which unit."""

    field: str
    unit: Literal["s", "ms", "us", "ns"]


Droppable = Literal["user", "method", "path", "status", "bytes", "latency", "address", "agent", "extra"]
"""Fields of an event without which it can still be known, placed in time and billed to somebody."""


class Source(Model):
    """Where events come from, how they are written, and which of their fields are read.

    `path` is a glob below `root` (relative to the instance folder, or s3://, gs://, az://); `{name}` captures one path
    part, and the captures tell streams apart: equal lines of two gateways are two events. A file of whose lines more
    than `hold_above_percent` can't be read is held whole (100: never).

    The capture `{sequence}` is a number that tells no streams apart: one left out is missing. `expect` says that each
    stream delivers each UTC hour or day, or that its silence means nothing; without it the hours before tell.
    `manifest` is a glob of lists of what was sent.

    `latency` says where the time stands that a request took, in place of what the format knows. It sets no line aside.

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
    latency: Latency | None = None
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
