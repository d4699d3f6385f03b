"""What documents say of each kind of line, word by word: nothing of it is lost, renamed or filled in from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from billing_make import charge, phase, plan, rated
from books import Book, adjustment, agreed, buyer, coupon, grant, line

from orchestration.billing.due import due_lines, issued_lines
from orchestration.billing.rating import Line
from orchestration.money import Money

TAXED = buyer(
    rates=[
        {"category": "standard", "name": "VAT", "percent": "20"},
        {"category": "reduced", "name": "VAT", "percent": "5.5"},
    ],
    exemptions=[{"customer": "acme", "category": "free", "reason": "Article 44"}],
)
PARTIES = {
    "seller": {"entity": "main", "name": "Seller Ltd", "address": "1 Road", "tax_id": "GB1"},
    "buyer": {
        "customer": "acme",
        "name": "Acme",
        "address": "2 Street",
        "country": "FR",
        "tax_id": "FR2",
        "zone": "Europe/Paris",
    },
}
OCTOBER = {"period_start": "2026-10-01", "period_end": "2026-11-01", "start": "2026-10-01", "end": "2026-11-01"}
CORRECTED = {
    "document": "INV-1",
    "cause": "late usage",
    "before": {"amount": "60.00", "measured": "60", "quantity": "60"},
    "after": {"amount": "66.00", "measured": "66", "quantity": "66"},
}


def eur(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    """An invoice with each kind of line and everything that takes off it, and one with a correction of it."""
    terms = [coupon(percent="10", applies_to=["usage"]), grant("4.00"), grant("9.00", "q", "prepaid")]
    note = adjustment("-3.00", reference="T-7", tax_category="reduced")
    book = Book(agreed(*terms, buyer=TAXED), [note])
    base = charge("flat", key="base", amount="31.00", due="advance", tax_category="free")
    fee = rated([plan(("2020-01-01", [base]))], [phase("2026-10-01", "2026-11-01")], "2026-10-31")
    parts = {"gross": eur("70.00"), "discount": eur("7.00"), "excess": eur("5.00"), "top_up": eur("2.00")}
    trial = line("0.00", "seats", trial=True)
    book.issue([*fee, line("60.00", value="eu", **parts), trial])
    book.issue([*fee, line("66.00", value="eu"), trial], "2026-12-01")
    return book.documents


def test_nothing_of_the_head_and_the_sums_of_a_document_is_lost(documents: list[dict[str, Any]]) -> None:
    # 31 + 60 - 3; 10 % of 60; 4 of 31 + 54; 20 % of 54 - 2.54, 5.5 % of -3; 9 of 88.12 is paid.
    assert {name: shown for name, shown in documents[0].items() if name != "lines"} == {
        "number": "INV-1",
        "kind": "invoice",
        "rules": "2",
        "issue_date": "2026-11-01",
        "due_date": "2026-11-01",
        "cut_off": "2026-11-01",
        "currency": "EUR",
        **PARTIES,
        "references": [],
        "service_start": "2026-10-01",
        "service_end": "2026-11-01",
        "subtotal": "88.00",
        "coupon_total": "6.00",
        "promotional_total": "4.00",
        "tax": "10.12",
        "total": "88.12",
        "credit_note_total": "0.00",
        "prepaid_total": "9.00",
        "amount_due": "79.12",
        "coupons": [{"id": "c1", "amount": "6.00", "percent": "10", "base": "60.00"}],
        "promotional": [{"id": "g1", "amount": "4.00", "base": "85.00"}],
        "prepaid": [{"id": "q", "amount": "9.00", "base": "88.12"}],
        "taxes": [
            {"category": "reduced", "base": "-3.00", "amount": "-0.17", "name": "VAT", "percent": "5.5"},
            {"category": "standard", "base": "51.46", "amount": "10.29", "name": "VAT", "percent": "20"},
            {"category": "free", "base": "29.54", "amount": "0.00", "reason": "Article 44"},
        ],
    }


def test_a_fee_says_that_it_is_exempt_and_why(documents: list[dict[str, Any]]) -> None:
    fee = documents[0]["lines"][0]
    assert (fee["position"], fee["kind"], fee["meter"], fee["due"], fee["unit"]) == (
        "1",
        "fee",
        None,
        "advance",
        "period",
    )
    assert (fee["exempt"], fee["tax_category"], fee["tax_date"]) == ("Article 44", "free", "2026-10-01")
    assert "taxes" not in fee
    assert fee["promotional"] == [{"id": "g1", "amount": "1.46"}]


def test_a_trial_and_the_value_of_a_dimension_stand_on_their_lines_alone(documents: list[dict[str, Any]]) -> None:
    shown = [(one["charge"], one.get("trial"), one.get("value")) for one in documents[0]["lines"]]
    assert shown == [("base", None, None), ("seats", "yes", None), ("usage", None, "eu"), ("a1", None, None)]


def test_a_line_of_usage_says_what_led_to_it_and_what_was_taken_off(documents: list[dict[str, Any]]) -> None:
    assert documents[0]["lines"][2] == {
        "position": "3",
        "kind": "usage",
        "subscription": "sub-1",
        "customer": "acme",
        "plan": "pro",
        "charge": "usage",
        "name": "usage",
        "meter": "calls",
        "due": "arrears",
        "currency": "EUR",
        **OCTOBER,
        "measured": "60",
        "quantity": "60",
        "unit": "call",
        "gross": "70.00",
        "discount": "7.00",
        "excess": "5.00",
        "top_up": "2.00",
        "amount": "60.00",
        "tax_category": "standard",
        "tax_date": "2026-10-31",
        "formula": {"model": "per_unit", "details": [], "proration": "1", "exact": "60.00"},
        "value": "eu",
        "coupons": [{"id": "c1", "amount": "6.00", "percent": "10"}],
        "promotional": [{"id": "g1", "amount": "2.54"}],
        "taxes": [{"name": "VAT", "percent": "20", "amount": "10.29"}],
    }


def test_an_adjustment_says_its_reason_its_reference_and_its_day(documents: list[dict[str, Any]]) -> None:
    assert documents[0]["lines"][3] == {
        "position": "4",
        "kind": "adjustment",
        "subscription": "",
        "customer": "acme",
        "plan": "",
        "charge": "a1",
        "name": "agreed",
        "meter": None,
        "due": "advance",
        "currency": "EUR",
        "period_start": "2026-10-10",
        "period_end": "2026-10-11",
        "start": "2026-10-10",
        "end": "2026-10-11",
        "measured": "1",
        "quantity": "1",
        "unit": "adjustment",
        "gross": "-3.00",
        "discount": "0.00",
        "excess": "0.00",
        "top_up": "0.00",
        "amount": "-3.00",
        "tax_category": "reduced",
        "tax_date": "2026-10-10",
        "formula": {
            "model": "adjustment",
            "details": [],
            "proration": "1",
            "exact": "-3.00",
            "reference": "T-7",
            "reason": "agreed",
        },
        "taxes": [{"name": "VAT", "percent": "5.5", "amount": "-0.17"}],
    }


def test_a_correction_says_what_it_corrects_and_its_parts_are_differences(documents: list[dict[str, Any]]) -> None:
    (shown,) = documents[1]["lines"]
    assert (documents[1]["references"], shown["kind"], shown["correction"]) == (["INV-1"], "correction", CORRECTED)
    assert [shown[name] for name in ("gross", "discount", "excess", "top_up", "amount")] == [
        "-4.00",
        "-7.00",
        "-5.00",
        "-2.00",
        "6.00",
    ]
    assert shown["coupons"] == [{"id": "c1", "amount": "0.60", "percent": "10", "document": "INV-1"}]
    assert shown["taxes"] == [{"name": "VAT", "percent": "20", "amount": "1.08"}]
    assert documents[1]["coupons"] == shown["coupons"]


@pytest.mark.parametrize(
    ("was", "kind", "end"),
    [
        (line("60.00", value="eu", period="2026-09-01"), "usage", "2026-09-01"),
        (line("31.00", "base", meter=None, due="advance", tax_category="reduced"), "fee", "2026-10-01"),
        # What a plan adds may be gone although its segment is still there.
        (line("-5.00", "cap", kind="cap", meter=None), "cap", "2026-11-01"),
        (line("5.00", "true_up", kind="true_up", meter=None), "true_up", "2026-11-01"),
    ],
    ids=["usage", "fee", "cap", "true-up"],
)
def test_a_line_that_is_gone_is_given_back_as_it_was_shown(was: Line, kind: Any, end: str) -> None:
    book = Book(agreed(buyer=TAXED))
    book.issue([was])
    (due,) = due_lines([], issued_lines(book.documents), was.period_end)
    formula = {"model": "none", "details": [], "proration": "0", "exact": "0"}
    nothing = {"measured": Decimal(0), "quantity": Decimal(0), "amount": eur("0.00"), "formula": formula}
    assert due.line == replace(was, kind=kind, end=date.fromisoformat(end), **nothing)
    assert due.amount == -was.amount
