"""Event ids that look alike: they are different events, and may be a sender's mistake.

Ids are compared as bytes, so `a1`, `A1`, `a1 ` and `01` beside `1` are four events and two. Within a batch it is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from orchestration.ingest.verdicts import LakeFile
from orchestration.sqltext import literal

_ODD = r"[A-Z\s]|[^ -~]|^0."
"""Of two ids that look alike at least one has a capital, a space, a sign that isn't ASCII, or begins with 0."""
_FOLDED = "ltrim(lower(nfc_normalize(trim(event_id))), '0')"


def lookalikes(con: duckdb.DuckDBPyConnection, new: Sequence[LakeFile]) -> list[tuple[str, int, str, str]]:
    """By feed: how many groups of ids of one event source look alike in a batch, and two ids of one group."""
    if not new:
        return []
    listed = "[" + ", ".join(literal(str(file.path)) for file in new) + "]"
    ids = f"(SELECT feed, source, event_id, {_FOLDED} AS folded FROM read_parquet({listed}, union_by_name = true))"
    con.execute(
        "CREATE OR REPLACE TEMP TABLE odd AS "
        f"SELECT DISTINCT folded FROM {ids} WHERE regexp_matches(event_id, {literal(_ODD)})"
    )
    if not con.execute("SELECT 1 FROM odd LIMIT 1").fetchall():
        return []
    return con.execute(
        "SELECT feed, count(*), arg_min(one, one || '/' || other), arg_min(other, one || '/' || other) FROM ("
        f"SELECT feed, source, min(event_id) AS one, max(event_id) AS other FROM {ids} SEMI JOIN odd USING (folded) "
        "GROUP BY feed, source, folded HAVING min(event_id) <> max(event_id)) GROUP BY feed ORDER BY feed"
    ).fetchall()
