"""From logs to incidents: what is found in five weeks of two customers, at once and bit by bit."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import dagster as dg
import pytest
import tiny
import watched_world
from instances import content, rows, tables

from orchestration.automation.manifest import prepare_manifest
from orchestration.catalog import load_catalog
from orchestration.ingest.extract import extractions
from orchestration.ingest.lake import Lake
from orchestration.ledger.store import Ledger
from orchestration.metering.watching import watched_properties
from orchestration.pipeline.anomalies import SCOPES
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.limits import Limits, limits_of
from orchestration.pipeline.run import run
from orchestration.resources.instance import TallystickInstance
from orchestration.settings import parse_instant


def _run(home: Path, threads: int = 2) -> None:
    run(Context(Instance(home, threads=threads), parse_instant(watched_world.NOW, "test")))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built bit by bit: a build without the last days, and one of these."""
    home = watched_world.make(tmp_path_factory.mktemp("watched") / "home")
    watched_world.deliver(home, range(watched_world.LATER))
    _run(home)
    watched_world.deliver(home, range(watched_world.LATER, watched_world.DAYS))
    _run(home)
    return home


def test_incidents_that_were_put_in_are_found_and_no_others(watched: Path) -> None:
    """50 refused logins an hour of alder for three hours; 120 requests of birch in an hour, over two of its own."""
    found = rows(
        watched,
        "SELECT customer, kind, make_timestamp(first_us), make_timestamp(last_us), alarms, observed, label, holds "
        "FROM marts.incidents ORDER BY ALL",
    )
    [stuffed, strange, busy, spike] = found
    begin, end = (each.replace(tzinfo=None) for each in (watched_world.STUFFED[0], watched_world.STUFFED[-1]))
    assert stuffed == ("alder", "credential_stuffing", begin, end, 3, 50, None, True)
    assert strange[:3] == ("alder", "new_client", watched_world.STRANGE.replace(tzinfo=None))
    assert strange[4:6] == (1, 15)
    assert busy[:2] == ("alder", "traffic_spike")
    assert begin <= busy[2] <= busy[3] <= end
    assert spike[:2] == ("birch", "traffic_spike")
    assert abs(spike[2] - watched_world.SPIKE.replace(tzinfo=None)) == timedelta(minutes=30)
    beside = rows(watched, "SELECT DISTINCT customer, unlabelled_incidents FROM marts.money_series ORDER BY ALL")
    assert beside == [("alder", 3), ("birch", 1)]


def test_every_scope_and_grain_of_the_series_holds_every_request(watched: Path) -> None:
    [(counted,)] = rows(watched, "SELECT sum(requests) FROM metering.requests_daily")
    sums = rows(watched, "SELECT scope, grain, sum(requests) FROM marts.request_series GROUP BY ALL ORDER BY ALL")
    scopes = ("credential", "customer", "customer_endpoint", "endpoint", "total")
    assert sums == [(scope, grain, counted) for scope in scopes for grain in ("5m", "day", "hour")]
    [(lines,)] = rows(watched, "SELECT sum(lines) FROM marts.pipeline_series")
    assert lines == counted > 0


def test_a_series_counts_what_its_requests_were(watched: Path) -> None:
    hour = watched_world.STUFFED[0].replace(tzinfo=None)
    where = f"customer = 'alder' AND grain = 'hour' AND moment = TIMESTAMP '{hour}'"
    [(requests, denied, errors, endpoints, percent)] = rows(
        watched,
        "SELECT requests, denied, client_errors, endpoints, denied_percent FROM marts.request_series "
        f"WHERE {where} AND scope = 'customer'",
    )
    of_endpoints = dict(
        rows(
            watched,
            f"SELECT endpoint, requests FROM marts.request_series WHERE {where} AND scope = 'customer_endpoint'",
        )
    )
    assert (denied, errors, endpoints) == (50, 50, 2)
    assert 0 <= Fraction(5000, requests) - Fraction(percent) < Fraction(1, 10_000)
    assert of_endpoints == {"/v1/login": 50, "/v1/items/{id}": requests - 50}


def test_a_repeated_failure_is_one_retry_and_a_new_program_is_new_for_its_day(watched: Path) -> None:
    """Of three logins, the first of which failed, the one after 30 s is a retry and that after two minutes is none."""
    hour = watched_world.FAILED.replace(tzinfo=None)
    found = rows(
        watched,
        "SELECT scope, requests, server_errors, retries FROM marts.request_series WHERE endpoint = '/v1/login' "
        f"AND grain = 'hour' AND moment = TIMESTAMP '{hour}' ORDER BY scope",
    )
    assert found == [("customer_endpoint", 3, 1, 1), ("endpoint", 3, 1, 1)]
    strange = int(watched_world.STRANGE.timestamp()) * 1_000_000
    assert rows(watched, "FROM marts.new_requests") == [("alder", watched_world.STRANGE.date(), strange, 0, 15)]


