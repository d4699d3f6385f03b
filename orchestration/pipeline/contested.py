"""What a generation knows of conflicts and retractions: what waits for a decision, and which rows change nothing."""

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


def unmet_rows(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Reviewed rows, decisions of conflicts and retractions, that change nothing, with the reason."""
    rows = con.execute(
        "SELECT place, problem FROM record.retractions WHERE problem IS NOT NULL ORDER BY row_number"
    ).fetchall()
    return (*unmet_decisions(con), *(f"{place}: {problem}; the row changes nothing" for place, problem in rows))


def retraction_notes(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Retractions that may mean another line than the one that they retract."""
    rows = con.execute("SELECT place, note FROM record.retractions WHERE note IS NOT NULL ORDER BY row_number")
    return tuple(f"{place}: {note}" for place, note in rows.fetchall())


def unmet_decisions(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Reviewed rows that name no known conflict, or a hash that none of its payloads has: they change nothing."""
    rows = con.execute(
        "SELECT place, source, event_id, problem FROM record.decisions WHERE problem IS NOT NULL ORDER BY rowid"
    ).fetchall()
    return tuple(f"{place}: event '{i}' of '{s}': {problem}; the row changes nothing" for place, s, i, problem in rows)
