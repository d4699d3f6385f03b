"""Random lives of an instance, each close made again by the second pricer: several customers and sellers, moves,
coupons, credits, taxes, changes of plan, policies, voids, late usage. No engine and no files: usage is given."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rated_life import Life

from orchestration.audit.charged import Quantity, charged_spans
from orchestration.audit.pricing.documents import Issue
from orchestration.audit.pricing.priced import all_lines, groups
from orchestration.audit.recompute import History, first_difference
from orchestration.canonical import canonical_bytes
from orchestration.catalog import Catalog
from orchestration.errors import CatalogInvalid

EDITS = ("version", "end", "change", "customer", "beside", "move", "contract", "coupon", "credit", "adjustment", "void")
POLICIES = {"usual": "next_invoice", "capped": "own_document", "bound": "report_only"}


class Reviewed(Life):
    """Plans have policies of their own, and invoices may be taken back."""

    def _plan(self, key: str) -> str:
        return super()._plan(key) + f"corrections: {POLICIES[key]}\n"

    def void(self) -> None:
        numbers = [row.number for row in self.ledger.documents() if row.kind == "invoice"]
        if numbers:
            reissue = self.dice.choice(("true", "false"))
            who = f"by: b, on: {self.today}, reason: r"
            self._add("voids", f"document: {self.dice.choice(numbers)}, reissue: {reissue}, {who}")


class Lived:
    """`unlike` says where a document of a close differs from what the second pricer makes of it."""

    def __init__(self, home: Path, seed: int) -> None:
        self.life = Reviewed(home, seed)
        self.history = History()
        self.unlike: list[str] = []
        self.documents: list[dict[str, Any]] = []
        if seed % 3:
            self.life.tax()

    def live(self, months: int, usage: int = 4, edits: int = 3) -> None:
        """Closes one month after the other, with usage of any time and edits in between."""
        for name in ("coupon", "coupon", "credit", "credit"):
            getattr(self.life, name)()
        for _ in range(months):
            for _ in range(usage):
                self.life.usage()
            for _ in range(edits):
                self.edit(self.life.dice.choice(EDITS))
            first = self.life.today.replace(day=1)
            self.life.today = (first + timedelta(days=31)).replace(day=5)
            self.close()

    def edit(self, name: str) -> None:
        """One that can't be is taken back."""
        kept = self.life.state
        getattr(self.life, name)()
        try:
            self.life.catalog()
        except CatalogInvalid:
            self.life.state = kept
        self.life.forget()

    def close(self) -> None:
        life = self.life
        catalog, cut_off, before = life.catalog(), life.today.replace(day=1), len(life.ledger.journal())
        life.close()
        for entry in life.ledger.journal()[before:]:
            body = json.loads(entry.body)
            issued = [json.loads(row.body) for row in life.ledger.documents() if row.journal_seq == entry.seq]
            documents, skipped = self._again(catalog, cut_off, entry.seq, body["parked"])
            for mine, theirs in ((issued, documents), (body["skipped"], skipped)):
                mine, theirs = (sorted(some, key=canonical_bytes) for some in (mine, theirs))
                if mine != theirs:
                    self.unlike.append(f"{cut_off}: {first_difference(mine, theirs)}")
            self.history.add_close([*body["skipped"], *issued], body["catalog"])
            self.documents += issued

    def _again(self, catalog: Catalog, cut_off: date, seq: int, parked: dict[str, str]) -> tuple[list[Any], list[Any]]:
        charged = charged_spans(catalog, self.life.now_us)
        measured = {line: [Quantity(*row) for row in rows] for line, rows in self.life.quantities().items()}
        lines = all_lines(catalog, charged, measured)
        due = [
            group
            for group in groups(catalog, lines, self.history.record.lines, cut_off)
            if group[:3] not in {(c, e, x) for e, c, x in self.history.settled[cut_off.isoformat()]}
            and group.customer not in parked
        ]
        issue = Issue(catalog, cut_off, self.life.now_us, seq, lambda series: self.history.numbers.get(series, 0))
        return issue.documents(due, self.history.record.branch())
