"""Sentences of the definition (semantics.md, sections 3 to 5) that no other test of this folder is about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from billing_make import METERS, TIERS, D, charge, phase, plan, rated, segment, terms, used

from orchestration.billing.charges import Slice
from orchestration.billing.per_event import sliced
from orchestration.billing.rating import rate
from orchestration.catalog.measurable import charge_faults
from orchestration.catalog.meters import Meter

LEVEL = Meter(key="level", name="L", event_type="e", aggregation="weighted_sum", value="n")
LATEST = Meter(key="latest", name="L", event_type="e", aggregation="latest", value="n")
MONEY = Meter(key="money", name="M", event_type="e", aggregation="sum", value="n", allow_negative=True)
KINDS = {**METERS, "latest": LATEST, "money": MONEY}


# -- 3: the day of use decides the price -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meter", "fields"),
    [
        ("calls", {}),
        ("users", {}),
        ("stored", {}),
        ("latest", {}),
        ("calls", {"watermark": {"of": "count", "percentile": 95}}),
        ("stored", {"watermark": {"of": "max"}}),
    ],
    ids=["events", "a value first seen", "the greatest", "the last", "a ranked window", "a mark"],
)
@pytest.mark.parametrize(("day", "amount"), [("2026-10-19", "7.00"), ("2026-10-20", "14.00")])
def test_what_set_a_quantity_pays_the_price_of_its_day(
    meter: str, fields: dict[str, Any], day: str, amount: str
) -> None:
    first, later = (charge(meter=meter, price=price, **fields) for price in ("1", "2"))
    one = rate(terms(first, ("2026-10-20", later)), segment(), used((day, 7)), KINDS[meter])
    assert one.amount.text == amount


def test_a_level_over_time_pays_each_day_at_its_own_price() -> None:
    """100 all November, at 1.00 and from the 16th at 2.00: 50.00 and 100.00."""
    first, later = (charge(meter="level", price=price) for price in ("1.00", "2.00"))
    november = segment("2026-11-01", "2026-12-01", ("2026-11-01", "2026-12-01"))
    day_us = 86_400_000_000
    held = [Slice(D(f"2026-11-{day:02}"), Decimal(100 * day_us)) for day in range(1, 31)]
    priced = terms(first, ("2026-11-16", later), start="2026-11-01")
    one = rate(priced, november, held, LEVEL, divisor=30 * day_us)
    assert (one.quantity, one.amount.text) == (100, "150.00")


# -- 3: each segment is priced by itself -----------------------------------------------------------------------------

FEES = ({"up_to": "2000", "price": "0.10", "flat_fee": "9"}, {"price": "1"})


@pytest.mark.parametrize(
    ("priced", "amount"),
    [
        (charge("graduated", tiers=TIERS), "110.00"),
        (charge("volume", tiers=TIERS), "60.00"),
        (charge("package", price="5", size="1000", free="100"), "10.00"),
        (charge("graduated", tiers=FEES), "129.00"),
    ],
    ids=["tiers", "volume", "packages and free units", "flat fees"],
)
def test_bounds_sizes_and_what_is_free_begin_anew_in_each_segment_and_are_not_prorated(
    priced: Any, amount: str
) -> None:
    plans = [plan(("2026-01-01", [priced]), key=key) for key in ("a", "b")]
    phases = [phase("2026-10-01", "2026-10-16", "a"), phase("2026-10-16", None, "b")]
    usage = {"calls": used(("2026-10-10", 1200), ("2026-10-20", 1200))}
    assert [x.amount.text for x in rated(plans, phases, "2026-10-31", usage)] == [amount, amount]


# -- 4: any model on the total, on a watermark or on active users ----------------------------------------------------

UNITS: dict[str, tuple[dict[str, Any], str]] = {
    "per_unit": ({"price": "0.5"}, "600.00"),
    "graduated": ({"tiers": TIERS}, "110.00"),
    "volume": ({"tiers": TIERS}, "60.00"),
    "package": ({"price": "5", "size": "1000"}, "10.00"),
}
SHARES: dict[str, tuple[dict[str, Any], str]] = {
    "percentage": ({"rate": "0.02"}, "24.00"),
    "graduated_percentage": ({"tiers": ({"up_to": "1000", "rate": "0.1"}, {"rate": "0.05"})}, "110.00"),
    "dynamic": ({"multiplier": "1.5"}, "1800.00"),
}
ON: dict[str, tuple[str, dict[str, Any]]] = {
    "total": ("calls", {}),
    "mark": ("calls", {"watermark": {"of": "count", "window": "1d"}}),
    "active": ("users", {"active": {"per": "day"}}),
    "distinct": ("users", {}),
}


@pytest.mark.parametrize("where", ON)
@pytest.mark.parametrize("model", UNITS)
def test_a_model_prices_a_total_a_watermark_and_active_users_alike(model: str, where: str) -> None:
    (key, options), (fields, amount) = ON[where], UNITS[model]
    priced = charge(model, meter=key, **fields, **options)
    assert list(charge_faults(priced, METERS[key])) == []
    assert rate(terms(priced), segment(), used(("2026-10-05", 1200)), METERS[key]).amount.text == amount


@pytest.mark.parametrize("mark", [{}, {"watermark": {"of": "sum", "window": "1d"}}], ids=["total", "mark"])
@pytest.mark.parametrize("model", SHARES)
def test_a_share_of_money_is_taken_of_a_total_and_of_the_greatest_window(model: str, mark: dict[str, Any]) -> None:
    fields, amount = SHARES[model]
    priced = charge(model, meter="money", **fields, **mark)
    assert list(charge_faults(priced, MONEY)) == []
    assert rate(terms(priced), segment(), used(("2026-10-05", 1200)), MONEY).amount.text == amount


# -- 4: below 0, and events of 0 -------------------------------------------------------------------------------------

FEE = ({"price": "2", "flat_fee": "5"},)
CELLS = ({"match": {"m": "a"}, "price": "2"},)


@pytest.mark.parametrize(
    ("model", "fields", "amount"),
    [
        ("per_unit", {"price": "2"}, "-6.00"),
        ("dynamic", {"multiplier": "2"}, "-6.00"),
        ("percentage", {"rate": "0.5", "fixed": "1", "min_per_event": "4"}, "-1.50"),
        ("graduated", {"tiers": FEE, "flat_fee_at_zero": True}, None),
        ("volume", {"tiers": FEE, "flat_fee_at_zero": True}, None),
        ("graduated_percentage", {"tiers": ({"rate": "0.1"},)}, None),
        ("package", {"price": "2", "size": "1"}, None),
        ("matrix", {"cells": CELLS, "default": "2"}, None),
    ],
)
def test_below_0_three_models_give_money_back_and_the_others_report_it(
    model: str, fields: dict[str, Any], amount: str | None
) -> None:
    priced = terms(charge(model, meter="money", **fields))
    uses = [(D("2026-10-05"), Decimal(-3))]
    slices = sliced(priced, uses) if model == "percentage" else [Slice(*one) for one in uses]
    one = rate(priced, segment(), slices, MONEY)
    assert one.amount.text == (amount or "0.00")
    assert [problem.code for problem in one.problems] == ([] if amount else ["negative_quantity"])


def test_an_event_of_value_0_pays_the_fixed_fee_and_uses_up_a_free_event_like_any_other() -> None:
    priced = terms(charge("percentage", meter="money", rate="0.1", fixed="0.30", free_events=1))
    uses = [(D("2026-10-05"), Decimal(value)) for value in (0, 0, 10)]
    # The first is free; the second pays 0.30, the third 1.00 and 0.30.
    assert rate(priced, segment(), sliced(priced, uses), MONEY).amount.text == "1.60"
