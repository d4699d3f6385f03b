"""A void takes back all that stands of a document, once; what is billed anew is billed as known now."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from books import VAT, Book, adjustment, agreed, coupon, grant, line

from orchestration.billing.policy import Policy


def heads(found: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(body["kind"], body.get("corrects", ""), body["total"], body["amount_due"]) for body in found]


def test_a_void_is_a_credit_note_of_the_whole_with_its_tax_and_its_coupons() -> None:
    book = Book(agreed(coupon(percent="10"), grant("5.00"), buyer=VAT))
    (invoice,) = book.issue([line("100.00"), line("0.00", "more")])
    (note,) = book.issue([line("100.00"), line("0.00", "more")], "2026-12-01", {"INV-1": False})
    for name in ("subtotal", "coupon_total", "promotional_total", "tax", "total"):
        assert Decimal(note[name]) == -Decimal(invoice[name]), name
    assert (note["kind"], note["corrects"], note["references"], note["void"]) == (
        "credit_note", "INV-1", ["INV-1"], "final",
    )  # fmt: skip
    assert [(s["charge"], s["amount"], s["correction"]["cause"]) for s in note["lines"]] == [
        ("more", "0.00", "void"),
        ("usage", "-100.00", "void"),
    ]
    assert note["lines"][1]["correction"]["after"] == {"amount": "0.00", "measured": "0", "quantity": "0"}
    assert (note["service_start"], note["service_end"]) == ("2026-10-01", "2026-11-01")


def test_what_is_voided_for_good_never_comes_again_and_is_voided_once() -> None:
    book = Book()
    book.adjustments = [adjustment("3.00")]
    book.issue([line("10.00")])
    assert heads(book.issue([line("10.00")], "2026-12-01", {"INV-1": False})) == [
        ("credit_note", "INV-1", "-13.00", "-13.00")
    ]
    for now in ("10.00", "17.00", "0.00"):
        assert book.issue([line(now)], "2027-01-01", {"INV-1": False}) == []


def test_D3_a_void_that_bills_anew_does_so_in_the_same_close_with_what_was_given_back() -> None:
    """The tax of the reissue is that of now, the coupon can be used again, and the credit note pays the new invoice."""
    book = Book(agreed(coupon(percent="10"), buyer=VAT))
    book.issue([line("100.00")])
    book.agreed = agreed(coupon(percent="10"))
    found = book.issue([line("120.00")], "2026-12-01", {"INV-1": True})
    assert heads(found) == [("credit_note", "INV-1", "-108.00", "-108.00"), ("invoice", "", "108.00", "0.00")]
    (shown,) = found[1]["lines"]
    assert (shown["kind"], shown["amount"], shown["coupons"][0]["amount"]) == ("usage", "120.00", "12.00")
    assert book.issue([line("120.00")], "2026-12-02", {"INV-1": True}) == []
    assert heads(book.issue([line("121.00")], "2026-12-03", {"INV-1": True}))[0][:3] == ("debit_note", "INV-3", "0.90")


def test_a_void_takes_back_what_stands_after_corrections_and_no_more() -> None:
    book = Book(agreed(buyer=VAT))
    book.issue([line("100.00")])
    book.issue([line("70.00")], "2026-12-01")
    assert heads(book.issue([line("70.00")], "2026-12-02", {"INV-1": False})) == [
        ("credit_note", "INV-1", "-84.00", "-84.00")
    ]


def test_differences_that_a_voided_document_carries_are_of_another_and_stay() -> None:
    book = Book()
    book.issue([line("10.00", period="2026-09-01")], "2026-10-01")
    both = [line("14.00", period="2026-09-01"), line("50.00")]
    book.issue(both)
    assert heads(book.issue(both, "2026-12-01", {"INV-2": False})) == [("credit_note", "INV-2", "-50.00", "-50.00")]
    assert book.issue(both, "2026-12-02", {"INV-2": False}) == []


def test_a_void_waits_for_no_policy() -> None:
    book = Book(policy=Policy({"pro": "report_only"}, horizon_days=0, floors={"EUR": Decimal(1000)}))
    book.issue([line("10.00")])
    assert heads(book.issue([line("10.00")], "2029-01-01", {"INV-1": True})) == [
        ("credit_note", "INV-1", "-10.00", "-10.00"),
        ("invoice", "", "10.00", "0.00"),
    ]


def life(seed: int) -> tuple[Book, dict[str, Decimal]]:
    """Months that are billed, corrected under changing policies and voided; the last amount of each month."""
    chance = random.Random(seed)
    book = Book(agreed(coupon(percent="10", lasts="forever"), grant("20.00"), buyer=VAT))
    months = ["2026-06-01", "2026-07-01", "2026-08-01"]
    amounts: dict[str, Decimal] = {}
    voids: dict[str, bool] = {}
    for number, month in enumerate([*months, *["2026-09-01"] * 4]):
        for known in amounts:
            amounts[known] = Decimal(chance.choice(["0.00", "0.05", "33.33", "100.00"]))
        if number < len(months):
            amounts[month] = Decimal(chance.choice(["0.00", "10.01", "99.99"]))
        kind = chance.choice(["next_invoice", "own_document", "report_only"]) if number < 6 else "next_invoice"
        book.policy = Policy({"pro": kind})  # type: ignore[dict-item]
        invoices = [body["number"] for body in book.documents if body["kind"] == "invoice"]
        if number < 6 and invoices and chance.random() < 0.4:
            voids[chance.choice(invoices)] = chance.random() < 0.7
        lines = [line(f"{amount:.2f}", period=known) for known, amount in amounts.items()]
        book.issue(lines, f"2026-{min(number + 7, 12):02d}-{number + 1:02d}", voids)
    return book, amounts


@pytest.mark.parametrize("seed", range(60))
def test_credit_notes_never_give_back_more_than_was_billed_and_all_ends_at_what_is_known(seed: int) -> None:
    book, amounts = life(seed)
    standing: dict[str, Decimal] = defaultdict(Decimal)
    tax: dict[str, Decimal] = defaultdict(Decimal)
    final: set[str] = set()
    of_lines: dict[str, Decimal] = defaultdict(Decimal)
    for body in book.documents:
        for shown in body["lines"]:
            original = shown.get("correction", {}).get("document", body["number"])
            taken = sum(Decimal(use["amount"]) for kind in ("coupons", "promotional") for use in shown.get(kind, ()))
            standing[original] += Decimal(shown["amount"]) - taken
            tax[original] += sum((Decimal(part["amount"]) for part in shown.get("taxes", ())), Decimal(0))
            of_lines[shown["period_start"]] += Decimal(shown["amount"])
            final |= {shown["period_start"]} if body.get("void") == "final" else set()
        assert min(standing.values()) >= 0 and min(tax.values()) >= 0, body["number"]
    assert sum(Decimal(body["total"]) for body in book.documents) == sum(standing.values()) + sum(tax.values())
    # The last close bills whatever waited, so each month ends at what is known of it.
    assert of_lines == {month: Decimal(0) if month in final else amounts[month] for month in of_lines}


def test_the_lives_above_hold_what_they_are_for() -> None:
    """Voids of both kinds and notes of both kinds, each many times."""
    documents = [body for seed in range(60) for body in life(seed)[0].documents]
    kinds = [body["kind"] for body in documents]
    voids = [body.get("void") for body in documents]
    assert min(kinds.count("credit_note"), kinds.count("debit_note"), voids.count("final"), voids.count("reissue")) > 10


def test_a_tax_of_lines_above_and_below_zero_falls_on_each_as_its_own() -> None:
    """20 % of 0.04 is 0.01: a share of it by the lines' amounts would be -22.49 for the line of -89.96."""
    book = Book(agreed(buyer=VAT))
    book.issue([line("100.00", period="2026-08-01"), line("1.00", period="2026-09-01")], "2026-10-01")
    now = [line("10.04", period="2026-08-01"), line("1.01", period="2026-09-01"), line("89.99")]
    (body,) = book.issue(now)
    assert body["tax"] == "0.01"
    assert [shown["taxes"][0]["amount"] for shown in body["lines"]] == ["-17.99", "0.00", "18.00"]
