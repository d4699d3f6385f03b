"""What is due: why an amount differs, what stands of a line after several documents, who gets which document."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from billing_make import D
from books import Book, agreed, line, off

from orchestration.billing.due import Issued, due_lines, issued_lines, together
from orchestration.billing.rating import Line

HALF = D("2026-10-16")
FEWER = replace(line("50.00"), measured=Decimal(100))


@pytest.mark.parametrize(
    ("was", "now", "cause"),
    [
        (line("100.00"), [line("50.00")], "late usage"),
        (line("100.00"), [FEWER], "price"),
        (line("100.00"), [line("50.00", end=HALF)], "ended"),
        (line("100.00"), [line("50.00", end=HALF), line("9.00", start=HALF, plan="max")], "plan change"),
        # Another subscription, and another day, begin nothing where this one ends.
        (line("100.00"), [line("50.00", end=HALF), line("9.00", start=HALF, subscription="sub-2")], "ended"),
        (line("50.00", end=HALF), [line("100.00")], "catalog"),
        (line("50.00", end=HALF), [line("100.00", plan="max")], "plan change"),
        (line("100.00"), [line("50.00", plan="max")], "plan change"),
        (line("100.00"), [], "ended"),
        (line("-5.00", "cap", kind="cap", meter=None, measured=Decimal(1)), [], "price"),
    ],
)
def test_a_correction_says_why_the_amount_differs(was: Line, now: list[Line], cause: str) -> None:
    book = Book()
    book.issue([was])
    found = due_lines(now, issued_lines(book.documents), D("2026-11-01"))
    assert [due.before.cause for due in found if due.before is not None] == [cause]


def test_a_correction_of_retracted_events_says_so() -> None:
    book = Book()
    book.issue([line("100.00"), line("100.00", "other")])
    now = [line("50.00"), line("50.00", "other")]
    found = due_lines(now, issued_lines(book.documents), D("2026-11-01"), {now[1].key: "retraction"})
    assert [due.before and due.before.cause for due in found] == ["retraction", "late usage"]


def test_what_stands_of_a_coupon_on_a_line_is_what_all_documents_took_of_it() -> None:
    book = Book(agreed(off("30.00", "first"), off("20.00", "second")))
    book.issue([line("100.00")])
    book.issue([line("40.00")], "2026-12-01")
    (issued,) = issued_lines(book.documents).values()
    assert [(use.id, use.amount.text, use.rank, use.document) for use in issued.uses] == [
        ("first", "30.00", 0, ""),
        ("second", "10.00", 1, ""),
    ]
    assert (issued.amount, issued.net, issued.document) == (Decimal("40.00"), Decimal("0.00"), "INV-1")


def test_taxes_that_one_document_shows_and_another_doesnt_are_added_as_they_are() -> None:
    def shown(**taxes: str) -> Issued:
        return Issued(
            Decimal("1.00"), "INV-1", {}, None, (), {(name, "20"): Decimal(tax) for name, tax in taxes.items()}
        )

    found: Any = together(shown(a="1.00", b="2.00"), shown(b="0.50", c="4.00"))
    assert {name: str(tax) for (name, _), tax in found.taxes.items()} == {"a": "1.00", "b": "2.50", "c": "4.00"}
    assert (found.amount, found.parts) == (Decimal("2.00"), None)
