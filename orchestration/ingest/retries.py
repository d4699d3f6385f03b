"""Which lines are quarantined today: those that files were committed with, less those that retries have taken since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import FileRow
from orchestration.sqltext import literal


def still_quarantined(lake: Lake, rows: Iterable[FileRow]) -> str:
    """SQL: file_id, line, reason and raw bytes of every line of `rows` and their retries that is still quarantined.

    `file_id` is that of the row that the line was quarantined under. Earlier retries must be among `rows`.
    """
    rows = list(rows)
    kept = [lake.quarantine(row.batch_id, row.file_id) for row in rows if row.quarantined > 0]
    if not kept:
        return (
            "SELECT CAST(NULL AS INTEGER) AS file_id, CAST(NULL AS BIGINT) AS line, CAST(NULL AS VARCHAR) AS reason, "
            "CAST(NULL AS BLOB) AS raw WHERE false"
        )
    lines = f"SELECT file_id, line, reason, raw FROM read_parquet({paths_sql(kept)})"
    retries = [row for row in rows if row.retry_of is not None]
    if not retries:
        return lines
    events = paths_sql(lake.events(row.batch_id, row.file_id) for row in retries)
    pairs = ", ".join(f"({row.file_id}, {row.retry_of})" for row in retries)
    taken = (
        f"SELECT original AS file_id, line FROM read_parquet({events}, union_by_name = true) AS e "
        f"JOIN (VALUES {pairs}) AS of(retry, original) ON e.file_id = of.retry"
    )
    return f"SELECT * FROM ({lines}) ANTI JOIN ({taken}) AS taken USING (file_id, line)"


class Retries:
    """Files of the ledger with their retries so far."""

    def __init__(self, rows: Sequence[FileRow]) -> None:
        self._of: dict[int, list[FileRow]] = defaultdict(list)
        for row in rows:
            self._of[row.retry_of or row.file_id].append(row)

    def rows_of(self, file_id: int) -> list[FileRow]:
        """A file as it was committed, then its retries in their order."""
        return self._of[file_id]

    def lines_of(self, retry: FileRow, lake: Lake) -> str:
        """SQL: the lines that a retry takes up, those still quarantined after the retries before it."""
        assert retry.retry_of is not None
        lines = still_quarantined(lake, self.rows_of(retry.retry_of))
        wanted = "" if retry.retry_reason is None else f" WHERE reason = {literal(retry.retry_reason)}"
        return f"SELECT line FROM ({lines}){wanted}"


def paths_sql(paths: Iterable[Path]) -> str:
    """A SQL list of paths."""
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"
