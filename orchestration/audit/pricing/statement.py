"""A statement: what a document says before it has a number. Amounts are whole minor units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestration.audit.pricing.differences import Due, Group
from orchestration.audit.pricing.reductions import Use
from orchestration.audit.pricing.taxes import Tax, Treatment


@dataclass
class Statement:
    """`on_lines`, `how` and `nets` are by line. `corrects` is the original that a note was made for."""

    group: Group
    lines: list[Due]
    on_lines: Sequence[Sequence[Use]]
    how: Sequence[Treatment]
    nets: Sequence[int]
    taxes: Sequence[Tax]
    uses: Sequence[Use]
    corrects: str
    payments: Sequence[Use] = field(default_factory=list)

    def of_kind(self, kind: str) -> int:
        return sum(use.amount for use in (*self.uses, *self.payments) if use.kind == kind)

    @property
    def subtotal(self) -> int:
        return sum(due.amount for due in self.lines)

    @property
    def tax(self) -> int:
        return sum(tax.amount for tax in self.taxes)

    @property
    def total(self) -> int:
        return self.subtotal - self.of_kind("coupon") - self.of_kind("promotional") + self.tax

    @property
    def amount_due(self) -> int:
        return self.total - self.of_kind("credit_note") - self.of_kind("prepaid")

    @property
    def void(self) -> str:
        return self.lines[0].void

    @property
    def kind(self) -> str:
        if self.total < 0 or self.void:
            return "credit_note"
        return "debit_note" if self.corrects else "invoice"

    @property
    def owed(self) -> list[int]:
        """By line, with its taxes."""
        shares = [tax.shares or {} for tax in self.taxes]
        return [net + sum(of.get(place, 0) for of in shares) for place, net in enumerate(self.nets)]

    @property
    def is_zero(self) -> bool:
        """Nothing is due, and nothing was used for that."""
        return not self.total and not any(use.amount for use in (*self.uses, *self.payments))