def test_what_is_unusual_is_said_of_credentials_and_of_the_whole(watched: Path) -> None:
    hour = watched_world.STUFFED[1]
    found = rows(
        watched,
        "SELECT scope, key, value FROM marts.unusual_series WHERE grain = 'hour' AND series = 'client_errors' "
        f"AND moment_us = {int(hour.timestamp()) * 1_000_000} ORDER BY ALL",
    )
    # The endpoint of the refused logins has no past: nobody had called it before.
    assert found == [("credential", "ak_alder", 50), ("total", "", 50)]
    undelivered = rows(watched, "FROM marts.unusual_series WHERE moment_us >= epoch_us(TIMESTAMP '2024-11-08 00:00')")
    assert undelivered == [], "nothing is known of an hour that no file reaches into"


def test_bursts_of_minutes_are_told_once_of_the_whole_and_of_their_endpoint(watched: Path) -> None:
    """The new program's 15 requests in 15 s, and the first five minutes of birch's spike with ten more than usual;
    five refused logins in five minutes are too few."""
    found = rows(
        watched,
        "SELECT make_timestamp(moment_us), scope, key, series, value FROM marts.unusual_series WHERE grain = '5m' "
        "ORDER BY moment_us, scope DESC",
    )
    strange, spike = (each.replace(tzinfo=None) for each in (watched_world.STRANGE, watched_world.SPIKE))
    whole, items = ("total", "", "requests"), ("endpoint", "/v1/items/{id}", "requests")
    assert [row[1:4] for row in found] == [whole, items, whole, items]
    assert [(row[0], row[4]) for row in found[:2]] == 2 * [(strange, 15)]
    assert [(row[0], row[4]) for row in found[2:]] == 2 * [(spike + timedelta(minutes=20), 12)]
    scopes = {scope for (scope,) in rows(watched, "SELECT DISTINCT scope FROM marts.unusual_series")}
    assert {"total", "credential", "endpoint"} <= scopes <= set(SCOPES)


