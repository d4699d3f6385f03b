"""The example month against limits: what `tallystick throttling` says beside plain SQL over the lake."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import watched_world
from instances import rows
from typer.testing import CliRunner

from orchestration.cli import app

NOW = ["--now", "2026-11-05T09:00:00Z"]
OCTOBER = ["--from", "2026-10-01", "--to", "2026-11-01"]
LIMIT = 30


THEN = ["--now", watched_world.NOW]
OCTOBER_2024 = ["--from", "2024-10-01", "--to", "2024-11-01"]


def replayed(home: Path, *more: str, when: Sequence[str] = (*NOW, *OCTOBER)) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["throttling", "--home", str(home), *when, "--json", *more])
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_what_a_limit_of_each_hour_would_refuse_is_what_lies_above_it(copied: Path, tmp_path: Path) -> None:
    proposed = tmp_path / "proposed.yaml"
    proposed.write_text(
        f"throttling:\n  - {{key: hourly, kind: fixed_window, limit: {LIMIT}, window: 1h, per: credential}}\n"
    )
    told = replayed(copied, "--policies", str(proposed), "--at-most", "1")
    [(over,)] = duckdb.execute(
        f"""
        WITH hours AS (
            SELECT credential, time_us // 3600000000 AS hour, count(*) AS n
            FROM read_parquet('{copied}/lake/events/**/*.parquet', union_by_name = true) AS e
            ANTI JOIN read_parquet('{copied}/lake/verdicts/*.parquet') AS v
                ON e.file_id = v.file_id AND e.line = v.line
            WHERE (path IS NOT NULL OR method IS NOT NULL OR status IS NOT NULL) AND credential = 'ak_cobalt_1'
                AND make_timestamp(time_us) BETWEEN '2026-10-01 04:00:00' AND '2026-11-01 03:59:59.999999'
            GROUP BY ALL
        )
        SELECT sum(greatest(n - {LIMIT}, 0))::INT FROM hours
        """
    ).fetchall()
    zone = rows(copied, "SELECT DISTINCT zone FROM control.customers WHERE customer = 'cobalt-robotics'")
    assert zone == [("America/New_York",)]
    mine = [e for e in told["episodes"] if e["client"] == "ak_cobalt_1"]
    assert sum(e["over"] for e in mine) == over > 0
    [policy] = told["policies"]
    assert policy["over"] == sum(e["over"] for e in told["episodes"]) == sum(t["requests"] for t in told["touched"])
    smallest = policy["smallest_limit"]
    assert smallest > LIMIT
    for limit, few in ((smallest, True), (smallest - 1, False)):
        proposed.write_text(
            f"throttling:\n  - {{key: hourly, kind: fixed_window, limit: {limit}, window: 1h, per: credential}}\n"
        )
        [again] = replayed(copied, "--policies", str(proposed))["policies"]
        assert (again["over"] * 100 < again["requests"]) is few


def test_the_revenue_that_a_limit_touches_is_that_of_what_it_refuses(copied: Path, tmp_path: Path) -> None:
    """A limit of nearly nothing, of one customer's plan alone: nearly all that its requests earned is touched."""
    proposed = tmp_path / "proposed.yaml"
    proposed.write_text("throttling:\n  - {key: none, kind: fixed_window, limit: 1, window: 100d, plans: [nippon]}\n")
    told = replayed(copied, "--policies", str(proposed))
    earned = dict(
        rows(
            copied,
            "SELECT customer, cast(sum(amount) AS VARCHAR) FROM marts.revenue_daily WHERE plan = 'nippon' "
            "AND meter IN ('requests', 'egress') AND local_day BETWEEN '2026-10-01' AND '2026-10-31' GROUP BY ALL",
        )
    )
    assert {t["customer"] for t in told["touched"]} == set(earned) != set()
    for row in told["touched"]:
        assert Fraction(99, 100) < Fraction(row["amount"]) / Fraction(earned[row["customer"]]) <= 1


def test_refusals_of_a_gateway_without_a_reason_are_undue_and_none_is_missed(copied: Path) -> None:
    (copied / "catalog" / "throttling.yaml").write_text(
        "throttling:\n  - {key: wide, kind: sliding_window, limit: 1000000, window: 1s}\n"
    )
    told = replayed(copied)
    [(refused,)] = rows(
        copied,
        "SELECT sum(requests)::INT FROM marts.status_usage WHERE status = 429 "
        "AND local_day BETWEEN '2026-10-01' AND '2026-10-31'",
    )
    assert told["refused"] == told["undue"] == refused > 0
    assert told["policies"] == [{"policy": "wide", "requests": told["requests"], "over": 0, "missed": 0}]
    assert sum(b["refusals"] for b in told["behaviours"]) > refused, "503 are refusals too"


