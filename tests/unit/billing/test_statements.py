"""Steps 5 to 10 of the rules: adjustments, coupons, credits, taxes, the total and what pays it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from billing_make import D, charge, phase, plan, rated
from books import VAT, Book, adjustment, agreed, buyer, coupon, grant, line, off, sums

from orchestration.billing.credits import Used
from orchestration.billing.due import due_lines, grouped, issued_lines
from orchestration.billing.rating import Line
from orchestration.billing.statements import missing_rates, statements
from orchestration.billing.taxes import TaxTotal, Treatment, taxes
from orchestration.money import Money


def taken(body: dict[str, Any], name: str) -> list[tuple[str, str]]:
    return [(use.get("id") or use["number"], use["amount"]) for use in body.get(name, ())]


def shares(body: dict[str, Any], name: str) -> list[list[str]]:
    return [[use["amount"] for use in shown.get(name, ())] for shown in body["lines"]]


def months(last: int) -> list[Line]:
    """100.00 for each month from August on."""
    return [line("100.00", period=f"2026-{month:02}-01") for month in range(8, last + 1)]


def test_a_promotional_credit_comes_before_tax_so_that_nothing_is_due() -> None:
    """Worked example of the definition: credit promotional 100, usage 100, tax 20% -> due 0.00."""
    book = Book(agreed(grant("100"), buyer=VAT))
    (body,) = book.issue([line("100.00")])
    assert sums(body) == ("100.00", "0.00", "100.00", "0.00", "0.00")
    assert body["amount_due"] == "0.00"
    assert body["taxes"] == [
        {"category": "standard", "name": "VAT", "percent": "20", "base": "0.00", "amount": "0.00"}
    ]  # fmt: skip


def test_a_prepaid_credit_pays_the_total_and_changes_no_tax() -> None:
    book = Book(agreed(grant("100", kind="prepaid"), buyer=VAT))
    (body,) = book.issue([line("100.00")])
    assert sums(body) == ("100.00", "0.00", "0.00", "20.00", "120.00")
    assert (body["prepaid_total"], body["amount_due"]) == ("100.00", "20.00")


def test_without_terms_a_document_is_its_lines() -> None:
    (body,) = Book().issue([line("100.00"), line("-20.00", "back")])
    assert sums(body) == ("80.00", "0.00", "0.00", "0.00", "80.00")
    assert not {"coupons", "promotional", "credit_notes", "prepaid", "taxes", "corrects"} & body.keys()
    assert not {"coupons", "promotional", "taxes", "exempt", "value"} & body["lines"][0].keys()


def test_coupons_go_by_issue_then_id_each_on_what_is_left() -> None:
    terms = [
        off("10.00", "b", issued="2026-02-01"),
        coupon("a", percent="50", issued="2026-02-01"),
        coupon("z", percent="10", issued="2026-01-01"),
    ]
    for order in (terms, terms[::-1]):
        (body,) = Book(agreed(*order)).issue([line("100.00")])
        assert taken(body, "coupons") == [("z", "10.00"), ("a", "45.00"), ("b", "10.00")]
        assert body["total"] == "35.00"


def test_a_coupon_of_another_currency_is_skipped_and_a_percentage_never_is() -> None:
    (body,) = Book(agreed(off("10", currency="JPY"), coupon("p", percent="1"))).issue([line("100.00")])
    assert taken(body, "coupons") == [("p", "1.00")]


def test_a_fixed_coupon_takes_at_most_what_is_left_and_its_rest_serves_later_documents_until_it_is_used_up() -> None:
    book = Book(agreed(off("150.00")))
    found = [book.issue(months(m), f"2026-{m + 1:02}-01")[0] for m in (8, 9, 10)]
    assert [taken(body, "coupons") for body in found] == [[("c1", "100.00")], [("c1", "50.00")], []]
    assert [body["total"] for body in found] == ["0.00", "50.00", "100.00"]


@pytest.mark.parametrize(
    ("lasts", "amounts"),
    [("once", ["10.00", "", ""]), (2, ["10.00", "10.00", ""]), ("forever", ["10.00", "10.00", "10.00"])],
)
@pytest.mark.parametrize("how", ["percent", "amount"])
def test_a_coupon_lasts_as_many_documents_as_it_says(lasts: Any, amounts: list[str], how: str) -> None:
    terms = coupon(percent="10", lasts=lasts) if how == "percent" else off("10.00", lasts=lasts)
    book = Book(agreed(terms))
    found = [book.issue(months(m), f"2026-{m + 1:02}-01")[0] for m in (8, 9, 10)]
    assert ["".join(amount for _, amount in taken(body, "coupons")) for body in found] == amounts


def test_a_document_of_nothing_uses_up_no_amount_and_no_percentage_that_is_taken_once() -> None:
    """A percentage for a number of documents stands on it, since a correction may make something of it."""
    book = Book(agreed(coupon(percent="10"), coupon("n", percent="20", lasts=1), off("5.00", "f", lasts=1)))
    book.issue([line("0.00", period="2026-09-01")], "2026-10-01")
    (body,) = book.issue([line("0.00", period="2026-09-01"), line("100.00")])
    assert taken(body, "coupons") == [("c1", "10.00"), ("f", "5.00")]


def test_A19_a_trial_uses_up_no_coupon_of_a_number_of_documents_and_no_credit() -> None:
    free = line("0.00", period="2026-09-01", trial=True)
    book = Book(agreed(coupon(percent="20", lasts=1), grant("5.00")))
    (body,) = book.issue([free], "2026-10-01")
    assert not {"coupons", "promotional"} & body.keys() and not {"coupons"} & body["lines"][0].keys()
    (body,) = book.issue([free, line("100.00")])
    assert (taken(body, "coupons"), taken(body, "promotional")) == ([("c1", "20.00")], [("g1", "5.00")])


@pytest.mark.parametrize(
    ("cut_off", "used"), [("2026-10-15", False), ("2026-10-16", True), ("2026-11-01", True), ("2026-11-02", False)]
)
def test_terms_are_valid_on_the_last_day_before_the_cut_off(cut_off: str, used: bool) -> None:
    terms = [
        coupon(percent="10", issued="2026-10-15", until="2026-11-01"),
        grant("1.00", "p", granted="2026-10-15", expires="2026-11-01"),
        grant("1.00", "q", "prepaid", granted="2026-10-15", expires="2026-11-01"),
    ]
    (body,) = Book(agreed(*terms)).issue([line("100.00", period="2026-09-01")], cut_off)
    assert [bool(body.get(name)) for name in ("coupons", "promotional", "prepaid")] == [used] * 3


def test_credits_go_by_priority_expiry_grant_day_and_id_and_are_used_once() -> None:
    terms = [
        grant("1.00", "e", priority=1),
        grant("1.00", "d"),
        grant("1.00", "c", granted="2025-01-01"),
        grant("1.00", "b", expires="2027-02-01"),
        grant("1.00", "a", expires="2027-01-01"),
    ]
    book = Book(agreed(*terms))
    (body,) = book.issue([line("3.50")])
    assert [key for key, _ in taken(body, "promotional")] == ["a", "b", "c", "d"]
    assert taken(body, "promotional")[-1] == ("d", "0.50")
    (body,) = book.issue([line("3.50"), line("9.00", period="2026-11-01")], "2026-12-01")
    assert taken(body, "promotional") == [("d", "0.50"), ("e", "1.00")]


def test_coupons_and_credits_touch_the_lines_that_they_name_and_no_other() -> None:
    terms = [
        coupon(percent="100", applies_to=["a"]),
        grant("100", applies_to=["b"]),
        grant("7.00", "x", "prepaid", applies_to=["c"]),
    ]
    (body,) = Book(agreed(*terms)).issue([line("10.00", key) for key in ("a", "b", "c", "d")])
    assert shares(body, "coupons") == [["10.00"], [], [], []]
    assert shares(body, "promotional") == [[], ["10.00"], [], []]
    assert (body["total"], body["amount_due"]) == ("20.00", "13.00")


def test_a_prepaid_credit_pays_of_its_lines_with_their_tax_and_no_more() -> None:
    terms = [grant("100", "x", "prepaid", applies_to=["a"]), grant("1.00", "y", "prepaid", applies_to=["a"])]
    (body,) = Book(agreed(*terms, buyer=VAT)).issue([line("10.00", "a"), line("10.00", "b")])
    assert (taken(body, "prepaid"), body["amount_due"]) == ([("x", "12.00")], "12.00")


def test_no_coupon_or_credit_touches_an_adjustment_and_the_tax_does() -> None:
    book = Book(agreed(coupon(percent="50"), grant("100"), buyer=VAT), [adjustment("8.00")])
    (body,) = book.issue([line("10.00")])
    assert [shown["kind"] for shown in body["lines"]] == ["usage", "adjustment"]
    assert sums(body) == ("18.00", "5.00", "5.00", "1.60", "9.60")
    assert body["lines"][1]["formula"]["reason"] == "agreed"


def test_an_adjustment_comes_once_with_the_first_cut_off_on_its_day_or_later() -> None:
    book = Book(adjustments=[adjustment("-3.00", day="2026-11-01")])
    lines = [line("10.00", period="2026-09-01"), line("10.00"), line("10.00", period="2026-11-01")]
    found = [book.issue(lines, day)[0] for day in ("2026-10-31", "2026-11-01", "2026-12-01")]
    assert [body["total"] for body in found] == ["10.00", "7.00", "10.00"]
    assert book.issue(lines, "2026-12-01") == []


def test_A15_a_credit_is_used_once_however_often_a_close_runs_and_is_left_by_the_documents_alone() -> None:
    book = Book(agreed(grant("15.00"), off("5.00", "c"), grant("4.00", "q", "prepaid")))
    lines = [line("12.00", period="2026-09-01"), line("12.00")]
    book.issue(lines, "2026-10-01")
    assert book.issue(lines, "2026-10-01") == []
    again = Book(book.agreed, documents=list(book.documents))
    assert book.issue(lines) == again.issue(lines)
    assert [body["amount_due"] for body in book.documents] == ["0.00", "0.00"]
    assert [taken(body, "promotional") for body in book.documents] == [[("g1", "7.00")], [("g1", "8.00")]]
    assert [taken(body, "prepaid") for body in book.documents] == [[], [("q", "4.00")]]


def test_C1_shares_of_a_coupon_and_of_a_tax_sum_to_the_whole_to_the_last_cent() -> None:
    book = Book(agreed(off("10.00"), buyer=VAT))
    (body,) = book.issue([line("33.33", key) for key in ("a", "b", "c")])
    assert shares(body, "coupons") == [["3.34"], ["3.33"], ["3.33"]]
    assert sums(body) == ("99.99", "10.00", "0.00", "18.00", "107.99")
    assert shares(body, "taxes") == [["6.00"], ["6.00"], ["6.00"]]


def test_C2_a_tax_is_rounded_once_on_the_sum_of_its_lines() -> None:
    (body,) = Book(agreed(buyer=VAT)).issue([line("0.02", key) for key in ("a", "b", "c")])
    assert body["tax"] == "0.01"
    assert shares(body, "taxes") == [["0.01"], ["0.00"], ["0.00"]]


def test_C3_a_tax_is_rounded_and_never_cut() -> None:
    (body,) = Book(agreed(buyer=VAT)).issue([line("0.09")])
    assert body["tax"] == "0.02"
    half = buyer(rates=[{"category": "standard", "name": "VAT", "percent": "50"}])
    assert Book(agreed(buyer=half)).issue([line("0.05")])[0]["tax"] == "0.03"
    assert Book(agreed(buyer=half, rounding="half_even")).issue([line("0.05")])[0]["tax"] == "0.02"


def test_C11_a_discount_is_taken_once_and_never_more_than_the_gross() -> None:
    """A line states gross and discount; a coupon works on what is left, and 100 % of it twice is still 100 %."""
    one = line("40.00")
    eur = {name: Money(Decimal(text), "EUR") for name, text in (("gross", "50.00"), ("discount", "10.00"))}
    book = Book(agreed(coupon("a", percent="100"), coupon("b", percent="100"), off("5.00", "c")))
    (body,) = book.issue([replace(one, **eur)])
    assert (body["lines"][0]["gross"], body["lines"][0]["discount"], body["lines"][0]["amount"]) == (
        "50.00",
        "10.00",
        "40.00",
    )
    assert taken(body, "coupons") == [("a", "40.00"), ("b", "0.00")]
    assert (body["total"], body["lines"][0]["excess"], body["lines"][0]["top_up"]) == ("0.00", "0.00", "0.00")


def test_C12_a_coupon_of_a_unit_less_the_same_or_more_than_what_is_left() -> None:
    for amount, total in (("99.99", "0.01"), ("100.00", "0.00"), ("100.01", "0.00")):
        (body,) = Book(agreed(off(amount))).issue([line("100.00")])
        assert body["total"] == total
        assert Decimal(body["coupon_total"]) == min(Decimal(amount), Decimal("100.00"))


def test_C13_the_rate_of_the_tax_date_is_taken_whenever_the_close_runs() -> None:
    rates = [
        {"category": "standard", "name": "VAT", "percent": "20", "end": "2026-11-01"},
        {"category": "standard", "name": "VAT", "percent": "21", "start": "2026-11-01"},
    ]
    fee = charge("flat", key="base", amount="100.00", due="advance")
    october = rated([plan(("2020-01-01", [fee, charge()]))], [phase("2026-10-01", "2026-12-01")], "2026-11-30")
    (body,) = Book(agreed(buyer=buyer(rates=rates))).issue(october, "2026-12-01")
    shown = {(x["charge"], x["start"]): (x["tax_date"], [t["percent"] for t in x["taxes"]]) for x in body["lines"]}
    assert shown == {
        ("base", "2026-10-01"): ("2026-10-01", ["20"]),
        ("base", "2026-11-01"): ("2026-11-01", ["21"]),
        ("usage", "2026-10-01"): ("2026-10-31", ["20"]),
        ("usage", "2026-11-01"): ("2026-11-30", ["21"]),
    }
    assert [(tax["percent"], tax["base"], tax["amount"]) for tax in body["taxes"]] == [
        ("20", "100.00", "20.00"),
        ("21", "100.00", "21.00"),
    ]


def test_C14_a_fee_in_advance_of_a_subscription_that_has_ended_is_on_no_document() -> None:
    fee = plan(("2020-01-01", [charge("flat", key="base", amount="31.00", due="advance")]))
    book = Book(agreed(coupon(percent="10", lasts="forever"), buyer=VAT))
    book.issue(rated([fee], [phase("2026-10-01")], "2026-10-31"), "2026-10-01")
    found = book.issue(rated([fee], [phase("2026-10-01", "2026-10-25")], "2026-11-30"), "2026-12-01")
    assert [(body["kind"], *sums(body)) for body in found] == [
        ("credit_note", "-7.00", "-0.70", "0.00", "-1.26", "-7.56"),
    ]


def test_several_rates_of_a_category_each_take_the_same_base() -> None:
    rates = [
        {"category": "standard", "name": "state", "percent": "2"},
        {"category": "standard", "name": "city", "percent": "2"},
        {"category": "reduced", "name": "state", "percent": "1"},
    ]
    book = Book(agreed(buyer=buyer(rates=rates)))
    (body,) = book.issue([line("100.00"), line("50.00", "book", tax_category="reduced")])
    assert [(t["category"], t["name"], t["base"], t["amount"]) for t in body["taxes"]] == [
        ("reduced", "state", "50.00", "0.50"),
        ("standard", "city", "100.00", "2.00"),
        ("standard", "state", "100.00", "2.00"),
    ]
    assert body["total"] == "154.50"


def test_an_exempt_line_pays_no_tax_and_the_reason_stands_on_the_document() -> None:
    taxes = {
        "rates": [{"category": "standard", "name": "VAT", "percent": "20"}],
        "exemptions": [{"customer": "acme", "reason": "Reverse charge", "end": "2026-10-31"}],
    }
    book = Book(agreed(buyer=buyer(**taxes)))
    (body,) = book.issue([line("10.00", period="2026-09-01"), line("10.00")])
    assert body["taxes"] == [
        {"category": "standard", "name": "VAT", "percent": "20", "base": "10.00", "amount": "2.00"},
        {"category": "standard", "base": "10.00", "amount": "0.00", "reason": "Reverse charge"},
    ]
    assert [shown.get("exempt") for shown in body["lines"]] == ["Reverse charge", None]


def test_a_category_without_a_rate_makes_no_document() -> None:
    other = buyer(rates=[{"category": "standard", "name": "VAT", "percent": "20", "countries": ["DE"]}])
    with pytest.raises(ValueError, match="no tax rate for 'standard' on 2026-10-31"):
        Book(agreed(buyer=other)).issue([line("10.00")])


def test_the_categories_that_lack_a_rate_are_named_and_no_other_nor_those_of_corrections() -> None:
    before = Book()
    before.issue([line("5.00", "old", tax_category="other")])
    now = [line("6.00", "old", tax_category="other"), line("1.00"), line("1.00", "new", tax_category="free")]
    due = due_lines(now, issued_lines(before.documents), D("2026-11-01"))
    assert missing_rates(due, VAT) == ["'free' on 2026-10-31"]


@pytest.mark.parametrize(
    ("lines", "terms", "zero"),
    [
        ([line("0.00")], [], True),
        ([line("0.00")], [coupon(percent="10"), grant("5.00")], True),
        ([line("5.00"), line("-5.00", "back")], [], True),
        ([line("5.00")], [], False),
        ([line("-5.00")], [], False),
        # What has used something says so, although nothing is owed.
        ([line("5.00")], [coupon(percent="100")], False),
        ([line("5.00")], [grant("5.00")], False),
    ],
)
def test_a_zero_invoice_is_one_that_owes_nothing_and_has_used_nothing(
    lines: list[Line], terms: list[Any], zero: bool
) -> None:
    (group,) = grouped(due_lines(lines, {}, D("2026-11-01")), lambda *_: "main")
    (statement,) = statements(group, agreed(*terms), Used(), D("2026-11-01"))
    assert statement.is_zero is zero


def test_an_exempt_total_has_no_rate_and_no_amount() -> None:
    exempt = Treatment("standard", D("2026-10-31"), (), "Export")
    totals, parts = taxes([(Money.of(10, "EUR"), exempt)], "EUR")
    zero = Money.zero("EUR")
    assert totals == [TaxTotal("standard", "", Decimal(0), Money.of(10, "EUR"), zero, "Export")]
    assert parts == [[]]


def test_a_line_without_a_meter_is_a_fee() -> None:
    (body,) = Book().issue([line("1.00", "a", meter=None), line("1.00", "b")])
    assert [shown["kind"] for shown in body["lines"]] == ["fee", "usage"]


def test_a_line_below_zero_makes_the_base_of_a_coupon_less_and_takes_no_share() -> None:
    lines = [line("100.00"), line("-20.00", "cap", kind="cap")]
    (body,) = Book(agreed(coupon(percent="10"), off("500.00", "f"))).issue(lines)
    assert taken(body, "coupons") == [("c1", "8.00"), ("f", "72.00")]
    assert [[use["amount"] for use in shown["coupons"]] for shown in body["lines"]] == [
        ["0.00", "0.00"],
        ["8.00", "72.00"],
    ]
    assert body["total"] == "0.00"


@pytest.mark.parametrize(
    ("currency", "lines", "coupon_total", "tax", "total"),
    [
        ("JPY", ["1001", "1000"], "300", "340", "2041"),
        ("EUR", ["10.01", "10.00"], "3.00", "3.40", "20.41"),
        ("KWD", ["1.001", "1.000"], "0.300", "0.340", "2.041"),
        ("CLF", ["0.1001", "0.1000"], "0.0300", "0.0340", "0.2041"),
    ],
)
def test_C5_every_number_of_decimals_adds_up(
    currency: str, lines: list[str], coupon_total: str, tax: str, total: str
) -> None:
    found = [line(amount, f"u{n}", currency=currency) for n, amount in enumerate(lines)]
    (body,) = Book(agreed(coupon(percent="15"), buyer=VAT)).issue(found)
    assert (body["coupon_total"], body["tax"], body["total"]) == (coupon_total, tax, total)


def test_the_order_in_which_lines_and_terms_come_changes_no_byte() -> None:
    lines = [line(f"{n}.37", f"u{n}") for n in range(6)]
    terms = [coupon(f"c{n}", percent=str(n + 1)) for n in range(3)] + [off("1.00", "f")]
    first = Book(agreed(*terms, grant("2.00"), grant("1.00", "h"), buyer=VAT)).issue(lines)
    again = Book(agreed(grant("1.00", "h"), grant("2.00"), *terms[::-1], buyer=VAT)).issue(lines[::-1])
    assert first == again
    assert D(first[0]["cut_off"]) == D("2026-11-01")
