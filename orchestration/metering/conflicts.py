"""Events that came with different contents, and what reviewed decisions make of them.

The lake's verdicts are never rewritten: by them the first committed payload counts. A decision that names another one
turns two lines around: the first line of the named payload counts (by batch, time, file, line), the first committed
one doesn't. Which line that is never changes: what comes later comes after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.decisions import FILE, places_of_rows
from orchestration.engine import load_rows
from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import FileRow
from orchestration.metering.lakeview import path_list

DECISIONS = {
    "source": "VARCHAR",
    "event_id": "VARCHAR",
    "counts": "VARCHAR",
    "reviewer": "VARCHAR",
    "decided_on": "DATE",
    "reason": "VARCHAR",
    "place": "VARCHAR",
}


def load_conflicts(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, lake: Lake, files: Sequence[FileRow], scratch: Path
) -> None:
    """Write what is known of conflicts, from all of `files`, into tables of the schema `record`.

    `conflicts` has every line of a contested event, with `counted` as decided; `decided` the lines that a decision
    turned around (`counts`: to count, or no more); `decisions` the reviewed rows, with a `problem` where one names what
    is not known.
    """
    load_rows(con, "record.decisions", DECISIONS, _decisions(catalog), scratch)
    _contested(con, lake, files)
    con.execute(_DECIDED)
    con.execute(_CONFLICTS)
    con.execute(_PROBLEMS)
    con.execute("DROP TABLE contested")


def _decisions(catalog: Catalog) -> Iterator[dict[str, Any]]:
    places = places_of_rows(catalog.files[FILE]) if catalog.conflicts else []
    for row, place in zip(catalog.conflicts, places, strict=True):
        yield {
            "source": row.source,
            "event_id": row.id,
            "counts": row.counts,
            "reviewer": row.by,
            "decided_on": row.on.isoformat(),
            "reason": row.reason,
            "place": place,
        }


def _contested(con: duckdb.DuckDBPyConnection, lake: Lake, files: Sequence[FileRow]) -> None:
    """Every line of each contested event but plain duplicates; `first` is the one that was committed first."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE contested (batch_id INTEGER, file_id INTEGER, line BIGINT, source VARCHAR, "
        "event_id VARCHAR, feed VARCHAR, credential VARCHAR, time_us BIGINT, payload_hash VARCHAR, first BOOLEAN)"
    )
    batches = sorted({f.batch_id for f in files if f.conflict})
    if not batches:
        return
    verdicts = f"read_parquet({path_list([lake.verdicts(b) for b in batches])})"
    con.execute(
        "CREATE OR REPLACE TEMP TABLE named AS "
        f"SELECT file_id, line, payload_hash, false AS first FROM {verdicts} WHERE verdict = 'conflict' UNION "
        f"SELECT of_file_id, of_line, of_payload_hash, true FROM {verdicts} WHERE verdict = 'conflict'"
    )
    wanted = {row[0] for row in con.execute("SELECT DISTINCT file_id FROM named").fetchall()}
    read = [f for f in files if f.file_id in wanted]
    con.execute(
        "INSERT INTO contested SELECT batch_id, file_id, line, source, event_id, feed, credential, time_us, "
        f"payload_hash, first FROM read_parquet({path_list([lake.events(f.batch_id, f.file_id) for f in read])}, "
        "union_by_name = true) JOIN named USING (file_id, line) "
        "JOIN (SELECT unnest($1) AS file_id, unnest($2) AS batch_id) USING (file_id)",
        [[f.file_id for f in read], [f.batch_id for f in read]],
    )
    con.execute("DROP TABLE named")


_DECIDED = """
CREATE OR REPLACE TABLE record.decided AS
WITH named AS (
    SELECT c.*, row_number() OVER (
        PARTITION BY c.source, c.event_id ORDER BY c.batch_id, c.time_us, c.file_id, c.line
    ) AS place
    FROM contested c JOIN record.decisions d USING (source, event_id)
    WHERE c.payload_hash = d.counts
),
turned AS (SELECT * FROM named WHERE place = 1 AND NOT first)
SELECT file_id, line, source, event_id, true AS counts FROM turned
UNION ALL
SELECT c.file_id, c.line, c.source, c.event_id, false
FROM contested c JOIN turned t ON c.source = t.source AND c.event_id = t.event_id
WHERE c.first
ORDER BY file_id, line
"""

_CONFLICTS = """
CREATE OR REPLACE TABLE record.conflicts AS
SELECT c.file_id, c.line, c.source, c.event_id, c.feed, c.credential, c.time_us, c.payload_hash,
    coalesce(t.counts, c.first) AS counted,
    CASE WHEN d.place IS NULL THEN 'open' WHEN d.counts IS NULL THEN 'waived'
        WHEN bool_or(c.payload_hash = d.counts) OVER (PARTITION BY c.source, c.event_id) THEN 'decided'
        ELSE 'open' END AS status
FROM contested c
LEFT JOIN record.decided t ON c.file_id = t.file_id AND c.line = t.line
LEFT JOIN record.decisions d ON c.source = d.source AND c.event_id = d.event_id
ORDER BY c.file_id, c.line
"""

_PROBLEMS = """
ALTER TABLE record.decisions ADD COLUMN problem VARCHAR;
UPDATE record.decisions SET problem = CASE
    WHEN NOT EXISTS (
        SELECT 1 FROM contested c WHERE c.source = decisions.source AND c.event_id = decisions.event_id
    ) THEN 'no conflict is known of this event'
    WHEN counts IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM contested c
        WHERE c.source = decisions.source AND c.event_id = decisions.event_id AND c.payload_hash = decisions.counts
    ) THEN 'no payload of this event has the hash ' || counts
    END
"""
