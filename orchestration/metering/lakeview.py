"""Views over the lake's Parquet files, with endpoint and meters compiled in: `lake.events` and `lake.verdicts`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from orchestration.catalog import Catalog
from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import FileRow
from orchestration.metering.compile import endpoint_sql, event_columns, fields_read, property_column
from orchestration.sqltext import identifier, literal

EVENT_COLUMNS = {
    "file_id": "INTEGER",
    "line": "BIGINT",
    "source": "VARCHAR",
    "event_id": "VARCHAR",
    "time_us": "BIGINT",
    "event_type": "VARCHAR",
    "feed": "VARCHAR",
    "credential": "VARCHAR",
    "user_key": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "status": "INTEGER",
    "bytes": "BIGINT",
    "address_key": "VARCHAR",
    "agent": "VARCHAR",
    "extra": "VARCHAR",
}
VERDICT_COLUMNS = {"file_id": "INTEGER", "line": "BIGINT", "verdict": "VARCHAR"}


def create_event_views(con: duckdb.DuckDBPyConnection, catalog: Catalog, lake: Lake, files: Sequence[FileRow]) -> None:
    """Make the views over the given files of the ledger.

    `events` has the columns of the lake, `endpoint`, and for each meter `m_<key>` and `u_<key>`. `verdicts` says which
    lines don't count, as decided in `record.decided`, which `load_conflicts` writes.
    """
    con.execute("CREATE SCHEMA IF NOT EXISTS lake")
    paths = [lake.events(f.batch_id, f.file_id) for f in files]
    base = f"read_parquet({path_list(paths)}, union_by_name = true)" if paths else _no_rows(EVENT_COLUMNS)
    present = {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {base}").fetchall()}
    needed = [property_column(name) for name in sorted(fields_read(catalog.meters.values()))]
    absent = [f"cast(NULL AS VARCHAR) AS {c}" for c in needed if c.strip('"') not in present]
    columns = ", ".join(["*", *absent])
    meters = [catalog.meters[key] for key in sorted(catalog.meters)]
    metered = ", ".join(["*", *event_columns(meters)])
    con.execute(
        f"CREATE OR REPLACE VIEW lake.events AS SELECT {metered} FROM "
        f"(SELECT *, {endpoint_sql(catalog.routes)} AS endpoint FROM (SELECT {columns} FROM {base}))"
    )
    verdicts = sorted({path for f in files if (path := lake.verdicts(f.batch_id)).exists()})
    source = f"read_parquet({path_list(verdicts)})" if verdicts else _no_rows(VERDICT_COLUMNS)
    con.execute(
        f"CREATE OR REPLACE VIEW lake.verdicts AS SELECT {', '.join(VERDICT_COLUMNS)} FROM {source} "
        "ANTI JOIN (SELECT file_id, line FROM record.decided WHERE counts) USING (file_id, line) "
        "UNION ALL SELECT file_id, line, 'conflict' FROM record.decided WHERE NOT counts"
    )


def path_list(paths: Sequence[Path]) -> str:
    """A SQL list of paths."""
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def _no_rows(columns: dict[str, str]) -> str:
    items = ", ".join(f"cast(NULL AS {kind}) AS {identifier(name)}" for name, kind in columns.items())
    return f"(SELECT {items} WHERE false)"
