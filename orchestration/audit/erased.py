"""What was erased from raw files, as the journal has it: told with a verification, and with a line's events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration.audit.known import Known
from orchestration.errors import Problem
from orchestration.ledger.erasures import Erasure
from orchestration.ledger.store import Ledger

if TYPE_CHECKING:
    from orchestration.ingest.raw import RawStore

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def erased_on(erasure: Erasure) -> str:
    """The day (UTC) on which an erasure was made."""
    return (_EPOCH + timedelta(microseconds=erasure.now_us)).date().isoformat()


def told(erasure: Erasure) -> str:
    """One erasure in a sentence."""
    approved = f", approved by {erasure.approved_by}" if erasure.approved_by else ""
    return (
        f"{erasure.lines:,} line(s) of {len(erasure.objects)} raw file(s) erased on {erased_on(erasure)}: "
        f"{erasure.reason} (row '{erasure.name}' by {erasure.by}{approved}, journal entry {erasure.seq}); "
        "what was kept of them is taken for the lines"
    )


def still_there(raw: RawStore, erasures: Sequence[Erasure]) -> Iterator[Problem]:
    """Objects that were written again and are in the raw store still, or once more."""
    for erasure in erasures:
        for item in erasure.objects:
            if (path := raw.path(item.was)).exists():
                message = f"was erased by row '{erasure.name}' and is here; remove it, and look where it came from"
                yield Problem("erased_is_there", message, str(path))


def erased_among(con: duckdb.DuckDBPyConnection, known: Known, ledger: Ledger) -> list[dict[str, Any]]:
    """By erasure, how many of the events in the table `priced` it reduced to what was kept; numbers are text."""
    found = []
    for erasure in ledger.erasures():
        lines = {item.sha256: item.lines for item in erasure.objects}
        places = [(file.file_id, line) for file in known.files for line in lines.get(file.sha256, ())]
        if not places:
            continue
        ((events,),) = con.execute(
            "SELECT count(*) FROM priced SEMI JOIN (SELECT unnest($1::INTEGER[]) AS file_id, "
            "unnest($2::BIGINT[]) AS line) USING (file_id, line)",
            [list(column) for column in zip(*places, strict=True)],
        ).fetchall()
        if events:
            found.append(
                {
                    "row": erasure.name,
                    "events": str(events),
                    "on": erased_on(erasure),
                    "by": erasure.by,
                    "reason": erasure.reason,
                    "journal": str(erasure.seq),
                }
            )
    return found
