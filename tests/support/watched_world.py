"""Two customers on one gateway for five weeks and a half, few requests an hour, with incidents at known hours."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2024, 10, 1, tzinfo=UTC)
DAYS = 38
LATER = 33
"""From this day on files come in the second delivery."""
NOW = "2024-11-08T01:00:00Z"
STUFFED = [datetime(2024, 10, 30, hour, tzinfo=UTC) for hour in (10, 11, 12)]
SPIKE = datetime(2024, 11, 5, 14, tzinfo=UTC)
STRANGE = datetime(2024, 11, 2, 10, tzinfo=UTC)
"""15 requests by a program that nobody has used before."""
FAILED = datetime(2024, 11, 3, 12, tzinfo=UTC)
"""A login that fails, again after 30 s, and again after two minutes."""

HAMMERED = datetime(2024, 11, 6, 9, tzinfo=UTC)
"""Refused 8 times in a second, by a gateway whose limit was far."""

CATALOG = {
    "instance.yaml": """
entities:
  - {key: seller, name: Seller Ltd, address: "1 Quay, Town", zone: UTC, series: T, zero_invoices: issue}
grace_days: 3
""",
    "sources.yaml": """
sources:
  - {name: gateway, path: "logs/*.log", format: combined, event_type: request}
""",
    "meters.yaml": """
meters:
  - {key: requests, name: Requests, unit: request, event_type: request, aggregation: count}
  - {key: egress, name: Bytes served, unit: byte, event_type: request, aggregation: sum, value: bytes}
""",
    "plans/basic.yaml": """
key: basic
name: Basic
currency: USD
interval: month
versions:
  - effective: 2024-01-01
    charges:
      - {key: requests, name: Requests, model: per_unit, meter: requests, price: "0.25"}
""",
    "routes.yaml": """
routes:
  - patterns: ["GET /v1/items/{id}", "GET /v1/login"]
""",
    "monitoring.yaml": """
holds: [credential_stuffing]
off: [scraping]
""",
    "throttling.yaml": """
throttling:
  - {key: hourly, kind: fixed_window, limit: 60, window: 1h}
  - {key: alone, kind: concurrency, limit: 1000, plans: [basic], endpoints: ["/v1/login"]}
""",
    "customers.csv": """customer,name,address,country,tax_id,zone,entity,terms_days
alder,Alder GmbH,"1 Road, Town",DE,,Europe/Berlin,seller,30
birch,Birch Ltd,"2 Road, Town",IN,,Asia/Kolkata,seller,30
""",
    "credentials.csv": """credential,customer,source,valid_from,valid_to
ak_alder,alder,,,
ak_birch,birch,,,
""",
    "subscriptions.csv": """subscription,customer,plan,start,end,stacking
sub-alder,alder,basic,2024-10-01,,
sub-birch,birch,basic,2024-10-01,,
""",
}


def make(home: Path) -> Path:
    """Write the instance without its logs. The same bytes each time."""
    for name, text in CATALOG.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    (home / "instance.key").write_text("5a" * 32)
    (home / "inbox" / "logs").mkdir(parents=True)
    return home


def deliver(home: Path, days: range) -> None:
    """Write the logs of some days, one file a day."""
    for day in days:
        begin = START + timedelta(days=day)
        lines = [line for hour in range(24) for line in _hour(begin + timedelta(hours=hour))]
        (home / "inbox" / "logs" / f"{begin:%Y-%m-%d}.log").write_text("\n".join(lines) + "\n")


def _hour(begin: datetime) -> list[str]:
    draw = random.Random(f"{begin:%Y-%m-%dT%H}")
    lines = []
    for who in ("alder", "birch"):
        count = draw.randint(7, 11)
        if who == "birch" and begin == SPIKE:
            count = 120
        for _ in range(count):
            at = begin + timedelta(seconds=draw.randrange(3600))
            lines.append((at, who, f"/v1/items/{draw.randrange(9)}", 200, "curl/8"))
        if who == "alder" and begin == STRANGE:
            lines += [(begin + timedelta(seconds=n), who, "/v1/items/1", 200, f"newbot/{n}") for n in range(15)]
        if who == "alder" and begin == FAILED:
            tries = ((0, 503), (30, 200), (120, 200))
            lines += [(begin + timedelta(seconds=s), who, "/v1/login", status, "curl/8") for s, status in tries]
        if who == "birch" and begin == HAMMERED:
            lines += [(begin, who, "/v1/items/1", 429, "curl/9")] * 8
        if who == "alder" and begin in STUFFED:
            lines += [(begin + timedelta(seconds=60 * n), who, "/v1/login", 401, "curl/8") for n in range(50)]
    return [
        f'198.51.100.7 - ak_{who} [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/1.1" {status} 100 "-" "{agent}"'
        for at, who, path, status, agent in sorted(lines)
    ]
