"""Rows as one file for other programs: JSON, Parquet, or CSV, by the name of the file; whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestration.engine import connect, load_rows
from orchestration.errors import ConfigInvalid
from orchestration.exports.csvfiles import write_export
from orchestration.exports.safecsv import render
from orchestration.sqltext import literal

_TEXT = ("VARCHAR", "BOOLEAN")


def write_table(path: Path, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], scratch: Path) -> None:
    """Write rows with these columns (name -> DuckDB type; decimals are given as text), as the suffix of `path` says.

    Raises ConfigInvalid for a name that ends otherwise.
    """
    if path.suffix == ".json":
        write_export(path, json.dumps(rows, indent=0, ensure_ascii=False).encode())
    elif path.suffix == ".csv":
        kinds = {name: "text" if kind in _TEXT else "number" for name, kind in columns.items()}
        cells = ([None if row.get(name) is None else str(row[name]) for name in columns] for row in rows)
        write_export(path, render(kinds, cells))
    elif path.suffix == ".parquet":
        aside = scratch / "table.parquet"
        with connect(None, folders=[scratch], temp=scratch) as con:
            load_rows(con, "main.exported", columns, rows, scratch)
            con.execute(f"COPY main.exported TO {literal(str(aside))} (FORMAT parquet)")
        write_export(path, aside.read_bytes())
        aside.unlink()
    else:
        raise ConfigInvalid(
            f"'{path.name}' is none of .json, .parquet and .csv",
            where="--export",
            not_done="nothing was written",
            next_step="name a file that ends with one of them",
        )
