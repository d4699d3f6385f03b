"""A line that is taken back whole has no events behind it; what a customer's script says of it, and of notes."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.audit import verify_invoice as script
from orchestration.audit.attribution import parts_of
from orchestration.audit.evidence import behind_of, line_evidence

BACK: dict[str, Any] = {
    "position": "1", "subscription": "s", "charge": "calls", "start": "2026-10-01", "meter": "calls",
    "currency": "EUR", "measured": "0", "quantity": "0", "amount": "-12.30", "gross": "-12.30", "discount": "0.00",
    "excess": "0.00", "top_up": "0.00", "tax_category": "standard", "tax_date": "2026-10-31",
    "formula": {"model": "none", "details": [], "proration": "0", "exact": "0"},
    "correction": {"document": "INV-1", "cause": "void", "before": {"amount": "12.30"}, "after": {"amount": "0.00"}},
    "taxes": [{"name": "VAT", "percent": "20", "amount": "-2.45"}],
}  # fmt: skip
NOTE: dict[str, Any] = {
    "kind": "credit_note", "corrects": "INV-1", "lines": [BACK],
    "taxes": [{"category": "standard", "name": "VAT", "percent": "20", "base": "-12.30", "amount": "-2.45"}],
}  # fmt: skip


def test_its_amount_is_what_was_billed_before_and_nothing_is_asked_of_the_lake() -> None:
    # The charge goes on, and its events of these days are there: they are behind the line that is billed anew.
    charged = SimpleNamespace(terms=SimpleNamespace(charge=SimpleNamespace(meter="calls")))
    known: Any = SimpleNamespace(charge_of=lambda line: charged)
    assert behind_of(known, BACK) is None
    assert parts_of(BACK) == {"billed before": Fraction("-12.30")}
    con: Any = None
    assert line_evidence(con, known, BACK) == {
        "position": "1", "events": "0", "quantity": "0", "amount": "0",
        "parts": [{"name": "billed before", "quantity": "0", "amount": "-12.3"}],
    }  # fmt: skip


def test_a_note_may_give_back_another_tax_than_its_rate_as_no_more_than_was_billed_comes_back() -> None:
    script.check_line(BACK, [], 2)
    script.check_taxes(NOTE, 2)
    script.check_taxes(NOTE | {"kind": "debit_note"}, 2)
    alone = {name: value for name, value in NOTE.items() if name != "corrects"}
    with pytest.raises(script.Wrong, match="is not its rate, rounded once"):
        script.check_taxes(alone, 2)
    wrong = {**BACK, "amount": "-12.31"}
    with pytest.raises(script.Wrong, match="is not the difference of its evaluations"):
        script.check_line(wrong, [], 2)
