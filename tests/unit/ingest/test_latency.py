"""How long a request took: in microseconds whatever the format's unit, and never a reason to set a line aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import formatkit
import pytest

from orchestration.catalog import parse_catalog
from orchestration.engine import connect
from orchestration.ingest.formats import FORMATS, check_source
from orchestration.ingest.formats.base import LATENCY
from orchestration.ingest.lake import Lake
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.lakeview import create_line_views
from orchestration.metering.retractions import load_retractions

LINES = formatkit.LINES
TOOK = {
    "alb": 171_000,
    "caddy": 42_900,
    "cloudfront": 36_000,
    "elb": 2_471,
    "envoy": 15_000,
    "envoy_json": 15_000,
    "haproxy": 109_000,
    "haproxy_clf": 109_000,
    "kong": 515_000,
    "nginx_ingress": 50_000,
    "nginx_json": 5_000,
    "s3": 38_000,
    "squid": 132_000,
    "traefik_clf": 12_000,
    "traefik_json": 2_337,
    "api_gateway": None,
    "gcp": 7_911,
}
"""Microseconds of the ordinary line of each format that knows a latency; API Gateway's example doesn't log it."""


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    made = formatkit.connection()
    yield made
    made.close()


def took(con: Any, form: str, *lines: str, **options: Any) -> list[int | None]:
    """Latencies of lines, none of them set aside."""
    rows = formatkit.canonical_rows(con, formatkit.source(form, **options), list(lines))
    assert [row["reason"] for row in rows] == [None] * len(lines)
    return [row["latency_us"] for row in rows]


def test_every_format_that_knows_a_latency_is_tried() -> None:
    assert {name for name, form in FORMATS.items() if any(t.startswith(LATENCY) for t in form.defaults)} == set(TOOK)


@pytest.mark.parametrize("form", sorted(TOOK))
def test_an_ordinary_line_gives_its_latency_in_microseconds(con: Any, form: str) -> None:
    assert took(con, form, LINES[form]) == [TOOK[form]]
    assert took(con, form, LINES[form], drop=["latency"]) == [None]


@pytest.mark.parametrize("form", sorted(TOOK))
def test_the_engine_reads_the_same_latency_as_python(con: Any, form: str) -> None:
    source = formatkit.source(form)
    (engine,) = formatkit.engine_lane(con, source, [LINES[form]])
    assert engine == formatkit.python_lane(source, [LINES[form]])[0]


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("s", '"0.021"', 21_000),
        ("s", "0.0000019", 1),
        ("s", "0.0000009", 0),
        ("s", "1.9999999999999999999", 1_999_999),
        ("s", "5e-05", 50),
        ("s", "1.25E-3", 1_250),
        ("s", "123456789012", 123_456_789_012_000_000),
        ("ms", "21", 21_000),
        ("ms", "21.0437", 21_043),
        ("us", "17", 17),
        ("us", "17.9", 17),
        ("ns", "21043999", 21_043),
        ("ns", "999", 0),
        ("s", "-1", None),
        ("s", '"-"', None),
        ("s", '"+12"', None),
        ("s", '"21ms"', None),
        ("s", '" 1"', None),
        ("s", '""', None),
        ("s", "null", None),
        ("s", "true", None),
        ("s", "[1]", None),
        ("s", "1e5", None),
        ("s", "999999999999999999", None),
        ("s", "99999999999999999999999999999999999999999", None),
    ],
)
def test_a_number_is_cut_to_microseconds_exactly_and_anything_else_is_no_latency(
    con: Any, unit: str, text: str, expected: int | None
) -> None:
    options = {"fields": {"time": "t"}, "latency": {"field": "call.took", "unit": unit}}
    line = f'{{"t": "2026-10-06T12:00:00Z", "call": {{"took": {text}}}}}'
    assert took(con, "json_lines", line, **options) == [expected]
    source = formatkit.source("json_lines", **options)
    (engine,) = formatkit.engine_lane(con, source, [line])
    assert engine is None or engine == formatkit.python_lane(source, [line])[0]


def test_three_times_of_a_load_balancer_are_no_latency_where_one_is_missing(con: Any) -> None:
    for missing in ("-1", "-"):
        lines = [LINES["alb"].replace(f" {part} ", f" {missing} ", 1) for part in ("0.086", "0.048", "0.037")]
        assert took(con, "alb", *lines) == [None] * 3


def test_a_time_that_haproxy_logs_before_the_end_is_no_latency(con: Any) -> None:
    assert took(con, "haproxy", LINES["haproxy"].replace("/109 ", "/+109 ")) == [None]


def test_an_extra_field_of_an_access_log_can_be_the_latency(con: Any) -> None:
    lines = [LINES["combined"] + tail for tail in (' "0.125"', ' "-"', "", ' "x"', ' "0.25" "b"')]
    options = {"latency": {"field": "extra_1", "unit": "s"}}
    assert took(con, "combined", *lines, **options) == [125_000, None, None, None, 250_000]


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("kong", {}),
        ("json_lines", {"fields": {"time": "started_at as epoch_ms"}}),
        ("cloudevents", {}),
    ],
)
def test_a_latency_that_is_there_twice_sets_no_line_aside(
    instance: Any, make_source: Any, form: str, options: Any
) -> None:
    latency = {} if form == "kong" else {"latency": {"field": "took", "unit": "ms"}}
    event = {"specversion": "1.0", "source": "s", "type": "t", "id": "1", "time": "2026-10-01T10:00:00Z"}
    body = {"cloudevents": event, "kong": formatkit.KONG, "json_lines": {"started_at": 1791288000250}}[form]
    name = "latencies" if form == "kong" else "took"
    text = json.dumps({**body, name: {"request": 1} if form == "kong" else 1})
    instance.put("a.jsonl", text[:-1] + f', "{name}": 2}}\n')
    assert instance.run(make_source(format=form, **options, **latency)).accepted == 1
    assert [row["latency_us"] for row in instance.events()] == [None]


def _event(number: int, took: str | None) -> str:
    head = {"specversion": "1.0", "source": "s", "type": "t", "id": f"e{number}", "subject": "k"}
    return json.dumps({**head, "time": "2026-10-01T10:00:00Z", "data": {"took": took}}) + "\n"


def test_a_latency_is_content_only_where_the_source_maps_it(instance: Any, make_source: Any) -> None:
    mapped = {"latency": {"field": "data.took", "unit": "ms"}}
    instance.put("1.jsonl", _event(1, "5") + _event(2, "5"))
    instance.run(make_source(format="cloudevents", **mapped))
    instance.put("2.jsonl", _event(1, "6"))
    assert instance.run(make_source(format="cloudevents", **mapped)).conflict == 1
    instance.put("3.jsonl", _event(2, "6") + "\n")
    assert instance.run(make_source(format="cloudevents", **mapped, ignore=("latency",))).duplicate == 1
    assert [row["latency_us"] for row in instance.events()] == [5_000, 5_000]


def test_what_a_format_knows_of_a_latency_makes_no_conflict(instance: Any, make_source: Any) -> None:
    by_id = make_source(format="kong", fields={"id": "request_id"})
    for number, latency in enumerate((515, 516)):
        body = formatkit.KONG | {"latencies": {"request": latency}}
        instance.put(f"{number}.log", json.dumps(body) + "\n")
        instance.run(by_id)
    assert [v["verdict"] for v in instance.verdicts()] == ["duplicate"]
    assert [row["latency_us"] for row in instance.events()] == [515_000]


def test_an_event_sent_again_after_its_latency_was_mapped_is_a_duplicate(instance: Any, make_source: Any) -> None:
    instance.put("1.jsonl", _event(1, "5"))
    instance.run(make_source(format="cloudevents"))
    instance.put("2.jsonl", _event(1, "5") + "\n")
    mapped = make_source(format="cloudevents", latency={"field": "data.took", "unit": "ms"})
    assert instance.run(mapped).duplicate == 1


def test_lake_files_of_before_have_no_latency(instance: Any, make_source: Any, tmp_path: Path) -> None:
    instance.put("a.log", LINES["nginx_ingress"] + "\n")
    instance.run(make_source(format="nginx_ingress"))
    catalog = parse_catalog(
        {
            "instance.yaml": "entities:\n  - {key: e, name: E, address: A}\n",
            "sources.yaml": "sources:\n  - {name: gw, path: '*', format: nginx_ingress}\n",
            "meters.yaml": "meters:\n  - {key: requests, name: N, event_type: request, aggregation: count}\n",
            "customers.csv": "customer,name,address,country,zone,entity\n",
            "credentials.csv": "credential,customer\n",
            "subscriptions.csv": "subscription,customer,plan,start\n",
        }
    )
    query = "SELECT latency_us FROM lake.lines ORDER BY file_id, line"
    with connect(None, folders=[instance.home], temp=tmp_path / "temp") as con:

        def known() -> list[Any]:
            lake, files = Lake(instance.home / "lake"), instance.ledger.files()
            load_conflicts(con, catalog, lake, files, instance.home / "scratch")
            load_retractions(con, catalog, lake, files, instance.home / "scratch")
            create_line_views(con, catalog, lake, files)
            return [latency for (latency,) in con.execute(query).fetchall()]

        assert known() == [50_000]
        [path] = (instance.home / "lake" / "events").rglob("*.parquet")
        older = path.with_suffix(".older")
        duckdb.execute(f"COPY (SELECT * EXCLUDE (latency_us) FROM '{path}') TO '{older}' (FORMAT parquet)")
        older.replace(path)
        assert known() == [None]
        instance.put("b.log", LINES["nginx_ingress"].replace("0.050", "0.007") + "\n")
        instance.run(make_source(format="nginx_ingress"))
        assert sorted(known(), key=str) == [7_000, None]


def test_a_latency_field_that_the_format_lacks_is_refused() -> None:
    found = check_source(formatkit.source("combined", latency={"field": "duration", "unit": "s"}))
    assert [problem.code for problem in found] == ["unknown_field"]
