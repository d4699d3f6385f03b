"""Requests by endpoint and by status: every row of the marts against a plain count of the lines, also day by day."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import tiny
from instances import content, rows, tables

from orchestration.pipeline import run
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.settings import parse_instant

NOW = "2024-11-05T09:00:00Z"
ZONES = {"alder": "Europe/Berlin", "birch": "America/New_York", "cedar": "Asia/Kathmandu"}
"""Cedar has no plan."""
STATUSES = [200, 200, 200, 204, 301, 400, 404, 429, 429, 499, 500, 503, 0, 600, None]
CLASSES = ("success", "client_error", "throttled", "server_error", "other")
CATALOG = tiny.CATALOG | {
    "sources.yaml": """
sources:
  - {name: timed, path: "timed/*.jsonl", format: nginx_json}
  - {name: plain, path: "plain/*.jsonl", format: json_lines, event_type: other, fields: {time: at, status: code,
     credential: who, bytes: size}, latency: {field: took, unit: us}}
  - {name: app, path: "app/*.jsonl", format: cloudevents}
""",
    "meters.yaml": """
meters:
  - {key: requests, name: Requests, unit: request, event_type: request, aggregation: count,
     filter: {all: [{field: status, op: ne, value: 429}, {field: status, op: lt, value: 500}]}}
""",
    "plans/basic.yaml": """
key: basic
name: Basic
currency: USD
interval: month
versions:
  - effective: 2024-01-01
    charges:
      - {key: requests, name: Requests, model: per_unit, meter: requests, price: "0.5"}
