"""Every issued document made again from raw files and the catalog it was issued under, and compared byte for byte.

Quantities are measured and prices applied by the audit's own means: nothing of what issued the documents is asked.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from orchestration.audit.charged import charged_spans
from orchestration.audit.derived import wrong_lake
from orchestration.audit.later import later_causes
from orchestration.audit.pricing.documents import Issue
from orchestration.audit.pricing.lines import Key
from orchestration.audit.pricing.priced import all_lines, groups
from orchestration.audit.pricing.record import Body, Record, in_order, key_of
from orchestration.audit.requantify import requantify
from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.catalog import Catalog
from orchestration.catalog.load import from_archive
from orchestration.catalog.reviews import Reviewed
from orchestration.engine import connect
from orchestration.errors import Problem
from orchestration.ingest import rebuild_lake
from orchestration.ingest.batch import Workshop
from orchestration.ingest.extract import extract
from orchestration.ingest.lake import Lake
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.rows import DocumentRow, JournalRow
from orchestration.ledger.store import Ledger


@dataclass
class History:
    """What was issued before a close, in the order of issue. `last` has each line as it was shown last, and the digest
    of the catalog of that close; `numbers` has the last of each series."""

    record: Record = field(default_factory=Record)
    last: dict[Key, tuple[str, Body]] = field(default_factory=dict)
    settled: dict[str, set[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(set))
    numbers: dict[str, int] = field(default_factory=dict)

    def add_close(self, bodies: Iterable[Body], catalog: str) -> None:
        """Documents of a close, with the zero invoices that it skipped, and the digest of its catalog."""
        for body in in_order(bodies):
            self._add(body, catalog)

    def _add(self, body: Body, catalog: str) -> None:
        self.record.add(body)
        self.last |= {key_of(line): (catalog, line) for line in body["lines"]}
        account = body["seller"]["entity"], body["buyer"]["customer"], body["currency"]
        self.settled[body["cut_off"]].add(account)
        series, _, sequence = body["number"].rpartition("-")
        self.numbers[series] = max(self.numbers.get(series, 0), int(sequence))


def recompute(home: Path, ledger: Ledger, scratch: Path, report: Callable[[str], None]) -> list[Problem]:
    """Read every raw file again into `scratch`, then make the documents of each close again.

    Raises IntegrityFailure when a raw file can't be read or gives other counts than the ledger has.
    """
    closes = [entry for entry in ledger.journal() if entry.kind == CLOSE]
    issued: dict[int, list[DocumentRow]] = defaultdict(list)
    for row in ledger.documents():
        issued[row.journal_seq].append(row)
    shutil.rmtree(scratch, ignore_errors=True)
    lake = scratch / "lake"

    @cache
    def archived(digest: str) -> Catalog:
        return from_archive(ledger.catalog(digest))

    try:
        rebuild_lake(home, ledger, report, lake=lake)
        problems: list[Problem] = []
        history = History()
        for entry in closes:
            report(f"recomputing the documents of journal entry {entry.seq}")
            rows, body = issued[entry.seq], json.loads(entry.body)
            problems += wrong_reviews(entry, archived(body["catalog"]), rows)
            try:
                problems += _compare(entry, rows, *_remake(home, ledger, entry, lake, scratch, history, archived))
            except (ValueError, LookupError, ArithmeticError) as error:
                message = f"its documents can't be made again: {type(error).__name__}: {error}"
                problems.append(Problem("not_recomputed", message, f"ledger.sqlite, journal entry {entry.seq}"))
            history.add_close([*body["skipped"], *(json.loads(row.body) for row in rows)], body["catalog"])
        return [*problems, *wrong_lake(home / "lake", lake, scratch / "temp")]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def wrong_reviews(entry: JournalRow, catalog: Catalog, rows: Sequence[DocumentRow]) -> Iterator[Problem]:
    """What a close journalled of reviewed rows, and is not what its archived catalog and its documents say."""
    said, reviews = json.loads(entry.body), catalog.reviews
    taken_back = {row.corrects for row in rows if "void" in json.loads(row.body)}
    digests = {name: sha256_hex(text.encode()) for name, text in catalog.files.items()}
    wanted: dict[str, Sequence[Reviewed]] = {
        "declared": [row for row in reviews.declared if digests.get(row.file) == row.sha256],
        "voided": [row for row in reviews.voids if row.document in taken_back],
        "withheld": reviews.withheld,
    }
    for name, found in wanted.items():
        # Entries of earlier versions have no such fields.
        if said.get(name, []) != [row.model_dump(mode="json") for row in found]:
            message = f"its '{name}' are not the rows of the catalog that it was issued under"
            yield Problem("journal_differs", message, f"ledger.sqlite, journal entry {entry.seq}")


Bodies = list[dict[str, Any]]


def _remake(
    home: Path,
    ledger: Ledger,
    entry: JournalRow,
    lake: Path,
    scratch: Path,
    history: History,
    archived: Callable[[str], Catalog],
) -> tuple[Bodies, Bodies]:
    """Documents and skipped zero invoices as they follow from what this close knew."""
    body = json.loads(entry.body)
    cut_off, now_us = date.fromisoformat(body["cut_off"]), int(body["now_us"])
    catalog = archived(body["catalog"])
    charged = charged_spans(catalog, now_us)
    files = [f for f in ledger.files() if f.batch_id <= int(body["last_batch"])]
    shop = replace(Workshop.of(home, ledger), lake=Lake(lake), scratch=scratch / "extract")
    extract(shop, ledger, catalog, files)
    with connect(None, folders=[lake, scratch], temp=scratch / "temp") as con:
        quantities = requantify(con, catalog, charged, lake, files, scratch / "rows")
        lines = all_lines(catalog, charged, quantities)
        later = later_causes(con, catalog, history.last, archived)
        found = groups(catalog, lines, history.record.lines, cut_off, later)
    done = history.settled[body["cut_off"]]
    due = [
        group
        for group in found
        if (group.entity, group.customer, group.currency) not in done and group.customer not in body["parked"]
    ]
    issue = Issue(catalog, cut_off, now_us, entry.seq, lambda series: history.numbers.get(series, 0))
    return issue.documents(due, history.record.branch())


def _compare(entry: JournalRow, rows: Sequence[DocumentRow], documents: Bodies, skipped: Bodies) -> Iterator[Problem]:
    issued = {row.number: row for row in rows}
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
