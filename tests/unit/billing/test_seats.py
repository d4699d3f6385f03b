from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from billing_make import TIERS, charge, phase, plan, segment, terms, used

from orchestration.billing.charges import Slice
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import Segment, charge_prices, segments
from orchestration.catalog.meters import Meter

SEATS = Meter(key="seats", name="Seats", unit="seat", event_type="seat", aggregation="sum", value="n", carry=True)
NOVEMBER = segment("2026-11-01", "2026-12-01", ("2026-11-01", "2026-12-01"))


def line(changes: list[Slice], part: Segment = NOVEMBER, *later: Any, **fields: Any) -> Line:
    priced = terms(charge(meter="seats", prorate="days", **fields), *later, start=str(part.start))
    return rate(priced, part, changes, SEATS)


@pytest.mark.parametrize(
    ("changes", "quantity", "amount"),
    [
        ([("2026-11-01", 100)], "100", "100.00"),
        ([("2026-11-16", 10)], "5", "5.00"),
        ([("2026-11-30", 30)], "1", "1.00"),
        ([("2026-11-01", 10), ("2026-11-16", -4)], "8", "8.00"),
        ([("2026-11-10", 3), ("2026-11-10", -3)], "0", "0.00"),
    ],
    ids=["all month", "from the 16th", "on the last day", "given back on the 16th", "came and went"],
)
def test_a_change_weighs_the_days_from_its_own_to_the_end_both_counted(
    changes: list[tuple[str, str | int]], quantity: str, amount: str
) -> None:
    one = line(used(*changes))
    assert (one.quantity, one.amount.text) == (Decimal(quantity), amount)
    assert one.measured == sum(Decimal(n) for _, n in changes)


def test_C10_seats_added_taken_and_added_on_a_day_weigh_as_what_is_left_of_them() -> None:
    tiers = ({"up_to": "2", "price": "30"}, {"price": "10"})
    there_and_back = line(
        used(("2026-11-21", 3), ("2026-11-21", -2), ("2026-11-21", 1)), model="graduated", tiers=tiers
    )
    at_once = line(used(("2026-11-21", 2)), model="graduated", tiers=tiers)
    # Two seats for 10 of 30 days; the third was never held at a day's end.
    assert there_and_back.amount.text == at_once.amount.text == "20.00"
    assert there_and_back.quantity == at_once.quantity


def test_the_tier_goes_by_the_units_held_and_the_price_by_the_weighed_ones() -> None:
    tiers = ({"up_to": "10", "price": "3"}, {"price": "1"})
    one = line(used(("2026-11-01", 8), ("2026-11-16", 4)), model="graduated", tiers=tiers)
    # 8 all month and 2 for half of it in the first tier, 2 for half of it in the second.
    assert [(d["tier"], d["quantity"], d["amount"]) for d in one.formula["details"]] == [
        ("1", "9", "27"),
        ("2", "1", "1"),
    ]
    assert one.amount.text == "28.00"


def test_who_leaves_gives_back_the_latest_position_at_the_price_that_it_had() -> None:
    tiers = ({"up_to": "10", "price": "3"}, {"price": "1"})
    one = line(used(("2026-11-01", 12), ("2026-11-16", -4)), model="graduated", tiers=tiers)
    assert [(d["tier"], d["quantity"]) for d in one.formula["details"]] == [("1", "9"), ("2", "1")]
    dearer = ("2026-11-11", charge(meter="seats", prorate="days", price="10"))
    one = line(used(("2026-11-01", 12), ("2026-11-16", -4)), NOVEMBER, dearer, price="1")
    assert one.amount.text == "10.00"


def test_a_tiers_fee_is_due_when_the_units_held_enter_it_and_not_the_weighed_ones() -> None:
    tiers = ({"up_to": "10", "price": "0"}, {"price": "0", "flat_fee": "7"})
    assert line(used(("2026-11-30", 11)), model="graduated", tiers=tiers).amount.text == "7.00"
    assert line(used(("2026-11-01", 10)), model="graduated", tiers=tiers).amount.text == "0.00"


def test_weighed_units_are_rounded_once_and_the_parts_sum_to_them() -> None:
    thirds = segment("2026-11-01", "2026-12-01", ("2026-11-01", "2026-12-01"))
    one = line(used(("2026-11-11", 1), ("2026-11-21", 1), ("2026-11-24", 1)), thirds, model="graduated", tiers=TIERS)
    assert one.quantity == Decimal("1.233333333")
    assert sum(Decimal(d["quantity"]) for d in one.formula["details"]) == one.quantity
    assert [c["weight"] for c in one.formula["changes"]] == ["20/30", "10/30", "7/30"]
    assert Fraction(one.formula["exact"]) == Fraction("0.1233333333")


