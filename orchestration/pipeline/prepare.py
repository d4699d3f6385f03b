"""The first step of a build: a database that holds the catalog, the record and views over the lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.engine import connect, load_rows
from orchestration.ingest.discover import captures_of
from orchestration.ingest.lake import Lake
from orchestration.ingest.retries import still_quarantined
from orchestration.ledger.rows import FileRow
from orchestration.ledger.store import Ledger
from orchestration.metering import control, routes, statuses
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.control import ChargedSegment
from orchestration.metering.lakeview import create_event_views
from orchestration.metering.touched import DEFINITIONS, Work, definition_rows, find_touched, remember
from orchestration.pipeline.drift import load_fields
from orchestration.pipeline.generation import start_build
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.state import STATE_COLUMNS, BuildPlan

FILE_COLUMNS = {
    "file_id": "INTEGER",
    "batch_id": "INTEGER",
    "source": "VARCHAR",
    "stream": "VARCHAR",
    "captures": "MAP(VARCHAR, VARCHAR)",
    "path": "VARCHAR",
    "sha256": "VARCHAR",
    "format": "VARCHAR",
    "size": "BIGINT",
    "first_line": "BIGINT",
    "lines": "BIGINT",
    "accepted": "BIGINT",
    "duplicate": "BIGINT",
    "conflict": "BIGINT",
    "quarantined": "BIGINT",
    "blank": "BIGINT",
    "min_us": "BIGINT",
    "max_us": "BIGINT",
    "retry_of": "INTEGER",
}
BATCH_COLUMNS = {"batch_id": "INTEGER", "now_us": "BIGINT"}
HELD_COLUMNS = {"source": "VARCHAR", "path": "VARCHAR", "sha256": "VARCHAR", "reason": "VARCHAR"}


def prepare(
    instance: Instance, catalog: Catalog, ledger: Ledger, charged: Sequence[ChargedSegment], plan: BuildPlan
) -> Work:
    """Start the build and fill its schemas `control`, `record` and `lake`. The connection is closed afterwards."""
    start_build(instance, fresh=plan.fresh)
    lake, files = Lake(instance.lake), ledger.files()
    with open_build(instance) as con:
        remember(con)
        _control(con, instance, catalog, charged, plan, files)
        _record(con, instance, ledger)
        load_fields(con, instance, ledger)
        load_conflicts(con, catalog, lake, files, instance.scratch)
        over = partial(create_event_views, con, catalog, lake)
        work = find_touched(con, catalog, files, plan.new_files, over, fresh=plan.fresh)
        over(work.read_files)
        con.execute("CHECKPOINT")
    return work


def open_build(instance: Instance) -> duckdb.DuckDBPyConnection:
    """A writing connection to the build; it may read below the instance folder and nowhere else."""
    return connect(
        instance.build_db,
        folders=[instance.home],
        threads=instance.threads,
        memory=instance.memory,
        temp=instance.scratch,
    )


def _control(
    con: duckdb.DuckDBPyConnection,
    instance: Instance,
    catalog: Catalog,
    charged: Sequence[ChargedSegment],
    plan: BuildPlan,
    files: Sequence[FileRow],
) -> None:
    first = min((f.min_us for f in files if f.min_us is not None), default=0)
    last = max((f.max_us for f in files if f.max_us is not None), default=0)
    compiled, names = routes.compile_routes(catalog.routes), [source.name for source in catalog.sources]
    tables: list[tuple[str, dict[str, str], Any]] = [
        ("control.meters", control.METERS, control.meter_rows(catalog)),
        ("control.meter_definitions", DEFINITIONS, definition_rows(catalog)),
        ("control.customers", control.CUSTOMERS, control.customer_rows(catalog, plan.state.now_us)),
        ("control.meter_dimensions", control.METER_DIMENSIONS, control.meter_dimension_rows(catalog)),
        ("control.meter_statuses", statuses.METER_STATUSES, statuses.status_rows(catalog)),
        ("control.credentials", control.CREDENTIALS, control.credential_rows(catalog.credentials)),
        ("control.customer_offsets", control.CUSTOMER_OFFSETS, control.offset_rows(catalog, first, last + 1)),
        ("control.billing_days", control.BILLING_DAYS, control.billing_day_rows(catalog, plan.state.now_us)),
        ("control.segments", control.SEGMENTS, control.segment_rows(catalog, charged)),
        ("control.routes", routes.ROUTES, compiled.rows),
        ("control.route_slots", routes.ROUTE_SLOTS, [{"slot": n} for n, _ in enumerate(compiled.slots, 1)]),
        ("control.route_templates", routes.ROUTE_TEMPLATES, routes.template_rows(catalog.routes, names)),
        ("control.generation", STATE_COLUMNS, [asdict(plan.state)]),
    ]
    for table, columns, rows in tables:
        load_rows(con, table, columns, rows, instance.scratch)


def _record(con: duckdb.DuckDBPyConnection, instance: Instance, ledger: Ledger) -> None:
    files, lake = ledger.files(), Lake(instance.lake)
    rows = (asdict(file) | {"captures": captures_of(file.stream)} for file in files)
    load_rows(con, "record.files", FILE_COLUMNS, rows, instance.scratch)
    load_rows(con, "record.batches", BATCH_COLUMNS, map(asdict, ledger.batches()), instance.scratch)
    load_rows(con, "record.held_files", HELD_COLUMNS, map(asdict, ledger.held()), instance.scratch)
    con.execute(
        "CREATE OR REPLACE TABLE record.quarantine (file_id INTEGER, line BIGINT, reason VARCHAR, raw_hex VARCHAR)"
    )
    con.execute(
        "INSERT INTO record.quarantine SELECT file_id, line, reason, hex(raw) "
        f"FROM ({still_quarantined(lake, files)}) ORDER BY file_id, line"
    )
