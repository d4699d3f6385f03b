"""Schema drift: the fields of files as a table of the build, and what a person should be told of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import duckdb

from orchestration.engine import load_rows
from orchestration.ingest.lake import Lake
from orchestration.ledger.store import Ledger
from orchestration.metering.lakeview import path_list
from orchestration.pipeline.instance import Instance

BATCH_COLUMNS = {"batch_id": "INTEGER", "now_us": "BIGINT"}


def load_fields(con: duckdb.DuckDBPyConnection, instance: Instance, ledger: Ledger) -> None:
    """Write `record.batches` and `record.fields`: when files were taken, and which fields they had."""
    batches, lake = ledger.batches(), Lake(instance.lake)
    load_rows(con, "record.batches", BATCH_COLUMNS, map(asdict, batches), instance.scratch)
    con.execute(
        "CREATE OR REPLACE TABLE record.fields "
        "(file_id INTEGER, part INTEGER, field VARCHAR, type VARCHAR, records BIGINT, mapped BOOLEAN)"
    )
    if batches:
        paths = path_list([lake.fields(batch.batch_id) for batch in batches])
        con.execute(
            "INSERT INTO record.fields SELECT file_id, part, field, type, records, mapped "
            f"FROM read_parquet({paths}) ORDER BY ALL"
        )


def drift_notices(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Of a generation: mapped fields that are gone, what else changed with the newest files, unusual quarantine."""
    for source, field, mapped, status, types, path in con.execute(
        "SELECT source, field, mapped, status, types, changed_in FROM marts.schema_drift "
        "WHERE status <> 'steady' AND (recent OR mapped AND status = 'vanished') ORDER BY mapped DESC, source, field"
    ).fetchall():
        read = ", which its mapping reads," if mapped else ""
        if status == "vanished":
            yield f"{source}: field '{field}'{read} has vanished; last seen in {path}"
        elif status == "new":
            yield f"{source}: new field '{field}' ({types}) since {path}"
        else:
            yield f"{source}: field '{field}'{read} has another type since {path} ({types})"
    for source, day, share, usual in con.execute(
        "SELECT source, utc_day, quarantined_percent, usual_percent FROM marts.quarantine_shares "
        "WHERE unusual ORDER BY source, utc_day"
    ).fetchall():
        yield f"{source}: {share} % of the lines of {day} are quarantined, usually {usual} %"
