"""The watching step over tables as the models leave them: whose hours, what is missing, what stands in the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pytest

from orchestration.catalog.monitoring import KINDS, Monitoring, Ratio
from orchestration.ledger.findings import Finding, Seen
from orchestration.ledger.rows import JournalRow
from orchestration.monitoring.deviation import THRESHOLD
from orchestration.pipeline import watching
from orchestration.pipeline.watched import since_us
from orchestration.pipeline.watching import watch
from orchestration.pipeline.watchtables import TABLES, write_none

HOUR_US = 3_600_000_000
START = int(datetime(2024, 9, 2, tzinfo=UTC).timestamp()) * 1_000_000 // HOUR_US
HOURS = 36 * 24
NOW_US = (START + HOURS) * HOUR_US + 5
ZONES = {"alder": "Europe/Berlin", "birch": "Asia/Kolkata", "cedar": "UTC"}
SHIFT = {"birch": HOUR_US // 2}
SPIKE, REFUSED, SILENT, LOST = 700, 600, (730, 731, 732, 733), (650, 651, 652)
CATALOG: Any = SimpleNamespace(customers={key: SimpleNamespace(zone=zone) for key, zone in ZONES.items()}, plans={})
MEASURES = (
    *("requests", "denied", "refused", "client_errors", "server_errors", "unknown_paths", "retries", "items"),
    *("latency_events", "latency_p95_us", "endpoints", "users", "addresses", "bytes"),
)


def _requests(place: int, hour: int) -> int:
    """Busy by day, a third by night, and a little chance that is the same each time."""
    usual = 100 if 6 <= hour % 24 < 20 else 30
    return usual + (hour * 7919 + place * 104_729) % 11


def _world(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE SCHEMA metering; CREATE SCHEMA marts; CREATE SCHEMA record; CREATE SCHEMA control")
    counted = ", ".join(f"{name} BIGINT" for name in MEASURES)
    con.execute(
        "CREATE TABLE metering.watched_series (customer VARCHAR, local_day DATE, scope VARCHAR, credential VARCHAR, "
        f"endpoint VARCHAR, grain VARCHAR, moment_us BIGINT, {counted})"
    )
    con.execute("CREATE TABLE metering.client_hours (customer VARCHAR, what VARCHAR, value VARCHAR)")
    con.execute(
        "CREATE TABLE marts.new_requests (customer VARCHAR, hour_us BIGINT, new_country_requests BIGINT, "
        "new_client_requests BIGINT)"
    )
    con.execute(
        "CREATE TABLE marts.usage_hourly (customer VARCHAR, meter VARCHAR, hour_start TIMESTAMP, "
        "quantity DECIMAL(38, 9))"
    )
    con.execute(
        "CREATE TABLE marts.usage_daily (customer VARCHAR, meter VARCHAR, local_day DATE, quantity DECIMAL(38, 9))"
    )
    con.execute(
        "CREATE TABLE marts.pipeline_series (source VARCHAR, utc_day DATE, files BIGINT, lines BIGINT, "
        "quarantined BIGINT, duplicates BIGINT, lag_us BIGINT)"
    )
    con.execute("CREATE TABLE record.files (source VARCHAR, min_us BIGINT, max_us BIGINT)")
    con.execute(
        "CREATE TABLE record.rated_lines (customer VARCHAR, meter VARCHAR, currency VARCHAR, charge VARCHAR, "
        'plan VARCHAR, kind VARCHAR, trial BOOLEAN, "start" DATE, daily VARCHAR)'
    )
    con.execute("CREATE TABLE control.meters (meter VARCHAR, combine VARCHAR, carried BOOLEAN)")
    rows = []
    for place, who in enumerate(ZONES):
        con.execute("INSERT INTO metering.client_hours VALUES (?, 'feed', 'gateway')", [who])
        for hour in range(HOURS):
            requests, refused = _requests(place, hour), 0
            if hour in LOST or (who == "alder" and hour in SILENT):
                continue
            if who == "birch" and hour == SPIKE:
                requests *= 8
            if who == "cedar" and hour == REFUSED:
                refused = 40
            moment_us = (START + hour) * HOUR_US + SHIFT.get(who, 0)
            counted_as = [requests, 0, refused, 0, 0, 0, 0, min(requests, 20), 0, None, 3, 5, 2, 1000]
            rows.append([who, moment_us, *counted_as])
    columns = {name: np.array([row[n + 1] or 0 for row in rows]) for n, name in enumerate(("moment_us", *MEASURES))}
    con.register("given", {"customer": np.array([row[0] for row in rows], dtype=object), **columns})
    con.execute(
        "INSERT INTO metering.watched_series BY NAME SELECT customer, 'customer' AS scope, 'hour' AS grain, "
        f"CAST(make_timestamp(moment_us) AS DATE) AS local_day, moment_us, {', '.join(MEASURES)} FROM given"
    )
    con.unregister("given")
    for first, last in ((0, LOST[0]), (LOST[-1] + 1, HOURS)):
        span = [(START + first) * HOUR_US, (START + last) * HOUR_US - 1]
        con.execute("INSERT INTO record.files VALUES ('gateway', ?, ?)", span)


@pytest.fixture(scope="module")
def world() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as con:
        _world(con)
        yield con


def _found(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return con.execute(
        "SELECT customer, kind, make_timestamp(first_us), make_timestamp(last_us), alarms, label, holds "
        "FROM marts.incidents ORDER BY ALL"
    ).fetchall()


def _all(con: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    """What is there of the step's tables: those of the limits come from the log and not from the series."""
    names = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts' ORDER BY ALL").fetchall()
    return {name: con.execute(f"FROM marts.{name}").fetchall() for (name,) in names if name in TABLES}


