"""Every issued document made again from raw files and the catalog it was issued under, and compared byte for byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from orchestration.audit.requantify import requantify
from orchestration.billing.causes import Cause
from orchestration.billing.rating import LineKey
from orchestration.canonical import canonical_bytes
from orchestration.catalog.load import from_archive
from orchestration.closing.close import due_groups
from orchestration.closing.concerned import later_causes
from orchestration.closing.issued import CLOSE, settled, used_so_far
from orchestration.closing.numbering import numbered
from orchestration.closing.rated import rate_all
from orchestration.engine import connect
from orchestration.errors import Problem
from orchestration.ingest import rebuild_lake
from orchestration.ingest.batch import Workshop
from orchestration.ingest.extract import extract
from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import DocumentRow, JournalRow
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments


def recompute(home: Path, ledger: Ledger, scratch: Path, report: Callable[[str], None]) -> list[Problem]:
    """Read every raw file again into `scratch`, then make the documents of each close again.

    Raises IntegrityFailure when a raw file can't be read or gives other counts than the ledger has.
    """
    closes = [entry for entry in ledger.journal() if entry.kind == CLOSE]
    shutil.rmtree(scratch, ignore_errors=True)
    lake = scratch / "lake"
    try:
        rebuild_lake(home, ledger, report, lake=lake)
        problems: list[Problem] = []
        for entry in closes:
            report(f"recomputing the documents of journal entry {entry.seq}")
            problems += _compare(ledger, entry, *_remake(home, ledger, entry, lake, scratch))
        return problems
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


Bodies = list[dict[str, Any]]


def _remake(home: Path, ledger: Ledger, entry: JournalRow, lake: Path, scratch: Path) -> tuple[Bodies, Bodies]:
    """Documents and skipped zero invoices as they follow from what this close knew."""
    body = json.loads(entry.body)
    cut_off, now_us = date.fromisoformat(body["cut_off"]), int(body["now_us"])
    catalog = from_archive(ledger.catalog(body["catalog"]))
    charged = charged_segments(catalog, now_us)
    files = [f for f in ledger.files() if f.batch_id <= int(body["last_batch"])]
    shop = replace(Workshop.of(home, ledger), lake=Lake(lake), scratch=scratch / "extract")
    extract(shop, ledger, catalog, files)
    with connect(None, folders=[lake, scratch], temp=scratch / "temp") as con:
        quantities = requantify(con, catalog, charged, lake, files, scratch / "rows")
        lines = rate_all(catalog, charged, quantities)

        def causes(changed: Collection[LineKey]) -> Mapping[LineKey, Cause]:
            return later_causes(con, catalog, ledger, changed, entry.seq)

        groups = due_groups(catalog, ledger, lines, cut_off, causes, entry.seq)
    done = settled(ledger, cut_off, before_seq=entry.seq)
    due = [g for g in groups if (g.entity, g.customer, g.currency) not in done and g.customer not in body["parked"]]
    before = [d for d in ledger.documents() if d.journal_seq < entry.seq]

    def last_number(series: str) -> int:
        return max((d.sequence for d in before if d.series == series), default=0)

    used = used_so_far(ledger, before_seq=entry.seq)
    return numbered(catalog, due, cut_off, now_us, entry.seq, last_number, used)


def _compare(ledger: Ledger, entry: JournalRow, documents: Bodies, skipped: Bodies) -> Iterator[Problem]:
    issued: dict[str, DocumentRow] = {d.number: d for d in ledger.documents() if d.journal_seq == entry.seq}
    for body in documents:
        row = issued.pop(body["number"], None)
        where = f"document {body['number']}"
        if row is None:
            message = f"is due to '{body['buyer']['customer']}' at {body['cut_off']}, but was not issued"
            yield Problem("document_missing", message, where)
        elif canonical_bytes(body) != row.body:
            message = f"recomputed from raw files it differs: {first_difference(json.loads(row.body), body)}"
            yield Problem("document_differs", message, where)
    for number in sorted(issued):
        yield Problem("document_unfounded", "was issued, but nothing recomputed is due under this number", number)
    if canonical_bytes(skipped) != canonical_bytes(json.loads(entry.body)["skipped"]):
        where = f"ledger.sqlite, journal entry {entry.seq}"
        yield Problem("skipped_differ", "the zero invoices that were skipped differ when recomputed", where)


def first_difference(issued: Any, again: Any, path: str = "") -> str:
    """The first place at which two documents differ, with both values."""
    if isinstance(issued, Mapping) and isinstance(again, Mapping):
        for key in sorted({*issued, *again}):
            if issued.get(key) != again.get(key):
                return first_difference(issued.get(key), again.get(key), f"{path}.{key}" if path else key)
    if isinstance(issued, list) and isinstance(again, list) and len(issued) == len(again):
        for index, (a, b) in enumerate(zip(issued, again, strict=True), 1):
            if a != b:
                return first_difference(a, b, f"{path}[{index}]")
    return f"{path}: issued {_short(issued)}, recomputed {_short(again)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
