"""The leak report: what no document bills is found, sorted by age and valued; what can't be valued is never 0."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.billing.credits import Used
from orchestration.canonical import canonical_bytes
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.closing.terms import refuse_term_edits
from orchestration.console_finance import print_leaks, print_positions
from orchestration.durable import Point
from orchestration.errors import PeriodClosed
from orchestration.exports.financecsv import leaks_csv, positions_csv
from orchestration.ledger.rows import DeliveryRow
from orchestration.ledger.store import Ledger
from orchestration.pipeline.leaks import LEAKS, load_leaks
from orchestration.pipeline.positions import Leak, Position
from orchestration.settings import parse_instant

NOW = "2026-12-31T12:00:00Z"
PLAN = """
key: basic
name: Basic
currency: USD
{account}
versions:
  - effective: 2026-01-01
    charges:
      - {{key: calls, name: Calls, model: graduated, meter: calls,
         tiers: [{{up_to: "3", price: "0"}}, {{price: "0.25"}}]}}
      - {{key: bytes, name: Bytes, model: per_unit, meter: bytes, price: "0.0001"}}
"""
TEXTS = {
    "instance.yaml": 'entities: [{key: seller, name: S, address: "1 Quay"}]\n',
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: combined, event_type: request}\n",
    "meters.yaml": "meters:\n"
    "  - {key: calls, name: C, event_type: request, aggregation: count}\n"
    "  - {key: bytes, name: B, event_type: request, aggregation: sum, value: bytes}\n"
    "  - {key: good, name: G, event_type: request, aggregation: count, filter: {field: status, op: eq, value: 200}}\n"
    "  - {key: users, name: U, event_type: request, aggregation: unique_count, value: user}\n",
    "plans/basic.yaml": PLAN.format(account=""),
    "customers.csv": "customer,name,address,country,zone,entity\nacme,A,1 Road,DE,UTC,seller\n",
    "credentials.csv": "credential,customer\n",
    "subscriptions.csv": "subscription,customer,plan,start,end\ns,acme,basic,2026-09-01,\n",
}
TABLES = """
CREATE SCHEMA metering; CREATE SCHEMA record; CREATE SCHEMA marts; CREATE SCHEMA control;
CREATE TABLE metering.unattributed_by_file AS SELECT * FROM (VALUES
    (1, 'gw', 'ak_x', 'request', DATE '2026-12-24', 1000, 7000),
    (2, 'gw', 'ak_x', 'request', DATE '2026-12-24', 1, 0),
    (2, 'gw', NULL, 'ping', DATE '2026-12-23', 5, 0)
) AS t (file_id, feed, credential, event_type, utc_day, events, bytes);
CREATE TABLE metering.unmeasured_daily AS SELECT * FROM (VALUES
    ('acme', 'bytes', 'sum', DATE '2026-12-01', 3), ('acme', 'users', 'unique_count', DATE '2026-11-30', 4)
) AS t (customer, meter, aggregation, local_day, events);
CREATE TABLE marts.charge_quantities (line_id VARCHAR, local_day DATE, events BIGINT, part VARCHAR, cell VARCHAR);
CREATE TABLE control.segments (line_id VARCHAR, customer VARCHAR, meter VARCHAR, currency VARCHAR,
    currency_field VARCHAR, start_day DATE, end_day DATE);
CREATE TABLE record.quarantine AS SELECT 1 AS file_id, 'bad_time' AS reason FROM range(6);
CREATE TABLE record.files AS SELECT 1 AS file_id, 1 AS batch_id, 'gw' AS source;
CREATE TABLE record.batches AS SELECT 1 AS batch_id, epoch_us(TIMESTAMP '2026-10-02 23:00:00') AS now_us;
CREATE TABLE record.issued_totals AS SELECT 's' AS subscription, 'calls' AS charge, DATE '2026-09-01' AS period_start,
    DATE '2026-09-01' AS "start", '' AS value, 'calls' AS meter;
CREATE TABLE record.rated_lines AS SELECT s.*, 'acme' AS customer, 'USD' AS currency, 'arrears' AS due FROM (VALUES
    ('s', 'calls', DATE '2026-09-01', DATE '2026-09-01', '', 'calls', DATE '2026-10-01', 3.00),
    ('s', 'calls', DATE '2026-10-01', DATE '2026-10-01', '', 'calls', DATE '2026-11-01', 12.50),
    ('s', 'calls', DATE '2026-11-01', DATE '2026-11-01', '', 'calls', DATE '2026-12-01', 99.00)
) AS s (subscription, charge, period_start, "start", value, meter, period_end, amount);
CREATE TABLE record.open_differences AS SELECT d.*, 'acme' AS customer, 'USD' AS currency, 's' AS subscription,
    'calls' AS charge, 'INV-1' AS corrects, DATE '2026-10-01' AS period_end FROM (VALUES
    ('report_only', 4.25), ('next_invoice', 100.00)
) AS d (status, amount);
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path) as opened:
        written = parse_instant("2026-09-01T00:00:00Z", "test") * 1000
        held = DeliveryRow("gw", "a.gz", 1, written, "00", "held", "bad_gzip: cut", 0)
        opened.record_deliveries([held, replace(held, path="b.gz", status="taken")])
        body = {"cut_off": "2026-11-01", "skipped": [], "parked": {"acme": "3 unmeasured event(s)"}, "waived": None}
        with opened.transaction(Point.CLOSE_COMMITTED):
            opened.append_journal("close", canonical_bytes(body))
        yield opened


