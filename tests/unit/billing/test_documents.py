from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import books
import pytest
from billing_make import CUSTOMER, ENTITY, TIERS, D, charge, phase, plan, rated, used

from orchestration.billing.credits import Used
from orchestration.billing.documents import build_document, refuse_wrong_sums
from orchestration.billing.due import DueLine, Group, due_lines, grouped, is_due, issued_lines
from orchestration.billing.rating import Line
from orchestration.billing.statements import Statement, statements
from orchestration.canonical import canonical_bytes

FEE = charge("flat", key="base", amount="31.00", due="advance")
CALLS = charge("graduated", tiers=TIERS)
PRO = plan(("2020-01-01", [FEE, CALLS]))
MAX = plan(("2020-01-01", [charge("flat", key="base", amount="62.00", due="advance"), CALLS]), key="max")


class Book(books.Book):
    """Closes one after the other, each seeing what the ones before it issued."""

    def close(self, lines: list[Line], cut_off: str) -> list[tuple[str, str, str, str]]:
        found = self.issue(lines, cut_off)
        rows = [line for body in found for line in body["lines"]]
        rows.sort(key=lambda line: (line["subscription"], line["period_start"], line["start"], line["charge"]))
        return [(one["kind"], one["charge"], one["start"], one["amount"]) for one in rows]


def usage(*days: tuple[str, int]) -> dict[str, Any]:
    return {"calls": used(*days)}


@pytest.mark.parametrize(
    ("charge_key", "cut_off", "due"),
    [
        ("base", "2026-09-30", False),
        ("base", "2026-10-01", True),
        ("usage", "2026-10-31", False),
        ("usage", "2026-11-01", True),
    ],
)
def test_advance_fees_are_due_when_begun_and_arrears_when_ended(charge_key: str, cut_off: str, due: bool) -> None:
    lines = {one.charge: one for one in rated([PRO], [phase("2026-10-01")], "2026-10-01")}
    assert is_due(lines[charge_key], D(cut_off)) is due


def test_arrears_of_a_segment_wait_for_the_end_of_its_period() -> None:
    lines = rated([PRO, MAX], [phase("2026-10-01", "2026-10-16"), phase("2026-10-16", None, "max")], "2026-10-20")
    due = due_lines(lines, {}, D("2026-10-20"))
    assert [(one.line.charge, str(one.line.start)) for one in due] == [("base", "2026-10-01"), ("base", "2026-10-16")]


def test_a_line_is_issued_once_also_at_zero_and_a_second_close_finds_nothing() -> None:
    book = Book()
    lines = rated([PRO], [phase("2026-10-01")], "2026-11-01", usage(("2026-10-05", 950)))
    assert book.close(lines, "2026-11-01") == [
        ("fee", "base", "2026-10-01", "31.00"),
        ("usage", "usage", "2026-10-01", "95.00"),
        ("fee", "base", "2026-11-01", "31.00"),
    ]
    assert book.close(lines, "2026-11-01") == []
    idle = Book()
    assert ("usage", "usage", "2026-10-01", "0.00") in idle.close(
        rated([PRO], [phase("2026-10-01")], "2026-11-01"), "2026-11-01"
    )
    assert idle.close(rated([PRO], [phase("2026-10-01")], "2026-11-01"), "2026-11-01") == []


def test_late_usage_in_a_lower_tier_costs_what_the_whole_costs_more() -> None:
    book = Book()
    book.close(rated([PRO], [phase("2026-10-01")], "2026-11-01", usage(("2026-10-05", 950))), "2026-11-01")
    later = rated([PRO], [phase("2026-10-01")], "2026-11-01", usage(("2026-10-05", 950), ("2026-10-06", 100)))
    assert book.close(later, "2026-11-02") == [("correction", "usage", "2026-10-01", "7.50")]
    assert book.close(later, "2026-11-03") == []
    (line,) = book.documents[-1]["lines"]
    assert line["correction"] == {
        "document": "INV-1",
        "cause": "late usage",
        "before": {"amount": "95.00", "measured": "950", "quantity": "950"},
        "after": {"amount": "102.50", "measured": "1050", "quantity": "1050"},
    }
    assert book.documents[-1]["references"] == ["INV-1"]


def test_late_usage_of_ten_is_billed_once_over_two_closes() -> None:
    priced = plan(("2020-01-01", [charge()]))
    book = Book()
    first = rated([priced], [phase("2026-10-01")], "2026-10-31", usage(("2026-10-05", 100)))
    assert [row[3] for row in book.close(first, "2026-11-01")] == ["100.00"]
    later = rated([priced], [phase("2026-10-01")], "2026-10-31", usage(("2026-10-05", 100), ("2026-10-31", 10)))
    assert [row[3] for row in book.close(later, "2026-11-15")] == ["10.00"]
    assert book.close(later, "2026-12-01") == []
    assert issued_lines(book.documents)[first[0].key].amount == Decimal("110.00")
    assert issued_lines(book.documents)[first[0].key].document == "INV-1"