def test_incidents_stand_at_the_customers_own_hours_and_lost_input_is_none(world: duckdb.DuckDBPyConnection) -> None:
    """Hours 730 to 733 without a request of alder are a drop; hours 650 to 652, of which nothing came, are not."""
    found = watch(world, CATALOG, Monitoring(holds=("quota_exhaustion",)), NOW_US)
    at = [datetime.fromtimestamp((START + hour) * 3600, UTC).replace(tzinfo=None) for hour in range(HOURS)]
    assert _found(world) == [
        ("alder", "drop_to_zero", at[731], at[733], 3, None, False),
        ("birch", "traffic_spike", at[SPIKE].replace(minute=30), at[SPIKE].replace(minute=30), 1, None, False),
        ("cedar", "quota_exhaustion", at[REFUSED], at[REFUSED], 1, None, True),
    ]
    assert (found.customers, found.hours, found.alarms, found.incidents, found.unlabelled) == (3, HOURS, 5, 3, 3)
    [(name, first_us)] = world.execute(
        "SELECT incident, first_us FROM marts.incidents WHERE customer = 'birch'"
    ).fetchall()
    assert first_us == (START + SPIKE) * HOUR_US + HOUR_US // 2
    assert name == hashlib.sha256(f"birch|traffic_spike|{first_us}".encode()).hexdigest()[:12]


def test_every_alarm_belongs_to_an_incident_and_its_chart_shows_why(world: duckdb.DuckDBPyConnection) -> None:
    watch(world, CATALOG, Monitoring(), NOW_US)
    assert world.execute(
        "SELECT count(*) FROM marts.alarms AS a JOIN marts.incidents AS i USING (incident, customer, kind)"
    ).fetchall() == [(5,)]
    [(value, upper, in_chart)] = world.execute(
        "SELECT a.observed, a.upper, c.value FROM marts.alarms AS a JOIN marts.control_charts AS c "
        "ON a.customer = c.customer AND a.hour_us = c.hour_us AND c.series = 'requests' AND c.chart = 'baseline' "
        "WHERE a.kind = 'traffic_spike'"
    ).fetchall()
    assert value == in_chart == 8 * _requests(1, SPIKE) > upper


