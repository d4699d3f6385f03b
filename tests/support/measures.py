"""An instance with every measure that a charge can ask for: the worked examples, and a crowd of random events."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NOW = "2026-12-09T12:00:00Z"
_METERS = """
meters:
  - {key: level_time, name: A, event_type: change, aggregation: weighted_sum, value: n}
  - {key: held, name: B, event_type: seat, aggregation: sum, value: n, carry: true, allow_negative: true}
  - {key: gauge, name: C, event_type: reading, aggregation: max, value: n, dimensions: [region]}
  - {key: gauge_kept, name: D, event_type: reading, aggregation: max, value: n, carry: true, dimensions: [region]}
  - {key: least, name: E, event_type: reading, aggregation: min, value: n}
  - {key: least_kept, name: F, event_type: reading, aggregation: min, value: n, carry: true}
  - {key: last, name: G, event_type: reading, aggregation: latest, value: n}
  - {key: last_kept, name: H, event_type: reading, aggregation: latest, value: n, carry: true, dimensions: [region]}
  - {key: median, name: I, event_type: reading, aggregation: percentile, percentile: 50, value: n}
  - {key: users, name: J, event_type: visit, aggregation: unique_count, value: user, dimensions: [region]}
  - {key: visits, name: K, event_type: visit, aggregation: count}
  - {key: traffic, name: L, event_type: traffic, aggregation: sum, value: n}
  - {key: changed, name: M, event_type: change, aggregation: level, value: n}
  - {key: sessions, name: N, event_type: call, aggregation: level, session: session, expires_after: 2h,
     start: {field: n, op: eq, value: "1"}, stop: {field: n, op: eq, value: "0"}}
  - {key: items, name: O, event_type: call, aggregation: unique_count, value: session, dimensions: [region],
     start: {field: n, op: eq, value: "1"}, stop: {field: n, op: eq, value: "0"}}
"""
CHARGES = {
    "level-time": "meter: level_time",
    "seats": "meter: held, prorate: days",
    "held": "meter: held",
    "held-peak": "meter: held, watermark: {of: sum, window: 15m}",
    "gauge": "meter: gauge",
    "gauge-mark": "meter: gauge, watermark: {of: max, window: 1h, percentile: 99}",
    "gauge-days": "meter: gauge, watermark: {of: max, window: 1d, take: daily_sum}",
    "gauge-kept": "meter: gauge_kept",
    "gauge-kept-mark": "meter: gauge_kept, watermark: {of: max, window: 1h, percentile: 60}",
    "gauge-kept-each": "meter: gauge_kept, watermark: {of: max, window: 1d, take: each_window}",
    "least": "meter: least",
    "least-kept": "meter: least_kept",
    "last": "meter: last",
    "last-kept": "meter: last_kept",
    "median": "meter: median",
    "users": "meter: users",
    "users-each": "meter: users, by_dimension: each",
    "daily-users": "meter: users, active: {per: day}",
    "mean-users": "meter: users, active: {per: day, take: mean}",
    "peak-users": "meter: users, active: {per: day, take: max}, by_dimension: each",
    "weekly-users": "meter: users, active: {per: week}",
    "mean-weekly": "meter: users, active: {per: week, take: mean}",
    "users-by-line": "meter: users, line_per: region",
    "peak-by-line": "meter: users, active: {per: day, take: max}, line_per: region",
    "mean-by-line": "meter: users, active: {per: week, take: mean}, line_per: region",
    "items-by-line": "meter: items, line_per: region",
    "users-by-hour": "meter: users, watermark: {of: unique_count, window: 1h}",
    "visits": "meter: visits",
    "visits-mark": "meter: visits, watermark: {of: count, window: 1d, percentile: 50}",
    "visits-each": "meter: visits, watermark: {of: count, window: 15m, take: each_window}",
    "traffic": "meter: traffic",
    "burst": "meter: traffic, watermark: {of: sum, window: 5m, percentile: 95}",
    "changed": "meter: changed",
    "changed-mark": "meter: changed, watermark: {of: level, window: 5m, percentile: 90}",
    "sessions": "meter: sessions, watermark: {of: level, window: 1m}",
    "sessions-each": "meter: sessions, watermark: {of: level, window: 1h, take: each_window}",
    "sessions-days": "meter: sessions, watermark: {of: level, window: 15m, take: daily_sum}",
    "items": "meter: items",
    "items-each": "meter: items, by_dimension: each",
    "items-days": "meter: items, prorate: days",
    "items-most": "meter: items, active: {per: day, take: max}",
    "items-weekly": "meter: items, active: {per: week, take: mean}",
}
"""Charges of the plans `every` and `more`, at 1 and at 2 a unit."""
ZONES = {
    "berlin": "Europe/Berlin",
    "howe": "Australia/Lord_Howe",
    "nepal": "Asia/Kathmandu",
    "newfound": "America/St_Johns",
    "worked": "UTC",
    "steady": "UTC",
    "longer": "UTC",
}
_SUBSCRIPTIONS = """subscription,customer,plan,start,end,stacking
s-berlin,berlin,every,2026-10-01,,
s-howe,howe,every,2026-10-01,2026-11-09,
s-howe,howe,more,2026-11-09,,
s-nepal,nepal,every,2026-11-11,,
s-newfound,newfound,every,2026-10-14,2026-11-24,
s-worked,worked,every,2026-11-01,2026-11-16,
s-worked,worked,more,2026-11-16,,
s-steady,steady,every,2026-11-16,,
s-longer,longer,months,2026-11-01,2026-11-16,
s-longer,longer,quarters,2026-11-16,,
"""


def _plan(key: str, price: str) -> str:
    charges = "".join(
        f'      - {{key: {name}, name: x, model: per_unit, price: "{price}", {rest}}}\n'
        for name, rest in CHARGES.items()
    )
    head = f"key: {key}\nname: P\ncurrency: USD\ninterval: month\nversions:\n  - effective: 2026-01-01\n    charges:\n"
    return head + charges.replace('price: "2", meter: level_time', 'price: "1", meter: level_time')


def _counted_from_start(interval: str, price: str) -> str:
    head = f"key: {interval}s\nname: P\ncurrency: USD\ninterval: {interval}\nanchor: subscription\nversions:\n"
    charge = f'{{key: users, name: x, model: per_unit, price: "{price}", meter: users}}'
    return f"{head}  - effective: 2026-01-01\n    charges:\n      - {charge}\n"


def make(home: Path, *, key: str = "5a" * 32) -> Path:
    """Write the instance below `home`, with the events of the worked examples and most of the crowd's."""
    source = (
        "sources:\n  - name: app\n    path: events/*.jsonl\n    format: cloudevents\n    fields: {user: data.user}\n"
        "    properties: {n: data.n, region: data.region, session: data.session}\n"
    )
    texts = {
        "instance.yaml": "entities:\n  - {key: seller, name: S, address: A, series: T, zero_invoices: issue}\n",
        "sources.yaml": source,
        "meters.yaml": _METERS.lstrip(),
        "plans/every.yaml": _plan("every", "1"),
        "plans/more.yaml": _plan("more", "2"),
        "plans/months.yaml": _counted_from_start("month", "1"),
        "plans/quarters.yaml": _counted_from_start("quarter", "2"),
        "customers.csv": "customer,name,address,country,zone,entity\n"
        + "".join(f"{name},N,A,DE,{zone},seller\n" for name, zone in ZONES.items()),
        "credentials.csv": "credential,customer,source,valid_from,valid_to\n"
        + "".join(f"ak_{name},{name},,,\n" for name in ZONES),
        "subscriptions.csv": _SUBSCRIPTIONS,
    }
    for name, text in texts.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (home / "instance.key").write_text(key)
    crowd = list(_crowd(random.Random(7)))
    deliver(home, "worked.jsonl", _worked())
    deliver(home, "crowd.jsonl", crowd[::2] + crowd[1::4])
    return home


