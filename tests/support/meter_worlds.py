"""Random worlds for metering: a catalog, customers in difficult zones, and events near every edge there is.

A world is made from a seed alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta, timezone
from typing import Any

from oracle_readings import Event
from oracle_time import DAY, EPOCH, HOUR, MINUTE, Calendar, instant

Row = dict[str, Any]

ZONES = (
    *("Africa/Cairo", "Africa/Casablanca", "America/Havana", "America/New_York", "America/Santiago"),
    *("America/Sao_Paulo", "America/St_Johns", "Antarctica/Troll", "Asia/Beirut", "Asia/Kathmandu", "Asia/Kolkata"),
    *("Asia/Tehran", "Australia/Lord_Howe", "Europe/Berlin", "Pacific/Apia", "Pacific/Chatham"),
    *("Pacific/Kiritimati", "Pacific/Niue", "UTC"),
)
SPANS = (("2024-03-05", 42), ("2024-09-26", 40), ("2018-10-14", 36), ("2011-12-14", 30), ("2023-12-20", 25))
"""(first day, days): clock changes of all of these zones, Apia's day that never was, a turn of the year."""

KINDS = ("request", "reading", "session", "change")
MODELS = ("m1", "m2", 'm"3\\', "é")
ROUTES = {"GET": "/v1/items/{id}", "POST": "/v1/users/{id}"}
FEEDS = ("app", "edge")
"""Requests of the second have no routes."""
MARKED = ("count", "sum", "max", "level", "unique_count")
"""Aggregations of which a charge may price windows."""
PROPERTIES = ("amount", "model", "region", "seat", "action")


@dataclass
class World:
    """`batches` are deliveries, one after the other; an event may be in several. Lists of the catalog by file."""

    now_us: int
    meters: list[Row]
    plans: list[Row]
    customers: list[Row]
    credentials: list[Row]
    subscriptions: list[Row]
    batches: list[list[Event]] = field(default_factory=list)

    def texts(self) -> dict[str, str]:
        """The files of the catalog, by name."""
        entity = {"key": "seller", "name": "Seller", "address": "Quay", "zone": "UTC", "series": "T"}
        routes = [{"sources": ["app"], "patterns": [f"GET {ROUTES['GET']}", ROUTES["POST"]]}]
        fields = {name: f"data.{name}" for name in ("user", "method", "path", "status", "bytes")}
        read = {"fields": fields, "properties": {name: f"data.{name}" for name in PROPERTIES}}
        read |= {"format": "cloudevents", "hold_above_percent": 100, "expect": "irregular"}
        sources = [{"name": name, "path": f"{name}/*.jsonl", **read} for name in FEEDS]
        return {
            "instance.yaml": _yaml({"entities": [entity], "unmeasured_limit": 1_000_000}),
            "sources.yaml": _yaml({"sources": sources}),
            "meters.yaml": _yaml({"meters": self.meters}),
            "routes.yaml": _yaml({"routes": routes}),
            **{f"plans/{plan['key']}.yaml": _yaml(plan) for plan in self.plans},
            "customers.csv": _csv(("customer", "name", "address", "country", "zone", "entity"), self.customers),
            "credentials.csv": _csv(("credential", "customer", "source", "valid_from", "valid_to"), self.credentials),
            "subscriptions.csv": _csv(
                ("subscription", "customer", "plan", "start", "end", "stacking"), self.subscriptions
            ),
        }


def _yaml(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1)


def _csv(header: Sequence[str], lines: Iterable[Row]) -> str:
    cells = [[str(line.get(name) or "") for name in header] for line in lines]
    return "".join(",".join(row) + "\n" for row in [list(header), *cells])


def line_of(event: Event, offset_minutes: int = 0) -> str:
    """The event as a CloudEvent; the same instant may be written with another offset."""
    zone = timezone(timedelta(minutes=offset_minutes))
    time = (EPOCH + timedelta(microseconds=event.time_us)).astimezone(zone).isoformat(timespec="microseconds")
    told = {"user": event.user, "method": event.method, "path": event.path}
    told |= {"status": event.status, "bytes": event.bytes, **event.properties}
    data = {name: value for name, value in told.items() if value is not None}
    head = {"specversion": "1.0", "id": event.event_id, "source": event.source, "type": event.event_type}
    return json.dumps({**head, "time": time, "subject": event.credential, "data": data}, ensure_ascii=False)