def test_a_retry_storm_is_told_with_what_its_retries_cost(tmp_path: Path) -> None:
    """Of 60 requests of birch in a minute, 50 are refused and come back within a second; each request costs 0.25."""
    home = watched_world.make(tmp_path / "home")
    (home / "catalog" / "monitoring.yaml").write_text("replay_days: 40\n")
    lines = [
        f'198.51.100.7 - ak_birch [05/Oct/2024:12:00:{n:02} +0000] "GET /v1/items/1 HTTP/1.1" {status} 100 "-" "curl/8"'
        for n in range(60)
        for status in [429 if n < 50 else 200]
    ]
    (home / "inbox" / "logs" / "one.log").write_text("\n".join(lines) + "\n")
    assert CliRunner().invoke(app, ["run", "--home", str(home), *THEN]).exit_code == 0
    told = replayed(home, when=[*THEN, *OCTOBER_2024])
    assert told["storms"] == [
        {
            "endpoint": "/v1/items/{id}",
            "minute": "2024-10-05T12:00:00.000000Z",
            "requests": 60,
            "retries": 50,
            "clients": 1,
            "billed": 50,
        }
    ]
    cost = {"customer": "birch", "requests": 50, "currency": "USD", "amount": "12.5000"}
    assert told["storm_costs"] == [{"storm": "/v1/items/{id} 2024-10-05T12:00Z", **cost}]
    minute = int(datetime(2024, 10, 5, 12, tzinfo=UTC).timestamp()) * 1_000_000
    stored = "SELECT endpoint, minute_us, requests, retries, clients, billed FROM marts.retry_storms"
    assert rows(home, stored) == [("/v1/items/{id}", minute, 60, 50, 1, 50)]
    costs = rows(home, "FROM marts.retry_storm_costs")
    assert costs == [("/v1/items/{id}", minute, "birch", 50, "USD", Decimal("12.5000"))]
    shown = CliRunner().invoke(app, ["throttling", "--home", str(home), *THEN, *OCTOBER_2024])
    assert "What retry storms cost" in shown.stdout


def test_a_client_is_one_customers_even_where_its_credential_is_handed_over(tmp_path: Path) -> None:
    """Alder is refused ten times; birch, who has the credential from then on, is no retry of it."""
    home = watched_world.make(tmp_path / "home")
    (home / "catalog" / "credentials.csv").write_text(
        "credential,customer,source,valid_from,valid_to\nak_one,alder,,,2024-10-05T12:00:30Z\n"
        "ak_one,birch,,2024-10-05T12:00:30Z,\n"
    )
    lines = [
        f'198.51.100.7 - ak_one [05/Oct/2024:12:00:{n:02} +0000] "GET /v1/items/1 HTTP/1.1" {status} 100 "-" "curl/8"'
        for n, status in [*((n, 429) for n in range(10)), *((n, 200) for n in range(30, 40))]
    ]
    (home / "inbox" / "logs" / "one.log").write_text("\n".join(lines) + "\n")
    assert CliRunner().invoke(app, ["run", "--home", str(home), *THEN]).exit_code == 0
    told = replayed(home, when=[*THEN, *OCTOBER_2024])
    [alder] = told["behaviours"]
    assert (alder["client"], alder["refusals"], alder["retries"]) == ("alder ak_one curl/8", 10, 9)
    assert told["undue_by"] == [{"customer": "alder", "day": "2024-10-05", "requests": 10}]


def test_who_waits_as_long_as_retry_after_says_is_known_for_it(tmp_path: Path) -> None:
    """Twelve refusals ask for 30 s; each is followed after 31. A bucket that takes ages to fill up stops nothing."""
    home = watched_world.make(tmp_path / "home")
    (home / "catalog" / "sources.yaml").write_text(
        "sources:\n  - {name: gateway, path: 'logs/*.jsonl', format: json_lines, event_type: request, properties: "
        "{retry_after: ra}, fields: {time: at, status: code, credential: who, path: url}}\n"
    )
    (home / "catalog" / "monitoring.yaml").write_text("replay_days: 40\n")
    (home / "catalog" / "throttling.yaml").write_text(
        "throttling:\n  - {key: slow, kind: token_bucket, limit: 1, window: 1d, burst: 1000000000}\n"
    )
    lines = [
        {
            "at": f"2024-10-05T12:{5 * n // 60:02}:{at:02}Z",
            "code": code,
            "who": "ak_birch",
            "url": "/v1/items/1",
            "ra": ra,
        }
        for n in range(0, 144, 12)
        for at, code, ra in ((0, 429, "30"), (31, 200, None))
    ]
    (home / "inbox" / "logs" / "one.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = CliRunner().invoke(app, ["run", "--home", str(home), *THEN])
    assert done.exit_code == 0, done.output
    taken = "SELECT customer, kind, refusals, retries, obeyed FROM marts.client_backoff"
    assert rows(home, taken) == [("birch", "retry_after", 12, 12, 1.0)]
    told = replayed(home, when=[*THEN, *OCTOBER_2024])
    assert [each["kind"] for each in told["behaviours"]] == ["retry_after"]
