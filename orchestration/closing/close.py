"""The close: which documents are due at a cut-off, and their issue in one transaction.

Everything that decides a document is in the journal entry that it is issued under: the batches, the catalog, the rules,
the zone data and the run's now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from orchestration.billing.causes import Cause
from orchestration.billing.due import Group, changed_keys, grouped
from orchestration.billing.rating import Line, LineKey
from orchestration.canonical import canonical_bytes
from orchestration.catalog import Catalog
from orchestration.catalog.models import Entity
from orchestration.closing.clocks import clocks
from orchestration.closing.declared import declared_rows
from orchestration.closing.issued import issued_so_far, settled, used_so_far
from orchestration.closing.numbering import numbered
from orchestration.closing.statements import all_due, untaxed
from orchestration.durable import Point
from orchestration.errors import InputHeld, IntegrityFailure, PeriodClosed
from orchestration.ledger.journal import CLOSE, input_digest
from orchestration.ledger.merkle import leaf_hash, root_hash, salt
from orchestration.ledger.rows import DocumentRow, document_row
from orchestration.ledger.store import Ledger
from orchestration.zones import TZDATA_VERSION, local_date, midnight_us

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class CloseResult:
    """What a close did. `skipped` are zero invoices, `parked` customers with the reason, `already` closed before."""

    cut_off: date
    documents: tuple[DocumentRow, ...]
    skipped: tuple[str, ...]
    parked: Mapping[str, str]
    already: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the documents of a close are made from; it goes into the journal entry. `commit` is what git says of the
    catalog, `approvals` are those of incidents that would hold drafts."""

    now_us: int
    last_batch: int
    code_digest: str
    waived: str = ""
    waived_inputs: tuple[str, ...] = ()
    commit: Mapping[str, str] = field(default_factory=dict)
    approvals: tuple[Mapping[str, str], ...] = ()


def missing_input(ledger: Ledger, others: Sequence[str] = (), holes: Sequence[str] = ()) -> list[str]:
    """Input that may hold usage and was not counted: held files and `holes` that no earlier close has waived, and
    `others`."""
    waived = {
        text
        for entry in ledger.journal()
        if entry.kind == CLOSE
        for text in (json.loads(entry.body)["waived"] or {"held": []})["held"]
    }
    held = [f"{h.source}: {h.path}: {h.reason}" for h in ledger.held()]
    return [*(text for text in (*held, *holes) if text not in waived), *others]


def check_may_close(
    catalog: Catalog, ledger: Ledger, cut_off: date, now_us: int, waive: str | None, others: Sequence[str] = ()
) -> None:
    """Raise if the cut-off lies too near, before an earlier close, or if input is missing without a waiver."""
    opens = max((midnight_us(c.zone, cut_off) for c in catalog.customers.values()), default=0)
    if now_us < opens + catalog.settings.grace_days * DAY_US:
        first = local_date("UTC", opens) + timedelta(days=catalog.settings.grace_days)
        raise InputHeld(
            f"cut-off {cut_off} may be closed {catalog.settings.grace_days} day(s) after it has passed in every "
            f"customer's zone",
            not_done="nothing was issued",
            next_step=f"close on {first} (UTC) or later",
        )
    _refuse_locked(catalog, cut_off, now_us)
    # From the journal, and not from documents: a close that skipped every zero invoice is one too.
    closed = (json.loads(entry.body)["cut_off"] for entry in ledger.journal() if entry.kind == CLOSE)
    later = max(closed, default="")
    if later > cut_off.isoformat():
        raise PeriodClosed(
            f"cut-off {later} has been closed already, {cut_off} lies before it",
            not_done="nothing was issued",
            next_step="what came late for a closed period is issued with the next close",
        )
    require_whole_input(missing_input(ledger, others), waive)


def require_whole_input(missing: Sequence[str], waive: str | None) -> None:
    """Raise InputHeld, naming what is missing, unless it is waived."""
    if missing and not (waive or "").strip():
        listing = "\n".join(f"    {text}" for text in missing)
        raise InputHeld(
            f"{len(missing)} input(s) were not counted, so usage may be missing:\n{listing}",
            not_done="nothing was issued",
            next_step='deliver them whole and readable, or close with --waive "reason", which is journalled',
        )


def due_groups(
    catalog: Catalog,
    ledger: Ledger,
    lines: Iterable[Line],
    cut_off: date,
    causes: Callable[[Collection[LineKey]], Mapping[LineKey, Cause]] = lambda _: {},
    before_seq: int | None = None,
) -> list[Group]:
    """The documents due at a cut-off, in the order of their numbers. `causes` tells what came to be known of lines."""
    issued, rated = issued_so_far(ledger, before_seq), list(lines)
    known = causes(changed_keys(rated, issued))
    return grouped(all_due(catalog, rated, issued, cut_off, known), catalog.seller)


