"""Views over the lake's Parquet files: `lake.lines`, `lake.verdicts`, and `lake.events` with meters compiled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from orchestration.catalog import Catalog
from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import FileRow
from orchestration.metering.carried import carried_columns
from orchestration.metering.compile import event_columns, fields_read, names_read, property_column
from orchestration.metering.routes import compile_routes
from orchestration.sqltext import identifier, literal

if TYPE_CHECKING:
    from orchestration.ingest.extract import Extraction

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
    "latency_us": "BIGINT",
    "address_key": "VARCHAR",
    "network": "VARCHAR",
    "agent": "VARCHAR",
    "extra": "VARCHAR",
}
VERDICT_COLUMNS = {"file_id": "INTEGER", "line": "BIGINT", "verdict": "VARCHAR"}


def create_line_views(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, lake: Lake, files: Sequence[FileRow], more: Iterable[str] = ()
) -> None:
    """Make the views over the given files of the ledger that know nothing of meters.

    `lines` has the columns of the lake and every property that a meter reads, or that is among `more`; `extract` has
    been called for them. `verdicts` says which lines don't count: by the ledger, as decided in `record.decided`, which
    `load_conflicts` writes, and as retracted in `record.retracted`, which `load_retractions` writes.
    """
    # With all parsers: loaded only where lines are read.
    from orchestration.ingest.extract import extractions

    con.execute("CREATE SCHEMA IF NOT EXISTS lake")
    more = set(more)
    base = lines_sql(con, lake, files, extractions(catalog, lake, files, more))
    present = _columns(con, base)
    needed = [property_column(name) for name in sorted(fields_read(catalog.meters.values()) | more)]
    absent = [f"cast(NULL AS VARCHAR) AS {c}" for c in needed if c.strip('"') not in present]
    # Files of earlier programs lack what is read only since.
    absent += [f"cast(NULL AS {kind}) AS {identifier(c)}" for c, kind in EVENT_COLUMNS.items() if c not in present]
    con.execute(f"CREATE OR REPLACE VIEW lake.lines AS SELECT {', '.join(['*', *absent])} FROM ({base})")
    verdicts = sorted({path for f in files if (path := lake.verdicts(f.batch_id)).exists()})
    source = f"read_parquet({path_list(verdicts)})" if verdicts else _no_rows(VERDICT_COLUMNS)
    con.execute(
        f"CREATE OR REPLACE VIEW lake.verdicts AS SELECT {', '.join(VERDICT_COLUMNS)} FROM {source} "
        "ANTI JOIN (SELECT file_id, line FROM record.decided WHERE counts) USING (file_id, line) "
        "UNION ALL SELECT file_id, line, 'conflict' FROM record.decided WHERE NOT counts "
        "UNION ALL SELECT file_id, line, 'retracted' FROM record.retracted"
    )


def lines_sql(
    con: duckdb.DuckDBPyConnection, lake: Lake, files: Sequence[FileRow], again: Sequence[Extraction] = ()
) -> str:
    """A query for all rows of the lake of `files`, with what was extracted `again` for some of them."""
    extracted = {item.file.file_id for item in again}
    plain = [lake.events(f.batch_id, f.file_id) for f in files if f.file_id not in extracted]
    parts = [f"SELECT * FROM read_parquet({path_list(plain)}, union_by_name = true)"] if plain else []
    if again:
        events = [lake.events(item.file.batch_id, item.file.file_id) for item in again]
        read = f"read_parquet({path_list(events)}, union_by_name = true)"
        present = _columns(con, f"SELECT * FROM {read}")
        columns = sorted({column for item in again for column in item.columns})
        # Another file of these may have had the property from the start.
        both = [f"coalesce(e.{identifier(c)}, x.{identifier(c)}) AS {identifier(c)}" for c in columns if c in present]
        added = "".join(f", x.{identifier(c)}" for c in columns if c not in present)
        replaced = f" REPLACE ({', '.join(both)})" if both else ""
        parts.append(
            f"SELECT e.*{replaced}{added} FROM {read} AS e "
            f"LEFT JOIN read_parquet({path_list([item.path for item in again])}, union_by_name = true) AS x "
            "ON e.file_id = x.file_id AND e.line = x.line"
        )
    return " UNION ALL BY NAME ".join(parts) or f"SELECT * FROM {_no_rows(EVENT_COLUMNS)}"


def _columns(con: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    return {row[0] for row in con.execute(f"DESCRIBE {query}").fetchall()}


def create_event_views(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, lake: Lake, files: Sequence[FileRow], more: Iterable[str] = ()
) -> None:
    """Make the views of `create_line_views`, and `events` over them; `control.routes` has to be there.

    `events` adds for each meter `m_<key>` and `u_<key>`; the keys by which a line's endpoint is found in
    `control.routes` (`route_<slot>`), what it is where none is (`unrouted`), and the path's shape. The endpoint takes
    joins, for which every query of the view would pay: it is only joined here when a meter reads it.
    """
    create_line_views(con, catalog, lake, files, more)
    meters = [catalog.meters[key] for key in sorted(catalog.meters)]
    routes = compile_routes(catalog.routes)
    source = f"({routes.keyed('lake.lines')}) AS line"
    columns = "*"
    if "endpoint" in names_read(meters):
        endpoint, joins = routes.endpoint("line")
        source, columns = f"(SELECT line.*, {endpoint} AS endpoint FROM {source}{joins})", "* EXCLUDE (endpoint)"
    summed, lasting = [m for m in meters if not m.carried], [m for m in meters if m.carried]
    metered = ", ".join([columns, *event_columns(summed), *carried_columns(lasting)])
    con.execute(f"CREATE OR REPLACE VIEW lake.events AS SELECT {metered} FROM {source}")


def path_list(paths: Sequence[Path]) -> str:
    """A SQL list of paths."""
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def _no_rows(columns: dict[str, str]) -> str:
    items = ", ".join(f"cast(NULL AS {kind}) AS {identifier(name)}" for name, kind in columns.items())
    return f"(SELECT {items} WHERE false)"
