"""Three customers on one gateway for five weeks, few requests an hour, with incidents at known hours of the kinds that
watched_world.py does not have.

Lines are JSON: they say the country of a request, and which item it asked for.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from watched_world import CATALOG as WATCHED_CATALOG

START = datetime(2024, 10, 1, tzinfo=UTC)
DAYS = 34
NOW = "2024-11-04T01:00:00Z"

PROBED = datetime(2024, 10, 25, 9, tzinfo=UTC)
"""25 paths that no route knows, asked for by elm."""
SCRAPED = datetime(2024, 10, 28, 13, tzinfo=UTC)
"""Elm asks for 75 articles, each another one; its requests are usually for six."""
EXHAUSTED = datetime(2024, 10, 30, 11, tzinfo=UTC)
"""25 of elm's exports are refused, two minutes apart: no retries."""
STORMED = datetime(2024, 11, 1, 15, tzinfo=UTC)
"""An order of elm's fails, and comes again 40 times in the minute after."""
NIGHT = datetime(2024, 10, 29, 6, tzinfo=UTC)
"""25 requests of oak at two in the morning, its office opens at eight."""
ABROAD = datetime(2024, 10, 31, 15, tzinfo=UTC)
"""15 requests of oak from a country where it has never been."""
HAMMERED = datetime(2024, 11, 1, 16, tzinfo=UTC)
"""40 exports of oak are refused, one a second: a quota that is used up, and a storm of retries."""
SILENT = [datetime(2024, 10, 26, hour, tzinfo=UTC) for hour in (8, 9, 10, 11)]
CANCELLED = [datetime(2024, 10, 29, hour, tzinfo=UTC) for hour in (10, 11, 12, 13)]
"""Two thirds of fir's orders are cancelled; usually one in ten is."""
DEARER = datetime(2024, 11, 1, 0, tzinfo=UTC)
"""Fir's plan has another price from this day on."""

CATALOG = {
    "instance.yaml": WATCHED_CATALOG["instance.yaml"],
    "sources.yaml": """
sources:
  - name: gateway
    path: "logs/*.log"
    format: json_lines
    event_type: request
    fields: {time: t as epoch_s, credential: key, method: verb, path: path, status: status, agent: agent}
    properties: {country: from, item: item}
""",
    "meters.yaml": """
meters:
  - {key: requests, name: Requests, unit: request, event_type: request, aggregation: count}
  - key: orders
    name: Orders
    event_type: request
    aggregation: count
    filter: {all: [{field: method, op: eq, value: POST}, {field: path, op: eq, value: /v1/orders}]}
  - key: cancels
    name: Orders cancelled
    event_type: request
    aggregation: count
    filter: {all: [{field: method, op: eq, value: POST}, {field: path, op: eq, value: /v1/cancels}]}
""",
    "plans/basic.yaml": WATCHED_CATALOG["plans/basic.yaml"],
    "plans/dearer.yaml": """
key: dearer
name: Dearer
currency: USD
interval: month
versions:
  - effective: 2024-01-01
    charges:
      - {key: requests, name: Requests, model: per_unit, meter: requests, price: "0.25"}
  - effective: 2024-11-01
    charges:
      - {key: requests, name: Requests, model: per_unit, meter: requests, price: "0.40"}
""",
    "routes.yaml": """
routes:
  - patterns: ["GET /v1/articles/{id}", "GET /v1/exports", "POST /v1/orders", "POST /v1/cancels"]
""",
    "monitoring.yaml": """
ids: item
holds: [scraping, order_cancel_ratio]
replay_days: 0
ratios:
  - {name: order_cancel_ratio, meter: cancels, per: orders}
""",
    "customers.csv": """customer,name,address,country,tax_id,zone,entity,terms_days
elm,Elm GmbH,"1 Road, Town",DE,,Europe/Berlin,seller,30
fir,Fir Ltd,"2 Road, Town",GB,,UTC,seller,30
oak,Oak Inc,"3 Road, Town",US,,America/New_York,seller,30
""",
    "credentials.csv": """credential,customer,source,valid_from,valid_to
ak_elm,elm,,,
ak_fir,fir,,,
ak_oak,oak,,,
""",
    "subscriptions.csv": """subscription,customer,plan,start,end,stacking
sub-elm,elm,basic,2024-10-01,,
sub-fir,fir,dearer,2024-10-01,,
sub-oak,oak,basic,2024-10-01,,
""",
}