def test_bit_by_bit_and_from_nothing_give_the_same_tables_for_any_threads(watched: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(watched, home, symlinks=True)
    shutil.rmtree(home / "warehouse")
    _run(home, threads=1)
    names = [name for name in tables(watched, "marts", "metering") if "ingest" not in name]
    assert {"marts.incidents", "marts.alarms", "marts.control_charts", "metering.watched_series"} <= set(names)
    assert content(home, names) == content(watched, names)


def test_limits_of_the_last_days_and_how_refusals_were_taken_are_tables(watched: Path) -> None:
    """Birch's 120 requests are 60 over, and nobody refused them; its 8 refusals of the next day had no reason. Alder's
    refused logins are older than the seven days of the replay."""
    spike, hammered = (int(each.timestamp()) * 1_000_000 for each in (watched_world.SPIKE, watched_world.HAMMERED))
    day = 86_400_000_000
    days = rows(watched, "SELECT day_us, requests, over, missed FROM marts.throttle_days WHERE policy = 'hourly'")
    first = int(watched_world.STUFFED[0].timestamp()) * 1_000_000 // day * day + 2 * day
    assert [each[0] for each in days] == [first + n * day for n in range(7)]
    assert [each for each in days if each[2]] == [(spike // day * day, days[4][1], 60, 60)]
    logs = sorted((watched / "inbox" / "logs").glob("2024-11-0[1-7].log"))
    assert [each[1] for each in days] == [len(log.read_text().splitlines()) for log in logs]
    logins = "SELECT day_us, requests, over FROM marts.throttle_days WHERE policy = 'alone'"
    assert rows(watched, logins) == [(first + 2 * day, 3, 0)]
    [episode] = rows(watched, "FROM marts.throttle_episodes")
    assert episode[:2] == ("hourly", "birch") and episode[4:6] == (60, 60)
    assert spike <= episode[2] <= episode[3] < spike + day // 24
    refused = rows(watched, "SELECT day_us, customer, refused, undue FROM marts.gateway_refusals WHERE refused > 0")
    assert refused == [(hammered // day * day, "birch", 8, 8)]
    taken = rows(watched, "SELECT * EXCLUDE obeyed FROM marts.client_backoff ORDER BY ALL")
    assert taken == [
        ("alder", "ak_alder", "curl/8", "too_few", 1, 1, 0, 1, "[30000000]"),
        ("birch", "ak_birch", "curl/9", "immediate", 8, 7, 7, 7, "[0]"),
    ]
    assert rows(watched, "FROM marts.retry_storms") == []


def test_a_gateway_that_keeps_other_limits_and_a_client_that_hammers_are_warned_of(watched: Path) -> None:
    prepare_manifest()
    from orchestration.checks.watching import clients_back_off, gateway_keeps_its_limits

    unlike = gateway_keeps_its_limits(dg.build_op_context(), tallystick=Standing(home=str(watched)))
    assert (unlike.passed, unlike.severity, unlike.metadata["unlike"].value) == (False, dg.AssetCheckSeverity.WARN, 2)
    told = unlike.metadata["preview"].value
    assert "| 2024-11-05 | hourly | 60 | let through beyond the limit |" in told
    assert "| 2024-11-06 | birch | 8 | refused within every limit |" in told
    hammers = clients_back_off(dg.build_op_context(), tallystick=Standing(home=str(watched)))
    assert (hammers.passed, hammers.metadata["hammering"].value) == (False, 1)


class Standing(TallystickInstance):
    """An instance that no run holds."""

    def context(self, step: object) -> Context:
        return Context(Instance(Path(self.home)), parse_instant(watched_world.NOW, "test"))


def test_a_limit_remembers_what_its_window_saw_before_the_days_that_are_told(watched: Path, tmp_path: Path) -> None:
    """Windows of a week, of which only the last two days are told."""
    home = tmp_path / "home"
    shutil.copytree(watched, home, symlinks=True)
    limit, week, day = 1400, 7 * 86_400_000_000, 86_400_000_000
    policy = f"{{key: weekly, kind: fixed_window, limit: {limit}, window: 7d, per: policy}}"
    (home / "catalog" / "throttling.yaml").write_text(f"throttling:\n  - {policy}\n")
    context = Context(Instance(home), int(watched_world.SPIKE.timestamp()) * 1_000_000)
    since = context.now_us // day * day - 2 * day
    moments = sorted(
        int(datetime.strptime(line.split("[")[1].split("]")[0], "%d/%b/%Y:%H:%M:%S %z").timestamp()) * 1_000_000
        for log in (home / "inbox" / "logs").glob("*.log")
        for line in log.read_text().splitlines()
    )
    passed: Counter[int] = Counter()
    expected: Counter[int] = Counter()
    for moment in moments:
        # Nobody refused anything in these weeks: what is over the limit counts in its window too.
        if passed[moment // week] >= limit and since <= moment < since + 2 * day:
            expected[moment // day * day] += 1
        passed[moment // week] += 1
    found = limits_of(context, load_catalog(home / "catalog"), days=2)
    assert {each["day_us"]: each["over"] for each in found.throttle_days} == dict(expected)
    assert len(expected) == 2
    assert limits_of(context, load_catalog(home / "catalog"), days=0) == Limits()


def test_a_bucket_that_has_not_filled_up_is_as_empty_on_the_first_day_that_is_told(
    watched: Path, tmp_path: Path
) -> None:
    """Five tokens an hour, sixty fit: it takes half a day to fill up, and the days before are told nothing of."""
    home = tmp_path / "home"
    shutil.copytree(watched, home, symlinks=True)
    policy = "{key: slow, kind: token_bucket, limit: 5, window: 1h, burst: 60, per: policy}"
    (home / "catalog" / "throttling.yaml").write_text(f"throttling:\n  - {policy}\n")
    context = Context(Instance(home), parse_instant(watched_world.NOW, "test"))
    one, three = (limits_of(context, load_catalog(home / "catalog"), days).throttle_days for days in (1, 3))
    assert [one[0]] == list(three[2:]) and one[0]["over"] > 200


def test_a_replay_leaves_what_the_build_has_extracted_from_files_read_before(tmp_path: Path) -> None:
    """A property that a meter reads, and Retry-After, are mapped after a file was read: only the first is looked up."""
    home = tiny.make(tmp_path / "home")
    (home / "catalog" / "monitoring.yaml").write_text("{}\n")
    context = Context(Instance(home), parse_instant(tiny.NOW, "test"))
    run(context)
    for name, old, new in (
        ("sources.yaml", "gigabytes: data.gb", "gigabytes: data.gb, size: data.gb, retry_after: data.ra"),
        ("meters.yaml", "value: gigabytes", "value: size"),
    ):
        path = home / "catalog" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    run(context)
    catalog, lake = load_catalog(home / "catalog"), Lake(home / "lake")
    with Ledger.open(home) as ledger:
        wanted = {each.path for each in extractions(catalog, lake, ledger.files(), watched_properties(catalog))}
    assert set(lake.extracted_files()) == wanted != set()