""",
    "monitoring.yaml": "replay_days: 0\n",
    "customers.csv": "customer,name,address,country,tax_id,zone,entity,terms_days\n"
    + "".join(f'{who},{who.title()},"1 Road, Town",DE,,{zone},seller,30\n' for who, zone in ZONES.items()),
    "subscriptions.csv": "subscription,customer,plan,start,end,stacking\n"
    "sub-alder,alder,basic,2024-10-01,,\nsub-birch,birch,basic,2024-10-10,,\n",
}
Request = dict[str, Any]


def requests(seed: int, first: int, last: int, count: int) -> list[Request]:
    """Requests of the days `first` to `last` of October 2024, one in eight of them of nobody."""
    dice = random.Random(seed)
    begin = datetime(2024, 10, first, tzinfo=UTC)
    found = []
    for _ in range(count):
        timed = dice.random() < 0.8
        # Few paths and many equal times, so that ranks fall on ties.
        took = dice.choice([None, dice.randrange(30), dice.randrange(5_000), dice.randrange(90_000_000)])
        found.append(
            {
                "who": dice.choice([*ZONES, *ZONES, "stranger"]),
                "at": begin + timedelta(seconds=dice.randrange((last - first + 1) * 86_400)),
                "type": "request" if timed else "other",
                "method": dice.choice(["GET", "POST"]) if timed else None,
                "path": dice.choice(["/v1/items/7", "/v1/items/8", "/nothing"]) if timed else None,
                "status": dice.choice(STATUSES),
                "bytes": dice.randrange(10_000),
                "took": took,
            }
        )
    return found


def deliver(home: Path, name: str, found: list[Request]) -> None:
    for kind in ("timed", "plain", "app"):
        (home / "inbox" / kind).mkdir(parents=True, exist_ok=True)
    with (
        (home / "inbox/timed" / f"{name}.jsonl").open("w") as timed,
        (home / "inbox/plain" / f"{name}.jsonl").open("w") as plain,
    ):
        for r in found:
            at = r["at"].isoformat()
            if r["type"] == "request":
                line = {"time_iso8601": at, "remote_addr": "198.51.100.7", "remote_user": f"ak_{r['who']}"}
                line |= {"request_method": r["method"], "request_uri": r["path"], "body_bytes_sent": str(r["bytes"])}
                line |= {} if r["status"] is None else {"status": str(r["status"])}
                seconds = None if r["took"] is None else f"{r['took'] // 10**6}.{r['took'] % 10**6:06d}"
                timed.write(json.dumps(line | {"request_time": seconds}) + "\n")
            else:
                line = {"at": at, "who": f"ak_{r['who']}", "code": r["status"], "size": r["bytes"], "took": r["took"]}
                plain.write(json.dumps(line) + "\n")
    session = {"specversion": "1.0", "id": name, "source": "app", "type": "session", "subject": "ak_alder"}
    (home / "inbox/app" / f"{name}.jsonl").write_text(json.dumps({**session, "time": "2024-10-05T10:00:00Z"}) + "\n")


def made(home: Path) -> Path:
    for name, text in CATALOG.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    (home / "instance.key").write_text("5a" * 32)
    return home


def build(home: Path) -> None:
    assert run.run(Context(Instance(home), parse_instant(NOW, "test"))).built


def class_of(status: int | None) -> str:
    if status == 429:
        return "throttled"
    hundreds = -1 if status is None else status // 100
    return {1: "success", 2: "success", 3: "success", 4: "client_error", 5: "server_error"}.get(hundreds, "other")


def three_digits(us: int) -> int:
    """Up to three significant digits, by the decimal text."""
    zeros = max(len(str(us)) - 3, 0)
    return -(-us // 10**zeros) * 10**zeros


def percentiles(found: list[Request]) -> list[int | None]:
    known = sorted(three_digits(r["took"]) for r in found if r["took"] is not None)
    return [known[-(-p * len(known) // 100) - 1] if known else None for p in (50, 95, 99)] + [len(known)]


def endpoint_of(r: Request) -> str | None:
    if r["path"] is None:
        return None
    return "/v1/items/{id}" if r["method"] == "GET" and r["path"].startswith("/v1") else "(unmatched)"


def day_of(r: Request) -> Any:
    return r["at"].astimezone(ZoneInfo(ZONES[r["who"]])).date()


def expected(found: list[Request]) -> tuple[set[Any], set[Any]]:
    """Rows of `endpoint_usage` and of `status_usage`. What has neither path, method nor status is no request."""
    ours = [r for r in found if r["who"] in ZONES and (r["path"] or r["method"] or r["status"] is not None)]
    by_endpoint, by_status = defaultdict(list), defaultdict(list)
    for r in ours:
        by_endpoint[r["who"], day_of(r), endpoint_of(r), r["method"]].append(r)
        by_status[r["who"], day_of(r), r["type"], class_of(r["status"]), r["status"]].append(r)
    endpoints = set()
    for key, group in by_endpoint.items():
        classes = Counter(class_of(r["status"]) for r in group)
        counts = [len(group), *(classes[name] for name in CLASSES), sum(r["bytes"] for r in group)]
        endpoints.add((*key, *counts, *percentiles(group)))
    statuses = {(*k, len(g), sum(r["bytes"] for r in g), *percentiles(g)) for k, g in by_status.items()}
    return endpoints, statuses


FIRST = requests(1, 3, 12, 3_000)
LATE = requests(2, 9, 14, 900)


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two deliveries, the second with events of days that the first had."""
    home = made(tmp_path_factory.mktemp("late"))
    deliver(home, "first", FIRST)
    build(home)
    assert marts(home) == expected(FIRST)
    deliver(home, "second", LATE)
    build(home)
    return home


def marts(home: Path) -> tuple[set[Any], set[Any]]:
    endpoints = rows(home, "SELECT * FROM marts.endpoint_usage")
    statuses = rows(home, "SELECT * FROM marts.status_usage")
    found = {tuple(map(plain, row)) for row in endpoints}, {tuple(map(plain, row)) for row in statuses}
    assert (len(found[0]), len(found[1])) == (len(endpoints), len(statuses))
    return found


def plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str) or hasattr(value, "year") else int(value)


def test_every_row_is_what_a_plain_count_of_the_lines_gives(late: Path) -> None:
    endpoints, statuses = expected([*FIRST, *LATE])
    assert min(len(endpoints), len(statuses)) > 100
    assert marts(late) == (endpoints, statuses)
    assert {row[3] for row in statuses} == set(CLASSES)


