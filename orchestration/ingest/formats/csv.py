"""CSV with a header line and a column mapping. One line is one record.

`time` may say how it is written (`ts as epoch_ms`). Quoted fields may hold the delimiter and doubled quotes. A quoted
field that runs over a line end is not supported: each of its lines is quarantined `not_csv`. An empty field is a
missing value. Without an `id` column events are known by place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.engine import without_cr
from orchestration.ingest.formats.base import LineFormat, Reader, SlowResult, check_names, time_unit, wanted
from orchestration.ingest.inflate import Refused
from orchestration.sqltext import literal

NOT_CSV = "not_csv"


class Csv(LineFormat):
    """Format 'csv'."""

    name = "csv"
    header = True
    head = 1

    def positional(self, source: Source) -> bool:
        return "id" not in source.fields

    def check(self, source: Source) -> list[Problem]:
        problems = check_names(source, bool, "a column name", units=True)
        if "time" not in source.fields:
            problems.append(Problem("no_time_column", "no column is mapped to 'time'", f"source '{source.name}'"))
        return problems

    def reader(self, source: Source, head: str) -> Reader:
        columns = split_record(head.rstrip("\r"), source.delimiter)
        if columns is None:
            raise Refused("bad_header: line 1 is not a CSV record")
        chosen = wanted(source, {})
        style = time_unit(chosen, "iso")
        places = {target: column_place(columns, name) for target, name in chosen.items()}
        sql = _sql(places, len(columns), source.delimiter)
        return Reader(tuple(places), sql, lambda text: _slow(text, source.delimiter, len(columns), places), style)

    def recognises(self, source: Source, lines: list[str]) -> int:
        return header_fits(source, lines, lambda line: split_record(line, source.delimiter) or [])


def header_fits(source: Source, lines: list[str], split: Callable[[str], list[str]]) -> int:
    """All lines where the first names every column that the source maps, and there are several; else none."""
    chosen = wanted(source, {})
    time_unit(chosen, "iso")
    columns = split(lines[0].rstrip("\r")) if lines and "time" in chosen else []
    return len(lines) if len(columns) > 1 and set(chosen.values()) <= set(columns) else 0


def column_place(columns: list[str], name: str) -> int:
    """Index of the one column of that name. Raises Refused where there is none, or more than one."""
    if columns.count(name) == 1:
        return columns.index(name)
    fault = "missing_column" if name not in columns else "repeated_column"
    raise Refused(f"{fault}: {name}")


def _sql(places: dict[str, int], count: int, delimiter: str) -> str:
    fields = "".join(f", nullif(c[{n + 1}], '') AS f_{target}" for target, n in places.items())
    return f"""
        SELECT line, text, slow, CASE WHEN NOT slow AND len(c) <> {count} THEN '{NOT_CSV}' END AS grammar{fields} FROM (
            SELECT line, text, slow,
                CASE WHEN NOT slow THEN string_split({without_cr("text")}, {literal(delimiter)}) END AS c
            FROM (
                SELECT line, text, contains(text, '"') OR contains({without_cr("text")}, chr(13)) AS slow FROM src
            )
        )"""


@lru_cache(maxsize=64)
def _field(delimiter: str) -> re.Pattern[str]:
    return re.compile(f'"((?:[^"]|"")*)"|([^"\r{re.escape(delimiter)}]*)')


def split_record(text: str, delimiter: str) -> list[str] | None:
    """The fields of a record (RFC 4180), or None if it is none: a stray quote may be half of a longer record."""
    field, fields, start = _field(delimiter), [], 0
    while True:
        found = field.match(text, start)
        assert found is not None
        fields.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        if found.end() == len(text):
            return fields
        if text[found.end()] != delimiter:
            return None
        start = found.end() + 1


def _slow(text: str, delimiter: str, count: int, places: dict[str, int]) -> SlowResult:
    record = split_record(text.rstrip("\r"), delimiter)
    if record is None or len(record) != count:
        return NOT_CSV, (None,) * len(places)
    return None, tuple(record[place] or None for place in places.values())


FORMAT = Csv()
