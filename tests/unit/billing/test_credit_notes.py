"""Corrections below zero, credit notes, and what becomes of the original's coupons, credits and taxes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from billing_make import D
from books import VAT, Book, adjustment, agreed, buyer, coupon, grant, line, off, sums

from orchestration.billing.corrections import creditable
from orchestration.billing.credits import Account, used_in
from orchestration.billing.due import due_lines, issued_lines
from orchestration.money import Money

ACME = Account("main", "acme", "EUR")


def heads(found: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(body["kind"], body.get("corrects", ""), body["total"], body["amount_due"]) for body in found]


def test_a_correction_below_zero_stays_on_a_document_that_can_bear_it() -> None:
    book = Book(agreed(buyer=VAT))
    book.issue([line("10.00", period="2026-09-01")], "2026-10-01")
    found = book.issue([line("4.00", period="2026-09-01"), line("6.00")])
    assert heads(found) == [("invoice", "", "0.00", "0.00")]
    assert found[0]["references"] == ["INV-1"]


def test_corrections_leave_a_negative_total_for_a_credit_note_for_each_original() -> None:
    book = Book(agreed(buyer=VAT))
    book.issue([line("10.00", period="2026-08-01")], "2026-09-01")
    book.issue([line("10.00", period="2026-08-01"), line("20.00", period="2026-09-01")], "2026-10-01")
    found = book.issue([line("0.00", period="2026-08-01"), line("5.00", period="2026-09-01"), line("3.00")])
    assert heads(found) == [
        ("credit_note", "INV-1", "-12.00", "-12.00"),
        ("credit_note", "INV-2", "-18.00", "-18.00"),
        ("invoice", "", "3.60", "0.00"),
    ]
    assert [(use["number"], use["amount"]) for use in found[2]["credit_notes"]] == [("CN-3", "3.60")]
    assert [body["references"] for body in found] == [["INV-1"], ["INV-2"], []]


def test_what_is_still_negative_without_its_corrections_is_a_credit_note_as_a_whole() -> None:
    book = Book(agreed(buyer=VAT))
    book.issue([line("10.00", period="2026-09-01")], "2026-10-01")
    book.adjustments = [adjustment("-50.00")]
    found = book.issue([line("4.00", period="2026-09-01"), line("20.00")])
    assert heads(found) == [("credit_note", "INV-1", "-7.20", "-7.20"), ("credit_note", "", "-36.00", "-36.00")]
    assert [shown["kind"] for shown in found[1]["lines"]] == ["usage", "adjustment"]


def test_D4_credit_notes_pay_later_documents_the_oldest_first_until_they_are_used_up() -> None:
    book = Book()
    book.adjustments = [adjustment("-15.00")]
    book.issue([])
    book.adjustments = [*book.adjustments, adjustment("-7.00", "a2", "2026-11-10")]
    book.issue([], "2026-12-01")
    lines = [line("10.00")]
    paid = []
    for month in ("2026-11-01", "2026-12-01"):
        lines.append(line("10.00", period=month))
        body = book.issue(lines, "2027-02-01")[-1]
        paid.append(([(use["number"], use["amount"]) for use in body["credit_notes"]], body["amount_due"]))
    assert paid == [([("CN-1", "15.00"), ("CN-2", "5.00")], "0.00"), ([("CN-2", "2.00")], "8.00")]
    assert used_in(book.documents).notes(ACME) == {}


def test_a_credit_note_that_was_refunded_pays_nothing_any_more() -> None:
    book = Book(adjustments=[adjustment("-15.00")])
    book.issue([])
    book.agreed = agreed(refunded=frozenset({"CN-1"}))
    (body,) = book.issue([line("10.00")])
    assert (body["credit_note_total"], body["amount_due"]) == ("0.00", "10.00")


def test_a_credit_note_pays_no_document_of_another_currency() -> None:
    book = Book(adjustments=[adjustment("-15.00")])
    book.issue([])
    (body,) = book.issue([line("1000", currency="JPY")])
    assert (body["credit_note_total"], body["amount_due"]) == ("0", "1000")
    assert {k: v.text for k, v in used_in(book.documents).notes(ACME).items()} == {"CN-1": "15.00"}


def test_credit_notes_come_before_prepaid_credits() -> None:
    book = Book(agreed(grant("8.00", kind="prepaid")), [adjustment("-5.00")])
    book.issue([])
    (body,) = book.issue([line("10.00")])
    assert (body["credit_note_total"], body["prepaid_total"], body["amount_due"]) == ("5.00", "5.00", "0.00")


def test_C1_a_credit_note_gives_back_the_tax_that_was_billed_to_the_last_cent_and_no_more() -> None:
    """Three lines of 0.02: one tax of 0.01. Line by line each would round to nothing, and three of 0.03 to too much."""
    for amount, billed in (("0.02", "0.01"), ("0.03", "0.02")):
        book = Book(agreed(buyer=VAT))
        lines = {key: line(amount, key) for key in ("a", "b", "c")}
        book.issue(list(lines.values()))
        back = []
        for key in lines:
            lines[key] = line("0.00", key)
            back.append(Decimal(book.issue(list(lines.values()), "2026-12-01")[0]["tax"]))
            assert sum(back) >= -Decimal(billed)
        assert sum(back) == -Decimal(billed)
        assert sum(Decimal(body["total"]) for body in book.documents) == 0


def test_the_tax_of_another_rate_on_the_original_lets_no_more_be_given_back() -> None:
    """Three lines of 0.03 were taxed 0.02 together, and the fourth 5.00 at another rate."""
    rates = [{"category": name, "name": name, "percent": "20"} for name in ("standard", "other")]
    book = Book(agreed(buyer=buyer(rates=rates)))
    beside = line("25.00", "z", tax_category="other")
    lines = {key: line("0.03", key) for key in ("a", "b", "c")}
    book.issue([*lines.values(), beside])
    back = []
    for key in lines:
        lines[key] = line("0.00", key)
        back.append(book.issue([*lines.values(), beside], "2026-12-01")[0]["tax"])
    assert back == ["-0.01", "-0.01", "0.00"]


def test_what_was_given_back_already_is_given_back_no_more() -> None:
    ten, four = Money.of(10, "EUR"), Money.of(4, "EUR")
    assert (creditable(ten, four).text, creditable(four, ten).text) == ("6.00", "0.00")


def test_a_correction_keeps_the_rate_the_category_and_the_exemption_of_its_original() -> None:
    book = Book(agreed(buyer=VAT))
    book.issue([line("10.00", period="2026-09-01")], "2026-10-01")
    book.agreed = agreed(buyer=buyer(rates=[{"category": "standard", "name": "VAT", "percent": "25"}]))
    found = book.issue([line("12.00", period="2026-09-01"), line("10.00")])
    assert [(t["percent"], t["base"], t["amount"]) for t in found[0]["taxes"]] == [
        ("20", "2.00", "0.40"),
        ("25", "10.00", "2.50"),
    ]
    book.agreed = agreed()
    (note,) = book.issue([line("0.00", period="2026-09-01"), line("10.00")], "2026-12-01")
    assert (note["kind"], note["tax"], note["total"]) == ("credit_note", "-2.40", "-14.40")
    untaxed = Book()
    untaxed.issue([line("10.00")])
    untaxed.agreed = agreed(buyer=VAT)
    (note,) = untaxed.issue([line("4.00")], "2026-12-01")
    assert (note["total"], note.get("taxes")) == ("-6.00", None)
    rates = [{"category": "standard", "name": "VAT", "percent": "20"}]
    exempt = Book(agreed(buyer=buyer(rates=rates, exemptions=[{"customer": "acme", "reason": "Export"}])))
    exempt.issue([line("10.00")])
    exempt.agreed = agreed(buyer=VAT)
    (more,) = exempt.issue([line("14.00")], "2026-12-01")
    assert more["taxes"] == [{"category": "standard", "base": "4.00", "amount": "0.00", "reason": "Export"}]


def test_coupons_of_the_carrying_document_do_not_touch_a_correction() -> None:
    book = Book()
    book.issue([line("10.00", period="2026-09-01")], "2026-10-01")
    book.agreed = agreed(coupon(percent="50"), grant("100"))
    (body,) = book.issue([line("14.00", period="2026-09-01"), line("10.00")])
    assert sums(body) == ("14.00", "5.00", "5.00", "0.00", "4.00")


@pytest.mark.parametrize(
    ("now", "back"), [("60.00", "-4.00"), ("0.00", "-10.00"), ("140.00", "4.00"), ("0.05", "-9.99")]
)
def test_a_percentage_of_the_original_is_taken_again(now: str, back: str) -> None:
    book = Book(agreed(coupon(percent="10")))
    book.issue([line("100.00")])
    (body,) = book.issue([line(now)], "2026-12-01")
    assert (body["coupon_total"], body["coupons"][0]["document"]) == (back, "INV-1")
    assert Decimal(body["total"]) == Decimal(now) - 100 - Decimal(back)
    assert book.issue([line(now)], "2026-12-02") == []


@pytest.mark.parametrize(
    ("now", "back"), [("60.00", None), ("30.00", None), ("20.00", "-10.00"), ("0.00", "-30.00"), ("140.00", None)]
)
@pytest.mark.parametrize("kind", ["coupon", "promotional"])
def test_an_amount_stays_as_it_was_taken_and_never_above_the_new_base(now: str, back: str | None, kind: str) -> None:
    book = Book(agreed(off("30.00") if kind == "coupon" else grant("30.00")))
    book.issue([line("100.00")])
    (body,) = book.issue([line(now)], "2026-12-01")
    assert body[f"{kind}_total"] == (back or "0.00")
    later = book.issue([line(now), line("50.00", period="2026-11-01")], "2026-12-02")
    assert later[-1][f"{kind}_total"] == str(-Decimal(back or "0.00"))


def test_a_coupon_is_taken_again_on_the_whole_of_its_original_and_not_line_by_line() -> None:
    """A cap that grows with its line: what is left for the coupon stays the same, so it gives nothing back."""
    book = Book(agreed(coupon(percent="10"), off("2.00", "f")))
    book.issue([line("100.00"), line("-20.00", "cap", kind="cap")])
    (body,) = book.issue([line("110.00"), line("-30.00", "cap", kind="cap")], "2026-12-01")
    assert (body["subtotal"], body["coupon_total"], body["total"]) == ("0.00", "0.00", "0.00")


@pytest.mark.parametrize(("other", "back"), [("1.00", "1.00"), ("1.01", "1.00")])
def test_lines_that_are_not_corrected_count_for_a_percentage_at_what_they_are_worth(other: str, back: str) -> None:
    """50 % of 2.00 and of 2.01 are 1.00 and 1.01, of 4.00 and of 4.01 are 2.00 and 2.01."""
    book = Book(agreed(coupon(percent="50")))
    book.issue([line("1.00", "a"), line(other, "b")])
    (body,) = book.issue([line("3.00", "a"), line(other, "b")], "2026-12-01")
    assert body["coupon_total"] == back


@pytest.mark.parametrize(
    ("amount", "was", "now", "shown"),
    [
        # 10 + 20 were taken; of 24.00 there are 24.00, which is 12 each.
        ("30.00", ("100.00", "200.00"), ("12.00", "12.00"), {"a": ["2.00"], "b": ["-8.00"]}),
        # One cent each was taken, and the one that is left is b's.
        ("0.02", ("1.00", "1.00"), ("0.00", "0.01"), {"a": ["-0.01"], "b": []}),
        # 75 + 75 were taken, and 100.00 are left: b keeps its 75, so 25 of a remain although it is worth nothing.
        ("150.00", ("100.00", "100.00"), ("0.00", "100.00"), {"a": ["-50.00"]}),
        # 80 each were taken, and 100.00 are left: c keeps its 80, and the first of the others has the 20.
        ("240.00", ("100.00",) * 3, ("0.00", "0.00", "100.00"), {"a": ["-60.00"], "b": ["-80.00"]}),
        # Of nothing nothing is left.
        ("150.00", ("100.00", "100.00"), ("0.00", "0.00"), {"a": ["-75.00"], "b": ["-75.00"]}),
    ],
)
def test_what_is_taken_again_is_split_over_the_corrected_lines_by_what_is_left_of_them(
    amount: str, was: tuple[str, ...], now: tuple[str, ...], shown: dict[str, list[str]]
) -> None:
    book = Book(agreed(off(amount)))
    book.issue([line(each, key) for each, key in zip(was, "abc", strict=False)])
    (body,) = book.issue([line(each, key) for each, key in zip(now, "abc", strict=False)], "2026-12-01")
    assert {one["charge"]: [use["amount"] for use in one.get("coupons", ())] for one in body["lines"]} == shown


def test_coupons_are_taken_again_in_their_order_whatever_line_names_them_first() -> None:
    """50.00 of z and then 10 % of all: of 100 + 50 it was 15.00, of 100 + 150 it is 25.00."""
    book = Book(agreed(off("50.00", "first", applies_to=["z"]), coupon("second", percent="10", issued="2026-02-01")))
    (body,) = book.issue([line("100.00", "m"), line("100.00", "z")])
    assert [use["amount"] for use in body["coupons"]] == ["50.00", "15.00"]
    (body,) = book.issue([line("100.00", "m"), line("200.00", "z")], "2026-12-01")
    assert [(use["id"], use["amount"]) for use in body["coupons"]] == [("second", "10.00")]


def test_late_usage_of_a_month_that_cost_nothing_has_the_percentage_that_held_for_it() -> None:
    book = Book(agreed(coupon(percent="10", lasts="forever"), coupon("one", percent="5")))
    book.issue([line("0.00", period="2026-09-01")], "2026-10-01")
    (body,) = book.issue([line("100.00", period="2026-09-01")], "2026-10-02")
    assert (body["coupon_total"], body["total"]) == ("14.50", "85.50")
    (body,) = book.issue([line("100.00", period="2026-09-01"), line("100.00")], "2026-11-01")
    assert [(use["id"], use["amount"]) for use in body["coupons"]] == [("c1", "10.00")]


def test_a_coupon_given_back_whole_serves_another_document_and_a_credit_never_more_than_was_granted() -> None:
    book = Book(agreed(coupon(percent="10"), grant("40.00")))
    book.issue([line("100.00", period="2026-09-01")], "2026-10-01")
    book.issue([line("0.00", period="2026-09-01")], "2026-10-02")
    (body,) = book.issue([line("0.00", period="2026-09-01"), line("100.00")])
    assert (body["coupon_total"], body["promotional_total"]) == ("10.00", "40.00")
    used = used_in(book.documents)
    assert (used.amount("promotional", "g1"), used.documents("c1")) == (Decimal("40.00"), 2)


def test_a_correction_that_credits_cover_whole_is_no_credit_note() -> None:
    book = Book(agreed(grant("100.00")))
    book.issue([line("100.00", period="2026-09-01")], "2026-10-01")
    book.adjustments = [adjustment("-5.00")]
    found = book.issue([line("0.00", period="2026-09-01")])
    assert heads(found) == [("credit_note", "", "-5.00", "-5.00")]
    assert [shown["kind"] for shown in found[0]["lines"]] == ["correction", "adjustment"]


def test_a_true_up_that_late_usage_makes_needless_goes_as_a_true_up_and_for_late_usage() -> None:
    """Not as usage of a subscription that ended: it goes on."""
    missing = {"kind": "true_up", "meter": None, "measured": Decimal(1), "quantity": Decimal(1)}
    book = Book()
    book.issue([line("700.00"), line("300.00", "true_up", **missing)])
    (body,) = book.issue([line("1050.00")], "2026-12-01")
    (usage, true_up) = sorted(body["lines"], key=lambda shown: shown["amount"], reverse=True)
    assert (usage["charge"], usage["amount"], usage["correction"]["cause"]) == ("usage", "350.00", "late usage")
    assert (true_up["charge"], true_up["amount"]) == ("true_up", "-300.00")
    assert (true_up["correction"]["cause"], true_up["end"]) == ("late usage", "2026-11-01")
    (body,) = book.issue([line("1040.00"), line("0.00", "true_up", **missing)], "2027-01-01")
    assert [shown["amount"] for shown in body["lines"]] == ["-10.00"]


def test_zero_invoices_that_were_skipped_in_one_close_are_originals_of_their_own_customers() -> None:
    """They share a name, that of the journal entry; what stands of the one is nothing to give back for the other."""
    skipped = [{**body, "number": "journal-5"} for body in Book(agreed(buyer=VAT)).issue([line("0.00")])]
    other = [{**one, "customer": "beta", "subscription": "sub-2"} for one in skipped[0]["lines"]]
    issued = issued_lines([*skipped, {**skipped[0], "lines": other}])
    late = [line("10.00"), line("20.00", subscription="sub-2", customer="beta")]
    found = due_lines(late, issued, D("2026-11-01"))
    assert [[key.subscription for key in due.before.original] for due in found if due.before] == [["sub-1"], ["sub-2"]]
