"""Every test of the dbt project passes on a good build, and finds the fault that it is there for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import planted_health
import pytest
import tiny
import yaml

from orchestration.catalog import load_catalog
from orchestration.errors import IntegrityFailure
from orchestration.ledger.store import Ledger
from orchestration.pipeline import run
from orchestration.pipeline.accounting import RULES, require_balance, unbalanced
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.project import PROJECT
from orchestration.settings import parse_instant

TOUCHED = "(customer, local_day) IN (SELECT customer, local_day FROM control.touched_days)"
NEW_FILE = "file_id = (SELECT max(file_id) FROM control.new_files)"
FAULTS = {
    "accepted_lines_are_staged_or_unattributed": f"UPDATE record.files SET accepted = accepted + 1 WHERE {NEW_FILE}",
    "active_users_daily_are_distinct_values": "UPDATE marts.active_users_daily SET active_users = active_users + 1 "
    "WHERE application = '(all)' AND meter = 'callers'",
    "active_users_lie_between_their_days": "UPDATE marts.active_users_monthly SET active_users = active_users + 100",
    "billed_days_sum_to_documents": "UPDATE marts.invoices SET total = total + 0.01",
    "charged_days_equal_usage": "UPDATE marts.charge_quantities SET quantity = quantity + 1 "
    "WHERE line_id LIKE 'sub-alder/requests/%'",
    "conflicts_have_one_counted_payload": "UPDATE marts.conflicts SET counted = true",
    "credits_roll_forward": "UPDATE record.roll_forward SET closing = closing + 0.01, opening = opening + 0.01",
    "days_add_up_to_months": "UPDATE marts.usage_monthly SET quantity = quantity + 0.000000001 WHERE meter = 'egress'",
    "days_add_up_to_weeks": "DELETE FROM marts.usage_weekly WHERE customer = 'birch'",
    "decisions_move_no_event": "INSERT INTO record.decided SELECT file_id, line, source, event_id, true "
    "FROM marts.conflicts WHERE NOT counted",
    "document_evidence_is_what_was_measured": "UPDATE marts.document_evidence SET quantity = quantity + 0.000000001",
    "draft_totals_are_sums_of_lines": "DELETE FROM marts.invoice_draft_lines WHERE charge = 'base'",
    "events_staged_are_in_hours": f"UPDATE metering.metered_hours SET events = events + 1 WHERE {TOUCHED}",
    "endpoint_usage_is_whole": f"UPDATE marts.endpoint_usage SET success = success - 1, other = 1 WHERE {TOUCHED}",
    "hours_add_up_to_days": f"UPDATE metering.usage_by_day SET quantity = quantity + 1 WHERE {TOUCHED}",
    "ingest_balance_adds_up": "UPDATE marts.ingest_balance SET lines = lines + 1, blank = blank + 1 "
    "WHERE level = 'day'",
    "ingest_balance_is_that_of_the_ledger": f"UPDATE record.files SET conflict = conflict + 1 WHERE {NEW_FILE}",
    "ingest_balance_is_whole": "UPDATE marts.ingest_balance SET blank = NULL",
    "invoice_totals_are_sums_of_lines": "UPDATE marts.invoice_lines SET amount = amount + 0.01 WHERE position = 1",
    "latency_percentiles_are_in_order": f"UPDATE marts.status_usage SET latency_p50_us = 1 WHERE {TOUCHED}",
    "lines_are_in_one_bucket": "UPDATE marts.ingest_files SET conflict = NULL",
    "no_api_level_has_shifted": "INSERT INTO marts.api_breaks SELECT endpoint, measure, local_day, 0, 1, 0, 0, 3 "
    "FROM marts.api_consistency",
    "no_entitlement_is_reached": "UPDATE record.entitlement_status SET alerts = [80]",
    "no_integration_struggles": "UPDATE marts.integration_health SET struggling = true",
    "no_input_is_missing": "INSERT INTO marts.missing_input (stream, what) VALUES ('g', '?')",
    "no_mapped_field_has_vanished": "UPDATE marts.schema_drift SET status = 'vanished'",
    "no_window_lies_above_its_watermark": "UPDATE marts.high_watermarks SET value = value - 1",
    "percentiles_are_measured_values": "UPDATE marts.usage_monthly SET quantity = quantity + 2 "
    "WHERE meter = 'median_bytes' AND customer = 'birch'",
    "period_revisions_end_at_what_is_known": "UPDATE marts.period_revisions SET amount = amount + 0.01 WHERE step = 1",
    "plans_change_no_quantity": "INSERT INTO marts.usage_daily SELECT * FROM marts.usage_daily",
    "quarantine_is_as_usual": "UPDATE marts.quarantine_shares SET unusual = true",
    "quarantined_lines_are_kept": "DELETE FROM marts.quarantine",
    # As if a filter let throttled requests through.
    "requests_are_billed_by_their_status": "UPDATE control.meter_statuses SET to_status = 430 WHERE to_status = 429",
    "requests_are_those_of_the_hours": f"UPDATE metering.requests_daily SET bytes = bytes + 1 WHERE {TOUCHED}",
    "requests_stand_under_one_endpoint": "UPDATE metering.endpoints_by_file SET events = events + 1",
    "revenue_days_sum_to_lines": "UPDATE record.rated_lines SET amount = amount + 0.01 WHERE charge = 'base'",
    "revenue_positions_are_tied": "UPDATE record.billed_lines SET issue_date = issue_date + 1",
    "states_go_on_from_hour_to_hour": "UPDATE metering.carried_hourly SET opening = opening + 1",
    "retractions_stand_in_the_balance": "UPDATE marts.retractions SET in_force = in_force + 1",
    "series_are_whole": "UPDATE metering.watched_series SET requests = requests + 1 "
    f"WHERE scope = 'endpoint' AND grain = '5m' AND {TOUCHED}",
    "status_usage_is_whole": f"UPDATE marts.status_usage SET status_class = 'success' WHERE {TOUCHED} AND status = 429",
    "unattributed_usage_is_whole": "DELETE FROM marts.unattributed_usage",
    "unmeasured_events_are_reported": "DELETE FROM metering.unmeasured_daily WHERE meter = 'storage'",
}
RULE_FAULTS = {
    "buckets": "UPDATE record.files SET blank = NULL",
    "quarantine": "DELETE FROM record.quarantine",
    "lake": f"UPDATE record.files SET duplicate = duplicate + 1 WHERE {NEW_FILE}",
    "staged": "CREATE OR REPLACE VIEW lake.verdicts AS SELECT file_id, line, 'duplicate' AS verdict FROM lake.events",
    "hours": f"DELETE FROM metering.metered_hours WHERE {TOUCHED} AND customer = 'birch'",
    "unattributed": "DELETE FROM metering.unattributed_by_file",
}

MORE_METERS = """
  - {key: least_bytes, name: Least, unit: byte, event_type: request, aggregation: min, value: bytes}
  - {key: last_storage, name: Last, unit: GB, event_type: storage, aggregation: latest, value: gigabytes}
  - {key: median_bytes, name: Median, unit: byte, event_type: request, aggregation: percentile, percentile: 50,
     value: bytes, dimensions: [method]}
  - {key: callers, name: Callers, event_type: request, aggregation: unique_count, value: address, dimensions: [status]}
  - {key: backlog, name: Backlog, unit: byte, event_type: request, aggregation: level, value: bytes}
  - {key: in_flight, name: In flight, event_type: request, aggregation: level, session: path, expires_after: 1h,
     start: {field: status, op: eq, value: 200}, stop: {field: status, op: eq, value: 429}}
  - {key: open_paths, name: Open, unit: path, event_type: request, aggregation: unique_count, value: path,
     start: {field: status, op: eq, value: 200}, stop: {field: status, op: eq, value: 429}}
