"""A tiny instance with some of everything: three zones, two log formats, each kind of meter, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

NOW = "2024-11-05T09:00:00Z"
MONTH = "2024-10"
HOSTILE = "<img src=x onerror=alert(1)> | *Birch* [x](https://example.org) `b`"
"""A customer's name that tries to be HTML, a table cell, Markdown and a link."""

CATALOG = {
    "instance.yaml": """
entities:
  - {key: seller, name: Seller Ltd, address: "1 Quay, Town", zone: Europe/Berlin, series: T, zero_invoices: issue}
grace_days: 3
future_skew_minutes: 5
""",
    "sources.yaml": """
sources:
  - {name: gateway, path: "logs/{node}/access-*.log", format: combined, event_type: request}
  - name: app
    path: events/*.jsonl
    format: cloudevents
    fields: {user: data.user}
    properties: {gigabytes: data.gb}
""",
    "meters.yaml": """
meters:
  - {key: requests, name: Requests, unit: request, event_type: request, aggregation: count,
     filter: {field: status, op: ne, value: 429}}
  - {key: egress, name: Bytes served, unit: byte, event_type: request, aggregation: sum, value: bytes}
  - {key: storage, name: Stored gigabytes, unit: GB, event_type: storage, aggregation: max, value: gigabytes}
  - {key: active_users, name: Active users, unit: user, event_type: session, aggregation: unique_count, value: user}
""",
    "plans/basic.yaml": """
key: basic
name: Basic
currency: USD
interval: month
versions:
  - effective: 2024-01-01
    charges:
      - {key: base, name: Base fee, model: flat, amount: "10.00", due: arrears}
      - {key: requests, name: Requests, model: graduated, meter: requests,
         tiers: [{up_to: "3", price: "0"}, {price: "0.25"}]}
      - {key: egress, name: Bytes served, model: per_unit, meter: egress, price: "0.0001"}
      - {key: users, name: Active users, model: per_unit, meter: active_users, price: "0.5"}
      - {key: storage, name: Stored gigabytes, model: per_unit, meter: storage, price: "0.12",
         watermark: {of: max, window: 1h}}
""",
    "routes.yaml": """
routes:
  - patterns: ["GET /v1/items/{id}"]
""",
    "retractions.yaml": """
retractions:
  - {source: app, id: alder-s4, by: reviewer, on: 2024-11-04, reason: a test of theirs}
""",
    "customers.csv": f"""customer,name,address,country,tax_id,zone,entity,terms_days
alder,Alder GmbH,"1 Road, Town",DE,,Europe/Berlin,seller,30
birch,"{HOSTILE}","2 Road, Town",US,,America/New_York,seller,30
cedar,Cedar KK,"3 Road, Town",JP,,Asia/Tokyo,seller,30
""",
    "credentials.csv": """credential,customer,source,valid_from,valid_to
ak_alder,alder,,,
ak_birch,birch,,,
ak_cedar,cedar,,,
""",
    "subscriptions.csv": """subscription,customer,plan,start,end,stacking
sub-alder,alder,basic,2024-10-01,,
sub-birch,birch,basic,2024-10-01,,
sub-cedar,cedar,basic,2024-10-01,,
""",
}


def make(home: Path, *, key: str = "5a" * 32) -> Path:
    """Write the instance below `home`: catalog, key and a day of logs. The same bytes each time."""
    for name, text in CATALOG.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    (home / "instance.key").write_text(key)
    write_log(home, "access-1.log", 3, garbage="worker 3 exited\n\n")
    write_events(home)
    return home


def write_log(home: Path, name: str, day: int, garbage: str = "") -> None:
    """A gateway's log of one day of October 2024: 12 requests of each customer and one of a stranger."""
    folder = home / "inbox" / "logs" / "node-1"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f'198.51.100.7 - ak_{who} [{day:02d}/Oct/2024:{hour:02d}:30:00 +0000] "GET /v1/items/{hour}?q=1 HTTP/1.1" '
        f'{429 if hour == 4 else 200} {100 + hour} "-" "curl/8"'
        for hour in range(0, 24, 2)
        for who in ("alder", "birch", "cedar")
    ]
    lines.append(f'198.51.100.9 - ak_stranger [{day:02d}/Oct/2024:10:00:00 +0000] "GET /other HTTP/1.1" 200 7 "-" "x"')
    (folder / name).write_text("\n".join(lines) + "\n" + garbage)


def write_events(home: Path) -> None:
    """Sessions and readings: one twice; of cedar's, one twice with different contents and one without a reading."""
    folder = home / "inbox" / "events"
    folder.mkdir(parents=True, exist_ok=True)
    events = [
        _event(f"{who}-s{n}", "session", f"2024-10-{3 + n // 2:02d}T10:0{n}:00Z", who, {"user": f"user-{n % 3}"})
        for who in ("alder", "birch")
        for n in range(5)
    ]
    events += [
        _event(f"{who}-g{hour}", "storage", f"2024-10-04T{hour:02d}:00:00Z", who, {"gb": f"{hour}.5"})
        for who in ("alder", "birch")
        for hour in (8, 16, 12)
    ]
    events.append(events[0])
    events.append(_event("cedar-g1", "storage", "2024-10-04T08:00:00Z", "cedar", {"gb": "1"}))
    events.append(_event("cedar-g1", "storage", "2024-10-04T08:00:00Z", "cedar", {"gb": "2"}))
    events.append(_event("cedar-g2", "storage", "2024-10-04T09:00:00Z", "cedar", {}))
    (folder / "day.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))


def _event(key: str, kind: str, time: str, who: str, data: dict[str, str]) -> dict[str, object]:
    head = {"specversion": "1.0", "id": key, "source": "app", "type": kind, "time": time, "subject": f"ak_{who}"}
    return {**head, "data": data}
