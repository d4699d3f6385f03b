"""From logs to incidents: what is found in five weeks of two customers, at once and bit by bit."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import watched_world
from instances import content, rows, tables

from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import Context, run
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
    [(requests, denied, errors, endpoints)] = rows(
        watched,
        "SELECT requests, denied, client_errors, endpoints FROM marts.request_series "
        f"WHERE {where} AND scope = 'customer'",
    )
    of_endpoints = dict(
        rows(
            watched,
            f"SELECT endpoint, requests FROM marts.request_series WHERE {where} AND scope = 'customer_endpoint'",
        )
    )
    assert (denied, errors, endpoints) == (50, 50, 2)
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


def test_bit_by_bit_and_from_nothing_give_the_same_tables_for_any_threads(watched: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(watched, home, symlinks=True)
    shutil.rmtree(home / "warehouse")
    _run(home, threads=1)
    names = [name for name in tables(watched, "marts", "metering") if "ingest" not in name]
    assert {"marts.incidents", "marts.alarms", "marts.control_charts", "metering.watched_series"} <= set(names)
    assert content(home, names) == content(watched, names)
