"""Traps B1 to B12: days, hours and periods that were somebody else's, as happened to others.

Further tests of them stand in test_zones, test_periods, test_issue, test_late_and_conflicts and test_zones_add_up.
"""

from __future__ import annotations

import json
import os
import time
from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from instances import rows
from places import FORTY
from tiny import CATALOG

from orchestration.billing.segments import segments
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.catalog.models import Subscription
from orchestration.closing.close import CloseResult, Knowledge, check_may_close, due_groups, issue
from orchestration.closing.rated import rate_all
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.periods import Interval, periods
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant
from orchestration.zones import DAY_US, local_date, midnight_us

D = date.fromisoformat
ENTITY = """
entities:
  - {key: seller, name: Seller Ltd, address: 1 Quay, series: B, zero_invoices: skip}
grace_days: 3
"""
FEE = """
key: fee
name: Fee
currency: USD
anchor: subscription
versions:
  - effective: 2020-01-01
    charges:
      - {key: fee, name: Fee, model: flat, amount: "10.00", due: advance}
"""


# -- many zones, many billing days: closes without usage ------------------------------------------------------------


def many_anchors(places: Sequence[str] = FORTY) -> Catalog:
    """A customer in each place, with a subscription from each of the last days of January 2026."""
    customers = "".join(f"c{n},C{n},1 Road,XX,{zone},seller\n" for n, zone in enumerate(places))
    subscriptions = "".join(
        f"c{n}-{day},c{n},fee,2026-01-{day}\n" for n in range(len(places)) for day in (28, 29, 30, 31)
    )
    return parse_catalog(
        {
            "instance.yaml": ENTITY,
            "sources.yaml": CATALOG["sources.yaml"],
            "meters.yaml": CATALOG["meters.yaml"],
            "plans/fee.yaml": FEE,
            "customers.csv": "customer,name,address,country,zone,entity\n" + customers,
            "credentials.csv": "credential,customer\n",
            "subscriptions.csv": "subscription,customer,plan,start\n" + subscriptions,
        }
    )


def close(ledger: Ledger, catalog: Catalog, cut_off: date, now: datetime) -> CloseResult:
    now_us = parse_instant(now.isoformat().replace("+00:00", "Z"), "test")
    check_may_close(catalog, ledger, cut_off, now_us, None)
    lines = rate_all(catalog, charged_segments(catalog, now_us), {})
    return issue(
        catalog, ledger, due_groups(catalog, ledger, lines, cut_off), cut_off, {}, Knowledge(now_us, 0, "code")
    )


