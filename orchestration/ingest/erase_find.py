"""Which lines of raw objects an erasure is about: those that its row names, and every copy of them.

A line is named by the hash of its file as delivered and its number. Its copies are the lines that other files hold of
the same event, the same place in copies of a growing log, and what other sources read from the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.reviews import Erase
from orchestration.catalog.sources import Source
from orchestration.ingest.batch import Workshop
from orchestration.ingest.engine import keyed_hash
from orchestration.ingest.formats.base import PROPERTY
from orchestration.ingest.retries import paths_sql
from orchestration.ledger.rows import FileRow
from orchestration.sqltext import identifier, literal

Lines = Mapping[str, tuple[int, ...]]
"""By hash as delivered, line numbers in ascending order."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LINE = "SELECT CAST(NULL AS INTEGER) AS file_id, CAST(NULL AS BIGINT) AS line WHERE false"


def find_lines(
    con: duckdb.DuckDBPyConnection, shop: Workshop, catalog: Catalog, files: Sequence[FileRow], row: Erase, since: int
) -> Lines:
    """The lines that a row is about and that are not erased yet.

    Args:
        con: a connection of `shop`. files: all of the ledger. since: of earlier batches, only copies are looked for.
    """
    _load_files(con, shop, files)
    new = [file for file in files if file.batch_id > since]
    con.execute("CREATE OR REPLACE TEMP TABLE chosen (sha256 VARCHAR, line BIGINT)")
    for found in (_of_user(shop, catalog, new, row), _of_events(row), _of_lines(row)):
        con.execute(f"INSERT INTO chosen SELECT DISTINCT f.sha256, n.line FROM ({found}) AS n JOIN ledger_files AS f "
                    "USING (file_id)")  # fmt: skip
    return _with_copies(con, shop)


def find_copies(con: duckdb.DuckDBPyConnection, shop: Workshop, files: Sequence[FileRow], name: str) -> Lines:
    """Lines that came since under the keys, or at the places, of what the row `name` has erased."""
    _load_files(con, shop, files)
    paths = list(shop.lake.erased_files().values())
    known = f"SELECT file_id, line FROM read_parquet({paths_sql(paths)}) WHERE erased_by = {literal(name)}"
    con.execute(
        "CREATE OR REPLACE TEMP TABLE chosen AS SELECT DISTINCT f.sha256, n.line "
        f"FROM ({known if paths else _NO_LINE}) AS n JOIN ledger_files AS f USING (file_id)"
    )
    return _with_copies(con, shop)


def _load_files(con: duckdb.DuckDBPyConnection, shop: Workshop, files: Sequence[FileRow]) -> None:
    columns = [
        [f.file_id for f in files],
        [f.sha256 for f in files],
        [f.tape_id for f in files],
        [f.lines for f in files],
    ]
    con.execute(
        "CREATE OR REPLACE TEMP TABLE ledger_files AS SELECT unnest($1::INTEGER[]) AS file_id, "
        "unnest($2::VARCHAR[]) AS sha256, unnest($3::VARCHAR[]) AS tape_id, unnest($4::BIGINT[]) AS lines",
        columns,
    )
    events = [shop.lake.events(f.batch_id, f.file_id) for f in files if f.min_us is not None]
    every = f"SELECT file_id, line, source, event_id FROM read_parquet({paths_sql(events)}, union_by_name = true)"
    nothing = "SELECT *, '' AS source, '' AS event_id FROM (" + _NO_LINE + ")"
    con.execute(f"CREATE OR REPLACE TEMP VIEW every_event AS {every if events else nothing}")


def _of_user(shop: Workshop, catalog: Catalog, files: Sequence[FileRow], row: Erase) -> str:
    if row.user is None:
        return _NO_LINE
    by_mapping: dict[str, list[FileRow]] = {}
    for file in files:
        if file.min_us is not None and row.feed in (None, file.source):
            by_mapping.setdefault(file.mapping_json, []).append(file)
    parts = [_NO_LINE]
    for mapping, some in by_mapping.items():
        read = f"read_parquet({paths_sql(shop.lake.events(f.batch_id, f.file_id) for f in some)})"
        whose = _whose(Source.model_validate_json(mapping), row.properties, row.user, read)
        parts.append(f"SELECT file_id, line FROM {read} WHERE ({whose}) AND ({_of_customer(catalog, row)})")
    return " UNION ALL ".join(parts)


