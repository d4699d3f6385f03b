"""The first step of a build: a database that holds the catalog, the record and views over the lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.engine import connect, load_rows
from orchestration.ingest.batch import Workshop
from orchestration.ingest.discover import captures_of
from orchestration.ingest.extract import extract, extractions
from orchestration.ingest.lake import Lake
from orchestration.ingest.retries import still_quarantined
from orchestration.ledger.rows import FileRow
from orchestration.ledger.store import Ledger
from orchestration.metering import calendar, carried, control, routes, statuses, usage_parts
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.control import ChargedSegment
from orchestration.metering.lakeview import create_event_views
from orchestration.metering.retractions import load_retractions
from orchestration.metering.touched import DEFINITIONS, EXTRACTED, Work, definition_rows, find_touched, remember
from orchestration.metering.watching import WATCHING, watched_properties, watching_rows
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
    lake, files, shop = Lake(instance.lake, instance.extracted), ledger.files(), _workshop(instance, ledger)
    more = watched_properties(catalog)
    with open_build(instance) as con:
        remember(con)
        _control(con, instance, catalog, charged, plan, files)
        _record(con, instance, ledger)
        load_fields(con, instance, ledger)
        load_conflicts(con, catalog, lake, files, instance.scratch)
        load_retractions(con, catalog, lake, files, instance.scratch)
        again = [{"file_id": e.file.file_id, "digest": e.path.stem} for e in extractions(catalog, lake, files, more)]
        load_rows(con, "record.extracted", EXTRACTED, again, instance.scratch)

        def over(read: Sequence[FileRow]) -> None:
            extract(shop, ledger, catalog, read, more)
            create_event_views(con, catalog, lake, read, more)

        work = find_touched(con, catalog, files, plan.new_files, over, fresh=plan.fresh)
        _calendar(con, instance, catalog)
        over(work.read_files)
        con.execute("CHECKPOINT")
    return work


def _workshop(instance: Instance, ledger: Ledger) -> Workshop:
    shop = Workshop.of(instance.home, ledger)
    if instance.aside is None:
        return shop
    return replace(shop, lake=Lake(shop.lake.root, instance.extracted), scratch=instance.aside)


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
        ("control.meter_dimensions", control.METER_DIMENSIONS, control.meter_dimension_rows(catalog)),
        ("control.meter_definitions", DEFINITIONS, definition_rows(catalog)),
        ("control.customers", control.CUSTOMERS, control.customer_rows(catalog, plan.state.now_us)),
        ("control.meter_statuses", statuses.METER_STATUSES, statuses.status_rows(catalog)),
        ("control.credentials", control.CREDENTIALS, control.credential_rows(catalog.credentials)),
        ("control.customer_offsets", control.CUSTOMER_OFFSETS, control.offset_rows(catalog, first, last + 1)),
        ("control.billing_days", control.BILLING_DAYS, control.billing_day_rows(catalog, plan.state.now_us)),
        ("control.segments", control.SEGMENTS, control.segment_rows(catalog, charged)),
        ("control.line_prices", usage_parts.LINE_PRICES, usage_parts.line_price_rows(catalog, charged)),
        ("control.matrix_cells", usage_parts.MATRIX_CELLS, usage_parts.matrix_cell_rows(catalog, charged)),
        ("control.split_dimensions", usage_parts.SPLIT_DIMENSIONS, usage_parts.split_dimension_rows(catalog, charged)),
        ("control.routes", routes.ROUTES, compiled.rows),
        ("control.route_slots", routes.ROUTE_SLOTS, [{"slot": n} for n, _ in enumerate(compiled.slots, 1)]),
        ("control.route_templates", routes.ROUTE_TEMPLATES, routes.template_rows(catalog.routes, names)),
        ("control.watching", WATCHING, watching_rows(catalog)),
        ("control.generation", STATE_COLUMNS, [asdict(plan.state)]),
    ]
    for table, columns, rows in tables:
        load_rows(con, table, columns, rows, instance.scratch)


def _calendar(con: duckdb.DuckDBPyConnection, instance: Instance, catalog: Catalog) -> None:
    """Days, hours and windows of what is restated, from the tables that `find_touched` wrote."""
    spans = (
        "SELECT zone, min(local_day), max(local_day) + 1 FROM control.restated_days "
        "JOIN control.customers USING (customer) GROUP BY zone"
    )
    # All restated days of customers with states, not only those from which a state is another: they are written again.
    lasting = (
        "SELECT zone, min(local_day), max(known_day) FROM control.restated_days SEMI JOIN lasting USING (customer) "
        "JOIN control.customers USING (customer) GROUP BY zone"
    )
    months = "SELECT DISTINCT zone, month_start FROM control.restated_months JOIN control.customers USING (customer)"
    known = dict(con.execute("SELECT DISTINCT zone, known_day FROM control.customers").fetchall())
    days = {zone: (first, end) for zone, first, end in con.execute(spans).fetchall()}
    hours = {zone: (first, end) for zone, first, end in con.execute(lasting).fetchall()}
    windows = list(calendar.meter_window_rows(catalog))
    counts = calendar.window_count_rows(con.execute(months).fetchall(), known, {w["window_length"] for w in windows})
    tables: list[tuple[str, dict[str, str], Any]] = [
        ("control.zone_days", calendar.ZONE_DAYS, calendar.zone_day_rows(days)),
        ("control.zone_hours", calendar.ZONE_HOURS, calendar.zone_hour_rows(hours)),
        ("control.window_counts", calendar.WINDOW_COUNTS, counts),
        ("control.meter_windows", calendar.METER_WINDOWS, windows),
        ("control.window_steps", calendar.WINDOW_STEPS, calendar.window_step_rows(catalog)),
        ("control.marks", calendar.MARKS, calendar.mark_rows(catalog)),
        ("control.carried_meters", carried.CARRIED_METERS, carried.carried_meter_rows(catalog)),
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