def test_an_end_gives_back_the_days_billed_in_advance_once() -> None:
    book = Book()
    book.close(rated([PRO], [phase("2026-10-01")], "2026-10-01"), "2026-10-01")
    ended = rated([PRO], [phase("2026-10-01", "2026-10-25")], "2026-11-01")
    rows = book.close(ended, "2026-11-01")
    assert rows == [("correction", "base", "2026-10-01", "-7.00"), ("usage", "usage", "2026-10-01", "0.00")]
    note, rest = book.documents[1:]
    assert note["lines"][0]["correction"]["cause"] == "ended"
    assert (note["kind"], note["corrects"], note["total"]) == ("credit_note", "INV-1", "-7.00")
    assert (rest["kind"], rest["references"], rest["total"]) == ("invoice", [], "0.00")
    assert book.close(ended, "2026-12-01") == []


def test_C14_a_period_that_no_longer_exists_is_given_back_whole_once() -> None:
    book = Book()
    book.close(rated([PRO], [phase("2026-10-01")], "2026-11-01"), "2026-11-01")
    ended = rated([PRO], [phase("2026-10-01", "2026-10-25")], "2026-12-01")
    assert book.close(ended, "2026-12-01") == [
        ("correction", "base", "2026-10-01", "-7.00"),
        ("correction", "base", "2026-11-01", "-31.00"),
    ]
    assert [one["correction"]["cause"] for one in book.documents[-1]["lines"]] == ["ended", "ended"]
    assert book.close(ended, "2026-12-01") == []
    resumed = rated([PRO], [phase("2026-10-01")], "2026-11-01")
    assert [row[3] for row in book.close(resumed, "2026-11-30")] == ["7.00", "31.00"]


def test_a_plan_change_gives_back_the_rest_and_bills_the_new_plan() -> None:
    book = Book()
    book.close(rated([PRO], [phase("2026-10-01")], "2026-10-01"), "2026-10-01")
    changed = rated([PRO, MAX], [phase("2026-10-01", "2026-10-16"), phase("2026-10-16", None, "max")], "2026-10-16")
    assert book.close(changed, "2026-10-16") == [
        ("correction", "base", "2026-10-01", "-16.00"),
        ("fee", "base", "2026-10-16", "32.00"),
    ]
    assert book.documents[-1]["lines"][0]["correction"]["cause"] == "plan change"


def test_A19_D1_any_schedule_of_closes_bills_the_same_in_total() -> None:
    rng = random.Random(7)
    days = [
        (f"2026-{month:02}-{rng.randrange(1, 29):02}", rng.randrange(1, 900))
        for month in range(8, 12)
        for _ in range(6)
    ]
    phases = [phase("2026-08-05", "2026-10-16"), phase("2026-10-16", "2026-11-20", "max")]
    final = rated([PRO, MAX], phases, "2027-01-01", usage(*days))
    owed = sum(one.amount.amount for one in final)
    for _ in range(20):
        book, known = Book(), list(days)
        rng.shuffle(known)
        for cut_off in sorted(rng.sample(["2026-08-20", "2026-09-01", "2026-10-10", "2026-11-01", "2026-11-30"], 3)):
            seen = known[: rng.randrange(len(known) + 1)]
            book.close(rated([PRO, MAX], phases, cut_off, usage(*seen)), cut_off)
        book.close(final, "2027-01-01")
        assert sum(Decimal(one["total"]) for one in book.documents) == owed


def test_a_changed_price_is_named_as_the_cause() -> None:
    book = Book()
    dear = plan(("2020-01-01", [charge(price="2")]))
    book.close(
        rated([plan(("2020-01-01", [charge()]))], [phase("2026-10-01")], "2026-10-01", usage(("2026-10-05", 3))),
        "2026-11-01",
    )
    book.close(rated([dear], [phase("2026-10-01")], "2026-10-01", usage(("2026-10-05", 3))), "2026-11-02")
    assert book.documents[-1]["lines"][0]["correction"]["cause"] == "price"


def test_a_line_issued_in_another_currency_cannot_be_corrected() -> None:
    book = Book()
    lines = rated([PRO], [phase("2026-10-01")], "2026-10-01")
    book.close(lines, "2026-10-01")
    yen = plan(("2020-01-01", [charge("flat", key="base", amount="31", due="advance")]), currency="JPY")
    with pytest.raises(ValueError, match="was issued in EUR"):
        book.close(rated([yen], [phase("2026-10-01")], "2026-10-01"), "2026-10-02")


