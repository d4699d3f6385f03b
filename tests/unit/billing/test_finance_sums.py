"""Days of documents, months of credits, list prices and accounts: what finance would book wrong if they slipped."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from orchestration.billing.ages import AGES, age_of
from orchestration.billing.listprices import list_prices
from orchestration.billing.rollforward import Item, Taken, roll_forward
from orchestration.billing.spread import Shown, spread
from orchestration.catalog.accounts import accounts
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Adjustment
from orchestration.catalog.versions import following, version_on

OCTOBER, NOVEMBER, DECEMBER = (date(2026, month, 1) for month in (10, 11, 12))


def days(shown: list[Shown], weights: list[int]) -> list[list[int]]:
    return [found.amounts for found in spread(shown, weights)]


def test_a_fee_that_ends_early_gives_back_its_last_days_and_none_of_those_that_were_served() -> None:
    # 31.00 for October in advance, ended on the 25th: 7.00 come back, of the 25th to the 31st.
    fee, back = Shown(3100, 0, 31, metered=False), Shown(-700, 0, 24, metered=False)
    assert days([fee], [100] * 24) == [[100] * 31]
    assert days([fee, back], [100] * 24) == [[100] * 31, [0] * 24 + [-100] * 7]


def test_usage_goes_to_its_days_and_late_usage_to_the_day_that_it_adds_to() -> None:
    first, late = Shown(100, 0, 3, metered=True), Shown(50, 0, 3, metered=True)
    assert days([first, late], [60, 40, 50]) == [[40, 27, 33], [20, 13, 17]]
    assert days([first], [100, 0, 0]) == [[100, 0, 0]]


def test_what_is_taken_back_whole_leaves_nothing_on_any_day_and_may_be_billed_anew() -> None:
    one, back = Shown(1000, 300, 3, metered=False), Shown(-1000, -300, 3, metered=False)
    found = list(spread([one, back, one], [333, 333, 334]))
    assert [sum(day) for day in zip(*(part.amounts for part in found), strict=True)] == [333, 333, 334]
    assert [(sum(part.amounts), sum(part.reduced)) for part in found] == [(1000, 300), (-1000, -300), (1000, 300)]


def test_a_coupon_that_takes_the_whole_line_leaves_no_day_with_revenue() -> None:
    [found] = spread([Shown(1001, 1001, 3, metered=True)], [1, 0, 6])
    assert found.amounts == found.reduced and sum(found.amounts) == 1001


def test_usage_of_a_line_that_is_gone_goes_evenly_over_the_days_that_its_document_covers() -> None:
    assert days([Shown(100, 0, 3, metered=True)], []) == [[34, 33, 33]]
    assert days([Shown(100, 0, 0, metered=False)], []) == [[100]]


def item(kind: str, amount: int | None, day: date, ends: date | None = None, **more: Any) -> Item:
    return Item(kind, "x", "acme", "EUR", amount, day, ends, **more)  # type: ignore[arg-type]


def taken(kind: str, day: date, amount: int, cut_off: date | None = None) -> Taken:
    valid = (cut_off or day.replace(day=1)).toordinal() - 1
    return Taken(kind, "x", "acme", "EUR", day, date.fromordinal(valid), amount)  # type: ignore[arg-type]


def rolled(items: list[Item], uses: list[Taken], today: date = date(2026, 12, 20)) -> list[tuple[int, ...]]:
    """Month, then opening, granted, used, expired, returned, closing."""
    found = roll_forward(items, uses, today)
    assert all(m.closing == m.opening + m.granted - m.used - m.expired - m.returned for m in found)
    return [(m.month.month, *m[4:]) for m in found]


def test_prepaid_credit_is_carried_from_month_to_month_until_it_is_used_up() -> None:
    uses = [taken("prepaid", date(2026, 11, 4), 30), taken("prepaid", date(2026, 12, 4), 70)]
    assert rolled([item("prepaid", 100, date(2026, 9, 15))], uses) == [
        (9, 0, 100, 0, 0, 0, 100),
        (10, 100, 0, 0, 0, 0, 100),
        (11, 100, 0, 30, 0, 0, 70),
        (12, 70, 0, 70, 0, 0, 0),
    ]


def test_what_a_close_takes_after_the_expiry_for_days_before_it_has_not_lapsed() -> None:
    # Valid through 31 October; the document of the cut-off 1 November is issued on the 4th.
    credit = item("promotional", 100, OCTOBER, NOVEMBER)
    assert rolled([credit], [taken("promotional", date(2026, 11, 4), 60)]) == [
        (10, 0, 100, 0, 0, 0, 100),
        (11, 100, 0, 60, 40, 0, 0),
    ]
    # Issued a month later still, what it takes stays until then. 40 lapse in the month of the expiry.
    late = taken("promotional", date(2026, 12, 4), 60, NOVEMBER)
    assert rolled([credit], [late]) == [
        (10, 0, 100, 0, 0, 0, 100),
        (11, 100, 0, 0, 40, 0, 60),
        (12, 60, 0, 60, 0, 0, 0),
    ]


def test_what_a_correction_gives_back_of_credit_that_has_expired_lapses_at_once() -> None:
    uses = [taken("promotional", date(2026, 11, 4), 60), taken("promotional", date(2026, 12, 4), -25)]
    assert rolled([item("promotional", 100, OCTOBER, NOVEMBER)], uses)[2:] == [(12, 0, 0, -25, 25, 0, 0)]
    assert rolled([item("promotional", 100, OCTOBER)], uses)[2:] == [(12, 40, 0, -25, 0, 0, 65)]


def test_a_credit_note_that_is_paid_out_owes_nothing_after_its_last_use() -> None:
    note = item("credit_note", 70, date(2026, 10, 4), returned=date(2026, 10, 20))
    assert rolled([note], [taken("credit_note", date(2026, 11, 4), 30)]) == [
        (10, 0, 70, 0, 0, 0, 70),
        (11, 70, 0, 30, 0, 40, 0),
    ]


def test_a_coupon_that_holds_no_sum_is_granted_as_it_is_used_and_one_that_does_lapses() -> None:
    use = taken("coupon", date(2026, 11, 4), 12)
    assert rolled([item("coupon", None, OCTOBER)], [use]) == [(11, 0, 12, 12, 0, 0, 0)]
    assert rolled([item("coupon", 20, OCTOBER, DECEMBER)], [use])[1:] == [
        (11, 20, 0, 12, 0, 0, 8),
        (12, 8, 0, 0, 8, 0, 0),
    ]


def test_credit_of_the_future_is_none_yet_and_what_is_overdrawn_is_below_zero() -> None:
    assert rolled([item("prepaid", 100, date(2027, 1, 1))], []) == []
    over = rolled([item("prepaid", 10, OCTOBER, NOVEMBER)], [taken("prepaid", date(2026, 10, 4), 11)])
    assert over[0] == (10, 0, 10, 11, 0, 0, -1)


def plan(key: str, currency: str, *charges: dict[str, Any], effective: str = "2026-01-01") -> Plan:
    whole = [{"key": f"c{n}", "name": "C", **charge} for n, charge in enumerate(charges)]
    versions = [{"effective": effective, "charges": whole}]
    return Plan.model_validate({"key": key, "name": "P", "currency": currency, "versions": versions})


def test_a_list_price_is_the_lowest_above_zero_that_any_plan_asks_for_a_unit() -> None:
    tiers = [{"up_to": "3", "price": "0"}, {"up_to": "9", "price": "0.25"}, {"price": "0.20"}]
    million = {"divide_by": "1000000", "unit": "million"}
    plans = [
        plan("a", "USD", {"model": "graduated", "meter": "calls", "tiers": tiers}),
        plan("b", "USD", {"model": "per_unit", "meter": "calls", "price": "0.30"}),
        plan("c", "EUR", {"model": "per_unit", "meter": "calls", "price": "0.01"}),
        plan("d", "USD", {"model": "package", "meter": "mails", "price": "5", "size": "1000"}),
        plan("e", "USD", {"model": "per_unit", "meter": "tokens", "price": "2", "convert": million}),
        plan("f", "USD", {"model": "per_unit", "meter": "later", "price": "1"}, effective="2027-01-01"),
        plan("g", "USD", {"model": "per_unit", "meter": "peak", "price": "1", "watermark": {"of": "count"}}),
    ]
    found = list_prices(plans, OCTOBER)
    assert {meter: (price.currency, price.of(1000).text) for meter, price in found.items()} == {
        "calls": ("USD", "200.00"),
        "mails": ("USD", "5.00"),
        "tokens": ("USD", "0.00"),
    }
    assert found["tokens"].of(2_400_000).amount == Decimal("4.80")


@pytest.mark.parametrize(("age", "bucket"), [(0, "0-7"), (7, "0-7"), (8, "8-30"), (30, "8-30"), (31, "31-90"),
                                             (90, "31-90"), (91, "over 90")])  # fmt: skip
def test_an_age_is_in_one_bucket(age: int, bucket: str) -> None:
    assert age_of(age) == bucket and bucket in AGES


def test_an_account_is_that_of_the_version_on_whose_days_a_line_begins_else_of_the_plan() -> None:
    one, two = plan("a", "USD", {"model": "flat", "amount": "1", "account": "4100"}), plan("a", "USD", {
        "model": "flat", "amount": "1"}, effective="2026-11-01")  # fmt: skip
    both = one.model_copy(update={"versions": (*one.versions, *two.versions), "account": "4000"})
    row = Adjustment.model_validate({"id": "x", "customer": "acme", "day": OCTOBER, "amount": "1", "currency": "EUR",
                                     "by": "a", "on": OCTOBER, "reason": "r", "account": "4999"})  # fmt: skip
    assert [tuple(booked) for booked in accounts([both], [row])] == [
        ("a", "", date.min, date.max, "4000"),
        ("a", "c0", date.min, NOVEMBER, "4100"),
        ("a", "c0", NOVEMBER, date.max, "4000"),
        ("", "x", date.min, date.max, "4999"),
    ]
    # An account prices nothing, so a version that changes it alone begins no period and cuts none.
    [follows] = following(both, version_on(both, OCTOBER) or both.versions[0], DECEMBER)
    assert not follows.cuts
