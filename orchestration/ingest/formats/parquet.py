"""Parquet with a column mapping. Rows are lines; values become the text that the engine writes for their type.

A TIMESTAMP without zone needs the source's `zone`; a number says of what it is (`time: ts as epoch_ms`). A
floating-point column gives the shortest text of its double: write quantities as integers, decimals or text.
"""

from __future__ import annotations

import json

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.engine import column_name
from orchestration.ingest.formats.base import LineFormat, Reader, SlowResult, check_names, time_unit, wanted
from orchestration.ingest.formats.csv import column_place
from orchestration.sqltext import literal


class Parquet(LineFormat):
    """Format 'parquet'. Its `head` is a JSON list of [column, type], read from the file's own schema."""

    name = "parquet"
    table = True

    def positional(self, source: Source) -> bool:
        return "id" not in source.fields

    def check(self, source: Source) -> list[Problem]:
        problems = check_names(source, bool, "a column name", units=True)
        if "time" not in source.fields:
            problems.append(Problem("no_time_column", "no column is mapped to 'time'", f"source '{source.name}'"))
        return problems

    def reader(self, source: Source, head: str) -> Reader:
        types: dict[str, str] = dict(json.loads(head))
        chosen = wanted(source, {})
        style = time_unit(chosen, "iso")
        for name in chosen.values():
            column_place(list(types), name)
        fields = "".join(f", {_as_text(name, types[name])} AS f_{target}" for target, name in chosen.items())
        packed = ", ".join(f"{literal(n)}: {_as_text(n, types[n])}" for n in sorted(set(chosen.values())))
        sql = f"""
            SELECT file_row_number + 1 AS line, CAST(to_json({{{packed}}}) AS VARCHAR) AS text, false AS slow,
                CAST(NULL AS VARCHAR) AS grammar{fields}
            FROM read_parquet(getvariable('raw_path'), file_row_number = true)"""
        return Reader(tuple(chosen), sql, _no_slow_lane, style)

    def recognises(self, source: Source, lines: list[str]) -> int:
        return 0


def _as_text(name: str, kind: str) -> str:
    column = column_name(name)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"CAST(make_timestamp(epoch_us({column})) AS VARCHAR) || 'Z'"
    return f"CAST({column} AS VARCHAR)"


def _no_slow_lane(text: str) -> SlowResult:
    raise AssertionError(f"a Parquet row was sent to the line reader: {text}")


FORMAT = Parquet()
