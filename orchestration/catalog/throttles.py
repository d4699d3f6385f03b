"""Throttling policies (`throttling.yaml`): the limits that a gateway keeps, or that are proposed for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from pydantic import Field, model_validator

from orchestration.catalog.fields import Duration, ExternalKey, Key, Model
from orchestration.catalog.models import Credential
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Plan
from orchestration.errors import Problem

FILE, KEY = "throttling.yaml", "throttling"


class Throttle(Model):
    """A limit for each client, `per` what one is, of requests of one of the `plans`, `credentials` and `endpoints`,
    where any are named.

    `token_bucket`: `limit` tokens come in each `window`, evenly, and `burst` of them fit (default: `limit`).
    `fixed_window`: `limit` requests in each window, counted from 1970-01-01T00:00Z on. `sliding_window`: `limit` in
    any time as long as the window. `concurrency`: `limit` at the same time, as far as the log has latencies.
    """

    key: Key
    kind: Literal["token_bucket", "fixed_window", "sliding_window", "concurrency"]
    limit: int = Field(ge=1, le=10**9)
    window: Duration | None = None
    burst: int | None = Field(default=None, ge=1, le=10**9)
    per: Literal["customer", "credential", "user", "address", "policy"] = "customer"
    plans: tuple[Key, ...] = ()
    credentials: tuple[ExternalKey, ...] = ()
    endpoints: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _of_its_kind(self) -> Throttle:
        if (self.window is None) != (self.kind == "concurrency"):
            raise ValueError("a window goes with every kind but a concurrency, and only with these")
        if self.burst is not None and self.kind != "token_bucket":
            raise ValueError("only a token_bucket has a burst")
        return self


def check_throttles(
    throttles: Sequence[Throttle],
    plans: Iterable[Plan],
    credentials: Iterable[Credential],
    places: Places,
) -> Iterator[Problem]:
    """A policy that names what does not exist would limit nobody, unnoticed. For endpoints: `check_endpoints`."""
    keys = [row.key for row in throttles]
    for index, row in enumerate(throttles):
        if row.key in keys[:index]:
            yield Problem("duplicate", f"policy '{row.key}' is written twice", places.of(row))
        named: Iterable[tuple[str, Sequence[str], Collection[str]]] = (
            ("plan", row.plans, {plan.key for plan in plans}),
            ("credential", row.credentials, {known.credential for known in credentials}),
        )
        for kind, names, known in named:
            for name in names:
                if name not in known:
                    message = f"policy '{row.key}' names the {kind} '{name}', which is not in the catalog"
                    yield Problem(f"unknown_{kind}", message, places.of(row, f"{kind}s"))
