"""Two catalogs side by side: exact differences at every grain, and who would pay much more."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orchestration.billing.comparison import Change, Sold, compare
from orchestration.money import CurrencyMismatch, Money


def usd(text: str) -> Money:
    return Money.of(Decimal(text), "USD")


def jpy(text: str) -> Money:
    return Money.of(Decimal(text), "JPY")


def change(before: str, after: str) -> Change:
    return Change(usd(before), usd(after))


BEFORE = {
    Sold("ash", "basic", "fee", "USD"): usd("10.00"),
    Sold("ash", "basic", "calls", "USD"): usd("90.00"),
    Sold("birch", "basic", "calls", "USD"): usd("0.10"),
    Sold("cedar", "basic", "calls", "USD"): usd("40.00"),
    Sold("ash", "tokyo", "calls", "JPY"): jpy("700"),
}
AFTER = {
    Sold("ash", "basic", "fee", "USD"): usd("10.00"),
    Sold("ash", "basic", "calls", "USD"): usd("110.00"),
    Sold("birch", "basic", "calls", "USD"): usd("0.13"),
    Sold("dogwood", "basic", "calls", "USD"): usd("5.00"),
    Sold("ash", "tokyo", "calls", "JPY"): jpy("600"),
}
FOUND = compare(BEFORE, AFTER, Decimal("20"))


def test_every_grain_sums_to_the_total_of_its_currency() -> None:
    assert FOUND.totals == {"USD": change("140.10", "125.13"), "JPY": Change(jpy("700"), jpy("600"))}
    for grain in (FOUND.rows, FOUND.customers, FOUND.plans, FOUND.charges):
        for currency, total in FOUND.totals.items():
            of_currency = [c for c in grain.values() if c.before.currency == currency]
            assert sum((c.before.amount for c in of_currency), Decimal(0)) == total.before.amount
            assert sum((c.after.amount for c in of_currency), Decimal(0)) == total.after.amount
    assert FOUND.plans[("basic", "USD")] == change("140.10", "125.13")
    assert FOUND.charges[("basic", "calls", "USD")] == change("130.10", "115.13")


def test_a_side_without_lines_costs_nothing_and_is_told() -> None:
    cedar, dogwood = Sold("cedar", "basic", "calls", "USD"), Sold("dogwood", "basic", "calls", "USD")
    assert FOUND.rows[cedar] == change("40.00", "0.00")
    assert FOUND.rows[dogwood] == change("0.00", "5.00")
    assert (FOUND.only_before, FOUND.only_after) == ({cedar}, {dogwood})


def test_customers_above_the_limit_come_first_and_a_customer_of_two_currencies_stands_twice() -> None:
    """ash pays 20 % more, which isn't more than 20 %; birch 30 %; dogwood paid nothing."""
    assert FOUND.much_more == {("birch", "USD"), ("dogwood", "USD")}
    assert list(FOUND.customers) == [
        ("dogwood", "USD"), ("birch", "USD"), ("ash", "JPY"), ("ash", "USD"), ("cedar", "USD"),
    ]  # fmt: skip
    assert [sold.customer for sold in FOUND.rows] == ["dogwood", "birch", "ash", "ash", "ash", "cedar"]
    assert FOUND.customers[("ash", "USD")] == change("100.00", "120.00")


@pytest.mark.parametrize(
    ("before", "after", "percent", "limit", "above"),
    [
        ("100.00", "120.00", "20.00", "20", False),
        ("100.00", "120.01", "20.01", "20", True),
        ("100.00", "120.00", "20.00", "19.9999", True),
        ("3.00", "4.00", "33.33", "33.3333", True),  # a third is more than 33.3333 %
        ("100.00", "100.01", "0.01", "0", True),
        ("100.00", "100.00", "0.00", "0", False),
        ("100.00", "40.00", "-60.00", "20", False),
        ("8.00", "8.01", "0.13", "20", False),  # 0.125 % away from zero
        ("8.00", "7.99", "-0.13", "20", False),
        ("0.00", "0.01", None, "1000", True),
        ("0.00", "0.00", None, "0", False),
        ("-5.00", "-4.00", None, "20", True),
        ("-5.00", "-6.00", None, "20", False),
    ],
)
def test_much_more_is_exact_at_the_limit(before: str, after: str, percent: str | None, limit: str, above: bool) -> None:
    found = change(before, after)
    assert found.percent == (None if percent is None else Decimal(percent))
    assert found.rises_by_more_than(Decimal(limit)) is above


def test_two_currencies_are_never_summed() -> None:
    with pytest.raises(CurrencyMismatch):
        change("1.00", "2.00") + Change(jpy("1"), jpy("2"))


def test_of_nothing_there_is_no_difference() -> None:
    found = compare({}, {}, Decimal("20"))
    assert (found.rows, found.customers, found.totals, found.much_more) == ({}, {}, {}, frozenset())
