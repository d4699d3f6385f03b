"""Reading what tombstones keep: rows of the tables `parsed` and `bad`, and the lake's list of a file's erased lines.

What names a person was disguised before it went into a tombstone, so it passes by the hashing, in the table `kept`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb

from orchestration.catalog.sources import Source
from orchestration.errors import IntegrityFailure
from orchestration.ingest.canonical_sql import COLUMNS, lake_columns
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.base import PROPERTY
from orchestration.ingest.lake import write_parquet
from orchestration.ingest.raw import RawStore
from orchestration.ingest.texts import text_of
from orchestration.ingest.tombstone import Tombstone, tombstones
from orchestration.ingest.written import ParseTask
from orchestration.sqltext import identifier

HASHED = ("user_key", "address_key", "network", "agent", "agent_key")
VERDICT = (
    ("verdict", "VARCHAR"),
    ("of_file_id", "INTEGER"),
    ("of_line", "BIGINT"),
    ("payload_hash", "VARCHAR"),
    ("of_payload_hash", "VARCHAR"),
)
_LIST = (("line", "BIGINT"), ("erased_by", "VARCHAR"), ("source", "VARCHAR"), ("event_id", "VARCHAR"), *VERDICT)


def later_name(name: str, source: Source) -> str:
    """How a property that was mapped after its file was read is called in a tombstone: what it is and where from."""
    return f"{name}={source.properties[name]}{' hashed' if name in source.hash else ''}"


def take_kept(con: duckdb.DuckDBPyConnection, raw: RawStore, task: ParseTask) -> bool:
    """Put what is kept of a file's erased lines in the place of what was read there. Whether the file has such lines.

    Raises IntegrityFailure where a line that the journal calls erased is no tombstone.
    """
    kept = raw.rewritten(task.sha256)
    if kept is None:
        return False
    wanted = [line for line in kept.lines if line >= task.first_line]
    text = text_of(raw, FORMATS[task.source.format], task.sha256, task.path)
    try:
        found = list(tombstones(text, wanted))
    except ValueError:
        found = []
    if len(found) != len(wanted):
        raise IntegrityFailure(
            f"raw object {kept.now} has lines that are no tombstones, though the journal says that they were erased",
            where=f"'{task.path}', lines {wanted[:5]}",
            not_done="nothing was made out of it",
            next_step="restore raw/ and ledger.sqlite from the same backup",
        )
    events, bad = [], []
    for line, stone in found:
        entry = stone.files.get(str(task.file_id), {"reason": "erased"})
        if "event" in entry:
            events.append((line, stone, entry))
        else:
            bad.append((line, entry["reason"], stone.line()))
    _fill(con, task, wanted, events, bad)
    return True


def _fill(
    con: duckdb.DuckDBPyConnection,
    task: ParseTask,
    lines: Sequence[int],
    events: Sequence[tuple[int, Tombstone, Mapping[str, Any]]],
    bad: Sequence[tuple[int, str, bytes]],
) -> None:
    kinds = dict(COLUMNS)
    columns = [(name, kinds.get(name, "VARCHAR")) for name in lake_columns(task.source) if name != "file_id"]
    values = [[_value(name, line, entry, task.source) for line, _, entry in events] for name, _ in columns]
    _table(con, "kept", columns, values)
    listed = [list(column) for column in zip(*_listed(events, bad), strict=True)] or [[]] * len(_LIST)
    _table(con, "erased_lines", _LIST, listed)
    con.execute("CREATE OR REPLACE TEMP TABLE erased_numbers AS SELECT unnest($1::BIGINT[]) AS line", [list(lines)])
    for table in ("parsed", "bad"):
        con.execute(f"DELETE FROM {table} WHERE line IN (FROM erased_numbers)")
    hashed = [*HASHED, *(f"{PROPERTY}{name}" for name in task.source.hash if name in task.source.properties)]
    plain = ", ".join(identifier(name) for name, _ in columns if name not in hashed)
    con.execute(f"INSERT INTO parsed BY NAME SELECT {plain}, false AS blank, false AS slow, false AS rounded FROM kept")
    con.execute(
        "INSERT INTO bad SELECT unnest($1::BIGINT[]), unnest($2::VARCHAR[]), unnest($3::BLOB[])",
        [list(column) for column in zip(*bad, strict=True)] or [[], [], []],
    )


def _value(name: str, line: int, entry: Mapping[str, Any], source: Source) -> Any:
    if name == "line":
        return line
    if name in entry["event"] or not name.startswith(PROPERTY):
        return entry["event"].get(name)
    return entry.get("later", {}).get(later_name(name.removeprefix(PROPERTY), source))


def _listed(
    events: Sequence[tuple[int, Tombstone, Mapping[str, Any]]], bad: Sequence[tuple[int, str, bytes]]
) -> Iterator[tuple[Any, ...]]:
    for line, stone, entry in events:
        verdict = entry.get("verdict") or [None] * len(VERDICT)
        yield line, stone.row, entry["event"].get("source"), entry["event"].get("event_id"), *verdict
    for line, _, text in bad:
        yield line, Tombstone.of(text).row, *[None] * (len(_LIST) - 2)


def _table(
    con: duckdb.DuckDBPyConnection, table: str, columns: Sequence[tuple[str, str]], values: Sequence[list[Any]]
) -> None:
    picked = ", ".join(f"unnest(${n}::{kind}[]) AS {identifier(name)}" for n, (name, kind) in enumerate(columns, 1))
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {picked}", list(values))


def with_kept(rows: str, source: Source) -> str:
    """SQL: the disguised rows, with what was disguised before it was kept."""
    hashed = [*HASHED, *(f"{PROPERTY}{name}" for name in source.hash if name in source.properties)]
    values = ", ".join(f"coalesce(r.{identifier(n)}, k.{identifier(n)}) AS {identifier(n)}" for n in hashed)
    return f"SELECT r.* REPLACE ({values}) FROM ({rows}) AS r LEFT JOIN kept AS k ON k.line = r.line"


def write_erased(con: duckdb.DuckDBPyConnection, task: ParseTask) -> None:
    """The lake's list of the erased lines of a file that was just read."""
    write_parquet(
        con, f"SELECT CAST({task.file_id} AS INTEGER) AS file_id, * FROM erased_lines ORDER BY line", task.erased
    )
