from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from billing_make import METERS, TIERS, D, charge, phase, plan, rated, segment, terms, used

from orchestration.billing.charges import Slice
from orchestration.billing.conversion import convert, divided
from orchestration.billing.rating import Line, rate
from orchestration.canonical import canonical_bytes
from orchestration.catalog.charges import Conversion
from orchestration.catalog.meters import Meter

STUB = segment("2026-10-16")


def line(quantity: str | int, *, part: Any = None, meter: str = "calls", **fields: Any) -> Line:
    part = part or segment()
    fields.setdefault("meter", meter)
    return rate(terms(charge(**fields), start=str(part.start)), part, used((str(part.start), quantity)), METERS[meter])


def test_many_small_cells_are_rounded_once_on_their_line() -> None:
    slices = [Slice(D("2026-10-01"), Decimal(1)) for _ in range(500)]
    one = rate(terms(charge(price="0.004")), segment(), slices, METERS["calls"])
    assert one.amount.text == "2.00"


def test_C3_half_a_cent_goes_away_from_zero() -> None:
    assert line(1, price="0.005").amount.text == "0.01"
    assert line(-1, price="0.005").amount.text == "-0.01"
    assert line(1, price="0.0049").amount.text == "0.00"


@pytest.mark.parametrize(("currency", "text"), [("JPY", "1"), ("EUR", "1.23"), ("KWD", "1.235"), ("CLF", "1.2346")])
def test_C5_lines_round_to_the_minor_unit_of_the_currency(currency: str, text: str) -> None:
    part = segment(currency=currency)
    assert rate(terms(charge(price="1.23456")), part, used(("2026-10-01", 1)), METERS["calls"]).amount.text == text


@pytest.mark.parametrize(
    ("fields", "quantity", "expected"),
    [
        ({"meter": "calls"}, 100, "100.00"),
        ({"meter": "tokens"}, 100, "100.00"),
        ({"meter": "users"}, 100, "100.00"),
        ({"meter": "stored"}, 100, "51.61"),
        ({"meter": "stored", "prorated": False}, 100, "100.00"),
        ({"meter": "stored", "watermark": {"of": "max"}}, 100, "51.61"),
        ({"meter": "calls", "watermark": {"of": "count", "window": "1d"}}, 100, "51.61"),
        ({"meter": "calls", "watermark": {"of": "count"}, "prorated": False}, 100, "100.00"),
    ],
    ids=["count", "sum", "unique", "max", "max whole", "mark of max", "mark of count", "mark whole"],
)
def test_C7_marks_are_prorated_by_days_and_sums_are_not(fields: dict[str, Any], quantity: int, expected: str) -> None:
    assert line(quantity, part=STUB, **fields).amount.text == expected
    assert line(quantity, **fields).amount.text == "100.00"


def test_B11_a_fee_is_prorated_by_dates_and_not_by_hours() -> None:
    october = segment("2026-10-25")  # 25 hours on that day in Europe, 169 hours until November
    fee = terms(charge("flat", key="base", amount="31.00"), start="2026-10-25")
    one = rate(fee, october)
    assert (one.amount.text, one.formula["proration"]) == ("7.00", "7/31")
    whole = rate(terms(charge("flat", key="base", amount="31.00", prorated=False)), segment("2026-10-25"))
    assert (whole.amount.text, whole.formula["proration"]) == ("31.00", "1")


def test_C8_a_fee_is_prorated_by_its_own_period() -> None:
    lines = rated(
        [plan(("2020-01-01", [charge("flat", key="base", amount="31", due="advance")]))],
        [phase("2026-02-15", "2026-03-15")],
        "2026-12-01",
    )
    assert [one.formula["proration"] for one in lines] == ["14/28", "14/31"]
    assert [one.amount.text for one in lines] == ["15.50", "14.00"]


