"""Which events are retracted, and what each reviewed row does: found in the lake, which is never rewritten.

An event is its source and id. Exactly one of its lines counts: the first that was committed, or the one that a decided
conflict names. A retraction takes that line out; the event's other lines don't count anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.retractions import FILE, Retraction, row_places
from orchestration.engine import load_rows
from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import FileRow
from orchestration.metering.lakeview import path_list

Row = dict[str, Any]

ROWS = {
    "row_number": "INTEGER",
    "place": "VARCHAR",
    "restore": "BOOLEAN",
    "source": "VARCHAR",
    "event_id": "VARCHAR",
    "sha256": "VARCHAR",
    "path": "VARCHAR",
    "line": "BIGINT",
    "feed": "VARCHAR",
    "name": "VARCHAR",
    "reviewer": "VARCHAR",
    "decided_on": "DATE",
    "reason": "VARCHAR",
}
_NAMES = {"row_number": "INTEGER", "source": "VARCHAR", "event_id": "VARCHAR"}
_LINES = {"row_number": "INTEGER", "file_id": "INTEGER", "line": "BIGINT"}
_TAPES = {"tape_id": "VARCHAR", "file_id": "INTEGER", "first_line": "BIGINT", "last_line": "BIGINT"}
_EVENT = "file_id, line, source, event_id, feed, credential, event_type, time_us"


def load_retractions(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, lake: Lake, files: Sequence[FileRow], scratch: Path
) -> None:
    """Write what reviewed rows retract, of the events of all `files`, into tables of the schema `record`.

    `retractions` has the rows, with a `problem` where one changes nothing and a `note` where it may mean another line;
    `retraction_events` the events that each of them names and that are known; `retracted` the lines that would count
    and don't, by file and line. `load_conflicts` has been called.
    """
    rows = catalog.retractions.rows
    places = row_places(catalog.files[FILE]) if rows else []
    load_rows(con, "record.retractions", ROWS, map(_row, range(1, len(rows) + 1), rows, places), scratch)
    con.execute("ALTER TABLE record.retractions ADD COLUMN problem VARCHAR")
    con.execute("ALTER TABLE record.retractions ADD COLUMN note VARCHAR")
    named = (
        {"row_number": number, "source": source, "event_id": event_id}
        for number, row in enumerate(rows, 1)
        for source, event_id in catalog.retractions.events_of(row)
    )
    load_rows(con, "record.retraction_events", _NAMES, named, scratch)
    _name_by_line(con, rows, lake, files, scratch)
    _find(con, lake, files, scratch)
    con.execute(_RETRACTED)
    con.execute(_PROBLEMS)


def _row(number: int, row: Retraction, place: str) -> Row:
    return {
        "row_number": number,
        "place": place,
        "restore": row.restore,
        "source": row.source,
        "event_id": row.id,
        "sha256": row.sha256,
        "path": row.path,
        "line": row.line,
        "feed": row.feed,
        "name": row.name,
        "reviewer": row.by,
        "decided_on": row.on.isoformat(),
        "reason": row.reason,
    }


# -- by file and line ----------------------------------------------------------------------------------------------


def _name_by_line(
    con: duckdb.DuckDBPyConnection, rows: Sequence[Retraction], lake: Lake, files: Sequence[FileRow], scratch: Path
) -> None:
    """Add to `record.retraction_events` the event of each row that names a line, if that line is one that counts.

    A line that was never the one to count is a copy: to retract it takes nothing away, and to retract its event would
    take the usage of another line. Of several files that a row may mean, it is the one that was taken first: which
    that is never changes.
    """
    by_line = [(number, row) for number, row in enumerate(rows, 1) if row.line is not None]
    if not by_line:
        return
    wanted = list(_lines(by_line, files))
    load_rows(con, "record.retraction_lines", _LINES, wanted, scratch)
    ids = {row["file_id"] for row in wanted}
    read = [f for f in files if f.file_id in ids and f.min_us is not None]
    con.execute(
        "CREATE OR REPLACE TEMP TABLE named_lines AS SELECT l.row_number, e.file_id, e.line, e.source, e.event_id, "
        "v.verdict, v.of_file_id, v.of_line, (d.file_id IS NOT NULL) AS turned "
        f"FROM ({_events(lake, read)}) AS e JOIN record.retraction_lines AS l USING (file_id, line) "
        f"LEFT JOIN ({_verdicts(lake, read)}) AS v USING (file_id, line) "
        "LEFT JOIN (SELECT * FROM record.decided WHERE counts) AS d USING (file_id, line)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE meant AS "
        "SELECT *, count(DISTINCT (source, event_id)) OVER (PARTITION BY row_number) AS events FROM named_lines "
        "QUALIFY row_number() OVER (PARTITION BY row_number ORDER BY file_id) = 1"
    )
    con.execute(
        "INSERT INTO record.retraction_events SELECT row_number, source, event_id FROM meant "
        "WHERE verdict IS NULL OR turned"
    )
    _tell(con, by_line, wanted, files)
    con.execute("DROP TABLE record.retraction_lines; DROP TABLE named_lines; DROP TABLE meant")


def _tell(
    con: duckdb.DuckDBPyConnection,
    by_line: Sequence[tuple[int, Retraction]],
    wanted: Sequence[Row],
    files: Sequence[FileRow],
) -> None:
    """Say of each row by line what is wrong with it: no such file, no event, a copy, or one of several lines."""
    names = [[f.file_id for f in files], [f"{f.path} ({f.sha256})" for f in files]]
    known = "(SELECT unnest($1::INTEGER[]) AS file_id, unnest($2::VARCHAR[]) AS file) AS f"
    con.execute(
        "UPDATE record.retractions AS r SET note = m.events || ' events stand at such a line; this is that of ' "
        "|| f.file || ': to mean another, name the hash of its file, or the event' "
        f"FROM meant AS m JOIN {known} USING (file_id) WHERE m.row_number = r.row_number AND m.events > 1",
        names,
    )
    con.execute(
        "UPDATE record.retractions AS r SET problem = 'the line is a ' || m.verdict || ' of line ' || m.of_line "
        "|| ' of ' || f.file || ', which counts: name that line, or the event' "
        f"FROM meant AS m JOIN {known} ON f.file_id = m.of_file_id "
        "WHERE m.row_number = r.row_number AND m.verdict IS NOT NULL AND NOT m.turned",
        names,
    )
    placed = {row["row_number"] for row in wanted}
    con.execute(
        "UPDATE record.retractions SET problem = CASE WHEN row_number IN (SELECT unnest($1::INTEGER[])) "
        "THEN 'no file that was taken has this name and so many lines' ELSE 'this line is no event' END "
        "WHERE line IS NOT NULL AND row_number NOT IN (SELECT row_number FROM meant)",
        [[number for number, _ in by_line if number not in placed]],
    )


def _lines(by_line: Sequence[tuple[int, Retraction]], files: Sequence[FileRow]) -> Iterator[Row]:
    """Where in the lake the line of each row may be: in its file, in a retry of it, or where the log began."""
    on_tape: dict[str, list[FileRow]] = defaultdict(list)
    for file in files:
        if file.tape_id is not None:
            on_tape[file.tape_id].append(file)
    for number, row in by_line:
        assert row.line is not None
        found = [
            f
            for f in files
            if row.sha256 in (None, f.sha256) and row.path in (None, f.path) and row.feed in (None, f.source)
        ]
        tapes = {f.tape_id for f in found if f.tape_id is not None and row.line <= f.lines}
        # A log that has grown has its earlier lines where they were read first.
        found += [f for tape in sorted(tapes) for f in on_tape[tape]]
        for file_id in sorted({f.file_id for f in found if _may_hold(f, row.line)}):
            yield {"row_number": number, "file_id": file_id, "line": row.line}


def _may_hold(file: FileRow, line: int) -> bool:
    return file.retry_of is not None or file.first_line <= line <= file.lines


# -- by source and id ----------------------------------------------------------------------------------------------


def _find(con: duckdb.DuckDBPyConnection, lake: Lake, files: Sequence[FileRow], scratch: Path) -> None:
    """Give `record.retraction_events` the place, time and credential of each event; those that aren't known go."""
    con.execute("CREATE OR REPLACE TEMP TABLE wanted AS SELECT DISTINCT source, event_id FROM record.retraction_events")
    con.execute("CREATE OR REPLACE TEMP TABLE candidates (file_id INTEGER, line BIGINT, turned BOOLEAN)")
    keys = sorted({path for f in files if (path := lake.keys(f.batch_id)).exists()})
    if keys and con.execute("SELECT 1 FROM wanted LIMIT 1").fetchall():
        # The hash only proposes. An inner join on one column is pushed down into the scan.
        con.execute(
            f"INSERT INTO candidates SELECT k.file_id, k.line, false FROM read_parquet({path_list(keys)}) AS k "
            "JOIN (SELECT DISTINCT hash(source, event_id) AS key FROM wanted) AS w ON k.key = w.key"
        )
    tapes = (
        {
            "tape_id": f.tape_id,
            "file_id": f.file_id,
            "first_line": f.first_line,
            "last_line": f.lines if f.retry_of is None else None,
        }
        for f in files
        if f.tape_id is not None
    )
    load_rows(con, "record.retraction_tapes", _TAPES, tapes, scratch)
    con.execute(
        "INSERT INTO candidates SELECT t.file_id, w.line, false FROM record.retraction_tapes AS t JOIN ("
        "SELECT regexp_extract(event_id, '^(.*):[0-9]{12}$', 1) AS tape_id, "
        "CAST(right(event_id, 12) AS BIGINT) AS line FROM wanted WHERE regexp_full_match(event_id, '.*:[0-9]{12}')"
        ") AS w ON t.tape_id = w.tape_id AND w.line >= t.first_line AND w.line <= coalesce(t.last_line, w.line)"
    )
    con.execute(
        "INSERT INTO candidates SELECT file_id, line, true FROM record.decided SEMI JOIN wanted "
        "USING (source, event_id) WHERE counts"
    )
    ids = {row[0] for row in con.execute("SELECT DISTINCT file_id FROM candidates").fetchall()}
    read = [f for f in files if f.file_id in ids and f.min_us is not None]
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE places AS SELECT {_EVENT} FROM ({_events(lake, read)}) "
        "JOIN candidates USING (file_id, line) SEMI JOIN wanted USING (source, event_id) "
        "QUALIFY row_number() OVER (PARTITION BY source, event_id ORDER BY turned DESC, file_id, line) = 1"
    )
    con.execute(
        f"CREATE OR REPLACE TABLE record.retraction_events AS SELECT row_number, {_EVENT} "
        "FROM record.retraction_events JOIN places USING (source, event_id) ORDER BY row_number, file_id, line"
    )
    con.execute("DROP TABLE wanted; DROP TABLE candidates; DROP TABLE places; DROP TABLE record.retraction_tapes")


