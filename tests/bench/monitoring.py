"""How long a screening of hourly series takes, and how much memory: `python -m tests.bench.monitoring`."""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import duckdb
import numpy as np

from orchestration.monitoring.baseline import COUNT
from orchestration.monitoring.screen import screen
from orchestration.monitoring.series import day_type
from orchestration.pipeline.unusual import unusual_series
from orchestration.zones import HOUR_US
from tests.bench.measure import machine, measured

START = 1_767_571_200  # a Monday
PUT_IN = 50


def run(series: int, hours: int) -> dict[str, Any]:
    """Poisson counts with a daily shape; 50 series have one hour with five times as much. Returns counts."""
    random = np.random.default_rng(1)
    moments = START + 3600 * np.arange(hours)
    shape = 1.1 + np.sin(2 * np.pi * (moments // 3600 % 24) / 24)
    values = np.empty((hours, series), dtype=np.float32)
    size = random.uniform(20, 200, series)
    for hour in range(hours):
        values[hour] = random.poisson(shape[hour] * size)
    spiked = random.choice(series, min(PUT_IN, series), replace=False)
    noon = hours // 24 * 24 - 12 - 6
    values[noon, spiked] += 5 * size[spiked]
    found = screen(values, day_type(moments), COUNT, hours // 2, 0.005).found
    true = int(found[noon, spiked].sum())
    return {"put_in": len(spiked), "found": true, "others": int(found.sum()) - true}


TABLES = """
CREATE SCHEMA metering; CREATE SCHEMA marts; CREATE SCHEMA record; CREATE SCHEMA control;
CREATE TABLE metering.watched_series (
    customer VARCHAR, scope VARCHAR, credential VARCHAR, endpoint VARCHAR, grain VARCHAR, moment_us BIGINT,
    requests BIGINT, client_errors BIGINT, server_errors BIGINT, refused BIGINT, latency_events BIGINT,
    latency_p95_us BIGINT
);
CREATE TABLE marts.usage_hourly (customer VARCHAR, meter VARCHAR, hour_start TIMESTAMP, quantity DECIMAL(38, 9));
CREATE TABLE marts.pipeline_series (
    source VARCHAR, utc_day DATE, files BIGINT, lines BIGINT, quarantined BIGINT, duplicates BIGINT, lag_us BIGINT
);
CREATE TABLE record.files (source VARCHAR, min_us BIGINT, max_us BIGINT);
CREATE TABLE record.rated_lines (
    customer VARCHAR, meter VARCHAR, currency VARCHAR, charge VARCHAR, plan VARCHAR, kind VARCHAR, trial BOOLEAN,
    "start" DATE, daily VARCHAR
);
CREATE TABLE control.meters (meter VARCHAR, combine VARCHAR, carried BOOLEAN);
"""
COUNTED = 4
"""Series of a credential: requests, 4xx, 5xx and 429."""


def from_tables(folder: str, series: int, hours: int) -> dict[str, Any]:
    """The same out of the tables of a build, by the step that a run takes: four series of each credential."""
    settings: dict[str, Any] = {"threads": 2, "memory_limit": "2GB", "temp_directory": f"{folder}/scratch"}
    first = START // 3600
    with duckdb.connect(f"{folder}/build.duckdb", config=settings) as con:
        con.execute(TABLES)
        con.execute("INSERT INTO record.files VALUES ('gateway', ?, ?)", [START * 10**6, (first + hours) * HOUR_US - 1])
        con.execute(
            "INSERT INTO metering.watched_series BY NAME SELECT 'c' || (i // 10) AS customer, 'credential' AS scope, "
            f"'key' || i AS credential, 'hour' AS grain, ({first} + h) * {HOUR_US} AS moment_us, "
            "(20 + i % 50 + (hash(i, h) % 20) + CASE WHEN h = $1 AND i < $2 THEN 900 ELSE 0 END)::BIGINT AS requests, "
            "(hash(i, h, 1) % 5)::BIGINT AS client_errors, (hash(i, h, 2) % 3)::BIGINT AS server_errors, "
            "(hash(i, h, 3) % 2)::BIGINT AS refused, 0 AS latency_events FROM range($3) AS k(i), range($4) AS u(h)",
            [hours - 18, PUT_IN, series // COUNTED, hours],
        )
    with duckdb.connect(f"{folder}/build.duckdb", config=settings) as con:
        begun = time.monotonic()
        moments = START + 3600 * np.arange(hours)
        count, found = unusual_series(con, moments, (first + hours) * HOUR_US, hours // 2)
        seconds = time.monotonic() - begun
    spiked = sum(row["series"] == "requests" and row["value"] > 900 for row in found)
    return {"series": count, "put_in": PUT_IN, "found": spiked, "others": len(found) - spiked, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--hours", type=int, default=720)
    options = parser.parse_args()
    cost = measured("tests.bench.monitoring:run", options.series, options.hours)
    said = cost.result
    size = f"{options.series:,} series x {options.hours} hours"
    print(f"{size}: {cost.wall:.1f} s, {cost.cpu:.1f} s of CPU, {cost.memory:.0f} MB, with making them; {machine()}")
    print(f"{said['found']} of {said['put_in']} spikes found, {said['others']} other hours")
    with tempfile.TemporaryDirectory() as folder:
        cost = measured("tests.bench.monitoring:from_tables", folder, options.series, options.hours)
    said = cost.result
    size = f"{said['series']:,} series x {options.hours} hours"
    print(f"from tables, {size}: {said['seconds']:.1f} s, {cost.memory:.0f} MB; {machine()}")
    print(f"{said['found']} of {said['put_in']} spikes found, {said['others']} other hours")


if __name__ == "__main__":
    main()
