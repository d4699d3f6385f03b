"""What has been issued so far, line by line: from the documents, and from the zero invoices that were skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.billing.documents import Issued, issued_lines
from orchestration.billing.rating import LineKey
from orchestration.ledger.store import Ledger

CLOSE = "close"
"""Kind of the journal entry that a close writes."""


def issued_so_far(ledger: Ledger, before_seq: int | None = None) -> dict[LineKey, Issued]:
    """Every line that was issued, folded over its documents; `before_seq` leaves out that journal entry and later."""
    return issued_lines(_settled(ledger, before_seq))


def _settled(ledger: Ledger, before_seq: int | None) -> Iterator[Mapping[str, Any]]:
    """Documents and skipped zero invoices, in the order of the journal."""
    skipped: dict[int, list[Mapping[str, Any]]] = {}
    for entry in ledger.journal():
        if entry.kind == CLOSE:
            skipped[entry.seq] = json.loads(entry.body)["skipped"]
    done: set[int] = set()
    for document in ledger.documents():
        for seq in sorted(s for s in skipped if s < document.journal_seq and s not in done):
            done.add(seq)
            yield from _of(skipped[seq], seq, before_seq)
        if before_seq is None or document.journal_seq < before_seq:
            yield json.loads(document.body)
    for seq in sorted(set(skipped) - done):
        yield from _of(skipped[seq], seq, before_seq)


def _of(skipped: list[Mapping[str, Any]], seq: int, before_seq: int | None) -> Iterator[Mapping[str, Any]]:
    if before_seq is None or seq < before_seq:
        yield from skipped