"""
"""Meters of the other aggregations, so that none of their tables is empty."""


AGREED = {
    "entitlements.yaml": "entitlements:\n  - {plan: basic, meter: requests, limit: '1000', per: month}\n",
    "monitoring.yaml": "off: [scraping]\ndeprecated: ['/v1/items/{id}']\ndeprecated_clients: [curl, okhttp/4.9.1]\n",
    "taxes.yaml": 'rates:\n  - {category: standard, name: VAT, percent: "19"}\n',
    "credits.yaml": "credits:\n  - {id: g1, customer: alder, kind: prepaid, amount: '1.00', currency: USD, "
    "granted: 2024-10-01}\n",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny instance with a closed month and a later file, built up to where it would be published."""
    home = tiny.make(tmp_path_factory.mktemp("checks"))
    (home / "catalog" / "meters.yaml").write_text(tiny.CATALOG["meters.yaml"].lstrip() + MORE_METERS)
    # They can't measure everything, and nobody is to be parked for it.
    (home / "catalog" / "instance.yaml").write_text(tiny.CATALOG["instance.yaml"].lstrip() + "unmeasured_limit: 100\n")
    for name, text in AGREED.items():
        (home / "catalog" / name).write_text(text)
    context = Context(Instance(home), parse_instant(tiny.NOW, "test"))
    run.run(context)
    close(context, parse_cut_off(tiny.MONTH))
    tiny.write_log(home, "access-2.log", 4)
    catalog = load_catalog(home / "catalog")
    with Ledger.open(home) as ledger:
        run.take_files(context, catalog, ledger)
        plan = run.begin_build(context, catalog, ledger)
        assert plan is not None
        assert not plan.fresh
        run.build_usage(context, fresh=False)
        with duckdb.connect(str(context.instance.build_db)) as con:
            planted_health.plant(con)
            # No log of this instance tells how long a request took.
            con.execute(
                "INSERT INTO metering.latency_counts SELECT customer, local_day, 0, 0, '/x', 5, 1 "
                "FROM control.touched_days"
            )
            con.execute(
                "INSERT INTO metering.latency_series VALUES ('endpoint', '/x', 'day', 0, '1970-01-01', 5, 5, 5)"
            )
        run.price_drafts(context, catalog, ledger)
        run.watch_usage(context, catalog, ledger)
        run.build_finance(context)
    return home


