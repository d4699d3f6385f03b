"""Dagster and the command give the same files, tables and documents; a second run adds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import tiny
from dagster_runs import Launch, Ran
from instances import content, documents, file_hashes, ledger_rows, rows, tables


def test_runs_end_well(by_dagster: Ran) -> None:
    assert by_dagster.daily.success
    assert by_dagster.close.success
    assert by_dagster.again.success


def test_lake_and_raw_files_are_the_same(by_dagster: Ran, by_command: Path) -> None:
    for folder in ("lake", "raw"):
        assert file_hashes(by_dagster.home / folder) == file_hashes(by_command / folder) != {}


def test_every_table_holds_the_same(by_dagster: Ran, by_command: Path) -> None:
    names = tables(by_command, "marts", "metering", "record", "control")
    assert tables(by_dagster.home, "marts", "metering", "record", "control") == names
    assert content(by_dagster.home, names) == content(by_command, names)
    assert rows(by_command, "SELECT count(*) FROM marts.usage_daily") > [(0,)]


def test_documents_journal_and_exports_are_the_same_bytes(by_dagster: Ran, by_command: Path) -> None:
    for query in (
        "SELECT number, body, sha256 FROM documents ORDER BY number",
        "SELECT seq, body, hash FROM journal ORDER BY seq",
    ):
        assert ledger_rows(by_dagster.home, query) == ledger_rows(by_command, query) != []
    assert file_hashes(by_dagster.home / "exports") == file_hashes(by_command / "exports") != {}


def test_the_close_of_a_partition_is_the_close_of_its_month(by_dagster: Ran) -> None:
    issued = documents(by_dagster.home)
    assert [(d["number"], d["buyer"]["customer"], d["cut_off"]) for d in issued] == [
        ("T-2024-000001", "alder", "2024-11-01"),
        ("T-2024-000002", "birch", "2024-11-01"),
    ]
    found = _metadata(by_dagster.close, "issued_invoices")
    assert (found["documents"], found["parked_customers"]) == (2, 1)
    assert "cedar" in found["parked"]
    told = str(found["explanation"]).splitlines()
    for number, customer in (("T-2024-000001", "alder"), ("T-2024-000002", "birch")):
        mine = [line for line in told if line.startswith(f"| {number} |")]
        assert f"{number} to {customer}: " in mine[0].replace("\\", "")
        assert "model flat" in mine[2] or "price" in mine[2] or "measured" in mine[2]
        assert f"tallystick explain {number} " in mine[-1]
        assert 4 < len(mine) <= 31
    assert _metadata(by_dagster.close, "invoice_exports")["documents"] == 2


def test_F6_a_second_run_by_a_dagster_that_remembers_nothing_publishes_nothing(by_dagster: Ran) -> None:
    """Each run here has an instance of Dagster of its own, as after DAGSTER_HOME was lost."""
    assert _metadata(by_dagster.again, "lake")["new_lines"] == 0
    for asset in ("warehouse_build", "marts/usage_daily", "drafts", "marts/invoices", "published_warehouse"):
        assert _metadata(by_dagster.again, asset)["status"].startswith("unchanged")
    # The first by the daily run, the second by the close.
    assert sorted(p.name for p in (by_dagster.home / "warehouse").glob("gen-*")) == ["gen-000001", "gen-000002"]


def test_metadata_is_worth_reading(by_dagster: Ran) -> None:
    lake = _metadata(by_dagster.daily, "lake")
    assert lake["new_lines"] == 59
    assert "| accepted | 55 |" in lake["buckets"]
    assert _metadata(by_dagster.daily, "marts/usage_monthly")["dagster/row_count"] == 11
    drafts = _metadata(by_dagster.daily, "drafts")
    assert "| USD | " in drafts["money"]
    assert "alder" in drafts["preview"]
    assert _metadata(by_dagster.daily, "published_warehouse")["generation"] == "gen-000001"


def test_no_secret_of_a_customer_reaches_the_metadata(by_dagster: Ran) -> None:
    told = json.dumps(
        [_metadata(by_dagster.daily, str(e.asset_key.to_user_string())) for e in _events(by_dagster.daily)]
    )
    assert "ak\\\\_stranger" not in told
    assert "ak_stranger" not in told
    assert "(hidden)" in told


def test_every_check_was_evaluated_and_passed(by_dagster: Ran, defs) -> None:
    evaluated = by_dagster.daily.get_asset_check_evaluations()
    assert all(check.passed for check in evaluated)
    graph = defs.resolve_asset_graph()
    models = [k for k in graph.asset_check_keys if k.asset_key != dg.AssetKey("incidents")]
    watching = {k.name for k in models if graph.get(k.asset_key).group_name == "monitoring"}
    assert {check.check_name for check in evaluated} == {k.name for k in graph.asset_check_keys} - watching
    assert _metadata(by_dagster.daily, "marts/integration_health")["status"].startswith("not built")
    assert not {"marts.integration_health", "marts.api_breaks"} & {*tables(by_dagster.home, "marts")}


def test_dbt_as_a_subprocess_says_and_builds_the_same(launch: Launch, by_dagster: Ran, tmp_path: Path) -> None:
    home = tiny.make(tmp_path)
    result = launch("daily", home, dbt="subprocess")
    assert result.success
    assert _told(result) == _told(by_dagster.daily)
    names = tables(by_dagster.begun, "marts", "metering")
    assert tables(home, "marts", "metering") == names
    assert content(home, names) == content(by_dagster.begun, names)


def _told(result) -> tuple[dict[str, object], set[tuple[str, str, bool]]]:
    """Rows and outcome by asset, and the checks with their outcome, as Dagster was told them."""
    assets = {e.asset_key.to_user_string(): _metadata(result, e.asset_key.to_user_string()) for e in _events(result)}
    counts = {key: (m.get("dagster/row_count"), m.get("unique_id"), m.get("status")) for key, m in assets.items()}
    checks = {(c.asset_key.to_user_string(), c.check_name, c.passed) for c in result.get_asset_check_evaluations()}
    return counts, checks


def _events(result):
    return [e for e in result.all_events if e.is_step_materialization]


def _metadata(result, asset: str) -> dict[str, object]:
    [event] = [e for e in _events(result) if e.asset_key.to_user_string() == asset]
    return {key: value.value for key, value in event.step_materialization_data.materialization.metadata.items()}