def a_year_of_closes(home: Path, catalog: Catalog, attempts: int) -> list[tuple[str, bytes]]:
    """Close each month of 2026 as often as said, hours apart; number and body of what was issued."""
    with Ledger.open(home) as ledger:
        for month in range(2, 14):
            cut_off = date(2026 + month // 13, (month - 1) % 12 + 1, 1)
            for attempt in range(attempts):
                now = datetime(cut_off.year, cut_off.month, 5, 1 + 9 * attempt, tzinfo=UTC)
                result = close(ledger, catalog, cut_off, now)
                assert bool(result.documents) == (attempt == 0)
        return [(d.number, d.body) for d in ledger.documents()]


@pytest.fixture
def server_zone() -> Iterator[Callable[[str | None], None]]:
    """Moves this process into a zone, as a server that stands there."""
    before = os.environ.get("TZ")

    def move(zone: str | None) -> None:
        if zone is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = zone
        time.tzset()

    yield move
    move(before)


def test_B1_every_billing_day_of_every_zone_is_billed_once_however_often_a_close_runs(tmp_path: Path) -> None:
    issued = a_year_of_closes(tmp_path / "home", many_anchors(), attempts=2)
    starts: dict[str, list[str]] = defaultdict(list)
    for _, body in issued:
        for line in json.loads(body)["lines"]:
            assert line["amount"] == "10.00"
            starts[line["subscription"]].append(line["period_start"])
    assert len(starts) == 4 * len(FORTY)
    for subscription, found in starts.items():
        day = int(subscription[-2:])
        lengths = [monthrange(2026, month)[1] for month in range(1, 13)]
        assert sorted(found) == [f"2026-{m:02}-{min(day, length)}" for m, length in enumerate(lengths, 1)]


def test_B9_a_server_in_another_zone_issues_the_same_and_issues_it_once(
    tmp_path: Path, server_zone: Callable[[str | None], None]
) -> None:
    catalog, made = many_anchors(FORTY[::8]), {}
    for place in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        server_zone(place)
        made[place] = a_year_of_closes(tmp_path / place, catalog, attempts=2)
    assert time.tzname != ("UTC", "UTC")
    assert len(made["UTC"]) == 12 * len(FORTY[::8])
    assert made["UTC"] == made["Pacific/Auckland"] == made["America/Los_Angeles"]


@pytest.mark.parametrize("zone", FORTY)
def test_B3_fifty_years_of_billing_days_come_to_an_end_and_are_the_days_of_the_anchor(zone: str) -> None:
    tiles = list(periods(D("1990-01-31"), Interval("quarter"), D("1990-01-31"), D("2040-01-30")))
    assert len(tiles) == 200
    edges = [midnight_us(zone, start) for start, _ in tiles]
    assert all(88 * DAY_US < b - a < 94 * DAY_US for a, b in pairwise(edges))
    for edge, (start, _) in zip(edges, tiles, strict=True):
        assert local_date(zone, edge - 1) < start <= local_date(zone, edge)


@pytest.mark.parametrize("interval", ["month", "quarter", "year"])
def test_B5_each_day_from_any_start_is_in_one_period_and_in_no_second(interval: str) -> None:
    catalog = many_anchors()
    plan = catalog.plans["fee"].model_copy(update={"interval": interval})
    for number in range(1461):
        start = D("2024-01-01") + timedelta(days=number)
        phase = Subscription(subscription="s", customer="c0", plan="fee", start=start)
        found = segments([phase], {"fee": plan}, start + timedelta(days=800))
        assert found[0].start == start
        assert all(a.end == b.start for a, b in pairwise(found))
        assert all((s.start, s.end) == (s.period_start, s.period_end) for s in found)
        assert {s.start.day for s in found} <= {start.day, *range(28, min(start.day, 31))}


# -- one month around the clock changes: from lines to drafts ---------------------------------------------------------

NOW = "2026-12-05T09:00:00Z"
WALL = {
    "2026-09-30T23:59:59.999999": 1,
    "2026-10-01T00:00:00": 2,
    "2026-10-15T12:00:00": 4,
    "2026-10-31T23:30:00": 8,
    "2026-10-31T23:59:59.999999": 16,
    "2026-11-01T00:00:00": 32,
}
"""Units by local clock: every customer of `PLACES` uses the same at the same local time."""
PLACES = (
    "UTC",
    "America/Los_Angeles",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Etc/GMT+12",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Niue",
)
YORK = "America/New_York"
SOURCES = """
sources:
  - name: app
    path: "*.jsonl"
    format: cloudevents
    fields: {user: data.user}
    properties: {units: data.units}
"""
METERS = """
meters:
  - {key: units, name: Units, event_type: use, aggregation: sum, value: units}
  - {key: calls, name: Calls, event_type: use, aggregation: count}
"""
PLAN = """
key: basic
name: Basic
currency: USD
versions:
  - effective: 2020-01-01
    charges:
      - {key: fee, name: Fee, model: flat, amount: "31.00"}
      - {key: units, name: Units, model: per_unit, meter: units, price: "1"}
"""


def local(zone: str, clock: str) -> datetime:
    return datetime.fromisoformat(clock).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def used(key: str, moment: datetime | None, customer: str, units: int) -> str:
    body = {"specversion": "1.0", "id": key, "source": "s", "type": "use", "subject": f"key_{customer}"}
    if moment is not None:
        body["time"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return json.dumps(body | {"data": {"units": units}}) + "\n"


def edge_instants() -> list[tuple[datetime, int]]:
    """Around the first and the last instant of the subscription of `edge`."""
    micro = timedelta(microseconds=1)
    start, end = local(YORK, "2026-10-10T00:00:00"), local(YORK, "2026-10-20T00:00:00")
    moments = [start - micro, start, start + micro, end - micro, end, end + micro]
    return [(moment, 10**n) for n, moment in enumerate(moments)]


def hours_of(day: str) -> list[datetime]:
    """Half past each real hour of a local day in New York."""
    start, end = local(YORK, day), local(YORK, (D(day) + timedelta(days=1)).isoformat())
    return [start + timedelta(minutes=30 + 60 * n) for n in range((end - start) // timedelta(hours=1))]


def events() -> Iterator[str]:
    for n, zone in enumerate(PLACES):
        for clock, units in WALL.items():
            yield used(f"wall-{n}-{clock}", local(zone, clock), f"wall{n}", units)
    for twin in ("winter", "summer"):
        for n in range(40):
            moment = datetime(2026, 10, 15, 4, 30, tzinfo=UTC) + timedelta(hours=19 * n)
            yield used(f"{twin}-{n}", moment, twin, n + 1)
    for day in ("2026-03-08", "2026-11-01"):
        for moment in hours_of(day):
            yield used(f"hours-{moment.isoformat()}", moment, "hours", 1)
    for moment, units in edge_instants():
        yield used(f"edge-{units}", moment, "edge", units)
    yield used("timeless", None, "edge", 5_000_000)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once; nobody writes to it."""
    home = tmp_path_factory.mktemp("traps_b") / "home"
    zones = {f"wall{n}": zone for n, zone in enumerate(PLACES)}
    zones |= dict.fromkeys(("winter", "summer", "hours", "edge", "spring", "autumn"), YORK)
    starts = {"summer": "2026-07-15", "edge": "2026-10-10", "spring": "2026-03-08", "autumn": "2026-11-02"}
    ends = {"edge": "2026-10-20"}
    files = {
        "catalog/instance.yaml": ENTITY,
        "catalog/sources.yaml": SOURCES,
        "catalog/meters.yaml": METERS,
        "catalog/plans/basic.yaml": PLAN,
        "catalog/customers.csv": "customer,name,address,country,zone,entity\n"
        + "".join(f"{key},{key},1 Road,XX,{zone},seller\n" for key, zone in zones.items()),
        "catalog/credentials.csv": "credential,customer\n" + "".join(f"key_{key},{key}\n" for key in zones),
        "catalog/subscriptions.csv": "subscription,customer,plan,start,end\n"
        + "".join(f"s-{key},{key},basic,{starts.get(key, '2026-01-15')},{ends.get(key, '')}\n" for key in zones),
        "inbox/all.jsonl": "".join(events()),
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text.lstrip())
    assert run(Context(Instance(home), parse_instant(NOW, "test"))).built
    return home


def by_day(home: Path, customer: str, meter: str = "units") -> dict[str, Decimal]:
    query = (
        f"SELECT local_day::VARCHAR, sum(quantity) FROM marts.usage_daily WHERE customer = '{customer}' AND meter = "
    )
    return dict(rows(home, f"{query} '{meter}' GROUP BY 1 ORDER BY 1"))


def drafts(home: Path, customer: str, charge: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Quantity and amount of each draft line, by the first day of its period."""
    found = rows(
        home,
        "SELECT period_start::VARCHAR, quantity, amount FROM marts.invoice_draft_lines "
        f"WHERE customer = '{customer}' AND charge = '{charge}' ORDER BY 1",
    )
    return {start: (quantity, amount) for start, quantity, amount in found}


def test_B2_an_account_of_before_a_clock_change_and_one_of_after_it_are_billed_alike(world: Path) -> None:
    assert by_day(world, "winter") == by_day(world, "summer") != {}
    for charge in ("fee", "units"):
        winter, summer = drafts(world, "winter", charge), drafts(world, "summer", charge)
        both = [start for start in summer if start > "2026-07-15"]
        assert both == ["2026-08-01", "2026-09-01", "2026-10-01", "2026-11-01", "2026-12-01"]
        assert [winter[start] for start in both] == [summer[start] for start in both]


def test_B4_the_repeated_hour_is_two_hours_and_the_hours_add_up_to_the_day(world: Path) -> None:
    for day, hours in (("2026-03-08", 23), ("2026-11-01", 25)):
        found = rows(
            world,
            "SELECT hour_start, sum(quantity) FROM marts.usage_hourly WHERE customer = 'hours' AND meter = 'calls' "
            f"AND local_day = DATE '{day}' GROUP BY 1 ORDER BY 1",
        )
        expected = [(m - timedelta(minutes=30)).replace(tzinfo=None) for m in hours_of(day)]
        assert found == [(start, 1) for start in expected]
        assert len(found) == hours == by_day(world, "hours", "calls")[day]


def test_B6_the_same_local_clock_is_billed_the_same_in_every_zone_and_fee_and_usage_have_one_period(
    world: Path,
) -> None:
    expected = {"2026-09-01": 1, "2026-10-01": 2 + 4 + 8 + 16, "2026-11-01": 32}
    for n in range(len(PLACES)):
        units, fees = drafts(world, f"wall{n}", "units"), drafts(world, f"wall{n}", "fee")
        assert {start: q for start, (q, _) in units.items() if q} == expected
        assert {start: amount for start, (_, amount) in units.items() if amount} == expected
        # Kiritimati has reached the fifth of December as well as Niue: no zone has a period more.
        assert units.keys() == fees.keys() and max(fees) == "2026-12-01"


def test_B7_a_range_is_the_sum_of_its_days_in_every_zone(world: Path) -> None:
    for n in range(len(PLACES)):
        days = by_day(world, f"wall{n}")
        assert days == {"2026-09-30": 1, "2026-10-01": 2, "2026-10-15": 4, "2026-10-31": 24, "2026-11-01": 32}
        months = dict(
            rows(
                world,
                "SELECT month_start::VARCHAR, sum(quantity) FROM marts.usage_monthly "
                f"WHERE customer = 'wall{n}' AND meter = 'units' GROUP BY 1 ORDER BY 1",
            )
        )
        expected: Counter[str] = Counter()
        for day, quantity in days.items():
            expected[f"{day[:7]}-01"] += int(quantity)
        assert months == expected


def test_B8_a_microsecond_decides_at_the_first_and_the_last_instant_of_a_subscription(world: Path) -> None:
    inside = sum(units for moment, units in edge_instants() if units in (10, 100, 1000))
    assert drafts(world, "edge", "units") == {"2026-10-01": (inside, Decimal(inside))}
    # What is used outside is measured and stands in the usage, on no line.
    assert by_day(world, "edge") == {"2026-10-09": 1, "2026-10-10": 110, "2026-10-19": 1000, "2026-10-20": 110_000}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_B10_the_last_hour_of_the_last_local_day_is_in_its_month(zone: str, world: Path) -> None:
    customer = f"wall{PLACES.index(zone)}"
    last = rows(
        world,
        "SELECT hour_start, local_day::VARCHAR, period_start::VARCHAR, sum(quantity) FROM marts.usage_hourly "
        f"WHERE customer = '{customer}' AND meter = 'units' AND local_day = DATE '2026-10-31' GROUP BY ALL",
    )
    start = local(zone, "2026-10-31T23:00:00").replace(tzinfo=None)
    assert last == [(start, "2026-10-31", "2026-10-01", 24)]


def test_B11_a_fee_is_shared_by_dates_where_a_day_has_23_or_25_hours(world: Path) -> None:
    spring, autumn = drafts(world, "spring", "fee"), drafts(world, "autumn", "fee")
    # 24 of 31 days, one of them an hour short; 29 of 30, the one that is lacking an hour longer.
    assert spring["2026-03-01"][1] == Decimal("24.00")
    assert autumn["2026-11-01"][1] == Decimal("29.97")


def test_B12_an_event_without_time_falls_into_no_period(world: Path) -> None:
    assert rows(world, "SELECT reason FROM marts.quarantine") == [("no_time",)]
    assert sum(by_day(world, "edge").values()) == sum(units for _, units in edge_instants())
    assert max(quantity for quantity, _ in drafts(world, "edge", "units").values()) < 5_000_000
