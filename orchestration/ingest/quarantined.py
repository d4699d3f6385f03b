"""Looking at the quarantine: how many lines of which file for which reason, and the lines themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestration.errors import ConfigInvalid
from orchestration.ingest.batch import Workshop
from orchestration.ingest.retries import Retries, still_quarantined
from orchestration.ledger.rows import FileRow
from orchestration.ledger.store import Ledger
from orchestration.sqltext import literal


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which quarantined lines: of a source, of a file (its number or path), with a reason. None: any."""

    source: str | None = None
    file: str | None = None
    reason: str | None = None

    def fits(self, row: FileRow) -> bool:
        """Whether lines of a file can be among them."""
        return self.source in (None, row.source) and self.file in (None, row.path, str(row.file_id))


@dataclass(frozen=True, slots=True)
class Listed:
    """How many lines of a file, given by the row it was committed with, are quarantined for one reason."""

    row: FileRow
    reason: str
    lines: int


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """A line as it is kept: its bytes without the line end, of an over-long one the beginning."""

    row: FileRow
    line: int
    reason: str
    raw: bytes


def listed(shop: Workshop, ledger: Ledger, wanted: Wanted) -> list[Listed]:
    """What is quarantined, by file and reason. Raises ConfigInvalid where the lake is not whole."""
    files, lines = _chosen(shop, ledger, wanted)
    with shop.connect() as con:
        query = f"SELECT file_id, reason, count(*) FROM ({lines}) GROUP BY ALL ORDER BY ALL"
        return [Listed(files[file_id], reason, count) for file_id, reason, count in con.execute(query).fetchall()]


def shown(shop: Workshop, ledger: Ledger, wanted: Wanted, line: int | None) -> Iterator[QuarantinedLine]:
    """The lines themselves, in the order of files and lines. Raises ConfigInvalid where the lake is not whole."""
    files, lines = _chosen(shop, ledger, wanted)
    only = "" if line is None else f"WHERE line = {line:d}"
    with shop.connect() as con:
        found = con.execute(f"SELECT file_id, line, reason, raw FROM ({lines}) {only} ORDER BY file_id, line")
        while rows := found.fetchmany(1000):
            for file_id, number, reason, raw in rows:
                yield QuarantinedLine(files[file_id], number, reason, raw)


def _chosen(shop: Workshop, ledger: Ledger, wanted: Wanted) -> tuple[dict[int, FileRow], str]:
    """Files that were committed with quarantined lines, by number, and SQL for those of their lines that still are."""
    rows = ledger.files()
    retries = Retries(rows)
    files = {r.file_id: r for r in rows if r.retry_of is None and r.quarantined and wanted.fits(r)}
    chains = [row for file_id in files for row in retries.rows_of(file_id)]
    for row in chains:
        made = shop.lake.quarantine if row.retry_of is None else shop.lake.events
        if not (path := made(row.batch_id, row.file_id)).exists():
            raise ConfigInvalid(
                "the lake is not whole",
                where=str(path),
                not_done="nothing was read",
                next_step="run `tallystick run`, which makes it again, then repeat this",
            )
    lines = still_quarantined(shop.lake, chains)
    return files, lines if wanted.reason is None else f"SELECT * FROM ({lines}) WHERE reason = {literal(wanted.reason)}"