def found(ledger: Ledger, catalog: Catalog, scratch: Path) -> list[Leak]:
    with duckdb.connect() as con:
        con.execute(TABLES)
        load_leaks(con, catalog, ledger, parse_instant(NOW, "test"), scratch)
        return [Leak(*row) for row in con.execute("FROM record.leaks").fetchall()]


def test_every_kind_of_leak_stands_with_its_age_and_its_value_or_the_reason_why_there_is_none(
    ledger: Ledger, tmp_path: Path
) -> None:
    assert tuple(LEAKS) == Leak._fields
    rows = found(ledger, parse_catalog(TEXTS), tmp_path / "scratch")
    assert [(row.kind, row.meter, row.age_days, row.age, row.occurrences, row.value) for row in rows] == [
        ("unattributed", "bytes", 7, "0-7", 1001, Decimal("0.70")),
        ("unattributed", "calls", 7, "0-7", 1001, Decimal("250.25")),
        ("unattributed", "good", 7, "0-7", 1001, None),
        ("unattributed", "users", 7, "0-7", 1001, None),
        ("unattributed", None, 8, "8-30", 5, None),
        ("unmeasured", "bytes", 30, "8-30", 3, None),
        ("unmeasured", "users", 31, "31-90", 4, None),
        ("quarantined", None, 90, "31-90", 6, None),
        ("held", None, 121, "over 90", 1, None),
        ("parked", "calls", 60, "31-90", 1, Decimal("12.50")),
        ("report_only", "calls", 91, "over 90", 1, Decimal("4.25")),
    ]
    assert all((row.value is None) == (row.no_value is not None) for row in rows)
    assert [row.valued_at for row in rows if row.value is not None] == ["list price"] * 2 + ["own price"] * 2
    assert [(row.quantity, row.list_price) for row in rows[:2]] == [(7000, Decimal("0.0001")), (1001, Decimal("0.25"))]
    assert (rows[9].what, rows[10].what) == ("3 unmeasured event(s)", "report_only: INV-1")


def test_a_meter_that_no_plan_sells_leaves_a_row_without_a_value_and_not_one_of_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    plan = PLAN.format(account="").replace("2026-01-01", "2027-06-01")
    texts = {**TEXTS, "plans/basic.yaml": plan, "subscriptions.csv": "subscription,customer,plan,start,end\n"}
    rows = found(ledger, parse_catalog(texts), tmp_path / "scratch")
    assert {(row.value, row.no_value) for row in rows[:2]} == {(None, "no plan in force sells the meter by the unit")}


def test_leaks_and_positions_are_printed_and_written_with_all_that_is_known(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = found(ledger, parse_catalog(TEXTS), tmp_path / "scratch")
    print_leaks(rows)
    shown = capsys.readouterr().out
    assert "250.95" in shown and "2,002 events" in shown and "6 lines" in shown
    print_leaks(rows, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told[1]["value"], told[8]["value"], told[1]["day"]) == ("250.2500", None, "2026-12-24")
    lines = leaks_csv(rows).decode().split("\r\n")
    assert len(lines) == 13
    assert lines[9].startswith('"held","gw: a.gz: bad_gzip: cut","","","2026-09-01",121,"over 90",1,"files"')
    at = Position("seller", "4000", "USD", None, "", Decimal("12.5000"), Decimal("-3.0000"))
    print_positions([at], date(2026, 11, 1))
    assert "4000" in (shown := capsys.readouterr().out) and "12.50" in shown and "-3.00" in shown
    print_positions([at], date(2026, 11, 1), as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["deferred"] == "-3.0000"
    assert positions_csv([at]).decode().split("\r\n")[1] == '"seller","4000","USD","","",12.5000,-3.0000'


@pytest.mark.parametrize(("locked", "refused"), [("", False), ("locked_through: 2026-10-31\n", True)])
def test_another_account_for_what_is_booked_in_locked_months_is_refused(locked: str, refused: bool) -> None:
    texts = {**TEXTS, "instance.yaml": TEXTS["instance.yaml"] + locked}
    was, now = (parse_catalog({**texts, "plans/basic.yaml": PLAN.format(account=a)}) for a in ("", "account: '4000'"))
    day = date(2026, 11, 1)
    refuse_term_edits(was, was, {}, Used(), day)
    if not refused:
        refuse_term_edits(was, now, {}, Used(), day)
        return
    with pytest.raises(PeriodClosed, match="'calls' was booked to account 'revenue', and now is to '4000'") as caught:
        refuse_term_edits(was, now, {}, Used(), day)
    assert caught.value.exit_code == 7
