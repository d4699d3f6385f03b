"""Which fields a file has, in a sample of its lines: what reports of schema drift are made from.

A pure function of the raw bytes and of the file's row in the ledger. Derived: a missing file of the lake is made again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import duckdb

from orchestration.catalog.sources import Source
from orchestration.ingest.engine import column_name
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.access import AccessLog
from orchestration.ingest.formats.base import Format, time_unit, wanted
from orchestration.ingest.formats.cloudevents import CloudEvents
from orchestration.ingest.formats.cloudevents_binary import CloudEventsBinary, unwrapped
from orchestration.ingest.formats.cloudfront import USUAL, CloudFront, named_columns
from orchestration.ingest.formats.csv import Csv, split_record
from orchestration.ingest.formats.jsonlog import JsonLog, without_prefix
from orchestration.ingest.formats.jsontext import Number, Path, read_exactly
from orchestration.ingest.formats.tsv import Tsv
from orchestration.ingest.lake import Lake, write_parquet
from orchestration.ingest.parse import table_head
from orchestration.ingest.raw import RawStore
from orchestration.ingest.sample import LINES, sampled
from orchestration.ledger.rows import FileRow

MAX_DEPTH = 4
MAX_FIELDS = 500
MAX_NAME = 200
MAX_ITEMS = 20
"""Of an array so many elements are looked at."""
OTHERS = "(others)"
"""Stands for all fields of a file after MAX_FIELDS."""

Found = Iterable[tuple[str, str]]
"""Fields of one record with their types, each once."""


class FieldCount(NamedTuple):
    """A field of a file in one part of the sample (1: first lines, 2: last lines): its type and how many records have
    it with that type. The field "" stands for the records themselves. `mapped`: the source's mapping reads it."""

    file_id: int
    part: int
    field: str
    type: str
    records: int
    mapped: bool


