"""What has been issued so far, line by line: from the documents, and from the zero invoices that were skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any

from orchestration.billing.credits import Used, used_in
from orchestration.billing.due import Issued, issued_lines
from orchestration.billing.rating import LineKey
from orchestration.billing.safety import Totals, totals_of
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.store import Ledger


def issued_so_far(ledger: Ledger, before_seq: int | None = None) -> dict[LineKey, Issued]:
    """Every line that was issued, folded over its documents; `before_seq` leaves out that journal entry and later."""
    return issued_lines(body for _, body in issued_bodies(ledger, before_seq))


def used_so_far(ledger: Ledger, before_seq: int | None = None) -> Used:
    """What issued documents have used of coupons, credits and credit notes."""
    return used_in(body for _, body in issued_bodies(ledger, before_seq))


def last_issued(ledger: Ledger, before_seq: int | None = None) -> dict[LineKey, tuple[int, Mapping[str, Any]]]:
    """Every line as it was issued last, with the number of the journal entry that issued it."""
    found: dict[LineKey, tuple[int, Mapping[str, Any]]] = {}
    for seq, body in issued_bodies(ledger, before_seq):
        found |= {key: (seq, issued.line) for key, issued in issued_lines([body]).items()}
    return found


def settled(ledger: Ledger, cut_off: date, before_seq: int | None = None) -> set[tuple[str, str, str]]:
    """(entity, customer, currency) of every document of a cut-off, skipped zero invoices included."""
    return {
        (body["seller"]["entity"], body["buyer"]["customer"], body["currency"])
        for _, body in issued_bodies(ledger, before_seq)
        if body["cut_off"] == cut_off.isoformat()
    }


def usual_totals(ledger: Ledger) -> Totals:
    """What issued invoices came to, by account."""
    return totals_of(json.loads(row.body) for row in ledger.documents())


def issued_bodies(
    ledger: Ledger, before_seq: int | None = None, after_seq: int = 0
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Documents and skipped zero invoices, each with the number of its journal entry, in the order of the journal; of
    one entry those that take others back come first, as what is billed anew stands on what they leave."""
    skipped: dict[int, list[Mapping[str, Any]]] = {
        entry.seq: list(json.loads(entry.body)["skipped"])
        for entry in ledger.journal()
        if entry.kind == CLOSE and entry.seq > after_seq
    }
    for seq, documents in groupby(ledger.documents(after_seq), key=attrgetter("journal_seq")):
        for earlier in sorted(number for number in skipped if number < seq):
            yield from _until(before_seq, earlier, skipped.pop(earlier))
        bodies = [*skipped.pop(seq, ()), *(json.loads(document.body) for document in documents)]
        yield from _until(before_seq, seq, bodies)
    for later in sorted(skipped):
        yield from _until(before_seq, later, skipped[later])


def _until(
    before_seq: int | None, seq: int, bodies: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if before_seq is None or seq < before_seq:
        yield from ((seq, body) for body in sorted(bodies, key=lambda body: "void" not in body))
