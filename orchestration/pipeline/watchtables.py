"""The tables that the watching step leaves in a generation, in the schema `marts`. Their figures are no money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import duckdb

from orchestration.sqltext import identifier

Columns = Mapping[str, str]
_FIGURES = dict.fromkeys(("observed", "centre", "lower", "upper", "z", "p"), "DOUBLE")
_LIMITS = dict.fromkeys(("value", "centre", "lower", "upper", "z"), "DOUBLE")
TABLES: dict[str, Columns] = {
    "alarms": {"customer": "VARCHAR", "kind": "VARCHAR", "hour_us": "BIGINT", "incident": "VARCHAR", **_FIGURES},
    "incidents": {
        "incident": "VARCHAR",
        "customer": "VARCHAR",
        "kind": "VARCHAR",
        "first_us": "BIGINT",
        "last_us": "BIGINT",
        "alarms": "INTEGER",
        **_FIGURES,
        "label": "VARCHAR",
        "holds": "BOOLEAN",
    },
    "control_charts": {
        "customer": "VARCHAR",
        "series": "VARCHAR",
        "chart": "VARCHAR",
        "hour_us": "BIGINT",
        **_LIMITS,
        "outside": "BOOLEAN",
    },
    "unusual_hours": {
        "customer": "VARCHAR",
        "hour_us": "BIGINT",
        "distance": "DOUBLE",
        "threshold": "DOUBLE",
        "model": "VARCHAR",
        "reasons": "VARCHAR",
    },
    "unusual_series": {
        "scope": "VARCHAR",
        "key": "VARCHAR",
        "series": "VARCHAR",
        "grain": "VARCHAR",
        "moment_us": "BIGINT",
        **_LIMITS,
    },
    "throttle_days": {
        "day_us": "BIGINT",
        "policy": "VARCHAR",
        **dict.fromkeys(("requests", "over", "missed"), "BIGINT"),
    },
    "throttle_episodes": {
        "policy": "VARCHAR",
        "client": "VARCHAR",
        **dict.fromkeys(("from_us", "to_us", "over", "missed", "longest_wait_us"), "BIGINT"),
    },
    "gateway_refusals": {
        "day_us": "BIGINT",
        "customer": "VARCHAR",
        **dict.fromkeys(("requests", "refused", "undue"), "BIGINT"),
    },
    "client_backoff": {
        "customer": "VARCHAR",
        "credential": "VARCHAR",
        "agent": "VARCHAR",
        "kind": "VARCHAR",
        **dict.fromkeys(("refusals", "retries", "refused_again", "billed"), "BIGINT"),
        "waits_us": "VARCHAR",
        "obeyed": "DOUBLE",
    },
    "retry_storms": {
        "endpoint": "VARCHAR",
        **dict.fromkeys(("minute_us", "requests", "retries", "clients", "billed"), "BIGINT"),
    },
    "retry_storm_costs": {
        "endpoint": "VARCHAR",
        "minute_us": "BIGINT",
        "customer": "VARCHAR",
        "retries": "BIGINT",
        "currency": "VARCHAR",
        "amount": "DECIMAL(38, 4)",
    },
}


class Found(NamedTuple):
    """How much a watching step looked at and found; `unusual` are rows of unusual_series.

    `missed` and `undue` are refusals of the gateway that its limits ask for, and that they don't; `hammering` clients
    come back at once.
    """

    customers: int = 0
    series: int = 0
    hours: int = 0
    alarms: int = 0
    incidents: int = 0
    unlabelled: int = 0
    unusual: int = 0
    over: int = 0
    missed: int = 0
    undue: int = 0
    hammering: int = 0
    storms: int = 0


def write_none(con: duckdb.DuckDBPyConnection) -> Found:
    """All tables, empty: nothing is watched."""
    for table in TABLES:
        write(con, table, {})
    return Found()


def write(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Any]) -> None:
    """Replace `marts.<table>` by the rows of `append`; no columns at all make it empty."""
    kinds = TABLES[table]
    con.execute("CREATE SCHEMA IF NOT EXISTS marts")
    typed = ", ".join(f"{identifier(name)} {kind}" for name, kind in kinds.items())
    con.execute(f"CREATE OR REPLACE TABLE marts.{identifier(table)} ({typed})")
    if columns:
        append(con, table, columns)


def write_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace `marts.<table>` by rows with its columns, and perhaps more."""
    listed = list(rows)
    write(con, table, {name: [each[name] for each in listed] for name in TABLES[table]} if listed else {})


def append(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Any]) -> None:
    """Add rows, given as columns of equal length, to `marts.<table>`. NaN becomes NULL."""
    kinds = TABLES[table]
    con.register("rows_to_write", {name: _array(columns[name], kind) for name, kind in kinds.items()})
    listed = ", ".join(
        f"CASE WHEN NOT isnan({identifier(name)}) THEN {identifier(name)} END" if kind == "DOUBLE" else identifier(name)
        for name, kind in kinds.items()
    )
    con.execute(f"INSERT INTO marts.{identifier(table)} SELECT {listed} FROM rows_to_write")
    con.unregister("rows_to_write")


def _array(values: Any, kind: str) -> Any:
    import numpy as np  # A run that watches nothing is spared the time that this takes.

    types = {"DOUBLE": np.float64, "BIGINT": np.int64, "INTEGER": np.int32, "BOOLEAN": np.bool_}
    return np.array(values, dtype=types.get(kind, object))