def issue(
    catalog: Catalog,
    ledger: Ledger,
    groups: Sequence[Group],
    cut_off: date,
    parked: Mapping[str, str],
    knowledge: Knowledge,
) -> CloseResult:
    """Issue the groups of all customers that are not parked, in one transaction: all of them or none.

    A customer that has a document of this cut-off already is left alone, so that a repeated close changes nothing.
    """
    with ledger.transaction(Point.CLOSE_COMMITTED):
        done = settled(ledger, cut_off)
        already = tuple(g.customer for g in groups if (g.entity, g.customer, g.currency) in done)
        open_groups = [g for g in groups if (g.entity, g.customer, g.currency) not in done]
        reasons = untaxed(catalog, open_groups, cut_off) | dict(parked)
        due = [g for g in open_groups if g.customer not in reasons]
        waiting = {g.customer: reasons[g.customer] for g in open_groups if g.customer in reasons}
        seq = ledger.next_journal_seq()
        _refuse_locked(catalog, cut_off, knowledge.now_us)
        for entity in catalog.settings.entities:
            _refuse_early_date(ledger, entity, knowledge.now_us)
        used = used_so_far(ledger)
        bodies, skipped = numbered(catalog, due, cut_off, knowledge.now_us, seq, ledger.last_sequence, used)
        if not bodies and not skipped:
            return CloseResult(cut_off, (), (), waiting, already)
        rows = [document_row(body, seq) for body in bodies]
        ledger.archive_catalog(catalog.digest, catalog.archive())
        entry = _entry(catalog, ledger, rows, skipped, cut_off, waiting, knowledge)
        ledger.append_journal(CLOSE, canonical_bytes(entry))
        for row in rows:
            ledger.insert_document(row)
    return CloseResult(cut_off, tuple(rows), tuple(s["buyer"]["customer"] for s in skipped), waiting, already)


def _refuse_locked(catalog: Catalog, cut_off: date, now_us: int) -> None:
    """Raise PeriodClosed for a cut-off, or an issue date of a seller, in what accounting has locked."""
    locked = catalog.settings.locked_through
    dates = {"cut-off": cut_off} | {
        f"issue date of '{entity.key}'": local_date(entity.zone, now_us) for entity in catalog.settings.entities
    }
    for what, day in dates.items():
        if locked is not None and day <= locked:
            raise PeriodClosed(
                f"the books are locked through {locked}: {what} {day} lies in what is locked",
                where="instance.yaml, locked_through",
                not_done="nothing was issued",
                next_step="close with a later cut-off on a later day, or have accounting move the lock",
            )


def _refuse_early_date(ledger: Ledger, entity: Entity, now_us: int) -> None:
    today = local_date(entity.zone, now_us)
    last = ledger.last_issue_date(entity.key)
    if today.isoformat() < last:
        raise IntegrityFailure(
            f"now is {today} for '{entity.key}', but its last document was issued on {last}: a clock is wrong",
            not_done="nothing was issued",
            next_step="set the clock right, or pass the right --now",
        )


def _entry(
    catalog: Catalog,
    ledger: Ledger,
    rows: Sequence[DocumentRow],
    skipped: Sequence[Mapping[str, Any]],
    cut_off: date,
    parked: Mapping[str, str],
    knowledge: Knowledge,
) -> dict[str, Any]:
    files = [f for f in ledger.files() if f.batch_id <= knowledge.last_batch]
    taken_back = {row.corrects for row in rows if "void" in json.loads(row.body)}
    leaves = [leaf_hash(salt(ledger.key, row.number), row.body) for row in rows]
    return {
        "cut_off": cut_off.isoformat(),
        "now_us": str(knowledge.now_us),
        "last_batch": str(knowledge.last_batch),
        "files": str(len(files)),
        "lines": str(sum(f.lines for f in files)),
        "accepted": str(sum(f.accepted for f in files)),
        "input_digest": input_digest(files),
        "batch_hash": ledger.batch_hash(knowledge.last_batch),
        "catalog": catalog.digest,
        "locked_through": catalog.settings.locked_through and catalog.settings.locked_through.isoformat(),
        "catalog_commit": dict(knowledge.commit),
        "code": knowledge.code_digest,
        "tzdata": TZDATA_VERSION,
        "clocks": clocks(catalog, (json.loads(row.body) for row in rows)),
        "documents": [{"number": row.number, "sha256": row.sha256} for row in rows],
        "root": root_hash(leaves).hex(),
        "skipped": list(skipped),
        "parked": dict(parked),
        "released": [row.model_dump(mode="json") for row in catalog.releases if row.cut_off == cut_off],
        "declared": [row.model_dump(mode="json") for row in declared_rows(catalog)],
        "voided": [row.model_dump(mode="json") for row in catalog.reviews.voids if row.document in taken_back],
        "withheld": [row.model_dump(mode="json") for row in catalog.reviews.withheld],
        "waived_conflicts": [row.model_dump(mode="json") for row in catalog.conflicts if row.waive],
        "approvals": [dict(row) for row in knowledge.approvals if row["customer"] not in parked],
        "waived": {"reason": knowledge.waived, "held": list(knowledge.waived_inputs)} if knowledge.waived else None,
    }