def test_charts_of_whom_something_is_alarming_go_back_further_than_those_of_others(
    world: duckdb.DuckDBPyConnection,
) -> None:
    watch(world, CATALOG, Monitoring(off=tuple(set(KINDS) - {"traffic_spike"})), NOW_US)
    charts = world.execute(
        "SELECT customer, chart, count(*), count(DISTINCT hour_us) FROM marts.control_charts "
        "WHERE customer <> 'alder' AND series = 'requests' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    names = ("baseline", "cusum", "ewma", "shewhart")
    assert charts == [(who, name, n, n) for who, n in (("birch", HOURS), ("cedar", 336)) for name in names]
    outside = world.execute(
        "SELECT hour_us FROM marts.control_charts WHERE customer = 'birch' AND chart = 'baseline' AND outside"
    ).fetchall()
    assert outside == [((START + SPIKE) * HOUR_US + SHIFT["birch"],)]


def test_threads_order_of_rows_and_a_second_run_change_nothing(world: duckdb.DuckDBPyConnection) -> None:
    watch(world, CATALOG, Monitoring(), NOW_US)
    once = _all(world)
    world.execute(
        "CREATE TABLE turned AS FROM metering.watched_series ORDER BY requests DESC, moment_us DESC, customer"
    )
    world.execute(
        "DELETE FROM metering.watched_series; INSERT INTO metering.watched_series FROM turned; DROP TABLE turned"
    )
    world.execute("SET threads = 1")
    watch(world, CATALOG, Monitoring(), NOW_US)
    assert _all(world) == once


def _false_alarm(incident: str) -> JournalRow:
    seen = Seen(incident, "birch", "traffic_spike", 0, 0, "1", "1", "1", "1")
    said = Finding(seen, "false", "ana", "a load test", 0)
    return JournalRow(1, said.entry_kind, said.body().decode(), "", "")


def test_what_people_said_raises_the_limits_of_that_customer_and_kind(world: duckdb.DuckDBPyConnection) -> None:
    def uppers() -> dict[str, float]:
        return dict(
            world.execute(
                "SELECT customer, max(upper) FROM marts.control_charts WHERE series = 'requests' "
                "AND chart = 'baseline' GROUP BY customer"
            ).fetchall()
        )

    watch(world, CATALOG, Monitoring(), NOW_US)
    before = uppers()
    [(name,)] = world.execute("SELECT incident FROM marts.incidents WHERE customer = 'birch'").fetchall()
    watch(world, CATALOG, Monitoring(), NOW_US, [_false_alarm(each) for each in (name, "earlier", "another")])
    after = uppers()
    assert after["birch"] > before["birch"]
    assert (after["alder"], after["cedar"]) == (before["alder"], before["cedar"])
    assert world.execute("SELECT customer, label FROM marts.incidents WHERE label IS NOT NULL").fetchall() == [
        ("birch", "false")
    ]


def test_kinds_that_are_off_are_not_looked_for_and_ratios_are(world: duckdb.DuckDBPyConnection) -> None:
    """Of cedar's orders, 20 an hour, 2 are cancelled, and 15 in two hours."""
    orders = [("orders", hour, 20) for hour in range(HOURS)]
    cancels = [("cancels", hour, 15 if hour in (690, 691) else 2) for hour in range(HOURS)]
    for meter, hour, quantity in orders + cancels:
        world.execute(
            "INSERT INTO marts.usage_hourly VALUES ('cedar', ?, make_timestamp(?), ?)",
            [meter, (START + hour) * HOUR_US, quantity],
        )
    row = Monitoring(
        off=("drop_to_zero", "quota_exhaustion", "traffic_spike"),
        ratios=(Ratio(name="cancelled", meter="cancels", per="orders"),),
    )
    watch(world, CATALOG, row, NOW_US)
    [(who, kind, first, last, alarms, _, _)] = _found(world)
    assert (who, kind, alarms) == ("cedar", "cancelled", 1)
    assert first == last == datetime.fromtimestamp((START + 691) * 3600, UTC).replace(tzinfo=None)
    world.execute("DELETE FROM marts.usage_hourly")


def test_where_nothing_is_watched_the_tables_are_there_and_empty() -> None:
    with duckdb.connect() as con:
        found = write_none(con)
        assert set(found) == {0}
        assert _all(con) == {name: [] for name in TABLES}


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (datetime(2024, 11, 8, 1, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC)),
        (datetime(2024, 3, 31, 23, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC)),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2023, 10, 1, tzinfo=UTC)),
    ],
)
def test_the_past_begins_with_the_month_three_months_before(now: datetime, since: datetime) -> None:
    assert since_us(int(now.timestamp()) * 1_000_000) == int(since.timestamp()) * 1_000_000


@pytest.mark.parametrize(("model", "shocks"), [("per_unit", [("cedar", 24)]), ("graduated", [])])
def test_a_day_at_another_price_is_a_shock_unless_prices_depend_on_what_came_before(
    world: duckdb.DuckDBPyConnection, model: str, shocks: list[tuple[str, int]]
) -> None:
    """1,000 units a day for 250.00, and 375.00 on the 31st day."""
    plain = dict.fromkeys(("watermark", "active", "minimum", "maximum", "prorate"))
    charge = SimpleNamespace(key="units", model=model, included=0, **plain)
    plan = SimpleNamespace(key="basic", versions=[SimpleNamespace(charges=[charge])])
    catalog: Any = SimpleNamespace(customers=CATALOG.customers, plans={"basic": plan})
    daily = ", ".join("375.00" if day == 30 else "250.00" for day in range(36))
    world.execute(
        "INSERT INTO record.rated_lines VALUES ('cedar', 'units', 'USD', 'units', 'basic', 'usage', false, "
        "DATE '2024-09-02', ?)",
        [f"[{daily}]"],
    )
    world.execute(
        "INSERT INTO marts.usage_daily SELECT 'cedar', 'units', DATE '2024-09-02' + CAST(n AS INTEGER), 1000 "
        "FROM range(36) AS days (n)"
    )
    others = {kind for kind in Monitoring().kinds if kind != "price_shock"}
    watch(world, catalog, Monitoring(off=tuple(sorted(others))), NOW_US)
    assert world.execute("SELECT customer, alarms FROM marts.incidents").fetchall() == shocks
    money = world.execute("SELECT key, value FROM marts.unusual_series WHERE scope = 'money'").fetchall()
    assert money == [("cedar USD", 375)]
    world.execute("DELETE FROM record.rated_lines; DELETE FROM marts.usage_daily")


