"""Conservation across the layers of a build: nothing is lost or doubled between the ledger, the lake and usage.

dbt's tests look at the marts; this compares what the ledger committed with what the build read and what usage counts.
"""

from __future__ import annotations

import duckdb

from orchestration.errors import IntegrityFailure, Problem

SHOWN = 5
"""Places that are named for each rule; the number of all of them is always said."""

RULES = {
    "buckets": (
        "lines of a file are the sum of its five buckets",
        "SELECT source, path, lines AS expected, accepted + duplicate + conflict + quarantined + blank AS found "
        "FROM record.files WHERE lines IS DISTINCT FROM accepted + duplicate + conflict + quarantined + blank",
    ),
    "quarantine": (
        "every quarantined line is kept, unless a retry made an event of it",
        "WITH still AS (SELECT coalesce(retry_of, file_id) AS file_id, sum(quarantined) AS expected "
        "FROM record.files GROUP BY ALL), "
        "kept AS (SELECT file_id, count(*) AS n FROM record.quarantine GROUP BY ALL) "
        "SELECT source, path, expected, coalesce(n, 0) AS found FROM still JOIN record.files USING (file_id) "
        "LEFT JOIN kept USING (file_id) WHERE expected <> found",
    ),
    "lake": (
        "the lake holds one row per accepted, duplicate and conflicting line of each new file",
        # Of a log that grows, lines that were read before are counted as duplicates and not written again.
        "SELECT source, path, accepted + duplicate + conflict - (first_line - 1) AS expected, coalesce(n, 0) AS found "
        "FROM record.files JOIN control.new_files USING (file_id) "
        "LEFT JOIN (SELECT file_id, count(*) AS n FROM lake.events GROUP BY file_id) USING (file_id) "
        "WHERE expected <> found",
    ),
    "staged": (
        "every line of a new file that counts, accepted or decided, is a staged event, attributed or not, or retracted",
        "WITH turned AS (SELECT file_id, sum(CASE WHEN counts THEN 1 ELSE -1 END) AS d FROM record.decided "
        "GROUP BY file_id), "
        "out AS (SELECT file_id, count(*) AS r FROM record.retracted GROUP BY file_id) "
        "SELECT source, path, accepted + coalesce(d, 0) AS expected, coalesce(n, 0) + coalesce(r, 0) AS found "
        "FROM record.files JOIN control.new_files USING (file_id) LEFT JOIN turned USING (file_id) "
        "LEFT JOIN out USING (file_id) "
        "LEFT JOIN (SELECT file_id, count(*) AS n FROM staging.stg_events GROUP BY file_id) USING (file_id) "
        "WHERE expected <> found",
    ),
    "hours": (
        "attributed events of a touched day are the events of its hours",
        "WITH staged AS (SELECT customer, local_day, count(*) AS n FROM staging.stg_events "
        "JOIN control.touched_days USING (customer, local_day) GROUP BY ALL), "
        "hours AS (SELECT customer, local_day, sum(events) AS n FROM metering.metered_hours "
        "JOIN control.touched_days USING (customer, local_day) GROUP BY ALL) "
        "SELECT coalesce(staged.customer, hours.customer), "
        "cast(coalesce(staged.local_day, hours.local_day) AS VARCHAR), "
        "coalesce(staged.n, 0) AS expected, coalesce(hours.n, 0) AS found "
        "FROM staged FULL JOIN hours USING (customer, local_day) WHERE expected <> found",
    ),
    "unattributed": (
        "events of a new file that belong to nobody are all reported",
        "WITH staged AS (SELECT file_id, count(*) AS n FROM staging.stg_events "
        "JOIN control.new_files USING (file_id) WHERE customer IS NULL GROUP BY file_id), "
        "reported AS (SELECT file_id, sum(events) AS n FROM metering.unattributed_by_file GROUP BY file_id) "
        "SELECT source, path, coalesce(staged.n, 0) AS expected, coalesce(reported.n, 0) AS found "
        "FROM record.files JOIN control.new_files USING (file_id) "
        "LEFT JOIN staged USING (file_id) LEFT JOIN reported USING (file_id) WHERE expected <> found",
    ),
}
"""Name -> (what holds, a query for the places where it does not: two names of the place, expected, found)."""


def unbalanced(con: duckdb.DuckDBPyConnection) -> list[Problem]:
    """Where a build that holds new usage does not balance; empty when it does."""
    problems = []
    for name, (rule, query) in RULES.items():
        rows = con.execute(f"SELECT * FROM ({query}) ORDER BY ALL").fetchall()
        problems += [
            Problem(name, f"{rule}: expected {expected}, found {found}", f"{first} {second}")
            for first, second, expected, found in rows[:SHOWN]
        ]
        if len(rows) > SHOWN:
            problems.append(Problem(name, f"and {len(rows) - SHOWN} more places"))
    return problems


def require_balance(con: duckdb.DuckDBPyConnection) -> None:
    """Raise IntegrityFailure, naming each place, unless everything balances."""
    problems = unbalanced(con)
    if problems:
        listing = "\n".join(f"    {p}" for p in problems)
        raise IntegrityFailure(
            f"the build does not account for every line and event:\n{listing}",
            where="warehouse/build",
            not_done="nothing was priced or published; the generation published before stays",
            next_step="delete the lake and the warehouse and run again; if it stays, the program is at fault",
        )
