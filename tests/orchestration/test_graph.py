"""The asset graph: every step is there, lineage is joined, and no dbt test is left out of the checks."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from orchestration.pipeline.transform import SELECTION, WATCHED

STEPS = {
    "raw_files": "ingest",
    "lake": "ingest",
    "warehouse_build": "metering",
    "drafts": "finance",
    "incidents": "monitoring",
    "published_warehouse": "finance",
    "issued_invoices": "closing",
    "invoice_exports": "closing",
}
LOOKED_AT = {
    "clients_back_off",
    "gateway_keeps_its_limits",
    "incidents_are_labelled",
    "watching_covers_every_customer",
}
"""Checks on what is watched: nothing waits for them."""


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions):
    return defs.resolve_asset_graph()


def _key(text: str) -> dg.AssetKey:
    return dg.AssetKey(text.split("/"))


def test_every_step_of_a_run_is_an_asset_of_a_group_with_a_description(graph) -> None:
    for name, group in STEPS.items():
        assert graph.get(_key(name)).group_name == group
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == {
        "ingest",
        "metering",
        "marts",
        "finance",
        "monitoring",
        "closing",
    }
    assert [key for key in graph.get_all_asset_keys() if not graph.get(key).description] == []


def test_every_asset_is_one_that_we_make(graph) -> None:
    assert [key for key in graph.get_all_asset_keys() if not graph.get(key).is_materializable] == []


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ("lake", "raw_files"),
        ("warehouse_build", "lake"),
        ("staging/stg_events", "lake"),
        ("staging/stg_events", "warehouse_build"),
        ("marts/ingest_files", "warehouse_build"),
        ("marts/ingest_balance", "marts/ingest_files"),
        ("drafts", "marts/charge_quantities"),
        ("marts/invoice_draft_lines", "drafts"),
        ("incidents", "drafts"),
        ("published_warehouse", "incidents"),
        ("marts/money_series", "incidents"),
        ("marts/invoices", "drafts"),
        ("published_warehouse", "marts/invoices"),
        ("published_warehouse", "marts/usage_weekly"),
        ("issued_invoices", "published_warehouse"),
        ("invoice_exports", "issued_invoices"),
    ],
)
def test_lineage_is_joined(graph, below: str, above: str) -> None:
    assert _key(above) in graph.get(_key(below)).parent_keys


def test_every_model_is_an_asset_and_every_test_a_check_that_blocks_unless_it_warns(
    defs: dg.Definitions, graph
) -> None:
    from orchestration.assets.models import MANIFEST

    nodes = MANIFEST["nodes"].values()
    models = {node["name"] for node in nodes if node["resource_type"] == "model"}
    assert models <= {key.path[-1] for key in graph.get_all_asset_keys()}
    tests = {node["name"] for node in nodes if node["resource_type"] == "test"}
    checks = {key.name for key in graph.asset_check_keys}
    assert len(tests) > 30
    ours = {"everything_is_accounted_for", *LOOKED_AT}
    assert checks == tests | ours
    warn = {node["name"] for node in nodes if node["resource_type"] == "test" and node["config"]["severity"] == "warn"}
    assert warn == {
        "no_api_level_has_shifted",
        "no_entitlement_is_reached",
        "no_input_is_missing",
        "no_integration_struggles",
        "no_mapped_field_has_vanished",
        "quarantine_is_as_usual",
    }
    assert {key.name for key in graph.asset_check_keys if not graph.get(key).blocking} == warn | LOOKED_AT


def test_assets_and_command_select_the_same_models(defs: dg.Definitions) -> None:
    from orchestration.assets.models import MANIFEST, finance_models, usage_models

    for stage, assets in (("usage", usage_models), ("finance", finance_models)):
        folders = tuple(s.removeprefix("path:") for s in (*SELECTION[stage], *WATCHED[stage]))
        by_path = {
            node["name"]
            for node in MANIFEST["nodes"].values()
            if node["resource_type"] == "model" and node["original_file_path"].startswith(folders)
        }
        assert {key.path[-1] for key in assets.keys} == by_path


def test_daily_closes_nothing_and_nothing_starts_by_itself(defs: dg.Definitions, graph) -> None:
    daily = defs.resolve_job_def("daily").asset_layer.selected_asset_keys
    assert daily == graph.get_all_asset_keys() - {_key("issued_invoices"), _key("invoice_exports")}
    close = defs.resolve_job_def("close").asset_layer.selected_asset_keys
    assert close == {_key("issued_invoices"), _key("invoice_exports")}
    [schedule] = defs.schedules
    assert (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone) == ("daily", "0 5 * * *", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert not defs.sensors
    assert [key for key in graph.get_all_asset_keys() if graph.get(key).automation_condition] == []


def test_every_job_runs_in_one_process(defs: dg.Definitions) -> None:
    for job in defs.resolve_all_job_defs():
        assert job.executor_def.name == "in_process"


def test_no_room_but_those_of_dagster_imports_it() -> None:
    program = (
        "import sys, orchestration.pipeline.run, orchestration.pipeline.close, orchestration.pipeline.transform; "
        "assert not {'dagster', 'dagster_dbt', 'dbt'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