def test_C7_parts_of_one_period_sum_to_the_whole_fee() -> None:
    plans = [plan(("2020-01-01", [charge("flat", key="base", amount="31")]), key=key) for key in ("pro", "max")]
    lines = rated(plans, [phase("2026-10-01", "2026-10-09"), phase("2026-10-09", None, "max")], "2026-10-31")
    assert [one.amount.text for one in lines] == ["8.00", "23.00"]
    assert sum(Fraction(one.formula["exact"]) for one in lines) == 31


def test_a_plan_change_prices_a_watermark_by_days() -> None:
    stored = charge(meter="stored", price="1.00", watermark={"of": "max"})
    plans = [plan(("2020-01-01", [stored]), key=key) for key in ("pro", "max")]
    usage = {"stored": used(("2026-11-01", 100), ("2026-11-16", 100))}
    lines = rated(plans, [phase("2026-11-01", "2026-11-16"), phase("2026-11-16", None, "max")], "2026-11-30", usage)
    assert [one.amount.text for one in lines] == ["50.00", "50.00"]
    assert [one.quantity for one in lines] == [100, 100]


def test_active_users_over_a_plan_change_pay_once() -> None:
    plans = [
        plan(("2020-01-01", [charge(meter="users", price="1.00")])),
        plan(("2020-01-01", [charge(meter="users", price="2.00")]), key="max"),
    ]
    usage = {"users": used(("2026-10-03", 60), ("2026-10-09", 40))}
    lines = rated(plans, [phase("2026-10-01", "2026-10-16"), phase("2026-10-16", None, "max")], "2026-10-31", usage)
    assert [one.amount.text for one in lines] == ["100.00", "0.00"]


def test_A17_each_segment_begins_its_tiers_anew_and_sees_its_own_usage_only() -> None:
    plans = [plan(("2020-01-01", [charge("graduated", tiers=TIERS)]), key=key) for key in ("pro", "max")]
    usage = {"calls": used(("2026-10-15", 1500), ("2026-10-16", 1500))}
    lines = rated(plans, [phase("2026-10-01", "2026-10-16"), phase("2026-10-16", None, "max")], "2026-10-31", usage)
    assert [one.amount.text for one in lines] == ["125.00", "125.00"]
    assert sum(one.measured for one in lines) == 3000


@pytest.mark.parametrize("day", ["2026-09-30", "2026-11-01"])
def test_B8_usage_outside_the_segment_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match="is not in"):
        rate(terms(charge()), segment(), used((day, 1)), METERS["calls"])


@pytest.mark.parametrize("quantity", ["1.0000000001", "NaN", "Infinity"])
def test_C4_a_quantity_that_no_column_holds_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="at most 9 decimals"):
        line(quantity)


def test_the_meter_must_be_that_of_the_charge() -> None:
    for meter in (None, METERS["tokens"]):
        with pytest.raises(ValueError, match="does not price meter"):
            rate(terms(charge()), segment(), (), meter)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [("none", "2.500000000"), ("up", "3"), ("down", "2"), ("half_up", "3"), ("half_even", "2")],
)
def test_conversion_is_of_the_segments_total(rounding: str, expected: str) -> None:
    conversion = Conversion.model_validate({"divide_by": "1000", "unit": "k", "rounding": rounding})
    days = convert(used(("2026-10-01", 900), ("2026-10-02", 900), ("2026-10-03", 700)), conversion)
    assert str(sum(day.quantity for day in days)) == expected


def test_converted_days_sum_to_the_total_as_shown() -> None:
    thirds = Conversion.model_validate({"divide_by": "3", "unit": "third"})
    days = convert(used(("2026-10-03", 1), ("2026-10-01", 1), ("2026-10-02", 1)), thirds)
    assert [str(day.quantity) for day in days] == ["0.333333333", "0.333333334", "0.333333333"]
    one = line(1, price="3", convert={"divide_by": "3", "unit": "third"})
    assert (str(one.quantity), one.unit, one.formula["exact"]) == ("0.333333333", "third", "0.999999999")