@pytest.fixture
def con(built: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The build; whatever a test does to it is taken back."""
    with duckdb.connect(str(Instance(built).build_db)) as connection:
        connection.execute("SET TimeZone = 'UTC'; BEGIN")
        # A view can't be given a fault: within the transaction a table of its rows takes its place.
        for view in ("usage_hourly", "document_evidence"):
            connection.execute(f"CREATE TABLE marts.rows_of AS FROM marts.{view}; DROP VIEW marts.{view}")
            connection.execute(f"ALTER TABLE marts.rows_of RENAME TO {view}")
        yield connection
        connection.execute("ROLLBACK")


def _compiled(home: Path, name: str) -> str:
    [path] = (home / "dbt" / "target" / "compiled").rglob(f"{name}.sql")
    return path.read_text()


def _grains() -> dict[str, dict[str, Any]]:
    """Arguments of the tests of grains, by name."""
    models = [
        m for path in (PROJECT / "models").rglob("*.yml") for m in yaml.safe_load(path.read_text()).get("models", [])
    ]
    tests = [list(test.items()) for model in models for test in model.get("data_tests", [])]
    assert {kind for [(kind, _)] in tests} == {"grain_is_unique"}, "a kind of test without its faults"
    assert not [c for m in models for c in m.get("columns", []) if "data_tests" in c], "a test without its fault"
    return {test["name"]: test["arguments"] for [(_, test)] in tests}


GRAINS = _grains()
KNOWN = sorted((name, column) for name, arguments in GRAINS.items() for column in arguments.get("known", {}))


def _table(con: duckdb.DuckDBPyConnection, model: str) -> str:
    query = f"SELECT schema_name FROM duckdb_tables() WHERE schema_name <> 'record' AND table_name = '{model}'"
    found = con.execute(query).fetchall()
    if not found:
        # A view can't be given a fault: within the transaction a table of its rows takes its place.
        con.execute(f"CREATE TABLE marts.rows_of_it AS FROM marts.{model}; DROP VIEW marts.{model}")
        con.execute(f"ALTER TABLE marts.rows_of_it RENAME TO {model}")
        return f"marts.{model}"
    [(schema,)] = found
    return f"{schema}.{model}"


def test_no_singular_test_is_without_its_fault() -> None:
    assert sorted(FAULTS) == sorted(path.stem for path in (PROJECT / "tests").glob("*.sql"))
    assert sorted(RULE_FAULTS) == sorted(RULES)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_singular_test_finds_its_fault_and_nothing_else(built: Path, con: duckdb.DuckDBPyConnection, name: str) -> None:
    query = _compiled(built, name)
    assert con.execute(query).fetchall() == []
    con.execute(FAULTS[name])
    assert con.execute(query).fetchall() != []


@pytest.mark.parametrize("name", sorted(GRAINS))
def test_a_row_that_is_there_twice_or_without_its_key_is_found(
    built: Path, con: duckdb.DuckDBPyConnection, name: str
) -> None:
    query, table = _compiled(built, name), _table(con, name.removeprefix("grain_of_"))
    assert con.execute(f"SELECT count(*) > 0 FROM {table}").fetchall() == [(True,)], "an empty table proves nothing"
    assert con.execute(query).fetchall() == []
    con.execute(f"CREATE TEMP TABLE copy AS SELECT * FROM {table}")
    con.execute(f"INSERT INTO {table} SELECT * FROM copy")
    assert con.execute(query).fetchall() != []
    keys = set(re.findall(r"or (\w+) is null", query))
    # Where only the touched days are looked at, a row without its day or customer is not among them.
    keys -= {"customer", "local_day", "week_start", "month_start"} if "as touched" in query else set()
    assert keys or "as touched" in query
    for key in sorted(keys):
        con.execute(f"DELETE FROM {table}; INSERT INTO {table} SELECT * REPLACE (NULL AS {key}) FROM copy")
        assert con.execute(query).fetchall() != [], key


@pytest.mark.parametrize(("name", "column"), KNOWN)
def test_a_value_that_is_none_of_the_known_ones_is_found_and_named(
    built: Path, con: duckdb.DuckDBPyConnection, name: str, column: str
) -> None:
    query, table = _compiled(built, name), _table(con, name.removeprefix("grain_of_"))
    assert con.execute(query).fetchall() == []
    con.execute(f"UPDATE {table} SET {column} = 'nonsense'")
    found = con.execute(query)
    place = [field[0] for field in found.description or ()].index(f"unknown_{column}")
    [(rows,)] = con.execute(f"SELECT count(*) FROM {table}").fetchall()
    assert sum(row[place] for row in con.execute(query).fetchall()) == rows > 0


@pytest.mark.parametrize("name", sorted({name for name, _ in KNOWN if "touched" in GRAINS[name]}))
def test_a_value_that_is_not_known_is_found_in_a_row_that_this_build_did_not_write(
    built: Path, con: duckdb.DuckDBPyConnection, name: str
) -> None:
    query, table = _compiled(built, name), _table(con, name.removeprefix("grain_of_"))
    [column] = GRAINS[name]["known"]
    for touched in ("restated_days", "restated_weeks", "restated_months"):
        con.execute(f"DELETE FROM control.{touched}")
    con.execute(f"INSERT INTO {table} FROM {table} LIMIT 1")
    assert con.execute(query).fetchall() == [], "a copy of a row was looked at, so this build wrote it"
    con.execute(f"UPDATE {table} SET {column} = 'nonsense'")
    assert con.execute(query).fetchall() != []


@pytest.mark.parametrize("rule", sorted(RULE_FAULTS))
def test_accounting_names_the_rule_that_does_not_hold(con: duckdb.DuckDBPyConnection, rule: str) -> None:
    assert unbalanced(con) == []
    require_balance(con)
    con.execute(RULE_FAULTS[rule])
    assert rule in {problem.code for problem in unbalanced(con)}
    with pytest.raises(IntegrityFailure, match="account for every line"):
        require_balance(con)


def test_what_a_path_captured_is_a_column_of_its_file(con: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT DISTINCT source, captures['node'], cardinality(captures) FROM marts.ingest_files ORDER BY ALL"
    assert con.execute(query).fetchall() == [("app", None, 0), ("gateway", "node-1", 1)]


def test_a_day_that_answers_otherwise_is_unusual_and_a_level_that_stays_is_a_break(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """The shares of errors are 4 % and 5 % in turns and 41 % once: quartiles 4 and 5, so fences would be 1 and 8."""
    query = (
        "SELECT local_day::VARCHAR, value, baseline, lower_limit, upper_limit FROM marts.api_consistency "
        "WHERE endpoint = '/planted' AND measure = '{}' AND unusual ORDER BY local_day"
    )
    found = [tuple(map(str, row)) for row in con.execute(query.format("error_share")).fetchall()]
    # 20 days before it, ten with 4 % and ten with 5 %; the middle is the lower one, and five points are the least.
    assert found == [("2024-09-15", "41.000000", "4.000000", "-1.000000", "9.000000")]
    slow = con.execute(query.format("latency_p50_us")).fetchall()
    assert slow[0] == ("2024-09-23", 200_000, 100_000, 75_000, 125_000)
    assert con.execute(query.format("latency_p95_us")).fetchall() == []
    breaks = "SELECT measure, since::VARCHAR, before, after, lower_limit, upper_limit, days_after FROM marts.api_breaks"
    # The fences: quartiles 99 and 101 ms, one and a half times their distance beyond them.
    assert con.execute(breaks).fetchall() == [("latency_p50_us", "2024-09-23", 100_000, 200_000, 96_000, 104_000, 7)]


def test_an_integration_struggles_beside_its_own_past_and_beside_others(con: duckdb.DuckDBPyConnection) -> None:
    """On the 23rd both customers fail: that is the server's trouble and none of theirs."""
    columns = "customer, local_day::VARCHAR, version, requests, errors, unauthorised, past_requests, past_errors"
    found = con.execute(
        f"SELECT {columns}, others_requests, others_errors, reason FROM marts.integration_health WHERE struggling"
    ).fetchall()
    # 20 days of 100 and 99 requests before, with 2 errors each; birch has 1 of 99 on the day.
    assert found == [("alder", "2024-09-21", "4.10.0", 100, 42, 40, 2000, 40, 99, 1, "unauthorised")]
    failing = "SELECT count(*) FROM marts.integration_health WHERE local_day = '2024-09-23' AND server_errors = 40"
    assert con.execute(failing).fetchall() == [(2,)]
    deprecated = "SELECT sum(deprecated_calls), sum(requests) FROM marts.integration_health WHERE client = 'curl'"
    [(calls, requests)] = con.execute(deprecated).fetchall()
    assert calls == requests > 0
    told = "SELECT DISTINCT client, version, deprecated_client FROM marts.integration_health WHERE deprecated_client"
    assert sorted(con.execute(told).fetchall()) == [("curl", "8", True), ("okhttp", "4.9.1", True)]