class Call(NamedTuple):
    """A request of the log."""

    second: float
    path: str
    item: str | None = None
    verb: str = "GET"
    status: int = 200
    country: str = "DE"


def make(home: Path) -> Path:
    """Write the instance with its logs, one file a day. The same bytes each time."""
    for name, text in CATALOG.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    (home / "instance.key").write_text("5b" * 32)
    logs = home / "inbox" / "logs"
    logs.mkdir(parents=True)
    for day in range(DAYS):
        begin = START + timedelta(days=day)
        lines = [line for hour in range(24) for line in _hour(begin + timedelta(hours=hour))]
        (logs / f"{begin:%Y-%m-%d}.log").write_text("\n".join(lines) + "\n")
    return home


def _hour(begin: datetime) -> list[str]:
    draw = random.Random(f"{begin:%Y-%m-%dT%H}")
    calls: list[tuple[datetime, dict[str, Any]]] = []
    for who, found in (("elm", _elm(begin, draw)), ("fir", _fir(begin, draw)), ("oak", _oak(begin, draw))):
        for call in found:
            at = begin + timedelta(seconds=int(call.second))
            line = {"t": int(at.timestamp()), "key": f"ak_{who}", "verb": call.verb, "path": call.path}
            told = {"status": call.status, "agent": "curl/8", "from": call.country, "item": call.item}
            calls.append((at, line | {name: value for name, value in told.items() if value is not None}))
    return [json.dumps(line) for _, line in sorted(calls, key=lambda each: each[0])]


def _articles(draw: random.Random, count: int, country: str = "DE") -> Iterator[Call]:
    """Requests for six articles, at any time of the hour."""
    for _ in range(count):
        item = f"a{draw.randrange(6)}"
        yield Call(draw.randrange(3600), f"/v1/articles/{item}", item, country=country)


def _elm(begin: datetime, draw: random.Random) -> Iterator[Call]:
    """At all hours."""
    if begin == SCRAPED:
        yield from (Call(48 * n, f"/v1/articles/b{n}", f"b{n}") for n in range(75))
        return
    yield from _articles(draw, draw.randint(27, 33))
    if begin == PROBED:
        yield from (Call(20 * n, f"/old/{n}.php", status=404) for n in range(25))
    if begin == EXHAUSTED:
        yield from (Call(120 * n, "/v1/exports", status=429) for n in range(25))
    if begin == STORMED:
        yield Call(600, "/v1/orders", verb="POST", status=503)
        yield from (Call(601 + n, "/v1/orders", verb="POST") for n in range(40))


def _fir(begin: datetime, draw: random.Random) -> Iterator[Call]:
    """Orders at all hours, of which some are cancelled."""
    orders = draw.randint(27, 33)
    cancels = draw.randint(2, 4)
    if begin in SILENT:
        return
    if begin in CANCELLED:
        cancels = 20
    for path, count in (("/v1/orders", orders), ("/v1/cancels", cancels)):
        yield from (Call(draw.randrange(3600), path, verb="POST", country="GB") for _ in range(count))


def _oak(begin: datetime, draw: random.Random) -> Iterator[Call]:
    """In the office hours of New York on every day of the week, and at no other."""
    count = draw.randint(27, 33)
    # Daylight saving time ends on the 3rd of November.
    local = begin - timedelta(hours=4 if begin < datetime(2024, 11, 3, 6, tzinfo=UTC) else 5)
    if begin == NIGHT:
        yield from _articles(draw, 25, "US")
    elif 8 <= local.hour < 18:
        abroad = 15 if begin == ABROAD else 0
        yield from _articles(draw, count - abroad, "US")
        yield from _articles(draw, abroad, "BR")
        if begin == HAMMERED:
            yield from (Call(n, "/v1/exports", status=429, country="US") for n in range(40))