def _whose(source: Source, properties: Iterable[str], user: str, read: str) -> str:
    """SQL: whether a row of the lake names the end user with this keyed hash."""
    tests = [f"coalesce(user_key = {literal(user)}, false)"]
    for name in properties:
        column = identifier(f"{PROPERTY}{name}")
        if name in source.hash and name in source.properties:
            tests.append(f"coalesce({column} = {literal(user)}, false)")
        elif name in source.properties:
            # A keyed hash is dear: one for each value.
            values = f"SELECT DISTINCT {column} AS value FROM {read}"
            tests.append(
                f"{column} IN (SELECT value FROM ({values}) "
                f"WHERE value IS NOT NULL AND {keyed_hash('value')} = {literal(user)})"
            )
    return " OR ".join(tests)


def _of_customer(catalog: Catalog, row: Erase) -> str:
    if row.customer is None:
        return "true"
    tests = ["false"]
    for known in catalog.credentials:
        if known.customer == row.customer:
            test = [f"credential = {literal(known.credential)}"]
            test += [f"feed = {literal(known.source)}"] if known.source is not None else []
            test += [f"time_us >= {_micros(known.valid_from)}"] if known.valid_from is not None else []
            test += [f"time_us < {_micros(known.valid_to)}"] if known.valid_to is not None else []
            tests.append(f"coalesce({' AND '.join(test)}, false)")
    return " OR ".join(tests)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _of_events(row: Erase) -> str:
    if not row.events:
        return _NO_LINE
    named = ", ".join(f"({literal(event.source)}, {literal(event.id)})" for event in row.events)
    return f"SELECT file_id, line FROM every_event WHERE (source, event_id) IN ({named})"


def _of_lines(row: Erase) -> str:
    if not row.lines:
        return _NO_LINE
    named = ", ".join(f"({literal(line.sha256)}, {line.line})" for line in row.lines)
    return (
        f"SELECT file_id, n.line FROM (VALUES {named}) AS n(sha256, line) JOIN ledger_files AS f USING (sha256) "
        "WHERE n.line <= f.lines"
    )


_SAME_EVENT = """
SELECT f.sha256, e.line FROM every_event AS e JOIN ledger_files AS f USING (file_id)
WHERE (e.source, e.event_id) IN (
    SELECT k.source, k.event_id FROM chosen AS c JOIN ledger_files AS f USING (sha256)
    JOIN every_event AS k ON k.file_id = f.file_id AND k.line = c.line
)"""
_SAME_PLACE = """
SELECT g.sha256, c.line FROM chosen AS c JOIN ledger_files AS f USING (sha256)
JOIN ledger_files AS g ON g.tape_id = f.tape_id AND c.line <= g.lines"""


def _with_copies(con: duckdb.DuckDBPyConnection, shop: Workshop) -> Lines:
    """`chosen` with all copies, less what is erased already."""
    before = -1
    while True:
        ((now,),) = con.execute("SELECT count(*) FROM chosen").fetchall()
        if now == before:
            break
        before = now
        for copies in (_SAME_EVENT, _SAME_PLACE):
            con.execute(f"INSERT INTO chosen SELECT DISTINCT * FROM ({copies}) EXCEPT FROM chosen")
    found: dict[str, tuple[int, ...]] = {}
    for sha256, lines in con.execute(
        "SELECT sha256, list(DISTINCT line ORDER BY line) FROM chosen GROUP BY sha256 ORDER BY sha256"
    ).fetchall():
        kept = shop.raw.rewritten(sha256)
        if left := sorted(set(lines) - set(kept.lines if kept else ())):
            found[sha256] = tuple(left)
    return found