def test_customers_that_are_judged_apart_are_judged_as_together(
    world: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """False discoveries are controlled over all of them; only what the hours as a whole are compared with is a sum."""
    found = watch(world, CATALOG, Monitoring(), NOW_US)
    together = _all(world)
    monkeypatch.setattr(watching, "CHUNK", 1)
    assert watch(world, CATALOG, Monitoring(), NOW_US) == found
    apart = _all(world)
    assert len(together["unusual_hours"]) == len(apart["unusual_hours"])
    for name in ("alarms", "incidents", "control_charts", "unusual_series"):
        assert sorted(map(str, together[name])) == sorted(map(str, apart[name])) != [], name


def test_a_customer_who_begins_later_changes_no_alarm_of_earlier_hours(world: duckdb.DuckDBPyConnection) -> None:
    """Two hundred begin in the last week: what was told of the hours before stays, to the last figure."""
    week = (START + HOURS - 168) * HOUR_US
    watch(world, CATALOG, Monitoring(), NOW_US)
    earlier = "FROM marts.alarms WHERE hour_us < ? ORDER BY ALL"
    before = world.execute(earlier, [week]).fetchall()
    newcomers = {f"new{n}": SimpleNamespace(zone="UTC") for n in range(200)}
    for name in newcomers:
        world.execute(
            "INSERT INTO metering.watched_series BY NAME SELECT * REPLACE (? AS customer) FROM metering.watched_series "
            "WHERE customer = 'cedar' AND moment_us >= ?",
            [name, week],
        )
    world.execute("INSERT INTO metering.client_hours SELECT unnest(?), 'feed', 'gateway'", [list(newcomers)])
    more = SimpleNamespace(customers={**CATALOG.customers, **newcomers}, plans={})
    watch(world, more, Monitoring(), NOW_US)
    assert world.execute(earlier, [week]).fetchall() == before != []
    world.execute("DELETE FROM metering.watched_series WHERE customer LIKE 'new%'")
    world.execute("DELETE FROM metering.client_hours WHERE customer LIKE 'new%'")


def test_what_happens_within_five_minutes_stands_beside_what_is_seen_by_the_hour(
    world: duckdb.DuckDBPyConnection,
) -> None:
    """30 server errors in five minutes of an hour without another one."""
    before = watch(world, CATALOG, Monitoring(), NOW_US)
    by_hour = _all(world)["unusual_series"]
    assert before.unusual == len(by_hour) > 0
    world.execute(
        "BEGIN; CREATE TABLE metering.latency_series (scope VARCHAR, endpoint VARCHAR, grain VARCHAR, "
        "moment_us BIGINT, latency_p95_us BIGINT)"
    )
    burst = (START + SPIKE) * HOUR_US + HOUR_US // 4
    world.execute(
        "INSERT INTO metering.watched_series BY NAME SELECT 'cedar' AS customer, 'customer' AS scope, '5m' AS grain, "
        "unnest(range($1, $2, 300000000)) AS moment_us, 5 AS requests, 0 AS server_errors, 0 AS refused, 0 AS denied, "
        "0 AS latency_events",
        [START * HOUR_US, (START + HOURS) * HOUR_US],
    )
    world.execute("UPDATE metering.watched_series SET server_errors = 30 WHERE grain = '5m' AND moment_us = ?", [burst])
    found = watch(world, CATALOG, Monitoring(), NOW_US)
    rows = _all(world)["unusual_series"]
    world.execute("ROLLBACK")
    assert sorted(map(str, by_hour)) == sorted(str(row) for row in rows if row[3] != "5m")
    [row] = [row for row in rows if row[3] == "5m"]
    assert row[:6] == ("total", "", "server_errors", "5m", burst, 30)
    assert row[6:9] == (0, None, None) and row[9] > THRESHOLD
    assert (found.unusual, found.series) == (before.unusual + 1, before.series + 5)