def test_C1_lines_sum_to_the_total_and_every_number_is_text() -> None:
    book = Book()
    book.close(rated([PRO], [phase("2026-10-01")], "2026-11-01", usage(("2026-10-05", 1234))), "2026-11-01")
    one = book.documents[0]
    canonical_bytes(one)
    assert sum(Decimal(line["amount"]) for line in one["lines"]) == Decimal(one["subtotal"])
    assert (one["subtotal"], one["tax"], one["total"], one["amount_due"]) == ("173.70", "0.00", "173.70", "173.70")
    assert (one["service_start"], one["service_end"]) == ("2026-10-01", "2026-12-01")
    assert [line["position"] for line in one["lines"]] == ["1", "2", "3"]
    assert one["seller"] == {"entity": "main", "name": "Seller Ltd", "address": "1 Road", "tax_id": "GB1"}
    assert one["buyer"]["zone"] == "Europe/Paris"
    assert one["rules"] == "2"
    for line in one["lines"]:
        assert abs(Fraction(line["formula"]["exact"]) - Fraction(line["amount"])) <= Fraction(1, 200)


def test_the_same_lines_in_any_order_give_the_same_bytes() -> None:
    lines = rated([PRO], [phase("2026-08-01")], "2026-11-01", usage(("2026-10-05", 1234)))
    due = due_lines(lines, {}, D("2026-11-01"))
    bodies = {canonical_bytes(document(due_lines(order, {}, D("2026-11-01")))) for order in (lines, lines[::-1])}
    bodies.add(canonical_bytes(document(due[::-1])))
    assert len(bodies) == 1


def test_documents_are_one_for_each_customer_entity_and_currency_in_order() -> None:
    (fee, *_) = due_lines(rated([PRO], [phase("2026-10-01")], "2026-10-01"), {}, D("2026-10-01"))
    others = []
    for number, (customer, currency) in enumerate([("zeta", "EUR"), ("acme", "USD"), ("acme", "EUR"), ("beta", "EUR")]):
        line = replace(fee.line, customer=customer, currency=currency, subscription=f"sub-{number}")
        others.append(replace(fee, line=line, amount=type(fee.amount)(fee.amount.amount, currency)))
    groups = grouped(others, lambda customer, _: {"zeta": "main", "acme": "main", "beta": "north"}[customer])
    assert [(g.customer, g.entity, g.currency, len(g.lines)) for g in groups] == [
        ("acme", "main", "EUR", 1),
        ("acme", "main", "USD", 1),
        ("beta", "north", "EUR", 1),
        ("zeta", "main", "EUR", 1),
    ]


def stated(due: list[DueLine], **fields: Any) -> Statement:
    group = Group("acme", "main", "EUR", due)
    (found,) = statements(group, books.agreed(**fields), Used(), D("2026-11-01"))
    return found


def document(due: list[DueLine], **fields: Any) -> dict[str, Any]:
    day = D("2026-11-01")
    given = {"number": "INV-1", "entity": ENTITY, "customer": CUSTOMER, "issue_date": day, "due_date": day}
    return build_document(stated(due), **{**given, "cut_off": day, **fields})


def test_a_document_refuses_what_is_not_its_own() -> None:
    due = due_lines(rated([PRO], [phase("2026-10-01")], "2026-10-01"), {}, D("2026-10-01"))
    assert document(due)["total"] == "31.00"
    foreign = [replace(due[0], line=replace(due[0].line, customer="beta"))]
    for lines, message in (([], "has no lines"), ([*due, *due], "a line twice"), (foreign, "does not belong")):
        with pytest.raises(ValueError, match=message):
            document(lines)
    for change in ({"customer": CUSTOMER.model_copy(update={"customer": "beta"})},
                   {"entity": ENTITY.model_copy(update={"key": "north"})}):  # fmt: skip
        with pytest.raises(ValueError, match="does not belong"):
            document(due, **change)


def test_a_document_that_does_not_add_up_is_never_made() -> None:
    """Whatever sum of a document one changes, it is refused."""
    book = books.Book(books.agreed(books.coupon(percent="10"), books.grant("5.00"), buyer=books.VAT))
    (body,) = book.issue([books.line("100.00"), books.line("40.00", "other")])
    for name in ("subtotal", "coupon_total", "promotional_total", "tax", "total", "amount_due", "prepaid_total"):
        with pytest.raises(ValueError, match=f"INV-1 doesn't add up: .*{name}|INV-1 doesn't add up: .*total"):
            refuse_wrong_sums({**body, name: "0.01"})
    for name in ("amount", "gross", "top_up"):
        wrong = {**body, "lines": [{**body["lines"][0], name: "7.00"}, *body["lines"][1:]]}
        with pytest.raises(ValueError, match="doesn't add up"):
            refuse_wrong_sums(wrong)
    for name in ("coupons", "promotional", "taxes"):
        for wrong in ({**body, name: []}, {**body, "lines": [{**line, name: []} for line in body["lines"]]}):
            with pytest.raises(ValueError, match="doesn't add up"):
                refuse_wrong_sums(wrong)
    refuse_wrong_sums(body)