# -- the random parts ---------------------------------------------------------------------------------------------


class Maker:
    """Draws the parts of a world. The sizes are those of one build."""

    def __init__(self, seed: int, customers: int = 12, span: tuple[str, int] | None = None) -> None:
        self.dice = random.Random(seed)
        day, days = span or self.dice.choice(SPANS)
        self.first_us = instant(f"{day}T00:00:00+00:00")
        self.now_us = self.first_us + days * DAY + self.dice.randrange(DAY)
        self.names = [f"c{n:02d}" for n in range(customers)]
        self.zones = dict(zip(self.names, self.dice.sample(ZONES, customers), strict=True))
        self.clocks = {zone: Calendar(zone, self.first_us, self.now_us) for zone in (*self.zones.values(), "UTC")}
        self.edges: list[int] = []
        self.made = 0

    def instant(self, zone: str) -> int:
        """Within the span: half of the time at an edge of the zone's hours, days or clock changes, or beside it."""
        if self.dice.random() < 0.5:
            return self.dice.randrange(self.first_us, self.now_us)
        clock = self.clocks[zone]
        if self.dice.random() < 0.01 and clock.day(self.now_us) == clock.day(self.now_us + 5 * MINUTE):
            # A sender whose clock is ahead.
            return self.now_us + self.dice.randrange(5 * MINUTE + 1)
        kind = self.dice.choice(["5m", "1h", "1d", "shift", "month", "credential"])
        if kind == "credential":
            edges = self.edges
        elif kind == "shift":
            edges = clock.shifts()
        elif kind == "month":
            edges = [at for at in clock.starts("1d") if clock.day(at).day == 1]
        else:
            edges = clock.starts(kind)
        at = self.dice.choice(edges or clock.starts("1h")) + self.dice.choice([-HOUR, -1, 0, 0, 1, 30 * MINUTE])
        return min(max(at, self.first_us), self.now_us)

    def text(self, us: int) -> str:
        return (EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def customers(self) -> list[Row]:
        rest = {"address": "Road", "country": "DE", "entity": "seller"}
        return [{"customer": name, "name": name, "zone": self.zones[name], **rest} for name in self.names]

    def credentials(self) -> list[Row]:
        """For each customer a plain one, one with a gap, one of a single feed; and some that change hands."""
        made: list[Row] = []
        for place, name in enumerate(self.names):
            made.append({"credential": f"k_{name}", "customer": name})
            first, second = sorted([self.instant(self.zones[name]), self.instant(self.zones[name])])
            self.edges += [first, second]
            made.append({"credential": f"g_{name}", "customer": name, "valid_to": self.text(first)})
            made.append({"credential": f"g_{name}", "customer": name, "valid_from": self.text(second)})
            other = self.names[place - 1]
            handed = f"h_{place // 3}"
            if place % 3 == 1:
                made.append({"credential": handed, "customer": other, "valid_to": self.text(first)})
                made.append({"credential": handed, "customer": name, "valid_from": self.text(first)})
            made.append({"credential": f"f_{place // 2}", "customer": name, "source": FEEDS[place % 2]})
        return made

    def meters(self, count: int) -> list[Row]:
        """Every aggregation, with and without state; then at random."""
        kinds = [("count", False), ("sum", False), ("min", False), ("max", False), ("latest", False)]
        kinds += [("unique_count", False), ("percentile", False), ("weighted_sum", True), ("level", True)]
        kinds += [("sum", True), ("max", True), ("min", True), ("latest", True), ("level", True)]
        kinds += [self.dice.choice(kinds) for _ in range(max(0, count - len(kinds)))]
        return [self.meter(f"x{n}_{kind}", kind, carries) for n, (kind, carries) in enumerate(kinds[:count])]

    def meter(self, key: str, kind: str, carries: bool) -> Row:
        dice = self.dice
        meter: Row = {"key": key, "name": key, "event_type": dice.choice(KINDS), "aggregation": kind}
        if carries and (kind not in ("level", "weighted_sum") or dice.random() < 0.3):
            meter["carry"] = True
        if kind == "level" and dice.random() < 0.6:
            meter["start"] = {"field": "action", "op": "eq", "value": "start"}
            meter["stop"] = {"field": "action", "op": "eq", "value": "stop"}
            if dice.random() < 0.8:
                meter["session"] = "seat"
                if dice.random() < 0.6:
                    meter["expires_after"] = dice.choice(["30m", "1h", "7h", "2d"])
        elif kind == "unique_count":
            meter["value"] = dice.choice(["user", "seat", "user"])
        elif kind != "count":
            meter["value"] = dice.choice(["amount", "amount", "bytes", "status"])
            meter["allow_negative"] = dice.random() < 0.5
        if kind == "percentile":
            meter["percentile"] = dice.choice([1, 50, 90, 95, 99, 100])
        if dice.random() < 0.5:
            meter["filter"] = self.filter(2)
        if dice.random() < (0.25 if carries else 0.6):
            among = ["model", "region", "method", "status", "feed"]
            meter["dimensions"] = dice.sample(among, 1 if carries else dice.choice([1, 2]))
        return meter

    def filter(self, depth: int) -> Row:
        dice = self.dice
        how = dice.choice(["all", "any", "not", "leaf", "leaf"]) if depth else "leaf"
        if how == "not":
            return {"not": self.filter(depth - 1)}
        if how != "leaf":
            return {how: [self.filter(depth - 1) for _ in range(dice.choice([1, 2]))]}
        return dice.choice(
            [
                {"field": "status", "op": "ne", "value": 429},
                {"field": "status", "op": "lt", "value": 400},
                {"field": "status", "op": "in", "value": [200, 404]},
                {"field": "status", "op": "not_in", "value": [429, 500]},
                {"field": "model", "op": "eq", "value": dice.choice(MODELS)},
                {"field": "model", "op": "not_in", "value": ["m2"]},
                {"field": "region", "op": "exists"},
                {"field": "amount", "op": "ge", "value": "2.5"},
                {"field": "amount", "op": "le", "value": 100},
                {"field": "user", "op": "exists"},
                {"field": "endpoint", "op": "eq", "value": ROUTES["GET"]},
                {"field": "method", "op": "in", "value": ["GET", "PUT"]},
            ]
        )

    def plans(self, meters: Sequence[Row]) -> list[Row]:
        """Plans of several intervals; each prices what the program can price, and marks of several windows."""
        made = []
        for key, interval, every, anchor in (
            *(("monthly", "month", 1, "calendar"), ("weekly", "week", 1, "calendar")),
            *(("yearly", "month", 1, "subscription"), ("tens", "day", 10, "subscription")),
        ):
            charges: list[Row] = [{"key": "base", "name": "Base", "model": "flat", "amount": "1.00"}]
            for meter in meters:
                priced = meter["aggregation"] in ("count", "sum", "unique_count") and not meter.get("carry")
                if priced and self.dice.random() < 0.7:
                    name = {"key": meter["key"], "name": meter["key"], "model": "per_unit", "meter": meter["key"]}
                    charges.append({**name, "price": "0.01"})
            charges += [self.mark(meter) for meter in meters if meter["aggregation"] in MARKED]
            # One charge is only in the second version: it waits for the next period.
            day = (EPOCH + timedelta(microseconds=self.dice.randrange(self.first_us, self.now_us))).date()
            versions = [("2000-01-01", charges[:-1]), (day.isoformat(), charges)]
            made.append({"key": key, "name": key, "currency": "USD", "interval": interval, "every": every})
            made[-1] |= {"anchor": anchor, "versions": [{"effective": d, "charges": c} for d, c in versions]}
        return made

    def mark(self, meter: Row) -> Row:
        """A charge on the greatest window, or on the one at a percentile."""
        window = self.dice.choice(["1h", "1h", "1d", "15m", "5m"])
        mark = {"of": meter["aggregation"], "window": window, "percentile": self.dice.choice([None, 50, 95, 99])}
        name = {"key": f"mark_{meter['key']}", "name": meter["key"], "model": "per_unit", "price": "0.01"}
        return {**name, "meter": meter["key"], "watermark": mark}

    def subscriptions(self) -> list[Row]:
        """None, one from or to a day, one that changes its plan, or a second that is stacked."""
        made: list[Row] = []
        for name in self.names:
            clock = self.clocks[self.zones[name]]
            first, second = sorted(self.dice.sample(range(self.first_us, self.now_us, DAY), 2))
            days = [clock.day(us).isoformat() for us in (self.first_us - 40 * DAY, first, second)]
            days[0] = "2011-10-31" if self.dice.random() < 0.3 else days[1]
            plans = self.dice.sample(["monthly", "weekly", "yearly", "tens"], 2)
            row = {"subscription": f"s-{name}", "customer": name, "plan": plans[0], "start": days[0]}
            how = self.dice.choice(["none", "one", "ended", "changed", "stacked"])
            if how == "one":
                made.append(row)
            elif how == "ended":
                made.append({**row, "end": days[2]})
            elif how == "changed" and days[0] < days[2]:
                made.append({**row, "plan": "monthly", "end": days[2]})
                made.append({**row, "plan": "monthly_2", "start": days[2]})
            elif how == "stacked":
                made.append(row)
                also = {"subscription": f"a-{name}", "plan": plans[1], "stacking": "true", "start": days[1]}
                made.append({**row, **also})
        return made

    def event(self, name: str) -> Event:
        """An event of a customer, or of a credential that is or was its; its fields may be missing or bad."""
        dice, place = self.dice, self.names.index(name)
        self.made += 1
        feed = dice.choice(FEEDS)
        key = dice.choice([f"k_{name}"] * 6 + [f"g_{name}", f"h_{place // 3}", f"f_{place // 2}", "stranger"])
        method = dice.choice(["GET", "POST", "PUT", None])
        paths = ["/v1/items/7", "/v1/users/u9", "/else", None]
        path = dice.choice(paths) if method else None
        return Event(
            feed=feed,
            source=f"src-{dice.choice('ab')}-{feed}",
            event_id=f"e{self.made}",
            event_type=dice.choice(KINDS),
            time_us=self.instant(self.zones[name]),
            credential=key,
            user=dice.choice(["u1", "u2", "u3", "ü", "", None]),
            method=method,
            path=path,
            endpoint=endpoint_of(feed, method, path),
            status=dice.choice([200, 200, 201, 404, 429, 500, None]),
            bytes=dice.choice([0, 1, 7, 10**12, dice.randrange(5000), None]),
            properties=self.properties(),
        )

    def properties(self) -> dict[str, str]:
        dice = self.dice
        amount = (
            f"{dice.choice(['', '', '-'])}{dice.randrange(300)}{dice.choice(['', '.5', '.000000001', '.123456789'])}"
        )
        broken = dice.choice(["1e3", "abc", "", " 5", "1.0000000001", "+4", "999999999999999.999999999"])
        drawn = {
            "amount": dice.choice([amount] * 9 + [broken, None]),
            "model": dice.choice([*MODELS, "m1", "m1", None]),
            "region": dice.choice(["eu", "us", "", None]),
            "seat": dice.choice(["s1", "s2", "s3", "s4", "", None] if dice.random() < 0.2 else ["s1", "s2", "s3"]),
            "action": dice.choice(["start", "stop", "start", "stop", "other", None]),
        }
        return {name: value for name, value in drawn.items() if value is not None}

    def world(self, events: int, meters: int, batches: int) -> World:
        """Everything; events come late, twice, and with other contents."""
        chosen = self.meters(meters)
        plans = self.plans(chosen)
        plans.append({**plans[0], "key": "monthly_2"})
        made = World(self.now_us, chosen, plans, self.customers(), self.credentials(), self.subscriptions())
        made.batches = [[] for _ in range(batches)]
        for _ in range(events):
            event = self.event(self.dice.choice(self.names))
            first = self.dice.randrange(batches)
            made.batches[first].append(event)
            if self.dice.random() < 0.05:
                made.batches[self.dice.randrange(batches)].append(event)
            if first + 1 < batches and self.dice.random() < 0.03:
                # Another payload of the same event: the first committed counts.
                made.batches[self.dice.randrange(first + 1, batches)].append(self.altered(event))
        return made

    def altered(self, event: Event) -> Event:
        """The same event with another payload."""
        return replace(event, status=503, time_us=self.instant("UTC"))


def endpoint_of(feed: str, method: str | None, path: str | None) -> str | None:
    """By the routes of `World.texts`."""
    if path is None:
        return None
    if feed != "app":
        return "(other)"
    if path.startswith("/v1/users/"):
        return ROUTES["POST"]
    return ROUTES["GET"] if path.startswith("/v1/items/") and method == "GET" else "(unmatched)"
