"""What tests ask of an instance: hashes of files, content of tables, documents. Without the project's code."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

DERIVED = ("lake", "warehouse", "exports", "dbt", "scratch", ".dagster")
"""Folders of an instance that a run makes again from the rest."""


def file_hashes(folder: Path, pattern: str = "*") -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path; links are not followed."""
    paths = sorted(p for p in folder.rglob(pattern) if p.is_file() and not p.is_symlink())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def open_published(home: Path) -> duckdb.DuckDBPyConnection:
    """The published generation, read-only."""
    return duckdb.connect(str((home / "warehouse" / "current").resolve() / "tallystick.duckdb"), read_only=True)


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    """A query on the published generation."""
    with open_published(home) as con:
        return con.execute(query).fetchall()


def tables(home: Path, *schemas: str) -> list[str]:
    """`schema.table` of every table of the schemas, sorted."""
    names = ", ".join(f"'{s}'" for s in schemas)
    found = rows(home, f"SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name IN ({names})")
    return sorted(f"{schema}.{table}" for schema, table in found)


def content(home: Path, names: Iterable[str], leave_out: Iterable[str] = ()) -> dict[str, tuple[int, int, int]]:
    """(rows, xor of the row hashes, their sum) of each table, whatever the order of its rows."""
    found, left_out = {}, set(leave_out)
    with open_published(home) as con:
        columns = con.execute("SELECT schema_name || '.' || table_name, column_name FROM duckdb_columns()").fetchall()
        for name in names:
            kept = sorted(column for table, column in columns if table == name and column not in left_out)
            of_row = ", ".join(f'"{column}"' for column in kept)
            query = f"SELECT count(*), bit_xor(h), sum(h::HUGEINT) FROM (SELECT hash({of_row}) AS h FROM {name})"
            [(count, xor, total)] = con.execute(query).fetchall()
            found[name] = (count, xor or 0, total or 0)
    return found


def ledger_rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    """A query on the ledger, read-only."""
    con = sqlite3.connect(f"file:{home / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        return con.execute(query).fetchall()
    finally:
        con.close()


def documents(home: Path, cut_off: str | None = None) -> list[dict[str, Any]]:
    """Bodies of issued documents in the order of their numbers."""
    where = f"WHERE cut_off = '{cut_off}'" if cut_off else ""
    found = ledger_rows(home, f"SELECT body FROM documents {where} ORDER BY series, sequence")
    return [json.loads(body) for (body,) in found]
