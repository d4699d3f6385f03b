"""What documents have used of coupons, credits and credit notes: to the last unit, each by its own kind and name."""

from __future__ import annotations

from decimal import Decimal

from billing_make import D
from books import Book, adjustment, agreed, coupon, grant, line, off

from orchestration.billing.credits import Account, Used, used_in, valid_coupons, valid_credits
from orchestration.billing.shares import Use
from orchestration.money import Money

ACME = Account("main", "acme", "EUR")
DAY = D("2026-10-31")


def taking(kind: str, key: str, amount: str) -> Used:
    used = Used()
    use = Use(kind, key, Money(Decimal(amount), "EUR"))  # type: ignore[arg-type]
    used.add("INV-1", ACME, Money.of(100, "EUR"), [use])
    return used


def test_a_percentage_that_took_some_cents_once_is_taken_no_second_time() -> None:
    book = Book(agreed(coupon(percent="10")))
    (first,) = book.issue([line("1.00", period="2026-09-01")], "2026-10-01")
    (second,) = book.issue([line("1.00", period="2026-09-01"), line("50.00")])
    assert (first["coupon_total"], second["coupon_total"]) == ("0.10", "0.00")


def test_the_last_cent_of_a_credit_note_pays() -> None:
    book = Book(adjustments=[adjustment("-10.01")])
    book.issue([])
    lines = [line("10.00", period=f"2026-{month}-01") for month in ("08", "09")]
    found = [book.issue(lines[:n], "2026-11-02")[0] for n in (1, 2)]
    assert [body["credit_note_total"] for body in found] == ["10.00", "0.01"]


def test_the_last_cent_of_a_coupon_and_of_a_credit_may_be_used_and_nothing_after_it() -> None:
    for spent, left in (("9.99", [1]), ("10.00", []), ("10.01", [])):
        terms = off("10.00"), grant("10.00")
        coupons = valid_coupons(terms[:1], taking("coupon", "c1", spent), "EUR", DAY)
        credits = valid_credits(terms[1:], "promotional", taking("promotional", "g1", spent), "EUR", DAY)
        assert [one.amount for one in coupons] == left
        assert [one.amount for one in credits] == left


def test_a_credit_that_has_the_name_of_a_coupon_is_another_thing() -> None:
    used = taking("promotional", "c1", "5.00")
    assert (used.amount("promotional", "c1"), used.amount("coupon", "c1")) == (Decimal("5.00"), 0)
    assert (used.documents("c1"), used.has_taken("c1")) == (0, False)
    assert (used.ids("promotional"), used.ids("coupon")) == ({"c1"}, set())


def test_a_document_is_a_credit_note_only_where_its_total_is_below_zero() -> None:
    book = Book(adjustments=[adjustment("-10.00")])
    book.issue([])
    book.issue([line("30.00"), line("0.00", "idle")])
    book.issue([line("30.00"), line("0.00", "idle"), line("0.00", "other")], "2026-12-01")
    used = used_in(book.documents)
    assert [body["total"] for body in book.documents] == ["-10.00", "30.00", "0.00"]
    assert [used.is_note(body["number"]) for body in book.documents] == [True, False, False]
    assert not used.is_note("CN-9") and not Used().is_note("CN-1")
