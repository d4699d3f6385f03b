"""What the close that issued a document knew: the archived catalog, the customer's charges, the files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from orchestration.audit.charged import Charged, charged_spans
from orchestration.catalog import Catalog
from orchestration.catalog.load import from_archive
from orchestration.errors import ConfigInvalid
from orchestration.ledger.rows import DocumentRow, FileRow, JournalRow
from orchestration.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class Known:
    """An issued document with its journal entry, and what is behind it. `charged` has this customer's charges alone,
    by line id; `files` are those that the close knew."""

    row: DocumentRow
    body: Mapping[str, Any]
    entry: JournalRow
    catalog: Catalog
    charged: Mapping[str, Charged]
    files: Sequence[FileRow]

    @classmethod
    def of(cls, ledger: Ledger, number: str) -> Known:
        """Raises ConfigInvalid for a number that was not issued."""
        row = ledger.document(number)
        if row is None:
            raise ConfigInvalid(
                f"no document has the number '{number}'",
                where=str(ledger.path),
                not_done="nothing was written",
                next_step="`tallystick status` and invoices.csv name the documents that were issued",
            )
        entry = next(entry for entry in ledger.journal() if entry.seq == row.journal_seq)
        said = json.loads(entry.body)
        catalog = from_archive(ledger.catalog(said["catalog"]))
        own = tuple(s for s in catalog.subscriptions if s.customer == row.customer)
        charged = charged_spans(replace(catalog, subscriptions=own), int(said["now_us"]))
        files = [f for f in ledger.files() if f.batch_id <= int(said["last_batch"])]
        return cls(row, json.loads(row.body), entry, catalog, {item.line_id: item for item in charged}, files)

    @property
    def cut_off(self) -> date:
        return date.fromisoformat(self.row.cut_off)

    def charge_of(self, line: Mapping[str, Any]) -> Charged | None:
        """What a line prices; None for what no charge makes, or no longer."""
        return self.charged.get(f"{line['subscription']}/{line['charge']}/{line['start']}")
