"""Usage by hour, day, week and month, against numbers computed by hand; incremental equals fresh."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from instances import content, rows, tables
from jinja2 import Environment

from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

DBT = Path(__file__).resolve().parents[2] / "dbt_project"
NOW = "2024-11-05T09:00:00Z"
ODD = 'q"\\\t\x1f\x7fü🦆/'
"""A model's name with all that JSON escapes, and some that it doesn't."""
PRICED = ("calls", "tokens", "least", "greatest", "last", "users", "all_users", "p90", "median")


def _plan(key: str) -> str:
    charges = "".join(
        f'      - {{key: {meter}, name: {meter}, model: per_unit, meter: {meter}, price: "1"'
        f"{', watermark: {of: max}' if meter == 'greatest' else ''}}}\n"
        for meter in PRICED
    )
    return (
        f"key: {key}\nname: {key}\ncurrency: USD\ninterval: month\n"
        f"versions:\n  - effective: 2024-01-01\n    charges:\n{charges}"
    )


CATALOG = {
    "instance.yaml": """
entities:
  - {key: seller, name: Seller Ltd, address: "1 Quay, Town", zone: Europe/Berlin, series: T}
grace_days: 3
""",
    "sources.yaml": """
sources:
  - name: app
    path: events/*.jsonl
    format: cloudevents
    fields: {user: data.user}
    properties: {tokens: data.tokens, model: data.model, region: data.region}
""",
    "meters.yaml": """
meters:
  - {key: calls, name: Calls, event_type: call, aggregation: count, dimensions: [model]}
  - {key: places, name: Calls by place, event_type: call, aggregation: count, dimensions: [region, model]}
  - {key: tokens, name: Tokens, event_type: call, aggregation: sum, value: tokens}
  - {key: least, name: Least, event_type: call, aggregation: min, value: tokens, dimensions: [model]}
  - {key: greatest, name: Greatest, event_type: call, aggregation: max, value: tokens}
  - {key: last, name: Last, event_type: call, aggregation: latest, value: tokens, dimensions: [model]}
  - {key: users, name: Users, event_type: call, aggregation: unique_count, value: user, dimensions: [model]}
  - {key: all_users, name: Users, event_type: call, aggregation: unique_count, value: user}
  - {key: p90, name: P90, event_type: call, aggregation: percentile, percentile: 90, value: tokens}
  - {key: median, name: Median, event_type: call, aggregation: percentile, percentile: 50, value: tokens,
     dimensions: [model]}
  - {key: disk, name: Disk, event_type: disk, aggregation: weighted_sum, value: tokens, dimensions: [model]}
  - {key: seats, name: Seats, event_type: disk, aggregation: sum, value: tokens, carry: true, allow_negative: true}
  - {key: gauge, name: Gauge, event_type: disk, aggregation: max, value: tokens, carry: true, allow_negative: true}
  - {key: peak, name: Peak, event_type: disk, aggregation: level, value: tokens}
""",
    "plans/basic.yaml": _plan("basic"),
    "plans/plus.yaml": _plan("plus"),
    "customers.csv": """customer,name,address,country,tax_id,zone,entity,terms_days
alder,Alder GmbH,"1 Road, Town",DE,,Europe/Berlin,seller,30
dorje,Dorje Ltd,"2 Road, Town",NP,,Asia/Kathmandu,seller,30
""",
    "credentials.csv": """credential,customer,source,valid_from,valid_to
ak_alder,alder,,,
ak_dorje,dorje,,,
""",
    "subscriptions.csv": """subscription,customer,plan,start,end,stacking
sub-alder,alder,basic,2024-10-01,2024-10-16,
sub-alder,alder,plus,2024-10-16,,
sub-dorje,dorje,basic,2024-10-01,,
""",
}


def call(key: str, time: str, who: str = "alder", kind: str = "call", **data: str) -> dict[str, Any]:
    head = {"specversion": "1.0", "id": key, "source": "app", "type": kind, "time": time, "subject": f"ak_{who}"}
    return {**head, "data": data}


EVENTS = [
    call("e1", "2024-10-14T21:59:59.999999Z", tokens="10", model="a", region="x", user="u1"),
    call("e2", "2024-10-14T22:00:00Z", tokens="20", model="a", user="u2"),
    call("e3", "2024-10-15T10:05:00Z", tokens="5.5", model="b", region="x", user="u1"),
    call("e4", "2024-10-15T10:05:00Z", tokens="7", model="b", region="y", user="u2"),
    call("e5", "2024-10-16T08:00:00Z", tokens="30", model="a", region="x"),
    call("e6", "2024-10-17T08:00:00Z", tokens="bad", user="u3"),
    call("e7", "2024-10-27T00:30:00Z", tokens="1", model="a", user="u1"),
    call("e8", "2024-10-27T01:30:00Z", tokens="2", model="a", user="u1"),
    call("k1", "2024-10-03T18:14:59Z", who="dorje", tokens="3", model=ODD, user="u1"),
    call("k2", "2024-10-03T18:15:00Z", who="dorje", tokens="4", model=ODD, user="u1"),
    call("p1", "2024-10-15T10:10:00Z", kind="ping", model="z"),
    call("d1", "2024-10-30T10:00:00Z", kind="disk", tokens="5", model="a"),
    call("d2", "2024-10-30T10:30:00Z", kind="disk", tokens="-2", model="a"),
    call("d3", "2024-10-31T10:30:00Z", kind="disk", tokens="bad", model="a"),
]
LATE = [
    call("e0", "2024-10-15T10:05:00Z", tokens="8", model="b", region="x", user="u4"),
    call("e9", "2024-10-15T10:05:00Z", tokens="9", model="b", region="x", user="u4"),
    call("ea", "2024-10-14T21:30:00Z", tokens="40", model="c"),
    call("d0", "2024-10-29T23:00:00Z", kind="disk", tokens="1", model="a"),
]


def begun(home: Path) -> Path:
    for name, text in CATALOG.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    (home / "instance.key").write_text("5a" * 32)
    return home


def deliver(home: Path, name: str, events: Iterable[dict[str, Any]]) -> None:
    path = home / "inbox" / "events" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def build(home: Path) -> None:
    assert run(Context(Instance(home), parse_instant(NOW, "test"))).built


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = begun(tmp_path_factory.mktemp("usage"))
    deliver(home, "first.jsonl", EVENTS)
    build(home)
    return home


def of(*values: tuple[str | None, ...], names: tuple[str, ...] = ("model",)) -> list[str]:
    return [json.dumps(dict(zip(names, v, strict=True)), ensure_ascii=False, separators=(",", ":")) for v in values]


A, B, NONE = of(("a",), ("b",), (None,))
WEEK, LAST_WEEK, MONTH = date(2024, 10, 14), date(2024, 10, 21), date(2024, 10, 1)


def usage(home: Path, mart: str, column: str, meter: str, customer: str = "alder") -> list[tuple[Any, ...]]:
    return rows(
        home,
        f"SELECT {column}, plan, dimensions, quantity FROM marts.{mart} WHERE meter = '{meter}' "
        f"AND customer = '{customer}' ORDER BY {column}, plan, dimensions",
    )


def expected(*found: tuple[Any, str | None, str, str]) -> list[tuple[Any, ...]]:
    return [(start, plan, dimensions, Decimal(quantity)) for start, plan, dimensions, quantity in found]


MONTHS = {
    "calls": [("basic", A, "2"), ("basic", B, "2"), ("plus", A, "3"), ("plus", NONE, "1")],
    "tokens": [("basic", "{}", "42.5"), ("plus", "{}", "33")],
    "least": [("basic", A, "10"), ("basic", B, "5.5"), ("plus", A, "1")],
    "greatest": [("basic", "{}", "20"), ("plus", "{}", "30")],
    "last": [("basic", A, "20"), ("basic", B, "7"), ("plus", A, "2")],
    "users": [("basic", A, "2"), ("basic", B, "2"), ("plus", A, "1"), ("plus", NONE, "1")],
    "all_users": [("basic", "{}", "2"), ("plus", "{}", "2")],
    "p90": [("basic", "{}", "20"), ("plus", "{}", "30")],
    "median": [("basic", A, "10"), ("basic", B, "5.5"), ("plus", A, "2")],
}


@pytest.mark.parametrize("meter", PRICED)
def test_a_month_that_two_plans_share_has_a_row_for_each_with_its_own_quantity(world: Path, meter: str) -> None:
    assert usage(world, "usage_monthly", "month_start", meter) == expected(*((MONTH, *row) for row in MONTHS[meter]))
    assert rows(world, "SELECT DISTINCT period_start FROM marts.usage_monthly WHERE plan IS NOT NULL") == [(MONTH,)]


WEEKS = {
    "tokens": [(WEEK, "basic", "{}", "42.5"), (WEEK, "plus", "{}", "30"), (LAST_WEEK, "plus", "{}", "3")],
    "last": [(WEEK, "basic", A, "20"), (WEEK, "basic", B, "7"), (WEEK, "plus", A, "30"), (LAST_WEEK, "plus", A, "2")],
    "all_users": [(WEEK, "basic", "{}", "2"), (WEEK, "plus", "{}", "1"), (LAST_WEEK, "plus", "{}", "1")],
    "p90": [(WEEK, "basic", "{}", "20"), (WEEK, "plus", "{}", "30"), (LAST_WEEK, "plus", "{}", "2")],
    "median": [
        (WEEK, "basic", A, "10"),
        (WEEK, "basic", B, "5.5"),
        (WEEK, "plus", A, "30"),
        (LAST_WEEK, "plus", A, "1"),
    ],
}


@pytest.mark.parametrize("meter", sorted(WEEKS))
def test_a_week_takes_last_values_distinct_ones_and_ranks_of_its_own_days(world: Path, meter: str) -> None:
    assert usage(world, "usage_weekly", "week_start", meter) == expected(*WEEKS[meter])


DAY = {day: date(2024, 10, day) for day in range(1, 32)}
DAYS = {
    "tokens": [
        (14, "basic", "{}", "10"), (15, "basic", "{}", "32.5"), (16, "plus", "{}", "30"), (27, "plus", "{}", "3"),
    ],
    "least": [
        (14, "basic", A, "10"), (15, "basic", A, "20"), (15, "basic", B, "5.5"), (16, "plus", A, "30"),
        (27, "plus", A, "1"),
    ],
    "last": [
        (14, "basic", A, "10"), (15, "basic", A, "20"), (15, "basic", B, "7"), (16, "plus", A, "30"),
        (27, "plus", A, "2"),
    ],
    "all_users": [
        (14, "basic", "{}", "1"), (15, "basic", "{}", "2"), (17, "plus", "{}", "1"), (27, "plus", "{}", "1"),
    ],
    "median": [
        (14, "basic", A, "10"), (15, "basic", A, "20"), (15, "basic", B, "5.5"), (16, "plus", A, "30"),
        (27, "plus", A, "1"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("meter", sorted(DAYS))
def test_a_day_is_that_of_the_customers_zone(world: Path, meter: str) -> None:
    assert usage(world, "usage_daily", "local_day", meter) == expected(*((DAY[d], *row) for d, *row in DAYS[meter]))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2024, 10, day, hour, minute)


HOURS = {
    "tokens": [
        (at(14, 21), "basic", "{}", "10"), (at(14, 22), "basic", "{}", "20"), (at(15, 10), "basic", "{}", "12.5"),
        (at(16, 8), "plus", "{}", "30"), (at(27, 0), "plus", "{}", "1"), (at(27, 1), "plus", "{}", "2"),
    ],
    "last": [
        (at(14, 21), "basic", A, "10"), (at(14, 22), "basic", A, "20"), (at(15, 10), "basic", B, "7"),
        (at(16, 8), "plus", A, "30"), (at(27, 0), "plus", A, "1"), (at(27, 1), "plus", A, "2"),
    ],
    "all_users": [
        (at(14, 21), "basic", "{}", "1"), (at(14, 22), "basic", "{}", "1"), (at(15, 10), "basic", "{}", "2"),
        (at(17, 8), "plus", "{}", "1"), (at(27, 0), "plus", "{}", "1"), (at(27, 1), "plus", "{}", "1"),
    ],
    "p90": [
        (at(14, 21), "basic", "{}", "10"), (at(14, 22), "basic", "{}", "20"), (at(15, 10), "basic", "{}", "7"),
        (at(16, 8), "plus", "{}", "30"), (at(27, 0), "plus", "{}", "1"), (at(27, 1), "plus", "{}", "2"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("meter", sorted(HOURS))
def test_the_repeated_hour_of_a_day_of_25_hours_is_two_hours(world: Path, meter: str) -> None:
    assert usage(world, "usage_hourly", "hour_start", meter) == expected(*HOURS[meter])


def test_a_zone_of_three_quarters_of_an_hour_has_its_own_hours_and_midnight(world: Path) -> None:
    [odd] = of((ODD,))
    found = rows(
        world,
        "SELECT hour_start, local_day, dimensions, quantity FROM marts.usage_hourly "
        "WHERE customer = 'dorje' AND meter = 'least' ORDER BY hour_start",
    )
    assert found == [
        (at(3, 17, 15), date(2024, 10, 3), odd, Decimal(3)),
        (at(3, 18, 15), date(2024, 10, 4), odd, Decimal(4)),
    ]


def test_dimensions_are_canonical_json_with_sorted_names_and_null_for_what_is_missing(world: Path) -> None:
    both = of(("a", None), ("a", "x"), (None, None), ("b", "x"), ("b", "y"), names=("model", "region"))
    places = "FROM marts.usage_daily WHERE meter = 'places' AND customer = 'alder'"
    assert dict(rows(world, f"SELECT dimensions, sum(quantity) {places} GROUP BY 1")) == dict(
        zip(both, map(Decimal, (3, 2, 1, 1, 1)), strict=True)
    )
    found = rows(world, "SELECT DISTINCT dimensions FROM metering.distinct_daily WHERE customer = 'dorje'")
    assert {text for (text,) in found} == {"{}", *of((ODD,))}
    assert rows(world, f"SELECT DISTINCT plan, period_start {places}") == [(None, None)]


def test_an_event_splits_no_hour_by_a_dimension_of_meters_that_do_not_take_it(world: Path) -> None:
    query = "SELECT DISTINCT d_model FROM metering.metered_hours WHERE m_calls IS NULL AND u_calls IS NULL"
    assert rows(world, query) == [(None,)]


def test_a_user_of_two_applications_counts_once_in_the_total_and_events_without_a_user_are_shown(world: Path) -> None:
    query = "SELECT meter, application, active_users, events, events_without_user FROM marts.active_users_{} "
    monthly = rows(world, query.format("monthly") + "WHERE customer = 'alder' ORDER BY ALL")
    assert monthly == [
        ("all_users", "(all)", 3, 7, 1),
        ("users", "(all)", 3, 7, 1),
        ("users", A, 2, 4, 1),
        ("users", B, 2, 2, 0),
        ("users", NONE, 1, 1, 0),
    ]
    weekly = rows(world, query.format("weekly") + f"WHERE meter = 'users' AND week_start = '{WEEK}' ORDER BY ALL")
    assert [row[1:] for row in weekly] == [("(all)", 3, 5, 1), (A, 2, 2, 1), (B, 2, 2, 0), (NONE, 1, 1, 0)]
    daily = rows(world, query.format("daily") + "WHERE meter = 'users' AND local_day = '2024-10-16' ORDER BY ALL")
    assert [row[1:] for row in daily] == [("(all)", 0, 0, 1), (A, 0, 0, 1)]


def test_what_could_not_be_measured_is_reported_for_each_meter_and_is_no_0(world: Path) -> None:
    query = "SELECT meter, local_day, events FROM metering.unmeasured_daily ORDER BY ALL"
    by_value = [(meter, DAY[17], 1) for meter in ("greatest", "last", "least", "median", "p90", "tokens")]
    lasting = [(meter, DAY[31], 1) for meter in ("disk", "gauge", "peak", "seats")]
    assert rows(world, query) == sorted([*by_value, *lasting, ("users", DAY[16], 1), ("all_users", DAY[16], 1)])


HOUR_US = 3_600_000_000
LASTING = {
    "disk": [(30, 5 * HOUR_US // 2 + 3 * HOUR_US * 25 // 2), (31, 3 * HOUR_US * 24)],
    "seats": [(30, 3), (31, 3)],
    "gauge": [(30, 5), (31, -2)],
    "peak": [(30, 5), (31, 3)],
}


@pytest.mark.parametrize("meter", sorted(LASTING))
def test_what_lasts_goes_on_over_days_without_events_and_into_the_next_month(world: Path, meter: str) -> None:
    days = f"FROM marts.usage_daily WHERE meter = '{meter}' ORDER BY local_day"
    assert rows(world, f"SELECT local_day, quantity {days} LIMIT 2") == [
        (DAY[day], Decimal(quantity)) for day, quantity in LASTING[meter]
    ]
    assert rows(world, f"SELECT local_day {days} DESC LIMIT 1") == [(date(2024, 11, 5),)]
    months = f"SELECT quantity FROM marts.usage_monthly WHERE meter = '{meter}' ORDER BY month_start"
    first, second = (quantity for (quantity,) in rows(world, months))
    of_days = [quantity for _, quantity in LASTING[meter]]
    assert first == {"disk": sum(of_days), "seats": of_days[-1]}.get(meter, max(of_days))
    assert second == of_days[-1] * (5 if meter == "disk" else 1)


def test_the_instant_that_set_a_value_is_kept_the_earliest_of_equals(world: Path) -> None:
    def us(moment: datetime) -> int:
        return (moment - datetime(1970, 1, 1)).days * 86_400_000_000 + (moment.hour * 60 + moment.minute) * 60_000_000

    query = "SELECT meter, set_us FROM metering.usage_by_day WHERE customer = 'alder' AND local_day = '2024-10-27' "
    assert rows(world, query + "AND meter IN ('least', 'greatest', 'last', 'p90', 'tokens') ORDER BY meter") == [
        ("greatest", us(at(27, 1))), ("last", us(at(27, 1, 30))), ("least", us(at(27, 0))), ("p90", us(at(27, 1, 30))),
        ("tokens", None),
    ]  # fmt: skip


BUILD_ONLY = {"touched_days", "restated_days", "restated_weeks", "restated_months"}
BY_FILE = {
    "ingest_files", "ingest_balance", "quarantine", "quarantine_shares", "schema_drift", "endpoints_by_file",
    "sampled_fields", "sampled_parts", "stream_hours", "unattributed_by_file",
}  # fmt: skip


def test_late_events_give_the_rows_of_a_build_from_nothing(world: Path, tmp_path: Path) -> None:
    deliver(world, "late.jsonl", LATE)
    build(world)
    fresh = begun(tmp_path / "fresh")
    for number, event in enumerate([*LATE, *EVENTS]):
        deliver(fresh, f"{number % 3}.jsonl", [event] if number < 3 else [*_delivered(fresh, number % 3), event])
    build(fresh)
    names = [n for n in tables(fresh, "metering", "marts") if n.split(".")[1] not in BUILD_ONLY | BY_FILE]
    assert len(names) > 15
    mine, theirs = content(world, names), content(fresh, names)
    assert {n: mine[n] for n in names if mine[n] != theirs[n]} == {}
    hours = "SELECT * FROM marts.usage_hourly ORDER BY ALL"
    assert rows(world, hours) == rows(fresh, hours)
    assert usage(world, "usage_monthly", "month_start", "last")[:2] == expected(
        (MONTH, "basic", A, "20"), (MONTH, "basic", B, "9")
    )
    assert usage(world, "usage_monthly", "month_start", "p90")[0] == (MONTH, "basic", "{}", Decimal(40))


def _delivered(home: Path, number: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "inbox" / "events" / f"{number}.jsonl").read_text().splitlines()]


def test_a_percentile_is_the_value_at_its_rank_for_every_number_of_events() -> None:
    """A float 0.07 x 100 is more than 7, and would take the eighth of a hundred."""
    dialect = (DBT / "macros" / "dialect.sql").read_text()
    taken = (
        Environment(autoescape=False, extensions=["jinja2.ext.do"])
        .from_string(dialect)
        .module.duckdb__value_at_percentile
    )
    groups = "SELECT n, unnest(range(1, n + 1))::DECIMAL(38, 9) AS v FROM (SELECT unnest(range(1, 201)) AS n)"
    with duckdb.connect() as con:
        for percentile in range(1, 101):
            found = con.execute(f"SELECT n, {taken('v', percentile)} FROM ({groups}) GROUP BY n").fetchall()
            assert {n: int(value) for n, value in found} == {n: -(-percentile * n // 100) for n in range(1, 201)}
