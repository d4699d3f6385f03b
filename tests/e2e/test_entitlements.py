"""Entitlements of the example's customers, beside sums over the warehouse; and what a gateway would load."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from instances import rows
from typer.testing import CliRunner

from orchestration.cli import app

ENTITLEMENTS = """entitlements:
  - {plan: starter, meter: requests, limit: "20", per: month, kind: hard}
  - {plan: growth, meter: requests, limit: "1000000", per: week}
  - {plan: nippon, meter: active_users, limit: "10", per: month}
"""


def test_used_and_left_are_those_of_the_marts_and_the_export_says_who_may_go_on(copied: Path, tmp_path: Path) -> None:
    (copied / "catalog" / "entitlements.yaml").write_text(ENTITLEMENTS)
    for name in ("export.json", "export.parquet"):
        argv = ["entitlements", "--home", str(copied), "--json", "--export", str(tmp_path / name)]
        done = CliRunner().invoke(app, argv)
        assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["as_of"] == "2026-11-05T09:00:00Z"
    starter = {e["customer"]: e for e in told["entitlements"] if e["plan"] == "starter"}
    used = dict(
        rows(
            copied,
            "SELECT customer, sum(quantity) FROM marts.usage_daily "
            "WHERE plan = 'starter' AND meter = 'requests' AND local_day >= '2026-11-01' GROUP BY ALL",
        )
    )
    assert {c: Decimal(e["used"]) for c, e in starter.items() if e["used"] != "0"} == used != {}
    reached = {c for c, e in starter.items() if e["reached"]}
    assert reached == {customer for customer, n in used.items() if n >= 20} != set()
    users = {e["customer"]: int(e["used"]) for e in told["entitlements"] if e["meter"] == "active_users"}
    assert len(users) == 2
    exported = json.loads((tmp_path / "export.json").read_text())
    stopped = {(row["customer"], row["credential"]) for row in exported if not row["allowed"]}
    assert {customer for customer, _ in stopped} == reached
    table = duckdb.execute(f"FROM '{tmp_path / 'export.parquet'}'")
    names = [column[0] for column in table.description]
    found = [dict(zip(names, row, strict=True)) for row in table.fetchall()]
    assert [(r["credential"], r["meter"], r["allowed"]) for r in found] == [
        (r["credential"], r["meter"], r["allowed"]) for r in exported
    ]
    assert [r["used"] for r in found] == [Decimal(r["used"]) for r in exported]
    assert CliRunner().invoke(app, ["run", "--home", str(copied), "--now", told["as_of"]]).exit_code == 0
    _table_says_what_the_command_says(copied, told["entitlements"])


def _table_says_what_the_command_says(home: Path, told: list[dict[str, Any]]) -> None:
    keys = ("customer", "subscription", "plan", "meter", "per", "kind")
    days = ("window_start", "window_end", "reached", "forecast")
    amounts = ("limit", "used", "remaining", "over")
    columns = [*keys, *(f"{c}::VARCHAR" for c in days), *(f'"{c}"' for c in amounts), "percent", "alerts", "overage"]
    found = rows(home, f"SELECT {', '.join(columns)} FROM marts.entitlement_status ORDER BY ALL")
    expected = [
        (
            *(e[c] for c in (*keys, *days)),
            *(Decimal(e[c]) for c in amounts),
            e["percent"],
            e["alerts"],
            {currency: Decimal(amount) for currency, amount in e["overage"].items()},
        )
        for e in told
    ]
    assert sorted(found, key=str) == sorted(expected, key=str) != []


def test_without_entitlements_the_command_says_what_to_write(copied: Path) -> None:
    done = CliRunner().invoke(app, ["entitlements", "--home", str(copied)])
    assert done.exit_code != 0
    assert "entitlements.yaml" in str(done.exception)
