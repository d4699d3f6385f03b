"""The dbt models as assets and their tests as checks, in two stages: usage before pricing, finance after it."""

import json
from collections.abc import Iterator, Mapping, Set
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg
from dagster_dbt import dbt_assets

from orchestration.assets import metadata, progress
from orchestration.assets.lineage import Lineage
from orchestration.automation.manifest import prepared_manifest
from orchestration.catalog import load_catalog
from orchestration.ledger.store import Ledger
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.prepare import open_build
from orchestration.pipeline.transform import Stage, unwatched
from orchestration.resources.dbt_stages import in_process, part_selected, subprocess
from orchestration.resources.instance import TallystickInstance

MANIFEST: dict[str, Any] = json.loads(prepared_manifest().read_text())
LINEAGE = Lineage()
SELECT: dict[Stage, str] = {
    "usage": "fqn:tallystick.staging fqn:tallystick.metering fqn:tallystick.marts fqn:tallystick.monitoring "
    "fqn:tallystick.clients",
    "finance": "fqn:tallystick.finance fqn:tallystick.health fqn:tallystick.entitled",
}
EXCLUDE = "resource_type:unit_test"


@dbt_assets(
    manifest=MANIFEST, select=SELECT["usage"], exclude=EXCLUDE, name="usage_models", dagster_dbt_translator=LINEAGE
)
def usage_models(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> Iterator[Any]:
    """Events to usage, and the checks that stand between usage and prices."""
    yield from _build(context, tallystick, "usage")


@dbt_assets(
    manifest=MANIFEST, select=SELECT["finance"], exclude=EXCLUDE, name="finance_models", dagster_dbt_translator=LINEAGE
)
def finance_models(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> Iterator[Any]:
    """Drafts, invoices and their lines, with the checks on money."""
    yield from _build(context, tallystick, "finance")


def _build(context: dg.AssetExecutionContext, tallystick: TallystickInstance, stage: Stage) -> Iterator[Any]:
    working = tallystick.context(context)
    catalog = load_catalog(working.instance.catalog)
    with Ledger.open(working.instance.home) as ledger:
        working, build = progress.open_build_of(working, catalog, ledger)
    if build is None or (stage == "usage" and not build.usage_changed):
        yield from _not_built(context, context.selected_asset_keys, metadata.UNCHANGED)
        return
    part = part_selected(context, MANIFEST, LINEAGE)
    left_out = unwatched(working.instance, stage)
    selection = part if part is None or not left_out else [*part, "--exclude", *left_out]
    run_dbt = in_process if tallystick.dbt == "in_process" else subprocess
    with progress.step(working.instance, build, stage, whole=part is None):
        events = run_dbt(
            context,
            working.instance,
            stage,
            fresh=build.fresh and stage == "usage",
            selection=selection,
            manifest=MANIFEST,
            translator=LINEAGE,
        )
        yield from _with_rows(events, context, working.instance)


def _not_built(
    context: dg.AssetExecutionContext, keys: Set[dg.AssetKey], why: Mapping[str, Any]
) -> Iterator[dg.Output[None]]:
    names = {key: name for name, key in context.assets_def.keys_by_output_name.items()}
    # Dagster wants outputs of one step after those that they depend on.
    above = {key: sorted(context.assets_def.asset_deps[key] & names.keys()) for key in sorted(keys)}
    for key in TopologicalSorter(above).static_order():
        if key in keys:
            yield dg.Output(None, output_name=names[key], metadata=why)


def _with_rows(events: Iterator[Any], context: dg.AssetExecutionContext, instance: Instance) -> Iterator[Any]:
    """Add the number of rows and the first of them to what dbt says about a table. What failed is raised at the end."""
    found: list[Any] = []
    failure: Exception | None = None
    try:
        found.extend(events)
    except Exception as error:
        failure = error
    yield from _described(found, context, instance)
    if failure is not None:
        raise failure
    made = {context.assets_def.keys_by_output_name[e.output_name] for e in found if isinstance(e, dg.Output)}
    yield from _not_built(context, context.selected_asset_keys - made, metadata.NOT_WATCHED)


def _described(events: list[Any], context: dg.AssetExecutionContext, instance: Instance) -> list[Any]:
    keys = context.assets_def.keys_by_output_name
    described = []
    with open_build(instance) as con:
        tables = set(con.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall())
        for event in events:
            place = tuple(keys[event.output_name].path) if isinstance(event, dg.Output) else ()
            if place in tables:
                rows = {"dagster/row_count": metadata.row_count(con, *place), "preview": metadata.preview(con, *place)}
                rows |= metadata.figures(con, place[-1])
                event = event.with_metadata({**event.metadata, **rows})
            described.append(event)
    return described
