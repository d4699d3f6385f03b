"""What becomes of a difference: billed once and rightly, by whatever policy, or kept where it is not to be billed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from billing_make import TIERS, charge, phase, plan, rated, used
from books import VAT, Book, adjustment, agreed, coupon, line

from orchestration.billing.policy import Policy
from orchestration.billing.rating import Line
from orchestration.catalog.charges import Charge
from orchestration.catalog.plans import Corrections

POLICIES: tuple[Corrections, ...] = ("next_invoice", "own_document", "report_only")
SEPTEMBER = "2026-09-01"


def by(corrections: Corrections, **fields: Any) -> Policy:
    return Policy({"pro": corrections}, **fields)


def corrected(documents: Sequence[dict[str, Any]]) -> Decimal:
    """Sum of the correction lines of documents."""
    lines = [shown for body in documents for shown in body["lines"]]
    return sum((Decimal(shown["amount"]) for shown in lines if shown["kind"] == "correction"), Decimal(0))


def heads(found: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(body["kind"], body.get("corrects", ""), body["total"]) for body in found]


def month_by_month(priced: Charge, units: int, late: int, end: str | None = None) -> tuple[list[Line], list[Line]]:
    """The lines of October to December, as known at the close of October and ever after."""
    plans = [plan(("2026-01-01", [priced]))]
    first = rated(plans, [phase("2026-10-01")], "2026-10-31", {"calls": used(("2026-10-05", units))})
    later = rated(plans, [phase("2026-10-01", end)], "2027-01-01", {"calls": used(("2026-10-05", units + late))})
    return first, later


@pytest.mark.parametrize("corrections", POLICIES)
@pytest.mark.parametrize(
    ("priced", "units", "late", "end", "difference"),
    [
        (charge(price="1"), 100, 10, None, "10.00"),
        (charge("graduated", tiers=TIERS), 950, 100, None, "7.50"),
        (charge("volume", tiers=({"up_to": "15", "price": "10"}, {"price": "5"})), 15, 1, None, "-70.00"),
        (charge(price="1", minimum="1000"), 700, 150, None, "0"),
        (charge("flat", key="fee", amount="31.00", due="advance"), 0, 0, "2026-10-25", "-7.00"),
    ],
    ids=["late +10", "above a bound", "volume gives back", "below the minimum", "fee of an ended subscription"],
)
def test_a_difference_is_billed_once_over_two_later_closes_whatever_the_policy(
    priced: Charge, units: int, late: int, end: str | None, difference: str, corrections: Corrections
) -> None:
    first, later = month_by_month(priced, units, late, end)
    book = Book(policy=by(corrections))
    book.issue(first)
    found = [*book.issue(later, "2026-12-01"), *book.issue(later, "2027-01-01")]
    kept = corrections == "report_only" and Decimal(difference) > 0
    assert corrected(found) == (0 if kept else Decimal(difference))
    assert [(one.waits, one.amount.text) for one in book.waiting] == ([("report_only", difference)] if kept else [])


def test_a_correction_rides_on_the_next_invoice_or_on_a_note_for_each_original_with_a_series_of_its_own() -> None:
    months = [line("10.00", period="2026-08-01"), line("20.00", period=SEPTEMBER)]
    now = [line("4.00", period="2026-08-01"), line("25.00", period=SEPTEMBER), line("3.00")]
    for corrections, expected in (
        ("next_invoice", [("invoice", "", "2.40")]),
        (
            "own_document",
            [("credit_note", "INV-1", "-7.20"), ("debit_note", "INV-2", "6.00"), ("invoice", "", "3.60")],
        ),
    ):
        book = Book(agreed(buyer=VAT), policy=by(corrections))
        book.issue(months[:1], SEPTEMBER)
        book.issue(months, "2026-10-01")
        found = book.issue(now)
        assert heads(found) == expected
        assert book.issue(now, "2026-11-02") == []
    assert [body["references"] for body in found] == [["INV-1"], ["INV-2"], []]


def test_a_debit_note_is_paid_from_the_credit_note_of_the_same_close() -> None:
    book = Book(policy=by("own_document"))
    book.issue([line("10.00", period="2026-08-01")], SEPTEMBER)
    book.issue([line("10.00", period="2026-08-01"), line("20.00", period=SEPTEMBER)], "2026-10-01")
    note, debit = book.issue([line("4.00", period="2026-08-01"), line("28.00", period=SEPTEMBER)], "2026-10-02")
    assert (note["total"], debit["total"], debit["credit_note_total"], debit["amount_due"]) == (
        "-6.00", "8.00", "6.00", "2.00",
    )  # fmt: skip


def test_without_a_document_due_or_with_one_of_another_currency_a_correction_is_its_own_document() -> None:
    book = Book()
    book.issue([line("10.00")])
    now = [line("14.00"), line("700", period="2026-11-01", currency="JPY", subscription="sub-2")]
    assert heads(book.issue(now, "2026-12-01")) == [("debit_note", "INV-1", "4.00"), ("invoice", "", "700")]
    book = Book()
    book.issue([line("10.00")])
    assert heads(book.issue([line("14.00")], "2026-12-01")) == [("debit_note", "INV-1", "4.00")]
    book = Book()
    book.issue([line("10.00")])
    book.adjustments = [adjustment("1.00", day="2026-11-10")]
    assert heads(book.issue([line("14.00")], "2026-12-01")) == [("invoice", "", "5.00")]


def test_one_original_with_lines_of_two_policies_has_one_note() -> None:
    """Two would be two documents of one cut-off for one original, which the ledger refuses."""
    book = Book(policy=Policy({"pro": "own_document"}))
    both = [line("10.00"), line("10.00", subscription="sub-2", plan="basic")]
    book.issue(both)
    now = [line("7.00"), line("2.00", subscription="sub-2", plan="basic"), line("1.00", period="2026-11-01")]
    found = book.issue(now, "2026-12-01")
    assert heads(found) == [("credit_note", "INV-1", "-11.00"), ("invoice", "", "1.00")]


def test_report_only_keeps_what_costs_more_and_gives_back_what_costs_less() -> None:
    book = Book(policy=by("report_only"))
    book.issue([line("10.00")])
    assert book.issue([line("14.00")], "2026-12-01") == []
    assert [one.amount.text for one in book.waiting] == ["4.00"]
    # What was never billed is never given back either: the difference is to what was issued.
    assert heads(book.issue([line("9.00")], "2026-12-02")) == [("credit_note", "INV-1", "-1.00")]


def test_what_report_only_would_give_back_is_withheld_by_a_reviewed_row_alone() -> None:
    book = Book(policy=by("report_only", withheld={("sub-1", line("0.00").period_start)}))
    book.issue([line("10.00")])
    assert book.issue([line("4.00")], "2026-12-01") == []
    assert [(one.waits, one.amount.text) for one in book.waiting] == [("withheld", "-6.00")]
    book.policy = by("next_invoice", withheld={("sub-1", line("0.00").period_start)})
    assert heads(book.issue([line("4.00")], "2026-12-01")) == [("credit_note", "INV-1", "-6.00")]


@pytest.mark.parametrize("policy", [by("report_only"), by("next_invoice", horizon_days=0)], ids=["reported", "late"])
def test_what_a_commitment_evens_out_is_judged_with_its_true_up(policy: Policy) -> None:
    """Late usage of 150 makes the true-up 150 less: to keep the one and give back the other would be a gift of 150."""
    owed = {"kind": "true_up", "meter": None, "measured": Decimal(1), "quantity": Decimal(1)}
    book = Book(policy=policy)
    book.issue([line("700.00"), line("300.00", "true_up", **owed)])
    book.issue([line("850.00"), line("150.00", "true_up", **owed)], "2026-12-01")
    assert (corrected(book.documents), book.waiting) == (0, [])
    book.issue([line("1100.00"), line("0.00", "true_up", **owed)], "2026-12-02")
    assert (corrected(book.documents), sum(one.amount.amount for one in book.waiting)) == (0, Decimal("100.00"))


@pytest.mark.parametrize(("cut_off", "billed"), [("2027-12-06", True), ("2027-12-07", False)])
def test_the_late_horizon_ends_what_costs_more_and_nothing_that_gives_back(cut_off: str, billed: bool) -> None:
    """October 2026 ends on 1 November; 400 days later is 6 December 2027."""
    book = Book()
    book.issue([line("10.00")])
    found = book.issue([line("14.00")], cut_off)
    assert heads(found) == ([("debit_note", "INV-1", "4.00")] if billed else [])
    assert [one.waits for one in book.waiting] == ([] if billed else ["late_horizon"])
    assert heads(book.issue([line("9.00")], "2030-01-01")) == [("credit_note", "INV-1", "-5.00" if billed else "-1.00")]


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [("14.99", "10.00", True), ("15.00", "10.00", False), ("5.01", "10.00", True), ("5.00", "10.00", False),
     ("12.50", "12.50", False), ("16.00", "5.00", True)],
)  # fmt: skip
def test_a_customers_differences_below_the_floor_wait_together_and_are_shown(
    first: str, second: str, waits: bool
) -> None:
    book = Book(policy=Policy(floors={"EUR": Decimal(5)}))
    book.issue([line("10.00", period=SEPTEMBER)], "2026-10-01")
    book.issue([line("10.00", period=SEPTEMBER), line("10.00")])
    found = book.issue([line(first, period=SEPTEMBER), line(second)], "2026-11-02")
    assert (found == []) is waits
    assert {one.waits for one in book.waiting} == ({"correction_floor"} if waits else set())
    other = Policy(floors={"USD": Decimal(5)})
    book.policy = other
    later = book.issue([line(first, period=SEPTEMBER), line(second)], "2026-11-03")
    assert corrected([*found, *later]) == Decimal(first) + Decimal(second) - 20


def test_coupons_of_the_original_follow_a_correction_onto_its_note() -> None:
    book = Book(agreed(coupon(percent="10"), buyer=VAT), policy=by("own_document"))
    book.issue([line("100.00")])
    (note, _) = book.issue([line("60.00"), line("0.00", period="2026-11-01")], "2026-12-01")
    assert (note["subtotal"], note["coupon_total"], note["tax"], note["total"]) == (
        "-40.00",
        "-4.00",
        "-7.20",
        "-43.20",
    )


def test_a_line_that_waits_leaves_its_originals_coupons_as_they_are() -> None:
    book = Book(agreed(coupon(percent="10")), policy=Policy({"pro": "report_only"}))
    both = [line("100.00"), line("100.00", subscription="sub-2", plan="basic")]
    book.issue(both)
    now = [line("150.00"), line("80.00", subscription="sub-2", plan="basic")]
    (note,) = book.issue(now, "2026-12-01")
    assert (note["subtotal"], note["coupon_total"]) == ("-20.00", "-2.00")
    assert [(one.waits, one.amount.text) for one in book.waiting] == [("report_only", "50.00")]


def test_a_cause_of_the_plans_lines_is_that_of_the_greatest_change_beside_them() -> None:
    book = Book()
    capped = line("-20.00", "cap", kind="cap", meter=None, measured=Decimal(1), quantity=Decimal(1))
    book.issue([line("100.00"), line("20.00", "more"), capped])
    # The price of one charge fell by 30 while usage of the other grew by 5.
    cheaper = replace(line("70.00"), measured=Decimal("100.00"), quantity=Decimal("100.00"))
    book.issue([cheaper, line("25.00", "more"), replace(capped, amount=line("-1.00").amount)], "2026-12-01")
    causes = {s["charge"]: s["correction"]["cause"] for body in book.documents[1:] for s in body["lines"]}
    assert causes == {"usage": "price", "more": "late usage", "cap": "price"}
