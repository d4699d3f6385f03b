"""A world of states that last, and what they are worth, found by looking at the clock every few seconds.

The oracle knows nothing of the project's code: it walks through time in steps of `TICK` seconds, reads the local clock
with `zoneinfo`, and begins a bucket, window or day whenever that clock shows a full one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

TICK = 20
"""Seconds. All events of the random world happen at whole ticks."""
MINUTES = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}
EXPIRES = 2 * 3_600

INSTANCE = """
entities:
  - {key: seller, name: Seller Ltd, address: "1 Quay, Town", zone: UTC, series: T}
"""
SOURCES = """
sources:
  - name: app
    path: events/*.jsonl
    format: cloudevents
    properties: {amount: data.amount, region: data.region, session: data.session, kind: data.kind}
"""
METERS = """
meters:
  - {key: seats, name: Seats, event_type: seat, aggregation: sum, carry: true, value: amount, allow_negative: true}
  - {key: stored, name: Stored, event_type: store, aggregation: weighted_sum, value: amount, dimensions: [region]}
  - {key: running, name: Running, event_type: run, aggregation: level, value: amount, dimensions: [region]}
  - {key: gauge, name: Gauge, event_type: read, aggregation: max, carry: true, value: amount, dimensions: [region],
     allow_negative: true}
  - {key: floor, name: Floor, event_type: read, aggregation: min, carry: true, value: amount, allow_negative: true}
  - {key: newest, name: Newest, event_type: read, aggregation: latest, carry: true, value: amount, dimensions: [region],
     allow_negative: true}
  - {key: calls, name: Calls, event_type: call, aggregation: level, session: session, expires_after: 2h,
     start: {field: kind, op: eq, value: start}, stop: {field: kind, op: eq, value: stop}, dimensions: [region]}
  - {key: visits, name: Visits, event_type: call, aggregation: level,
     start: {field: kind, op: eq, value: start}, stop: {field: kind, op: eq, value: stop}}
  - {key: hits, name: Hits, event_type: hit, aggregation: count}
  - {key: bits, name: Bits, event_type: hit, aggregation: sum, value: amount, allow_negative: true}
  - {key: peaks, name: Peaks, event_type: hit, aggregation: max, value: amount, allow_negative: true}
  - {key: places, name: Places, event_type: hit, aggregation: unique_count, value: region}
"""
WINDOWS = {
    "calls": [("5m", 95), ("1m", None), ("1h", 99)],
    "running": [("15m", 90), ("1d", 50)],
    "visits": [("5m", None)],
    "gauge": [("15m", 50), ("5m", 95)],
    "seats": [("1h", 1)],
    "hits": [("5m", 95), ("1h", 99)],
    "bits": [("1m", 20), ("1d", 10)],
    "peaks": [("15m", 99)],
    "places": [("15m", None), ("1d", None)],
}
OF = {
    "calls": "level",
    "running": "level",
    "visits": "level",
    "gauge": "max",
    "seats": "sum",
    "hits": "count",
    "bits": "sum",
    "peaks": "max",
    "places": "unique_count",
}
LASTING = ("seats", "stored", "running", "gauge", "floor", "newest", "calls", "visits")
TYPES = {"seat": ["seats"], "store": ["stored"], "run": ["running"], "read": ["gauge", "floor", "newest"]} | {
    "call": ["calls", "visits"],
    "hit": ["hits", "bits", "peaks", "places"],
}
BY_REGION = {"stored", "running", "gauge", "newest", "calls"}
READINGS = {"gauge", "floor", "newest"}


@dataclass(frozen=True)
class Event:
    """`when`: seconds since 1970. `amount` is text, as it is sent."""

    customer: str
    type: str
    when: int
    id: str
    amount: str | None = None
    region: str | None = None
    session: str | None = None
    kind: str | None = None

    def line(self) -> str:
        names = ("amount", "region", "session", "kind")
        data = {name: value for name in names if (value := getattr(self, name)) is not None}
        time = datetime.fromtimestamp(self.when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        head = {"specversion": "1.0", "id": self.id, "source": "app", "type": self.type, "time": time}
        return json.dumps({**head, "subject": f"ak_{self.customer}", "data": data}) + "\n"


def write_catalog(home: Path, zones: dict[str, str]) -> None:
    """Customers by their zone, all on one plan, whose charges ask for the windows above."""
    rules = [(meter, *rule) for meter, listed in WINDOWS.items() for rule in listed]
    charges = "".join(
        f"      - {{key: c{n}, name: C, model: per_unit, meter: {meter}, price: '1', watermark: {{of: {OF[meter]}, "
        f"window: {length}{f', percentile: {p}' if p else ''}}}}}\n"
        for n, (meter, length, p) in enumerate(rules)
    )
    plan = "key: p\nname: P\ncurrency: USD\nversions:\n  - effective: 2011-01-01\n    charges:\n"
    people = sorted(zones)
    texts = {
        "instance.yaml": INSTANCE,
        "sources.yaml": SOURCES,
        "meters.yaml": METERS,
        "plans/p.yaml": plan + charges,
        "customers.csv": "customer,name,address,country,tax_id,zone,entity,terms_days\n"
        + "".join(f"{who},{who},Road,DE,,{zones[who]},seller,30\n" for who in people),
        "credentials.csv": "credential,customer,source,valid_from,valid_to\n"
        + "".join(f"ak_{who},{who},,,\n" for who in people),
        "subscriptions.csv": "subscription,customer,plan,start,end,stacking\n"
        + "".join(f"s-{who},{who},p,2011-01-01,,\n" for who in people),
    }
    for name, text in texts.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    (home / "instance.key").write_text("5a" * 32)


def deliver(home: Path, name: str, events: Iterable[Event]) -> None:
    path = home / "inbox" / "events" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(event.line() for event in events))


@dataclass
class Clock:
    """What the local clock of a zone showed from one second to another: starts of days, hours and windows."""

    zone: str
    first: int
    end: int
    days: list[tuple[int, date]] = field(default_factory=list)
    starts: dict[str, list[int]] = field(default_factory=lambda: {length: [] for length in MINUTES})

    def __post_init__(self) -> None:
        zone = ZoneInfo(self.zone)
        for second in range(self.first, self.end, TICK):
            local = datetime.fromtimestamp(second, zone)
            if not self.days or local.date() > self.days[-1][1]:
                self.days.append((second, local.date()))
            for length, minutes in MINUTES.items():
                if local.second == 0 and (local.hour * 60 + local.minute) % minutes == 0:
                    self.starts[length].append(second)

    def day_of(self, second: int) -> date:
        return next(day for start, day in reversed(self.days) if start <= second)

    def windows(self, length: str) -> list[tuple[int, int]]:
        """Begin and end, in seconds, of every window."""
        starts = [start for start, _ in self.days] if length == "1d" else self.starts[length]
        return list(pairwise([*starts, self.end]))


def known_until(zone: str, now: int) -> int:
    """The first second of the local day after the one of `now`."""
    local = ZoneInfo(zone)
    today, second = datetime.fromtimestamp(now, local).date(), now - now % TICK
    while datetime.fromtimestamp(second, local).date() <= today:
        second += TICK
    return second


def midnight(zone: str, day: date) -> int:
    """The first second that bears a day (looked for in steps)."""
    local = ZoneInfo(zone)
    second = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 16 * 3_600
    while datetime.fromtimestamp(second, local).date() < day:
        second += TICK
    return second


def _sessions(events: list[Event]) -> tuple[list[tuple[str | None, int, int]], list[Event]]:
    """(region, instant, change) of one customer's sessions, one event after the other; and what pairs with none."""
    moves: list[tuple[str | None, int, int]] = []
    unpaired: list[Event] = []
    running: dict[str, tuple[int, str | None]] = {}
    for event in sorted(events, key=lambda e: (e.when, e.id.encode())):
        if event.session is None:
            continue
        opened = running.get(event.session)
        if opened is not None and (
            event.when > opened[0] + EXPIRES or (event.when == opened[0] + EXPIRES and event.kind == "start")
        ):
            moves.append((opened[1], opened[0] + EXPIRES, -1))
            del running[event.session]
            opened = None
        if event.kind == "start" and opened is None:
            running[event.session] = (event.when, event.region)
            moves.append((event.region, event.when, 1))
        elif event.kind == "stop" and opened is not None:
            del running[event.session]
            moves.append((opened[1], event.when, -1))
        else:
            unpaired.append(event)
    return [*moves, *((region, start + EXPIRES, -1) for start, region in running.values())], unpaired


def changes_of(meter: str, events: list[Event]) -> dict[str, dict[int, list[Decimal]]]:
    """By dimensions: by second what happens then, in the order of the event keys."""
    found: dict[str, dict[int, list[Decimal]]] = defaultdict(lambda: defaultdict(list))
    mine = sorted((e for e in events if meter in TYPES[e.type]), key=lambda e: (e.when, e.id.encode()))
    if meter == "calls":
        for region, when, change in _sessions(mine)[0]:
            found[_dimensions(meter, region)][when].append(Decimal(change))
    elif meter == "visits":
        for event in mine:
            found["{}"][event.when].append(Decimal(1 if event.kind == "start" else -1))
    else:
        for event in mine:
            found[_dimensions(meter, event.region)][event.when].append(Decimal(event.amount or ""))
    return found


def _dimensions(meter: str, region: str | None) -> str:
    if meter not in BY_REGION:
        return "{}"
    return json.dumps({"region": region}, separators=(",", ":"), ensure_ascii=False)


def unpaired_of(events: list[Event]) -> list[Event]:
    return _sessions([e for e in events if e.type == "call"])[1]


@dataclass
class Series:
    """S by ticks from the first event on, the seconds of its events, and for readings all values at a tick."""

    first: int
    state: dict[int, Decimal]
    moments: list[int]
    seen: dict[int, list[Decimal]]


def walk(meter: str, changes: dict[int, list[Decimal]], end: int) -> Series | None:
    moments = [when for when in changes if when < end]
    if not moments:
        return None
    state, states = Decimal(0), {}
    for second in range(min(moments), end, TICK):
        for value in changes.get(second, ()):
            state = value if meter in READINGS else state + value
        states[second] = state
    return Series(min(moments), states, sorted(moments), changes if meter in READINGS else {})


def hours_of(meter: str, series: Series, clock: Clock) -> list[tuple[Any, ...]]:
    """(day, bucket, end, opening, closing, low, high, level, instant that set it) of each hour; instants in us."""
    rows = []
    for begin, end in clock.windows("1h"):
        ticks = list(range(max(begin, series.first), end, TICK))
        if not ticks:
            continue
        tops = {t: max([series.state[t], *series.seen.get(t, ())]) for t in ticks}
        bottoms = {t: min([series.state[t], *series.seen.get(t, ())]) for t in ticks}
        high, low = max(tops.values()), min(bottoms.values())
        if meter in ("newest", "seats"):
            set_at = max(t for t in series.moments if t < end)
        elif meter == "floor":
            set_at = min(t for t in ticks if bottoms[t] == low)
        else:
            set_at = min(t for t in ticks if tops[t] == high)
        opening = series.state[begin - TICK] if begin > series.first else None
        level = sum((series.state[t] for t in ticks), Decimal(0)) * TICK * 1_000_000
        us = None if meter == "stored" else set_at * 1_000_000
        rows.append(
            (
                clock.day_of(begin),
                begin * 1_000_000,
                end * 1_000_000,
                opening,
                series.state[ticks[-1]],
                low,
                high,
                level,
                us,
            )
        )
    return rows


def series_of(meter: str, events: list[Event], clock: Clock) -> dict[str, Series]:
    """The series of a meter that begin before the clock stops, by their dimensions."""
    changes = changes_of(meter, events)
    return {d: found for d in sorted(changes) if (found := walk(meter, changes[d], clock.end)) is not None}


def lasting_windows(meter: str, each: list[Series], clock: Clock, length: str) -> dict[int, Decimal]:
    """By begin in us: the value of each window in which there is a state, over all series."""
    return {
        begin * 1_000_000: value
        for begin, end in clock.windows(length)
        if (value := _value(meter, each, begin, end)) is not None
    }


def event_windows(meter: str, events: list[Event], clock: Clock, length: str) -> dict[int, Decimal]:
    """By begin in us: the value of each window in which there is an event."""
    mine = [e for e in events if e.type == "hit"]
    found = {}
    for begin, end in clock.windows(length):
        inside = [e for e in mine if begin <= e.when < end]
        if meter == "places":
            inside = [e for e in inside if e.region]
        if inside:
            amounts = [Decimal(e.amount or "") for e in inside]
            found[begin * 1_000_000] = {
                "hits": Decimal(len(inside)),
                "bits": sum(amounts, Decimal(0)),
                "peaks": max(amounts),
                "places": Decimal(len({e.region for e in inside})),
            }[meter]
    return found


def _value(meter: str, each: list[Series], begin: int, end: int) -> Decimal | None:
    ticks = [t for t in range(begin, end, TICK) if any(t >= s.first for s in each)]
    if not ticks:
        return None
    if meter == "gauge":
        return max(max([s.state[t], *s.seen.get(t, ())]) for s in each for t in ticks if t >= s.first)
    totals = [sum((s.state[t] for s in each if t >= s.first), Decimal(0)) for t in ticks]
    return totals[-1] if meter == "seats" else max(totals)


def ranked(values: list[Decimal], empty: int, percentile: int | None) -> tuple[int, int, Decimal]:
    """(windows, rank, value at the rank) of the windows of a month, some of them empty."""
    every = sorted([*values, *[Decimal(0)] * empty])
    rank = len(every) if percentile is None else -(-percentile * len(every) // 100)
    return len(every), rank, every[rank - 1]


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())