def late() -> Iterator[dict[str, Any]]:
    """The rest of the crowd's events."""
    yield from list(_crowd(random.Random(7)))[3::4]


def deliver(home: Path, name: str, events: Any) -> None:
    path = home / "inbox" / "events" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def _event(key: str, kind: str, at: datetime, who: str, **data: str) -> dict[str, Any]:
    time = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    head = {"specversion": "1.0", "id": key, "source": "app", "type": kind, "time": time, "subject": f"ak_{who}"}
    return {**head, "data": data}


def _worked() -> Iterator[dict[str, Any]]:
    """100 GB held and 100 seats from before November on, 100 users in both halves; traffic with a burst of 30 hours."""
    before, first = datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 11, 3, 8, tzinfo=UTC)
    yield _event("w-level", "change", before, "worked", n="100")
    yield _event("w-seats", "seat", before, "worked", n="100")
    yield _event("w-gauge", "reading", before, "worked", n="100", region="eu")
    for half in (first, first + timedelta(days=16)):
        for user in range(100):
            yield _event(f"w-{half.day}-{user}", "visit", half, "worked", user=f"u{user}", region="eu")
        for user in range(5):
            yield _event(f"l-{half.day}-{user}", "visit", half, "longer", user=f"u{user}", region="eu")
    start = datetime(2026, 11, 16, tzinfo=UTC)
    for window in range(15 * 288):
        rate = "300" if 1000 <= window < 1360 else "100"
        yield _event(f"t-{window}", "traffic", start + timedelta(minutes=5 * window), "steady", n=rate)


def _crowd(dice: random.Random) -> Iterator[dict[str, Any]]:
    """Events of four customers in October and November, some of them at the first instants of hours and days."""
    begin = datetime(2026, 9, 27, tzinfo=UTC)
    for who in ("berlin", "howe", "nepal", "newfound"):
        for number in range(260):
            at = begin + timedelta(microseconds=dice.randrange(72 * 86_400_000_000))
            if dice.random() < 0.3:
                at = at.replace(minute=dice.choice((0, 15, 30, 45)), second=0, microsecond=0)
            kind = dice.choice(
                ("change", "seat", "reading", "reading", "visit", "visit", "visit", "traffic", "call", "call")
            )
            n = str(dice.randrange(-3, 6)) if kind in ("change", "seat") else f"{dice.randrange(40)}.5"
            data = {"n": str(dice.randrange(2)) if kind == "call" else n, "session": f"s{dice.randrange(4)}"}
            data |= {"user": f"u{dice.randrange(9)}", "region": dice.choice(("eu", "us"))}
            yield _event(f"{who}-{number}", kind, at, who, **data)
