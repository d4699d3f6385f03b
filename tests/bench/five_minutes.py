"""What judging series by five minutes costs, and what it tells of calm ones: `python -m tests.bench.five_minutes`."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np

from orchestration.pipeline.single import STEP_US, unusual_five_minutes
from tests.bench.measure import machine, measured

NOW_US = int(datetime(2024, 11, 8, tzinfo=UTC).timestamp()) * 1_000_000
HOUR_US = 12 * STEP_US
DAYS = 36
PUT_IN = 50
BURST = 40
ERRORS = ("server_errors", "refused", "denied")
COUNTED = ", ".join(f"{name} BIGINT" for name in ("requests", *ERRORS, "latency_events"))
TABLES = f"""
CREATE SCHEMA metering; CREATE SCHEMA record;
CREATE TABLE record.files (source VARCHAR, min_us BIGINT, max_us BIGINT);
CREATE TABLE metering.watched_series (scope VARCHAR, endpoint VARCHAR, grain VARCHAR, moment_us BIGINT, {COUNTED});
CREATE TABLE metering.latency_series (
    scope VARCHAR, endpoint VARCHAR, grain VARCHAR, moment_us BIGINT, latency_p95_us BIGINT
)
"""


def made(con: duckdb.DuckDBPyConnection, endpoints: int) -> None:
    """Endpoints with 5 to 250 requests in a busy five minutes, half at weekends, that scatter by 20% beside chance, and
    shares of errors that stay; the first of them have 40 server errors more, once."""
    random = np.random.default_rng(1)
    moments = np.arange(NOW_US - DAYS * 24 * HOUR_US, NOW_US, STEP_US)
    day = moments // HOUR_US // 24
    busy = np.isin(moments // HOUR_US % 24, np.arange(6, 20))
    shape = np.where(busy, 1, 0.3) * np.where((day + 3) % 7 >= 5, 0.5, 1)
    con.execute(TABLES)
    con.execute("INSERT INTO record.files VALUES ('gateway', ?, ?)", [int(moments[0]), NOW_US - 1])
    for endpoint in range(endpoints):
        size = np.exp(random.uniform(np.log(5), np.log(250)))
        requests = random.poisson(size * shape * np.exp(random.normal(0, 0.2, len(moments))))
        shares = (random.choice(each) for each in ((0.001, 0.02), (0, 0.01), (0.002, 0.03)))
        errors = dict(zip(ERRORS, (random.binomial(requests, share) for share in shares), strict=True))
        errors["server_errors"][-100 - endpoint] += BURST if endpoint < PUT_IN else 0
        latency = np.int64(100_000 * np.exp(random.normal(0, 0.15, len(moments))))
        con.register("given", {"moment_us": moments, "requests": requests, **errors, "latency": latency})
        con.execute(
            f"INSERT INTO metering.watched_series SELECT 'endpoint', '/{endpoint}', '5m', moment_us, requests, "
            f"{', '.join(ERRORS)}, requests FROM given WHERE requests > 0"
        )
        con.execute(
            f"INSERT INTO metering.latency_series SELECT 'endpoint', '/{endpoint}', '5m', moment_us, latency FROM given"
        )
        con.unregister("given")
    summed = ", ".join(f"sum({name})" for name in ("requests", *ERRORS, "requests"))
    con.execute(
        f"INSERT INTO metering.watched_series SELECT 'customer', NULL, '5m', moment_us, {summed} "
        "FROM metering.watched_series GROUP BY moment_us"
    )


def run(endpoints: int) -> dict[str, Any]:
    """What was found of the bursts and beside them, and what that took; without making the series."""
    with duckdb.connect(config={"threads": 2}) as con:
        made(con, endpoints)
        begun = time.process_time()
        series, found = unusual_five_minutes(con, NOW_US)
        seconds = time.process_time() - begun
    bursts = {
        (each["key"], each["moment_us"])
        for each in found
        if each["scope"] == "endpoint" and each["series"] == "server_errors" and each["value"] >= BURST
    }
    put_in = {(f"/{n}", NOW_US - (100 + n) * STEP_US) for n in range(min(PUT_IN, endpoints))}
    at = {moment for _, moment in put_in}
    others = sum(each["moment_us"] not in at for each in found)
    return {"series": series, "put_in": len(put_in), "found": len(bursts & put_in), "others": others, "cpu": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, default=200)
    options = parser.parse_args()
    cost = measured("tests.bench.five_minutes:run", options.endpoints)
    said = cost.result
    print(f"{said['series']:,} series: {said['cpu']:.1f} s of CPU, {cost.memory:.0f} MB with making them; {machine()}")
    print(f"{said['found']} of {said['put_in']} bursts found, {said['others']} other moments told")


if __name__ == "__main__":
    main()
