"""DuckDB connections: pinned, hardened, in UTC; and rows from Python into tables.

DuckDB is an engine here, never the record. One 2.0 release is accepted: older ones read half of a truncated gzip
without an error and wrap DECIMAL sums past their limit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from orchestration.durable import naming
from orchestration.errors import ConfigInvalid
from orchestration.sqltext import identifier, literal

PINNED = "2.0.0"


def check_version() -> None:
    """Raise ConfigInvalid under any DuckDB but the pinned one: hashes in the lake and sums depend on it."""
    if duckdb.__version__ != PINNED:
        raise ConfigInvalid(
            f"DuckDB {duckdb.__version__} is installed, Tallystick is built and tested on {PINNED}",
            not_done="nothing was run",
            next_step="install the locked requirements: `make setup`",
        )


def harden(con: Any, folders: Sequence[Path], *, threads: int, memory: str, temp: Path) -> None:
    """Shut a connection in: UTC, bounded memory, no file outside `folders`, and no way to change that again.

    The order matters: `allowed_directories` restricts nothing until external access is off.
    """
    allowed = ", ".join(literal(f"{folder}/") for folder in folders)
    for statement in (
        "SET TimeZone = 'UTC'",
        f"SET threads = {int(threads)}",
        f"SET memory_limit = {literal(memory)}",
        f"SET temp_directory = {literal(str(temp))}",
        # It draws into whatever the output of the command goes to.
        "SET enable_progress_bar = false",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        f"SET allowed_directories = [{allowed}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        con.execute(statement)


def connect(
    path: Path | None,
    *,
    folders: Sequence[Path] = (),
    threads: int = 2,
    memory: str = "2GB",
    temp: Path,
    read_only: bool = False,
    in_order: bool = False,
) -> duckdb.DuckDBPyConnection:
    """A hardened connection to a database file (or to memory), with reading allowed below `folders` only.

    With `in_order`, joins are made in the order of their text, each with its right side in memory: for queries of which
    the engine expects no rows, and would keep all events in memory to look up some days.
    """
    check_version()
    temp.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(str(path) if path is not None else ":memory:", read_only=read_only)
    try:
        if in_order:
            con.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        harden(con, [*folders, temp], threads=threads, memory=memory, temp=temp)
    except BaseException:
        con.close()
        raise
    return con


def is_exhausted(error: Exception) -> bool:
    """Whether an error of an engine says that disk or memory ran out."""
    if isinstance(error, MemoryError | duckdb.OutOfMemoryException):
        return True
    return isinstance(error, duckdb.Error | sqlite3.Error) and says_exhausted(str(error))


def says_exhausted(text: str) -> bool:
    """Whether the words of an engine say that disk or memory ran out."""
    said = ("No space left", "File too large", "disk is full", "disk I/O error", "Too many open files", "Out of Memory")
    return any(words in text for words in said)


def load_rows(
    con: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
    scratch: Path,
) -> int:
    """Replace `schema.table` by `rows`, through a scratch file of JSON lines (row-wise inserts cost 0.4 ms each).

    Values are text, int, bool, None or a mapping of texts; decimals are given as text. Returns the number of rows.
    """
    path = scratch / f"{table}.jsonl"
    count = write_rows(path, columns, rows)
    load_files(con, table, columns, [path] if count else [])
    path.unlink()
    return count


def write_rows(path: Path, columns: Collection[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write the columns of rows as `load_files` reads them; returns the number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, encode = 0, json.JSONEncoder(ensure_ascii=False).encode
    with naming(path), path.open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(encode({c: value for c, value in row.items() if value is not None and c in columns}) + "\n")
            count += 1
    return count


def load_files(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], paths: Sequence[Path]) -> None:
    """Replace `schema.table` by the rows of files that `write_rows` wrote, one file after the other."""
    schema, name = table.split(".")
    target = f"{identifier(schema)}.{identifier(name)}"
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
    typed = ", ".join(f"{identifier(c)} {kind}" for c, kind in columns.items())
    con.execute(f"CREATE OR REPLACE TABLE {target} ({typed})")
    read = ", ".join(f"{identifier(c)}: '{'VARCHAR' if _as_text(k) else k}'" for c, k in columns.items())
    cast = ", ".join(f"cast({identifier(c)} as {kind}) as {identifier(c)}" for c, kind in columns.items())
    # One at a time: the engine takes room for two of the largest objects with each file that it has open.
    for path in paths:
        con.execute(
            f"INSERT INTO {target} SELECT {cast} FROM read_json({literal(str(path))}, format = 'newline_delimited', "
            f"maximum_object_size = 268435456, columns = {{{read}}})"
        )


def _as_text(kind: str) -> bool:
    # A JSON number would pass through a double on its way into a DECIMAL.
    return kind.upper().startswith("DECIMAL") or kind.upper() == "DATE"
