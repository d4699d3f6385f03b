"""Series by five minutes, judged by their own past: a burst is told once and at its moment, and lost input is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from orchestration.monitoring.deviation import THRESHOLD
from orchestration.pipeline import single
from orchestration.pipeline.single import unusual_five_minutes

STEP_US = 300_000_000
HOUR_US = 12 * STEP_US
NOW = int(datetime(2024, 10, 18, 9, 17, tzinfo=UTC).timestamp()) * 1_000_000
START = int(datetime(2024, 9, 30, tzinfo=UTC).timestamp()) * 1_000_000
BURST = int(datetime(2024, 10, 15, 13, 35, tzinfo=UTC).timestamp()) * 1_000_000
SLOW = int(datetime(2024, 10, 11, 8, 10, tzinfo=UTC).timestamp()) * 1_000_000
LOST = int(datetime(2024, 10, 16, 12, tzinfo=UTC).timestamp()) * 1_000_000
FIRST_LOST = int(datetime(2024, 10, 10, 15, tzinfo=UTC).timestamp()) * 1_000_000
TABLES = """
CREATE SCHEMA metering; CREATE SCHEMA record;
CREATE TABLE record.files (source VARCHAR, min_us BIGINT, max_us BIGINT);
CREATE TABLE metering.watched_series (
    customer VARCHAR, scope VARCHAR, endpoint VARCHAR, grain VARCHAR, moment_us BIGINT, requests BIGINT,
    server_errors BIGINT, refused BIGINT, denied BIGINT, latency_events BIGINT
);
CREATE TABLE metering.latency_series (
    scope VARCHAR, endpoint VARCHAR, grain VARCHAR, moment_us BIGINT, latency_p95_us BIGINT
);
"""
# Two customers; of the endpoints /a is called often, /b by one customer alone every quarter of an hour.
SERIES = f"""
WITH moments AS (
    SELECT moment_us, hash(moment_us) % 7 AS chance, moment_us // {HOUR_US} % 24 AS hour
    FROM (SELECT unnest(range($1, $2, {STEP_US})) AS moment_us)
    WHERE moment_us // {HOUR_US} NOT IN ($3 // {HOUR_US}, $4 // {HOUR_US})
), called AS (
    SELECT unnest(['alder', 'birch']) AS customer, '/a' AS endpoint, moment_us, chance,
        (CASE WHEN hour BETWEEN 6 AND 20 THEN 30 ELSE 10 END + chance) AS requests FROM moments
    UNION ALL SELECT 'alder', '/b', moment_us, chance, 1 FROM moments WHERE moment_us // {STEP_US} % 3 = 0
)
INSERT INTO metering.watched_series
SELECT customer, CASE WHEN grouping(endpoint) = 0 THEN 'endpoint' ELSE 'customer' END, endpoint, '5m', moment_us,
    sum(requests), (sum(chance) = 6)::INTEGER, 0, 0, sum(requests)
FROM called GROUP BY GROUPING SETS ((customer, moment_us), (customer, moment_us, endpoint))
"""
LATENCIES = """
INSERT INTO metering.latency_series
SELECT scope, endpoint, '5m', moment_us,
    90000 + hash(moment_us + 1) % 9000 + CASE moment_us WHEN $1 THEN 400000 ELSE 0 END
FROM (SELECT DISTINCT CASE scope WHEN 'customer' THEN 'total' ELSE scope END AS scope, endpoint, moment_us
    FROM metering.watched_series)