def test_a_unit_rounded_up_pays_the_price_of_the_day_it_began() -> None:
    packs = {"divide_by": "1000", "unit": "pack", "rounding": "up"}
    two = terms(charge(price="1", convert=packs), ("2026-10-16", charge(price="2", convert=packs)))
    one = rate(two, segment(), used(("2026-10-01", 1001), ("2026-10-16", 999), ("2026-10-17", 1)), METERS["calls"])
    assert [(d["quantity"], d["price"]) for d in one.formula["details"]] == [("2", "1"), ("1", "2")]
    assert (one.measured, one.quantity, one.amount.text) == (2001, 3, "4.00")


def test_a_unit_taken_back_to_nothing_costs_nothing_when_rounded_down() -> None:
    whole = {"divide_by": "1", "unit": "whole", "rounding": "down"}
    two = terms(
        charge(meter="tokens", price="1", convert=whole),
        ("2026-10-16", charge(meter="tokens", price="2", convert=whole)),
    )
    one = rate(two, segment(), used(("2026-10-01", "0.6"), ("2026-10-16", "0.1")), METERS["tokens"])
    assert (one.quantity, one.amount.text) == (0, "0.00")


def test_problems_say_which_line() -> None:
    one = rate(terms(charge("graduated", tiers=TIERS)), segment(), used(("2026-10-01", -1)), METERS["calls"])
    assert one.amount.text == "0.00"
    assert [str(p) for p in one.problems] == [
        "sub-1, charge 'usage', 2026-10-01 to 2026-11-01: quantity -1 is below 0 and is priced as 0 [negative_quantity]"
    ]


def test_the_formula_recomputes_the_amount_and_holds_no_numbers() -> None:
    one = rate(
        terms(charge("graduated", meter="stored", watermark={"of": "max"}, tiers=TIERS), start="2026-10-16"),
        STUB,
        used(("2026-10-20", "1200.5")),
        METERS["stored"],
        window={"start": "2026-10-20T10:00:00Z", "end": "2026-10-20T11:00:00Z"},
    )
    canonical_bytes(one.formula)
    active, full = one.formula["proration"].split("/")
    exact = sum(Fraction(d["quantity"]) * Fraction(d["price"]) for d in one.formula["details"])
    assert exact * int(active) / int(full) == Fraction(one.formula["exact"])
    assert one.formula["watermark"] == {"of": "max", "window": "1h"}
    assert one.formula["window"]["start"] == "2026-10-20T10:00:00Z"
    assert one.key == ("sub-1", "usage", D("2026-10-01"), D("2026-10-16"), "")
    assert one.amount.text == "56.79"  # (100 + 200.5 x 0.05) x 16 / 31


