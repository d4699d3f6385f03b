"""Customers of cases of kind `aggregation`: each with meters, a plan, a subscription and events, all in one instance.

Nothing is computed here. A customer's subscription has one period, the case's; where the case says that it is part of a
longer one (`period_days`), the days before it are spent on a plan that prices nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

UNIT = {"model": "per_unit", "price": "1"}
LIMIT = 10_000
"""Cases have events without value: no customer waits for it."""


@dataclass
class Buyer:
    """A customer: what is metered of it (`meters`: by name), what is charged, and its events."""

    key: str
    zone: str
    start: date
    end: date
    period_days: int = 0
    calendar: bool = False
    meters: dict[str, dict[str, Any]] = field(default_factory=dict)
    charges: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def interval(self) -> dict[str, Any]:
        if self.calendar:
            return {"interval": "month", "anchor": "calendar"}
        return {"interval": "day", "every": self.period_days, "anchor": "subscription"}

    @property
    def period_start(self) -> date:
        return self.start if self.calendar else self.end - timedelta(days=self.period_days)


class World:
    """An instance of many buyers. Meters that are the same are one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._meters: dict[str, str] = {}
        self._bodies: list[dict[str, Any]] = []
        self._properties: set[str] = set()
        self._plans: dict[str, dict[str, Any]] = {}
        self._rows: dict[str, list[str]] = {"customers": [], "credentials": [], "subscriptions": []}
        self._events: list[str] = []
        self._ends: list[date] = []

    def meter(self, body: dict[str, Any]) -> str:
        """The key of the meter that is defined so."""
        text = json.dumps(body, sort_keys=True)
        if text not in self._meters:
            self._meters[text] = f"m{len(self._meters) + 1}"
            self._bodies.append({"key": self._meters[text], "name": "Case", "event_type": "use", **body})
        return self._meters[text]

    def add(self, buyer: Buyer) -> None:
        self._ends.append(buyer.end)
        meters = {name: self.meter(body) for name, body in buyer.meters.items()}
        charges = [
            {"key": name, "name": name, **(body if "model" in body else UNIT | body), "meter": meters[body["meter"]]}
            for name, body in buyer.charges.items()
        ]
        self._plan(buyer.key, buyer, charges)
        self._rows["customers"].append(f"{buyer.key},Case,1 Road,XX,{buyer.zone},seller")
        self._rows["credentials"].append(f"key-{buyer.key},{buyer.key}")
        if buyer.period_start < buyer.start:
            idle = {"key": "idle", "name": "Idle", "model": "flat", "amount": "0"}
            self._plan(f"{buyer.key}-idle", buyer, [idle])
            self._subscribe(buyer, f"{buyer.key}-idle", buyer.period_start, buyer.start)
        self._subscribe(buyer, buyer.key, buyer.start, buyer.end)
        for event in buyer.events:
            self._properties |= event["data"].keys()
            self._events.append(
                json.dumps({"specversion": "1.0", "type": "use", "subject": f"key-{buyer.key}", **event})
            )

    def _plan(self, key: str, buyer: Buyer, charges: list[dict[str, Any]]) -> None:
        versions = [{"effective": "2000-01-01", "charges": charges}]
        self._plans[key] = {"key": key, "name": key, "currency": "EUR", **buyer.interval, "versions": versions}

    def _subscribe(self, buyer: Buyer, plan: str, start: date, end: date) -> None:
        self._rows["subscriptions"].append(f"{buyer.key},{buyer.key},{plan},{start},{end}")

    def build(self) -> None:
        """Write the instance and run it once. JSON is YAML."""
        entity = {"key": "seller", "name": "Seller", "address": "1 Quay"}
        feed = {"name": "app", "path": "*.jsonl", "format": "cloudevents"}
        feed["properties"] = {name: f"data.{name}" for name in sorted(self._properties)}
        heads = {
            "customers": "customer,name,address,country,zone,entity",
            "credentials": "credential,customer",
            "subscriptions": "subscription,customer,plan,start,end",
        }
        files = {
            "instance.yaml": json.dumps({"entities": [entity], "unmeasured_limit": LIMIT}),
            "sources.yaml": json.dumps({"sources": [feed]}),
            "meters.yaml": json.dumps({"meters": self._bodies}),
            **{f"plans/{key}.yaml": json.dumps(plan) for key, plan in self._plans.items()},
            **{f"{name}.csv": "\n".join([head, *self._rows[name]]) + "\n" for name, head in heads.items()},
        }
        for name, text in files.items():
            path = self.home / "catalog" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        _write_lines(self.home / "inbox" / "cases.jsonl", self._events)
        # Every case's period has ended; no day beyond, as states go on from day to day.
        now = f"{max(self._ends) + timedelta(days=2)}T09:00:00Z"
        assert run(Context(Instance(self.home), parse_instant(now, "test"))).built


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