def write_fields(
    con: duckdb.DuckDBPyConnection, raw: RawStore, lake: Lake, batch_id: int, rows: Sequence[FileRow]
) -> None:
    """Write the fields of a batch's files to the lake.

    Args:
        con: a connection of `engine.connect`. rows: the batch's files with their final `lines`.
    """
    counts: list[FieldCount] = []
    for row in rows:
        with raw.at_hand(row.sha256, row.path):
            counts += fields_of(con, raw, row)
    columns = [list(column) for column in zip(*counts, strict=True)] or [[]] * len(FieldCount._fields)
    kinds = ("INTEGER", "INTEGER", "VARCHAR", "VARCHAR", "BIGINT", "BOOLEAN")
    listed = ", ".join(
        f"unnest(${n}::{kind}[]) AS {name}"
        for n, (kind, name) in enumerate(zip(kinds, FieldCount._fields, strict=True), 1)
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE fields AS SELECT {listed}", columns)
    write_parquet(con, "SELECT * FROM fields ORDER BY file_id, part, field, type", lake.fields(batch_id))
    con.execute("DROP TABLE fields")


def fields_of(con: duckdb.DuckDBPyConnection, raw: RawStore, row: FileRow) -> list[FieldCount]:
    """The fields of one file; none for a format whose lines all have the same."""
    source = Source.model_validate_json(row.mapping_json)
    form = FORMATS[source.format]
    if form.table:
        return _of_table(con, raw, row, source)
    observe, mapped = _observer(form, source)
    if observe is None:
        return []
    sample = sampled(raw, row, form)
    look = observe(sample.head)
    found = [(1, sample.first), (2, sample.last)]
    return [count for part, lines in found for count in _counted(row.file_id, part, map(look, lines), mapped)]


def _counted(file_id: int, part: int, records: Iterable[Found | None], mapped: set[str]) -> Iterator[FieldCount]:
    """Counts of the records that could be read. A field that is mapped and missing is counted as 0."""
    counts: Counter[tuple[str, str]] = Counter()
    total = 0
    for found in records:
        if found is not None:
            total += 1
            counts.update(found)
    if total:
        yield FieldCount(file_id, part, "", "", total, False)
        for name in mapped - {field for field, _ in counts}:
            yield FieldCount(file_id, part, name, "", 0, True)
        for (field, kind), count in counts.items():
            yield FieldCount(file_id, part, field, kind, count, field in mapped)


# -- what a format's lines are looked through by ----------------------------------------------------------------------

Look = Callable[[str], Found | None]


def _observer(form: Format, source: Source) -> tuple[Callable[[str], Look] | None, set[str]]:
    """From a file's head to what finds the fields of a line; and the fields that the mapping reads."""
    if isinstance(form, CloudEvents | CloudEventsBinary | JsonLog):
        paths = form.paths_read(source)
        tree = _Tree(paths)
        read = _of_binary if isinstance(form, CloudEventsBinary) else _object
        return lambda _: lambda line: tree.fields(read(line)), {path_text(path) for path in paths}
    if isinstance(form, Csv):
        return partial(_csv, source.delimiter), _columns_mapped(source)
    if isinstance(form, Tsv):
        return lambda head: _by_column(head.split("\t"), lambda line: line.split("\t")), _columns_mapped(source)
    if isinstance(form, CloudFront):
        return lambda head: _by_column(named_columns(head) or list(USUAL), _cloudfront), set(form.columns_read(source))
    if isinstance(form, AccessLog):
        extras = {name for name in wanted(source, {}).values() if name.startswith("extra_")}
        return lambda _: lambda line: [(f"extra_{n}", "text") for n in range(1, form.extras(line) + 1)], extras
    return None, set()


def _columns_mapped(source: Source) -> set[str]:
    chosen = wanted(source, {})
    time_unit(chosen, "iso")
    return {_plain(name) for name in chosen.values()}


def _by_column(columns: list[str], split: Callable[[str], list[str] | None]) -> Look:
    names = [_plain(column) for column in columns]

    def look(line: str) -> Found | None:
        cells = split(line)
        if cells is None or not line or len(cells) > len(names):
            return None
        return {(name, "text") for name, cell in zip(names, cells, strict=False) if cell}

    return look


def _csv(delimiter: str, head: str) -> Look:
    return _by_column(split_record(head, delimiter) or [], lambda line: split_record(line, delimiter))


def _cloudfront(line: str) -> list[str] | None:
    return None if line.startswith("#") else ["" if cell == "-" else cell for cell in line.split("\t")]


def _of_binary(line: str) -> Mapping[str, Any] | None:
    return unwrapped(read_exactly(line)[1])


def _object(line: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(without_prefix(line))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class _Tree:
    """Fields of JSON objects as dotted paths, `[]` for the elements of arrays; objects and arrays are fields too."""

    def __init__(self, mapped: Sequence[Path]) -> None:
        # With what lies on the way to them: they are looked for in any number of others.
        self._mapped = {path_text(path[:length]) for path in mapped for length in range(1, len(path) + 1)}
        self._depth = max([MAX_DEPTH, *(sum(isinstance(step, str) for step in path) for path in mapped)])
        self._fields: dict[tuple[str, str, type], tuple[str, str]] = {}
        self._known: set[str] = set()

    def fields(self, record: Mapping[str, Any] | None) -> Found | None:
        if record is None:
            return None
        found: list[tuple[str, str]] = []
        self._object(record, "", 1, found)
        return set(found)

    def _object(self, value: Mapping[str, Any], path: str, depth: int, found: list[tuple[str, str]]) -> None:
        for name, child in value.items():
            kind = type(child)
            field = self._fields.get((path, name, kind)) or self._field(path, name, kind)
            found.append(field)
            if kind not in _SCALARS and field[0] != OTHERS:
                self._within(child, field[0], depth, found)

    def _within(self, value: Any, place: str, depth: int, found: list[tuple[str, str]]) -> None:
        if isinstance(value, dict) and depth < self._depth:
            self._object(value, place + ".", depth + 1, found)
        elif isinstance(value, list) and depth <= self._depth:
            for item in value[:MAX_ITEMS]:
                found.append((place + "[]", _kind(type(item))))
                self._within(item, place + "[]", depth + isinstance(item, list), found)

    def _field(self, path: str, name: str, kind: type) -> tuple[str, str]:
        place = path + _step(name)
        if place not in self._known and place not in self._mapped and len(self._known) >= MAX_FIELDS:
            return OTHERS, ""
        self._known.add(place)
        self._fields[path, name, kind] = place, _kind(kind)
        return place, _kind(kind)


_SCALARS = {
    str: "string",
    Number: "number",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def _kind(kind: type) -> str:
    return _SCALARS.get(kind) or ("array" if kind is list else "object")


def path_text(path: Path) -> str:
    """A place in JSON as it is written in reports: `usage.items[].count`."""
    return "".join("[]" if isinstance(step, int) else f".{_step(step)}" for step in path).removeprefix(".")


def _step(name: str) -> str:
    plain = _plain(name)
    return json.dumps(plain) if not plain or any(sign in plain for sign in '.[]"') else plain


def _plain(name: str) -> str:
    """A delivered name, short, and safe to print and to store."""
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in name[:MAX_NAME])


# -- Parquet ----------------------------------------------------------------------------------------------------------


def _of_table(con: duckdb.DuckDBPyConnection, raw: RawStore, row: FileRow, source: Source) -> list[FieldCount]:
    head, rows = table_head(con, raw.local(row.sha256))
    columns = json.loads(head)[:MAX_FIELDS]
    mapped = _columns_mapped(source)
    begin = row.first_line - 1
    middle = min(begin + LINES, rows)
    found: list[FieldCount] = []
    for part, start, end in ((1, begin, middle), (2, max(middle, rows - LINES), rows)):
        counted = ", ".join(["count(*)", *(f"count({column_name(name)})" for name, _ in columns)])
        [counts] = con.execute(
            f"SELECT {counted} FROM read_parquet(getvariable('raw_path'), file_row_number = true) "
            "WHERE file_row_number >= $1 AND file_row_number < $2",
            [start, end],
        ).fetchall()
        if counts[0]:
            found.append(FieldCount(row.file_id, part, "", "", counts[0], False))
            for (name, kind), count in zip(columns, counts[1:], strict=True):
                field = _plain(name)
                found.append(FieldCount(row.file_id, part, field, kind[:MAX_NAME], count, field in mapped))
    return found