def test_units_held_over_a_plan_change_pay_each_plan_for_its_days() -> None:
    plans = {
        key: plan(("2020-01-01", [charge(meter="seats", prorate="days", price=price)]), key=key)
        for key, price in (("pro", "1"), ("max", "2"))
    }
    phases = [phase("2026-11-01", "2026-11-16"), phase("2026-11-16", None, "max")]
    lines = [
        rate(charge_prices(plans[part.plan], part)[0], part, used((str(part.start), 100)), SEATS)
        for part in segments(phases, plans, NOVEMBER.end - timedelta(days=1))
    ]
    assert [one.amount.text for one in lines] == ["50.00", "100.00"]


def test_more_taken_than_given_is_priced_as_0_in_tiers_and_reported() -> None:
    changes = used(("2026-11-01", -2), ("2026-11-16", 4))
    one = line(changes, model="graduated", tiers=({"price": "1"},))
    assert one.amount.text == "1.00"
    assert [p.code for p in one.problems] == ["negative_quantity"]
    assert line(changes, price="1").amount.text == "0.00"


def test_packs_are_converted_by_the_units_held() -> None:
    packs = {"divide_by": "10", "unit": "pack", "rounding": "up"}
    one = line(used(("2026-11-01", 11), ("2026-11-16", -1)), price="4", convert=packs)
    assert (one.quantity, one.unit, one.amount.text) == (Decimal("1.5"), "pack", "6.00")


def test_units_owed_are_made_up_at_the_price_at_which_they_were_owed() -> None:
    dearer = ("2026-11-11", charge(meter="seats", prorate="days", price="10"))
    # 2 are owed at 1 for the month; what comes on the 16th makes them up at 1 for half of it.
    assert line(used(("2026-11-01", -2), ("2026-11-16", 2)), NOVEMBER, dearer, price="1").amount.text == "-1.00"
    # One of 4 is made up, then the other 3, and 2 are new at 10: -4 + 0.5 + 3 x 10/30 + 20 x 10/30.
    changes = used(("2026-11-01", -4), ("2026-11-16", 1), ("2026-11-21", 5))
    assert line(changes, NOVEMBER, dearer, price="1").amount.text == "4.17"


def test_changes_that_weigh_less_than_nothing_owe_no_fee_of_a_tier() -> None:
    tiers = ({"price": "1", "flat_fee": "3"},)
    one = line(used(("2026-11-01", -1), ("2026-11-16", 1)), model="graduated", tiers=tiers, flat_fee_at_zero=True)
    assert (one.amount.text, one.quantity, [p.code for p in one.problems]) == ("0.00", 0, ["negative_quantity"])
    none = line(used(("2026-11-01", 1), ("2026-11-01", -1)), model="graduated", tiers=tiers, flat_fee_at_zero=True)
    assert (none.amount.text, none.problems) == ("3.00", ())


def test_parts_stand_by_tier_and_then_by_day_and_none_is_of_nothing() -> None:
    first, second = ({"up_to": "10", "price": "3"}, {"price": "1"}), ({"up_to": "10", "price": "6"}, {"price": "2"})
    later = ("2026-11-11", charge("graduated", meter="seats", prorate="days", tiers=second))
    changes = used(("2026-11-01", 12), ("2026-11-16", -4), ("2026-11-21", 3))
    one = line(changes, NOVEMBER, later, model="graduated", tiers=first)
    # 10 and 2, less 2 and 2 for half of the month; then 2 and 1 for a third of it, at the later prices.
    assert [(d["tier"], d["version"], d["quantity"], d["price"]) for d in one.formula["details"]] == [
        ("1", "2026-01-01", "9", "3"),
        ("1", "2026-11-11", "0.666666667", "6"),
        ("2", "2026-01-01", "1", "1"),
        ("2", "2026-11-11", "0.333333333", "2"),
    ]
    full = line(used(("2026-11-01", 10)), model="graduated", tiers=first)
    assert [d["tier"] for d in full.formula["details"]] == ["1"]


def test_in_volume_the_units_at_the_end_choose_the_tier_of_all() -> None:
    tiers = ({"up_to": "10", "price": "3", "flat_fee": "5"}, {"price": "1", "flat_fee": "7"})
    # 12 and then 8: all in the first tier, 12 - 4 x 15/30 at 3, and its fee.
    assert line(used(("2026-11-01", 12), ("2026-11-16", -4)), model="volume", tiers=tiers).amount.text == "35.00"
    assert line(used(("2026-11-01", 8), ("2026-11-16", 4)), model="volume", tiers=tiers).amount.text == "17.00"
