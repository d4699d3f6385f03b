"""What a generation knows of conflicts: which wait for a decision, and which decisions name nothing that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

SHOWN = 5
"""Open conflicts that are shown; the number of all of them is always said."""


@dataclass(frozen=True, slots=True)
class OpenConflict:
    """An event that came with different contents: the hash that counts, the others, and who waits because of it."""

    source: str
    event_id: str
    counts: str
    others: tuple[str, ...]
    waiting: tuple[str, ...]


def conflicts_by_status(con: duckdb.DuckDBPyConnection) -> Mapping[str, int]:
    """Number of contested events that are open, decided and waived."""
    rows = con.execute("SELECT status, count(*) FROM marts.conflicts WHERE counted GROUP BY status").fetchall()
    return {"open": 0, "decided": 0, "waived": 0} | dict(rows)


def open_conflicts(con: duckdb.DuckDBPyConnection) -> tuple[OpenConflict, ...]:
    """The first open conflicts, by source and id."""
    rows = con.execute(
        "SELECT source, event_id, min(payload_hash) FILTER (WHERE counted), "
        "list_sort(list(DISTINCT payload_hash) FILTER (WHERE NOT counted)), "
        "coalesce(list_sort(list(DISTINCT customer) FILTER (WHERE customer IS NOT NULL)), []) "
        f"FROM marts.conflicts WHERE status = 'open' GROUP BY ALL ORDER BY source, event_id LIMIT {SHOWN}"
    ).fetchall()
    return tuple(OpenConflict(s, i, counts, tuple(others), tuple(names)) for s, i, counts, others, names in rows)


def unmet_decisions(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Reviewed rows that name no known conflict, or a hash that none of its payloads has: they change nothing."""
    rows = con.execute(
        "SELECT place, source, event_id, problem FROM record.decisions WHERE problem IS NOT NULL ORDER BY rowid"
    ).fetchall()
    return tuple(f"{place}: event '{i}' of '{s}': {problem}; the row changes nothing" for place, s, i, problem in rows)