"""


def fill(con: duckdb.DuckDBPyConnection, until: int) -> None:
    """What was delivered until a moment: 40 server errors of birch in five minutes, and more in the five after; one
    moment at which all was slow; two hours of which no file came."""
    con.execute(TABLES)
    con.execute(SERIES, [START, until, LOST, FIRST_LOST])
    for moment, errors in ((BURST, 40), (BURST + STEP_US, 60)):
        con.execute(
            "UPDATE metering.watched_series SET server_errors = ? WHERE customer = 'birch' AND scope = 'customer' "
            "AND moment_us = ?",
            [errors, moment],
        )
    con.execute(LATENCIES, [SLOW])
    for first, end in ((START, FIRST_LOST), (FIRST_LOST + HOUR_US, LOST), (LOST + HOUR_US, until)):
        if first < min(end, until):
            con.execute("INSERT INTO record.files VALUES ('gateway', ?, ?)", [first, min(end, until) - 1])


@pytest.fixture(scope="module")
def world() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as con:
        fill(con, NOW // STEP_US * STEP_US)
        yield con


@pytest.fixture(scope="module")
def found(world: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    series, found = judged(world)
    assert series == 2 * 5, "in total, and of the endpoint that is called often"
    return found


def judged(con: duckdb.DuckDBPyConnection, now_us: int = NOW) -> tuple[int, list[dict[str, Any]]]:
    series, found = unusual_five_minutes(con, now_us)
    assert all(each["z"] >= THRESHOLD and each["lower"] != each["lower"] for each in found)
    return series, [{name: each[name] for name in each if name not in ("lower", "upper")} for each in found]


def told(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(each["moment_us"], each["scope"], each["key"], each["series"], each["value"]) for each in found]


def test_a_burst_of_errors_is_told_once_at_its_moment_and_lost_hours_are_nothing(
    world: duckdb.DuckDBPyConnection, found: list[dict[str, Any]]
) -> None:
    [(one,)] = world.execute(
        "SELECT server_errors FROM metering.watched_series WHERE customer = 'alder' AND scope = 'customer' "
        "AND moment_us = ?",
        [BURST],
    ).fetchall()
    slow = 490_000 + world.execute("SELECT hash(?::BIGINT + 1) % 9000", [SLOW]).fetchall()[0][0]
    assert told(found) == [
        (SLOW, "total", "", "latency_p95_us", slow),
        (SLOW, "endpoint", "/a", "latency_p95_us", slow),
        (BURST, "total", "", "server_errors", 40 + one),
    ]
    burst = found[-1]
    assert burst["grain"] == "5m" and 0 <= burst["centre"] < 2, "as usual, of the hour of the day"
    assert set(burst) == {"scope", "key", "series", "grain", "moment_us", "value", "centre", "z"}


def test_hours_that_were_delivered_without_a_request_are_none_at_all(world: duckdb.DuckDBPyConnection) -> None:
    """The same lost hour, with a file that reaches over it: an outage of an hour in 19 days."""
    world.execute("BEGIN; INSERT INTO record.files VALUES ('gateway', ?, ?)", [LOST - 1, LOST + HOUR_US])
    found = [each for each in judged(world)[1] if LOST <= each["moment_us"] < LOST + HOUR_US]
    world.execute("ROLLBACK")
    assert [(each["scope"], each["series"], each["value"]) for each in found] == [
        ("total", "requests", 0),
        ("endpoint", "requests", 0),
    ]


def test_threads_order_of_rows_and_what_came_later_change_nothing(found: list[dict[str, Any]]) -> None:
    with duckdb.connect(config={"threads": 1}) as con:
        fill(con, NOW // STEP_US * STEP_US)
        con.execute("CREATE TABLE turned AS FROM metering.watched_series ORDER BY requests, moment_us DESC, customer")
        con.execute("DELETE FROM metering.watched_series; INSERT INTO metering.watched_series FROM turned")
        assert judged(con)[1] == found
    with duckdb.connect() as con:
        fill(con, BURST + STEP_US)
        assert judged(con, BURST + STEP_US + 1)[1] == found, "as soon as it was"


def test_errors_that_are_few_and_a_delivery_that_goes_on_are_not_told(world: duckdb.DuckDBPyConnection) -> None:
    """Nine errors where there is one at most; no request in the hour that is still on its way."""
    world.execute("BEGIN; DELETE FROM metering.watched_series WHERE moment_us >= ?", [NOW // HOUR_US * HOUR_US])
    world.execute("UPDATE record.files SET max_us = least(max_us, ?)", [NOW // HOUR_US * HOUR_US + 1])
    world.execute("UPDATE metering.watched_series SET server_errors = 9 WHERE server_errors >= 40")
    found = judged(world)[1]
    world.execute("ROLLBACK")
    assert [(each["moment_us"], each["series"]) for each in found] == 2 * [(SLOW, "latency_p95_us")]


def test_the_busiest_endpoints_of_the_last_weeks_are_looked_at(
    world: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busier one was last called five weeks ago, and the one that comes next is called too seldom."""
    world.execute(
        "BEGIN; INSERT INTO metering.watched_series VALUES ('alder', 'endpoint', '/old', '5m', ?, 1e9, 0, 0, 0, 0)",
        [NOW // STEP_US * STEP_US - 35 * 24 * HOUR_US],
    )
    found = judged(world)
    monkeypatch.setattr(single, "ENDPOINTS", 0)
    total = judged(world)
    world.execute("ROLLBACK")
    assert (found[0], {each["key"] for each in found[1]}) == (10, {"", "/a"})
    assert (total[0], total[1]) == (5, [each for each in found[1] if each["scope"] == "total"])


def test_nothing_is_looked_at_where_there_are_no_requests() -> None:
    with duckdb.connect() as con:
        con.execute(TABLES)
        assert unusual_five_minutes(con, NOW) == (0, [])
