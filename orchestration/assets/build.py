"""The assets between the lake and the published warehouse that are not dbt models: preparing, pricing, publishing."""

import shutil
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import dagster as dg

from orchestration.assets import metadata, progress
from orchestration.assets.models import finance_models, usage_models
from orchestration.catalog import load_catalog
from orchestration.ledger.store import Ledger
from orchestration.money import Money
from orchestration.pipeline import run
from orchestration.pipeline.contested import unmet_decisions
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.prepare import open_build
from orchestration.resources.instance import TallystickInstance

QUANTITIES = dg.AssetKey(["marts", "charge_quantities"])


@dg.asset(
    deps=["lake"],
    group_name="metering",
    kinds={"duckdb"},
    description="A copy of the published warehouse with the catalog, the record and views over the lake, to build in.",
)
def warehouse_build(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> dg.MaterializeResult[Any]:
    """Begin a build, if anything has changed since the published generation."""
    working = tallystick.context(context)
    catalog = load_catalog(working.instance.catalog)
    with Ledger.open(working.instance.home) as ledger:
        plan = run.begin_build(working, catalog, ledger)
    if plan is None:
        shutil.rmtree(working.instance.build_folder, ignore_errors=True)
        return dg.MaterializeResult(metadata=metadata.UNCHANGED)
    progress.begin(working.instance, plan)
    with open_build(working.instance) as con:
        for unmet in unmet_decisions(con):
            context.log.warning(unmet)
        days = metadata.row_count(con, "control", "touched_days")
    return dg.MaterializeResult(
        metadata={
            "status": "built from nothing" if plan.fresh else "built on the published generation",
            "usage_changes": plan.usage_changed,
            "new_files": len(plan.new_files),
            "days_measured": days,
            "new_lines": sum(f.lines for f in plan.new_files),
            "last_batch": plan.state.last_batch,
            "catalog": plan.state.catalog_digest,
        }
    )


@dg.asset(
    deps=[QUANTITIES],
    group_name="finance",
    kinds={"python"},
    description="What the next invoices would say: usage at the prices in force, recomputed until a period is closed.",
)
def drafts(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> dg.MaterializeResult[Any]:
    """Price every charge of every segment, and put drafts and issued documents into the build."""
    working = tallystick.context(context)
    catalog = load_catalog(working.instance.catalog)
    with Ledger.open(working.instance.home) as ledger:
        working, build = progress.open_build_of(working, catalog, ledger)
        if build is None:
            return dg.MaterializeResult(metadata=metadata.UNCHANGED)
        with progress.step(working.instance, build, "drafts"):
            found = run.price_drafts(working, catalog, ledger)
    return dg.MaterializeResult(metadata=_drafts(found))


@dg.asset(
    deps=[drafts],
    group_name="monitoring",
    kinds={"python"},
    description="Charts, alarms and incidents of the hourly series of usage, by what each one's own past allows.",
)
def incidents(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> dg.MaterializeResult[Any]:
    """Watch usage, where the catalog asks for it, and put what is found into the build."""
    working = tallystick.context(context)
    catalog = load_catalog(working.instance.catalog)
    with Ledger.open(working.instance.home) as ledger:
        working, build = progress.open_build_of(working, catalog, ledger)
        if build is None:
            return dg.MaterializeResult(metadata=metadata.UNCHANGED)
        begun = time.monotonic()
        with progress.step(working.instance, build, "watching"):
            found = run.watch_usage(working, catalog, ledger)
    with open_build(working.instance) as con:
        shown = metadata.preview(con, "marts", "incidents")
    seconds = round(time.monotonic() - begun, 1)
    return dg.MaterializeResult(metadata={**found._asdict(), "seconds": seconds, "preview": shown})


def _drafts(found: list[dict[str, Any]]) -> dict[str, Any]:
    heads = ["cut_off", "entity", "customer", "lines", "total", "expected", "currency"]
    return {
        "drafts": len(found),
        "lines": sum(draft["lines"] for draft in found),
        "customers": len({draft["customer"] for draft in found}),
        "money": metadata.money(Money(Decimal(draft["total"]), draft["currency"]) for draft in found),
        "preview": metadata.table(heads, [[d[h] for h in heads] for d in found[: metadata.PREVIEW_ROWS]]),
    }


@dg.asset(
    deps=[*usage_models.keys, incidents, *finance_models.keys],
    group_name="finance",
    kinds={"duckdb"},
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)),
    description="The warehouse that readers open, `warehouse/current`. Published only when every check has passed.",
)
def published_warehouse(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> dg.MaterializeResult[Any]:
    """Publish the build, if all of it has been built and all of its checks have passed."""
    working = tallystick.context(context)
    catalog = load_catalog(working.instance.catalog)
    with Ledger.open(working.instance.home) as ledger:
        working, build = progress.open_build_of(working, catalog, ledger)
    if build is None:
        generation = working.instance.current.resolve().name
        return dg.MaterializeResult(metadata={**metadata.UNCHANGED, "generation": generation})
    progress.require_whole(working.instance, build)
    run.alert(working, catalog)
    summary = published_metadata(working.instance)
    return dg.MaterializeResult(metadata={"generation": run.publish_build(working), **summary})


def published_metadata(instance: Instance) -> dict[str, Any]:
    """Size and contents of the build that is about to be published."""
    with open_build(instance) as con:
        found = con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts' ORDER BY table_name"
        ).fetchall()
        rows = [(name, metadata.row_count(con, "marts", name)) for (name,) in found]
    return {
        "bytes": instance.build_db.stat().st_size,
        "tables": len(rows),
        "rows": sum(count for _, count in rows),
        "preview": metadata.table(["table", "rows"], rows),
    }
