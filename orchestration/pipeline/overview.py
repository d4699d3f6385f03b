"""What an instance holds, in figures: for `status`, the end of a demo, and asset metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import duckdb

from orchestration.engine import connect
from orchestration.ledger.rows import DeliveryRow, FileRow
from orchestration.ledger.store import Ledger
from orchestration.pipeline.contested import (
    OpenConflict,
    conflicts_by_status,
    open_conflicts,
    retraction_notes,
    unmet_rows,
)
from orchestration.pipeline.drift import drift_notices
from orchestration.pipeline.incidents import waiting
from orchestration.pipeline.instance import Instance

BUCKETS = ("accepted", "duplicate", "conflict", "quarantined", "blank")


@dataclass(frozen=True, slots=True)
class Unattributed:
    """Usage of nobody yet: events, bytes of their answers, and how many credentials (or none at all) they carried."""

    events: int = 0
    bytes: int = 0
    credentials: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """`lines` by source and bucket from the ledger; the rest from the published generation, money as exact decimals."""

    files: int
    lines: Mapping[str, Mapping[str, int]]
    held: tuple[DeliveryRow, ...]
    quarantined: Mapping[str, int]
    conflicts: Mapping[str, int]
    open_conflicts: tuple[OpenConflict, ...]
    unmet_decisions: tuple[str, ...]
    unattributed: Unattributed
    retractions: int
    """Reviewed rows of retractions.yaml."""
    retracted: int
    """Events that they keep from being counted."""
    customers: int
    generation: str
    drafts: Mapping[str, tuple[int, Decimal]]
    issued: Mapping[str, tuple[int, Decimal]]
    cut_offs: tuple[str, ...]
    notices: tuple[str, ...]
    """What has changed about the input or is missing from it, as of the published generation."""

    def total(self, bucket: str) -> int:
        return sum(counts[bucket] for counts in self.lines.values())


def overview(instance: Instance) -> Overview:
    """Read the ledger and the published generation."""
    with Ledger.open(instance.home, create=False) as ledger:
        files = ledger.files()
        issued: dict[str, tuple[int, Decimal]] = {}
        cut_offs: set[str] = set()
        held, journal = tuple(ledger.held()), ledger.journal()
        for document in ledger.documents():
            cut_offs.add(document.cut_off)
    drafts: dict[str, tuple[int, Decimal]] = {}
    quarantined: dict[str, int] = {}
    conflicts: Mapping[str, int] = {}
    contested: tuple[OpenConflict, ...] = ()
    unmet: tuple[str, ...] = ()
    unattributed, customers, retractions, retracted = Unattributed(), 0, 0, 0
    notices: list[str] = []
    path = instance.published_db()
    if path is not None:
        with connect(path, temp=instance.scratch, read_only=True) as con:
            rows = con.execute("SELECT currency, count(*), sum(total) FROM marts.invoice_drafts GROUP BY 1 ORDER BY 1")
            drafts = {currency: (count, total) for currency, count, total in rows.fetchall()}
            rows = con.execute("SELECT currency, count(*), sum(total) FROM marts.invoices GROUP BY 1 ORDER BY 1")
            issued = {currency: (count, total) for currency, count, total in rows.fetchall()}
            rows = con.execute("SELECT reason, count(*) FROM marts.quarantine GROUP BY reason ORDER BY reason")
            quarantined = dict(rows.fetchall())
            conflicts, contested, unmet = conflicts_by_status(con), open_conflicts(con), unmet_rows(con)
            unattributed = _unattributed(con)
            retractions, retracted = _rows(con, "record.retractions"), _rows(con, "record.retracted")
            customers = _rows(con, "control.customers")
            notices += [*waiting(con, journal), *retraction_notes(con), *drift_notices(con)]
            missing = con.execute("SELECT what FROM marts.missing_input ORDER BY source, stream, from_time, what")
            notices += [what for (what,) in missing.fetchall()]
    return Overview(
        files=sum(file.retry_of is None for file in files),
        lines=_lines(files),
        held=held,
        quarantined=quarantined,
        conflicts=conflicts,
        open_conflicts=contested,
        unmet_decisions=unmet,
        unattributed=unattributed,
        retractions=retractions,
        retracted=retracted,
        customers=customers,
        generation=path.parent.name if path is not None else "",
        drafts=drafts,
        issued=issued,
        cut_offs=tuple(sorted(cut_offs)),
        notices=tuple(notices),
    )


def _lines(files: Sequence[FileRow]) -> dict[str, dict[str, int]]:
    lines: dict[str, dict[str, int]] = {}
    for file in files:
        counts = lines.setdefault(file.source, dict.fromkeys(("lines", *BUCKETS), 0))
        for bucket in ("lines", *BUCKETS):
            counts[bucket] += getattr(file, bucket)
    return lines


def _unattributed(con: duckdb.DuckDBPyConnection) -> Unattributed:
    query = "SELECT sum(events), sum(bytes), count(DISTINCT coalesce(credential, '')) FROM marts.unattributed_usage"
    [row] = con.execute(query).fetchall()
    return Unattributed(*(int(value or 0) for value in row))


def _rows(con: duckdb.DuckDBPyConnection, table: str) -> int:
    [(count,)] = con.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(count)
