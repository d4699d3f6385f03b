"""The formula of a line, word by word: whoever evaluates it again finds each option under the name that it had."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from billing_make import METERS, D, charge, segment, terms, used

from orchestration.billing.charges import Slice
from orchestration.billing.formula import paid_quantity
from orchestration.billing.rating import rate
from orchestration.catalog.meters import Meter

HALF = segment("2026-11-16", "2026-12-01", ("2026-11-01", "2026-12-01"))
DAY = D("2026-11-20")


def formula(quantity: str | int, meter: Meter = METERS["calls"], part: Any = HALF, **fields: Any) -> dict[str, Any]:
    """That of a line of half of November."""
    priced = terms(charge(meter=meter.key, **fields), start="2026-11-16")
    return rate(priced, part, used((str(DAY), quantity)), meter).formula


@pytest.mark.parametrize(
    ("bound", "amount", "shown"),
    [
        # 100 x 15/30 at most, and 500 x 15/30 at least, of 121.50.
        ("maximum", "50.00", {"maximum": {"amount": "100", "proration": "15/30", "excess": "71.50"}}),
        ("minimum", "250.00", {"minimum": {"amount": "500", "proration": "15/30", "top_up": "128.50"}}),
    ],
)
def test_everything_that_led_from_units_to_the_amount_stands_in_its_place(
    bound: str, amount: str, shown: dict[str, Any]
) -> None:
    options = {"included": "20", "discount_percent": "10", bound: shown[bound]["amount"]}
    # 20 x 15/30 = 10 are included; 90 x 1.50 = 135.00, less 13.50.
    assert formula(100, price="1.50", **options) == {
        "model": "per_unit",
        "details": [
            {
                "version": "2026-01-01",
                "part": "units",
                "tier": "",
                "quantity": "90",
                "price": "1.5",
                "amount": "135",
            }
        ],
        "proration": "1",
        "exact": "135",
        "currency": "EUR",
        "rounding": "half_away",
        "gross": "135.00",
        "amount": amount,
        "included": {"units": "20", "proration": "15/30", "used": "10"},
        "discount": {"percent": "10", "amount": "13.50"},
        **shown,
    }


def test_a_fee_of_part_of_a_period_says_its_days() -> None:
    priced = terms(charge("flat", key="base", amount="31.00"), start="2026-11-16")
    assert rate(priced, HALF).formula == {
        "model": "flat",
        "details": [
            {
                "version": "2026-01-01",
                "part": "fee",
                "tier": "",
                "quantity": "1",
                "price": "31",
                "amount": "31",
            }
        ],
        "proration": "15/30",
        "exact": "15.5",
        "currency": "EUR",
        "rounding": "half_away",
        "gross": "15.50",
        "amount": "15.50",
    }


@pytest.mark.parametrize(
    ("fields", "shown", "sold"),
    [
        ({"size": "10", "free": "5"}, {"size": "10", "free": "5", "counted": "started"}, "2"),
        ({"size": "10", "free": "5", "whole": True}, {"size": "10", "free": "5", "counted": "full"}, "1"),
        ({"size": "10"}, {"size": "10", "free": "0", "counted": "started"}, "2"),
    ],
)
def test_packages_say_their_size_what_is_free_and_which_are_counted(
    fields: dict[str, Any], shown: dict[str, str], sold: str
) -> None:
    found = formula(19, model="package", price="7", **fields)
    assert found["package"] == shown
    parts = {detail["part"]: detail["quantity"] for detail in found["details"]}
    assert parts["packages"] == sold
    assert paid_quantity(Decimal(19), found) == 19 - int(shown["free"])


@pytest.mark.parametrize(
    ("convert", "shown"),
    [
        ({"divide_by": "1000", "unit": "k"}, {"divide_by": "1000", "unit": "k", "rounding": "none"}),
        (
            {"divide_by": "1000", "unit": "k", "rounding": "up", "decimals": 2},
            {"divide_by": "1000", "unit": "k", "rounding": "up", "decimals": "2"},
        ),
        (
            {"multiply_by": "1.5", "unit": "more", "rounding": "half_even"},
            {"multiply_by": "1.5", "unit": "more", "rounding": "half_even"},
        ),
    ],
)
def test_a_conversion_says_its_factor_its_unit_and_its_rounding(convert: dict[str, Any], shown: dict[str, str]) -> None:
    assert formula(100, convert=convert)["conversion"] == shown
    assert formula(100, part=replace(HALF, trial=True), convert=convert)["conversion"] == shown


USERS = Meter.model_validate(
    {"key": "u", "name": "U", "event_type": "e", "aggregation": "unique_count", "value": "v", "dimensions": ["app"]}
)
CALLS = METERS["calls"]


@pytest.mark.parametrize(
    ("meter", "fields", "shown"),
    [
        (CALLS, {"watermark": {"of": "count"}}, {"watermark": {"of": "count", "window": "1h"}}),
        (
            CALLS,
            {"watermark": {"of": "count", "window": "1d", "percentile": 95}},
            {"watermark": {"of": "count", "window": "1d", "percentile": "95"}},
        ),
        (
            CALLS,
            {"watermark": {"of": "count", "take": "each_window"}},
            {"watermark": {"of": "count", "window": "1h", "take": "each_window"}},
        ),
        (USERS, {"active": {"per": "week", "take": "mean"}}, {"active": {"per": "week", "take": "mean"}}),
        (USERS, {"by_dimension": "each"}, {"by_dimension": "each"}),
        (USERS, {"by_dimension": "total"}, {}),
        (CALLS, {}, {}),
    ],
)
def test_how_the_quantity_was_measured_is_said_where_it_is_no_plain_sum(
    meter: Meter, fields: dict[str, Any], shown: dict[str, Any]
) -> None:
    names = ("watermark", "window", "average", "active", "by_dimension", "items", "changes", "conversion", "package")
    found = formula(5, meter, **fields)
    assert {name: found[name] for name in names if name in found} == shown


def test_units_that_are_held_say_each_change_and_the_days_that_it_weighs() -> None:
    seats = Meter(key="s", name="S", event_type="e", aggregation="sum", value="n", carry=True)
    assert formula("2.50", seats, prorate="days")["changes"] == [
        {"day": "2026-11-20", "change": "2.5", "weight": "11/30"}
    ]


def test_items_say_when_each_was_added_its_rank_and_its_days() -> None:
    items = Meter.model_validate(
        {"key": "i", "name": "I", "event_type": "e", "aggregation": "unique_count", "value": "v"}
        | {name: {"field": "do", "op": "eq", "value": name} for name in ("start", "stop")}
    )
    slices = [Slice(DAY, Decimal("11.0"), rank=2), Slice(DAY, Decimal(5), rank=1)]
    found = rate(terms(charge(meter="i", prorate="days"), start="2026-11-16"), HALF, slices, items, divisor=30).formula
    assert found["items"] == [
        {"day": "2026-11-20", "rank": "1", "days": "5"},
        {"day": "2026-11-20", "rank": "2", "days": "11"},
    ]
    assert found["average"] == {"sum": "16", "divided_by": "30"}