def _events(lake: Lake, files: Sequence[FileRow]) -> str:
    columns = "file_id, line, source, event_id, feed, credential, event_type, time_us"
    if files:
        paths = path_list([lake.events(f.batch_id, f.file_id) for f in files])
        return f"SELECT {columns} FROM read_parquet({paths}, union_by_name = true)"
    return (
        "SELECT 0::INTEGER AS file_id, 0::BIGINT AS line, '' AS source, '' AS event_id, '' AS feed, '' AS credential, "
        "'' AS event_type, 0::BIGINT AS time_us WHERE false"
    )


def _verdicts(lake: Lake, files: Sequence[FileRow]) -> str:
    paths = sorted({path for f in files if (path := lake.verdicts(f.batch_id)).exists()})
    if paths:
        return f"SELECT file_id, line, verdict, of_file_id, of_line FROM read_parquet({path_list(paths)})"
    return (
        "SELECT 0::INTEGER AS file_id, 0::BIGINT AS line, '' AS verdict, 0::INTEGER AS of_file_id, "
        "0::BIGINT AS of_line WHERE false"
    )


_RETRACTED = f"""
CREATE OR REPLACE TABLE record.retracted AS
SELECT {_EVENT} FROM (
    SELECT * FROM record.retraction_events
    QUALIFY row_number = max(row_number) OVER (PARTITION BY source, event_id)
) SEMI JOIN (SELECT row_number FROM record.retractions WHERE NOT restore) USING (row_number)
ORDER BY file_id, line
"""

_PROBLEMS = """
UPDATE record.retractions SET problem = coalesce(problem, CASE
    WHEN row_number NOT IN (SELECT row_number FROM record.retraction_events)
        THEN CASE WHEN name IS NULL THEN 'no such event is known' ELSE 'no event of its list is known' END
    WHEN restore AND row_number NOT IN (
        SELECT row_number FROM (
            SELECT e.row_number, lag(r.restore) OVER (PARTITION BY e.source, e.event_id ORDER BY row_number) AS restored
            FROM record.retraction_events AS e JOIN record.retractions AS r USING (row_number)
        ) WHERE NOT restored
    ) THEN 'nothing that it names was retracted before it'
    END)
"""