def test_C4_the_order_of_slices_changes_nothing() -> None:
    slices = [Slice(D(f"2026-10-{n:02}"), Decimal(n) / 7 // Decimal("0.001") / 1000) for n in range(1, 31)]
    priced = terms(charge("graduated", tiers=TIERS, convert={"divide_by": "7", "unit": "x"}))
    assert rate(priced, segment(), slices, METERS["calls"]) == rate(priced, segment(), slices[::-1], METERS["calls"])


STORED = Meter(key="level", name="Level", unit="GB", event_type="gb", aggregation="weighted_sum", value="gb")
DAY_US = 86_400_000_000


def test_a_level_over_time_is_divided_once_by_the_full_period() -> None:
    per_day = [Slice(D("2026-11-01") + timedelta(days=n), Decimal(100 * DAY_US)) for n in range(30)]
    month = ("2026-11-01", "2026-12-01")
    priced = terms(charge(meter="level", price="1.00"), start="2026-11-01")
    first = rate(priced, segment("2026-11-01", "2026-11-16", month), per_day[:15], STORED, divisor=30 * DAY_US)
    second = rate(priced, segment("2026-11-16", "2026-12-01", month), per_day[15:], STORED, divisor=30 * DAY_US)
    assert [one.amount.text for one in (first, second)] == ["50.00", "50.00"]
    assert [one.quantity for one in (first, second)] == [50, 50]
    assert first.formula["average"] == {"sum": str(1500 * DAY_US), "divided_by": str(30 * DAY_US)}
    assert first.formula["proration"] == "1"


def test_the_days_of_an_average_sum_to_the_total_rounded_once() -> None:
    days = divided(used(("2026-10-01", 1), ("2026-10-02", 1), ("2026-10-03", -1), ("2026-10-04", 1)), 3)
    assert [str(d.quantity) for d in days] == ["0.333333333", "0.333333334", "-0.333333334", "0.333333334"]
    assert sum(d.quantity for d in days) == Decimal("0.666666667")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"meter": Meter(key="m", name="M", event_type="e", aggregation="min", value="v")}, "16/31"),
        ({"meter": Meter(key="m", name="M", event_type="e", aggregation="latest", value="v")}, "16/31"),
        ({"meter": Meter(key="m", name="M", event_type="e", aggregation="level", value="v")}, "16/31"),
        (
            {"meter": Meter(key="m", name="M", event_type="e", aggregation="percentile", percentile=95, value="v")},
            "16/31",
        ),
        ({"meter": Meter(key="m", name="M", event_type="e", aggregation="sum", value="v", carry=True)}, "16/31"),
        ({"meter": Meter(key="m", name="M", event_type="e", aggregation="weighted_sum", value="v")}, "1"),
        (
            {
                "meter": Meter(key="m", name="M", event_type="e", aggregation="count"),
                "watermark": {"of": "count", "take": "daily_sum"},
            },
            "1",
        ),
        (
            {
                "meter": Meter(key="m", name="M", event_type="e", aggregation="unique_count", value="v"),
                "active": {"per": "day", "take": "max"},
            },
            "1",
        ),
    ],
    ids=["min", "latest", "level", "percentile", "carried sum", "weighted sum", "daily sum", "active"],
)
def test_C7_one_value_for_the_segment_is_prorated_and_what_adds_up_is_not(
    fields: dict[str, Any], expected: str
) -> None:
    meter = fields.pop("meter")
    priced = terms(charge(meter="m", **fields), start="2026-10-16")
    assert rate(priced, STUB, used(("2026-10-16", 1)), meter).formula["proration"] == expected


def test_each_window_is_priced_by_itself_with_tiers_that_begin_anew() -> None:
    tiers = ({"up_to": "10", "price": "1"}, {"price": "0.5", "flat_fee": "3"})
    mark = {"of": "count", "window": "1h", "take": "each_window"}
    priced = terms(charge("graduated", tiers=tiers, watermark=mark))
    windows = [Slice(D("2026-10-01"), Decimal(12), 2), Slice(D("2026-10-02"), Decimal(4), 3)]
    one = rate(priced, segment(), windows, METERS["calls"])
    assert one.amount.text == "40.00"  # 2 x (10 + 2 x 0.5 + 3) + 3 x 4
    assert (one.measured, one.quantity) == (36, 36)
    together = rate(terms(charge("graduated", tiers=tiers)), segment(), used(("2026-10-01", 36)), METERS["calls"])
    assert together.amount.text == "26.00"


def test_each_window_is_converted_by_itself() -> None:
    mark = {"of": "count", "window": "1h", "take": "each_window"}
    packs = {"divide_by": "10", "unit": "pack", "rounding": "up"}
    priced = terms(charge(price="1", watermark=mark, convert=packs))
    one = rate(priced, segment(), [Slice(D("2026-10-01"), Decimal(1), 5)], METERS["calls"])
    assert (one.measured, one.quantity, one.amount.text) == (5, 5, "5.00")