def test_late_requests_give_the_same_tables_as_all_at_once(late: Path, tmp_path: Path) -> None:
    home = made(tmp_path / "home")
    deliver(home, "first", FIRST)
    deliver(home, "second", LATE)
    build(home)
    names = ["marts.endpoint_usage", "marts.status_usage", "metering.requests_daily"]
    names += ["metering.latency_series", "metering.watched_quantities"]
    assert set(names) <= set(tables(home, "marts", "metering"))
    assert content(late, names) == content(home, names)


def moments_of(r: Request) -> dict[str, int]:
    """Five minutes and hours of UTC, where an hour is that in which the customer's own begins; the local day."""
    at, zone = int(r["at"].timestamp()), ZoneInfo(ZONES[r["who"]])
    offset = int(r["at"].astimezone(zone).utcoffset().total_seconds())  # type: ignore[union-attr]
    own = (at + offset) // 3600 * 3600 - offset
    day = (at + offset) // 86_400 * 86_400
    return {"5m": at // 300 * 300, "hour": own // 3600 * 3600, "day": day}


def test_series_over_all_customers_count_values_and_rank_latencies_as_the_lines_do(late: Path) -> None:
    groups: dict[tuple[Any, ...], list[Request]] = defaultdict(list)
    for r in [*FIRST, *LATE]:
        if r["who"] in ZONES and (r["path"] or r["method"] or r["status"] is not None):
            for grain, moment in moments_of(r).items():
                groups["endpoint", endpoint_of(r), grain, moment].append(r)
                groups["total", None, grain, moment].append(r)
    wanted = {
        (
            *key,
            len(group),
            len({endpoint_of(r) for r in group} - {None}),
            len({r["who"] for r in group if r["type"] == "request"}),
            *percentiles(group),
        )
        for key, group in groups.items()
    }
    found = rows(
        late,
        "SELECT scope, endpoint, grain, epoch_us(moment) // 1000000, requests, endpoints, addresses, latency_p50_us, "
        "latency_p95_us, latency_p99_us, latency_events FROM marts.request_series "
        "WHERE scope IN ('endpoint', 'total')",
    )
    assert len(found) == len(wanted) > 5_000
    assert set(found) == wanted


def test_quantities_stand_in_every_scope_and_grain_with_their_share_of_what_the_day_earned(late: Path) -> None:
    begins = {"alder": 1, "birch": 10}
    used: dict[tuple[Any, ...], list[Request]] = defaultdict(list)
    for r in [*FIRST, *LATE]:
        if r["who"] in ZONES and r["type"] == "request" and r["status"] not in (429, None) and r["status"] < 500:
            who, key, path = r["who"], f"ak_{r['who']}", endpoint_of(r)
            currency = "USD" if who in begins and day_of(r).day >= begins[who] else None
            for grain, moment in own_moments(r).items():
                used["customer", who, None, None, currency, grain, moment].append(r)
                used["credential", who, key, None, currency, grain, moment].append(r)
                used["customer_endpoint", who, None, path, currency, grain, moment].append(r)
            for grain, moment in moments_of(r).items():
                used["endpoint", None, None, path, currency, grain, moment].append(r)
                used["total", None, None, None, currency, grain, moment].append(r)
    query = (
        "SELECT scope, customer, credential, endpoint, currency, grain, epoch_us(moment) // 1000000, quantity, amount, "
        "unit_cost FROM marts.quantity_series WHERE meter = 'requests'"
    )
    found = {tuple(row[:7]): row[7:] for row in rows(late, query)}
    assert {key: quantity for key, (quantity, _, _) in found.items()} == {key: len(each) for key, each in used.items()}
    assert len(found) > 10_000
    # Each request that is priced costs 0.50: so does a unit of every series.
    for key, (quantity, amount, cost) in found.items():
        assert (amount, cost) == ((quantity / 2, Decimal("0.5")) if key[4] else (None, None)), key


def test_units_that_cost_next_to_nothing_have_their_share_and_no_meter_at_all_is_no_fault(tmp_path: Path) -> None:
    """Bytes at 0.000000000084: a day of billions earns some cents, and so do its parts together."""
    home = tiny.make(tmp_path / "home")
    (home / "catalog" / "monitoring.yaml").write_text("replay_days: 0\n")
    meters, plan = home / "catalog" / "meters.yaml", home / "catalog" / "plans" / "basic.yaml"
    for log in (home / "inbox" / "logs").rglob("*.log"):
        log.write_text(re.sub(r'" (\d{3}) (\d+) ', r'" \1 \g<2>00000000 ', log.read_text()))
    plan.write_text(plan.read_text().replace('price: "0.0001"', 'price: "0.000000000084"'))
    run.run(Context(Instance(home), parse_instant(tiny.NOW, "test")))
    found = rows(
        home,
        "SELECT scope, grain, sum(amount) FROM marts.quantity_series WHERE meter = 'egress' AND currency = 'USD' "
        "GROUP BY ALL ORDER BY ALL",
    )
    [whole] = {amount for scope, grain, amount in found if (scope, grain) == ("customer", "day")}
    assert len(found) == 15 and whole > 1
    assert all(whole - Decimal("0.05") < amount <= whole for _, _, amount in found), found
    kept = [line for line in meters.read_text().splitlines() if "aggregation: count" not in line and "sum" not in line]
    meters.write_text("\n".join(line for line in kept if "filter: {field: status" not in line) + "\n")
    charges = [
        line for line in plan.read_text().splitlines() if not any(w in line for w in ("requests", "egress", "tiers"))
    ]
    plan.write_text("\n".join(charges) + "\n")
    assert run.run(Context(Instance(home), parse_instant(tiny.NOW, "test"))).built
    assert rows(home, "FROM marts.quantity_series") == []


def own_moments(r: Request) -> dict[str, int]:
    """Of a customer's own series: an hour is named by the instant at which it begins."""
    at, zone = int(r["at"].timestamp()), ZoneInfo(ZONES[r["who"]])
    offset = int(r["at"].astimezone(zone).utcoffset().total_seconds())  # type: ignore[union-attr]
    return moments_of(r) | {"hour": (at + offset) // 3600 * 3600 - offset}


def test_a_plan_bills_no_throttled_request_no_fault_and_nobody_without_a_plan(late: Path) -> None:
    billed: Counter[str] = Counter()
    starts = {"alder": 1, "birch": 10}
    for r in [*FIRST, *LATE]:
        if r["who"] in starts and r["type"] == "request" and day_of(r).day >= starts[r["who"]]:
            # 0 is no HTTP status, but below 500: the filter takes it.
            billed[r["who"]] += class_of(r["status"]) in ("success", "client_error") or r["status"] == 0
    query = (
        "SELECT customer, sum(quantity)::BIGINT FROM marts.charge_quantities JOIN control.segments USING (line_id) "
        "GROUP BY customer"
    )
    assert dict(rows(late, query)) == billed
    [(nobody,)] = rows(late, "SELECT sum(events) FROM marts.unattributed_usage")
    assert nobody == sum(r["who"] == "stranger" for r in [*FIRST, *LATE])


def test_percentiles_of_a_longer_time_come_from_the_histogram_within_one_percent(late: Path) -> None:
    query = (
        "SELECT endpoint, latency_us, sum(requests)::BIGINT FROM metering.requests_daily "
        "WHERE customer = 'alder' AND method = 'GET' AND latency_us IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    known: dict[str, list[int]] = defaultdict(list)
    for endpoint, latency, count in rows(late, query):
        known[endpoint] += [latency] * count
    for endpoint, path in (("/v1/items/{id}", "/v1"), ("(unmatched)", "/nothing")):
        exact = sorted(
            r["took"]
            for r in [*FIRST, *LATE]
            if r["who"] == "alder" and r["method"] == "GET" and r["path"].startswith(path) and r["took"] is not None
        )
        assert len(exact) == len(known[endpoint]) > 100
        for n, (measured, kept) in enumerate(zip(exact, known[endpoint], strict=True)):
            assert measured <= kept <= measured * 1.01, n
            assert kept == measured or measured >= 1000
