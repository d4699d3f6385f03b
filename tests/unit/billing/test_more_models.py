"""Volume, package, percentage, matrix, dynamic and blocks: bounds and one unit beside them, 0 and below, versions."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from billing_make import charge, terms, used

from orchestration.billing.charges import Priced, Slice
from orchestration.billing.models import MODELS
from orchestration.billing.models.matrix import cell_text
from orchestration.billing.per_event import Part, classify, sliced
from orchestration.billing.segments import ChargeTerms
from orchestration.billing.windows import each_window

DAY = date(2026, 10, 5)
TIERS = (
    {"up_to": "10", "price": "5", "flat_fee": "1"},
    {"up_to": "20.5", "price": "3", "flat_fee": "2"},
    {"price": "1", "flat_fee": "4"},
)
LATER = (
    {"up_to": "10", "price": "6", "flat_fee": "1"},
    {"up_to": "20.5", "price": "4", "flat_fee": "2"},
    {"price": "2", "flat_fee": "4"},
)


def priced(model: str, quantity: str | int, **fields: Any) -> Priced:
    return MODELS[model](terms(charge(model, **fields)), used((str(DAY), quantity)))


def two(model: str, first: dict[str, Any], second: dict[str, Any]) -> ChargeTerms:
    """Terms whose prices change on 16 October."""
    return terms(charge(model, **first), ("2026-10-16", charge(model, **second)))


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("9", 46), ("10", 51), ("11", 35), ("20.5", Fraction(127, 2)), ("21.5", Fraction(51, 2)), ("0.1", Fraction(3, 2))],
)
def test_C12_volume_prices_all_units_in_the_tier_of_their_total(quantity: str, expected: Fraction) -> None:
    assert priced("volume", quantity, tiers=TIERS).amount == expected


def test_volume_at_zero_and_below() -> None:
    assert priced("volume", 0, tiers=TIERS).amount == 0
    assert priced("volume", 0, tiers=TIERS, flat_fee_at_zero=True).amount == 1
    below = priced("volume", -1, tiers=TIERS, flat_fee_at_zero=True)
    assert (below.amount, [p.code for p in below.problems]) == (0, ["negative_quantity"])


def test_C13_in_volume_the_total_chooses_the_tier_and_each_unit_pays_its_price_of_the_day() -> None:
    both = two("volume", {"tiers": TIERS}, {"tiers": LATER})
    found = MODELS["volume"](both, used(("2026-10-03", 8), ("2026-10-20", 4)))
    # 12 in the second tier: 8 at 3, 4 at 4, and its fee.
    assert found.amount == 24 + 16 + 2
    assert [(str(d.version), d.tier, d.quantity) for d in found.details if d.part == "units"] == [
        ("2026-01-01", 2, 8),
        ("2026-10-16", 2, 4),
    ]
    # What is given back are the latest units, at the price that they had.
    assert MODELS["volume"](both, used(("2026-10-03", 8), ("2026-10-20", -3))).amount == 25 + 1


def test_a_version_whose_units_were_taken_back_prices_nothing() -> None:
    both = two("volume", {"tiers": TIERS}, {"tiers": LATER})
    for later in ((("2026-10-20", 3), ("2026-10-21", -3)), (("2026-10-20", 0),)):
        found = MODELS["volume"](both, used(("2026-10-03", 5), *later))
        assert [(str(d.version), d.quantity) for d in found.details] == [("2026-01-01", 5), ("2026-01-01", 1)]


def test_windows_keep_tiers_of_one_price_apart() -> None:
    tiers = ({"up_to": "10", "price": "1"}, {"price": "1"})
    found = each_window(terms(charge("graduated", tiers=tiers)), [Slice(DAY, Decimal(12), windows=3)])
    assert [(d.tier, d.quantity) for d in found.details] == [(1, 30), (2, 6)]
    below = each_window(terms(charge("graduated", tiers=tiers)), [Slice(DAY, Decimal(n)) for n in (-2, -1, -2)])
    assert [p.message for p in below.problems] == [f"quantity -{n} is below 0 and is priced as 0" for n in (1, 2)]


@pytest.mark.parametrize(
    ("quantity", "started", "full"),
    [("0", 0, 0), ("5", 0, 0), ("5.1", 1, 0), ("14", 1, 0), ("15", 1, 1), ("16", 2, 1), ("25", 2, 2), ("-3", 0, 0)],
)
def test_packages_begin_above_the_free_units(quantity: str, started: int, full: int) -> None:
    fields = {"size": "10", "free": "5", "price": "7"}
    assert priced("package", quantity, **fields).amount == 7 * started
    assert priced("package", quantity, whole=True, **fields).amount == 7 * full


def test_a_package_below_zero_is_reported() -> None:
    assert [p.code for p in priced("package", -1, size="10", price="7").problems] == ["negative_quantity"]


def test_C13_a_package_has_the_price_of_the_day_of_its_first_unit() -> None:
    fields = {"size": "10", "free": "2"}
    both = two("package", {"price": "1", **fields}, {"price": "100", **fields})
    # Packages begin with the units 3, 13 and 23; the day before has 13 units.
    found = MODELS["package"](both, used(("2026-10-15", 13), ("2026-10-16", 10)))
    assert found.amount == 1 + 1 + 100
    assert MODELS["package"](both, used(("2026-10-15", 12), ("2026-10-16", 11))).amount == 1 + 100 + 100
    whole = two("package", {"price": "1", "whole": True, **fields}, {"price": "100", "whole": True, **fields})
    assert MODELS["package"](whole, used(("2026-10-15", 13), ("2026-10-16", 10))).amount == 1 + 1


BLOCKS = ({"up_to": "1000", "price": "2.95", "block": "100"}, {"price": "5.95", "block": "1000"})


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0", "0"),
        ("1", "2.95"),
        ("100", "2.95"),
        ("101", "5.90"),
        ("1000", "29.5"),
        ("1001", "35.45"),
        ("2001", "41.4"),
    ],
)
def test_a_started_block_of_a_tier_is_charged_whole(quantity: str, expected: str) -> None:
    assert priced("graduated", quantity, tiers=BLOCKS).amount == Fraction(expected)


def test_blocks_of_volume_and_of_a_tier_that_they_do_not_fill() -> None:
    assert priced("volume", "1000", tiers=BLOCKS).amount == Fraction("29.5")
    assert priced("volume", "1001", tiers=BLOCKS).amount == Fraction("11.9")
    # 15 units hold a block of 10 and one that the bound cuts; the next tier's blocks begin at the bound.
    cut = ({"up_to": "15", "price": "1", "block": "10"}, {"price": "100", "block": "10"})
    assert [priced("graduated", n, tiers=cut).amount for n in (10, 11, 15, 16, 25, 26)] == [1, 2, 2, 102, 102, 202]


def test_C13_a_block_has_the_price_of_the_day_of_its_first_unit() -> None:
    cheap, dear = ({"price": "1", "block": "10"},), ({"price": "100", "block": "10"},)
    both = two("graduated", {"tiers": cheap}, {"tiers": dear})
    assert MODELS["graduated"](both, used(("2026-10-15", 11), ("2026-10-16", 9))).amount == 2
    assert MODELS["graduated"](both, used(("2026-10-15", 10), ("2026-10-16", 10))).amount == 101


def test_graduated_percentage_takes_each_part_of_the_money_at_its_rate() -> None:
    tiers = ({"up_to": "100", "rate": "0.05"}, {"rate": "0.02", "flat_fee": "10"})
    found = [priced("graduated_percentage", n, tiers=tiers).amount for n in ("99", "100", "101", "150", "-1")]
    assert found == [Fraction("4.95"), 5, Fraction("15.02"), 16, 0]


def test_dynamic_multiplies_what_came_with_the_events_and_gives_it_back_below_zero() -> None:
    both = two("dynamic", {"multiplier": "1.5"}, {"multiplier": "2"})
    assert MODELS["dynamic"](both, used(("2026-10-15", "10.01"), ("2026-10-16", "-3"))).amount == Fraction("9.015")
    assert priced("dynamic", "4.2").amount == Fraction("4.2")


def cells(**quantities: str) -> list[Slice]:
    return [Slice(DAY, Decimal(quantity), cell=cell_text({"model": name})) for name, quantity in quantities.items()]


CELLS = ({"match": {"model": "a"}, "price": "2"}, {"match": {"model": "b"}, "price": "3"})


def test_a_matrix_has_a_price_for_each_cell_and_one_for_the_rest() -> None:
    matrix = terms(charge("matrix", cells=CELLS, default="10"))
    found = MODELS["matrix"](matrix, cells(a="5", b="1", c="0.5", d="0.5"))
    assert found.amount == 10 + 3 + 10
    assert [(d.cell, d.quantity) for d in found.details] == [("", 1), ('{"model":"a"}', 5), ('{"model":"b"}', 1)]
    spaced = [Slice(DAY, Decimal(1), cell='{"model": "b"}')]
    assert MODELS["matrix"](matrix, spaced).amount == 3
    with pytest.raises(ValueError, match="no price for a cell"):
        MODELS["matrix"](terms(charge("matrix", cells=CELLS)), cells(c="1"))


def test_a_cell_has_one_text_by_which_the_warehouse_finds_its_price() -> None:
    assert cell_text({"b": "é", "a": "x"}) == '{"a":"x","b":"é"}'
    matrix = terms(charge("matrix", cells=CELLS, default="10"))
    assert MODELS["matrix"](matrix, [Slice(DAY, Decimal(2))]).amount == 20


def test_a_cell_below_zero_is_priced_as_zero_and_reported() -> None:
    found = MODELS["matrix"](terms(charge("matrix", cells=CELLS)), cells(a="-5", b="1"))
    assert (found.amount, [p.code for p in found.problems]) == (3, ["negative_quantity"])


RATE = {"rate": "0.1", "meter": "tokens"}


def parts(*amounts: str, **fields: Any) -> list[list[tuple[str, str, int]]]:
    charged = terms(charge("percentage", **RATE, **fields))
    found = classify(charged, [(DAY, Decimal(amount)) for amount in amounts])
    return [[(part.part, str(part.quantity), part.event) for part in one] for one in found]


def test_free_events_and_the_free_amount_end_whichever_comes_first() -> None:
    assert parts("5", "0", "7", free_events=2) == [[("free", "5", 1)], [("free", "0", 1)], [("units", "7", 1)]]
    assert parts("5", "5", "0", free_amount="10") == [[("free", "5", 1)], [("free", "5", 1)], [("units", "0", 1)]]
    assert parts("5", "6", free_amount="10") == [[("free", "5", 1)], [("free", "5", 0), ("units", "1", 1)]]
    assert parts("5", "5", free_amount="100", free_events=1) == [[("free", "5", 1)], [("units", "5", 1)]]
    assert parts("5", free_amount="0") == [[("units", "5", 1)]]
    assert parts("5", free_events=0, free_amount="9") == [[("units", "5", 1)]]


def test_bounds_are_for_rate_and_fixed_fee_together_and_touching_one_is_within() -> None:
    bounds = {"fixed": "1", "min_per_event": "2", "max_per_event": "3"}
    assert [one[0][0] for one in parts("9", "10", "20", "21", "0", **bounds)] == [
        "at_min",
        "units",
        "units",
        "at_max",
        "at_min",
    ]
    charged = terms(charge("percentage", **RATE, **bounds))
    found = MODELS["percentage"](charged, sliced(charged, [(DAY, Decimal(n)) for n in (9, 10, 20, 21, 0)]))
    assert found.amount == 2 + 2 + 3 + 3 + 2
    assert [(d.part, str(d.quantity), str(d.price)) for d in found.details] == [
        ("units", "30", "0.1"),
        ("event_fee", "2", "1"),
        ("at_min", "2", "2"),
        ("at_max", "1", "3"),
    ]


def test_what_counts_nothing_of_an_event_is_no_part() -> None:
    charged = terms(charge("percentage", **RATE, fixed="1"))
    found = MODELS["percentage"](charged, sliced(charged, [(DAY, Decimal(0))]))
    assert [(d.part, str(d.quantity)) for d in found.details] == [("event_fee", "1")]


def test_a_partly_free_event_pays_the_whole_fixed_fee_and_a_free_one_nothing() -> None:
    charged = terms(charge("percentage", **RATE, fixed="2", free_amount="10", min_per_event="2.5"))
    # 8 free, 2 of 12 free: 1.00 + 2.00; the fee of 0 is raised to the minimum.
    found = MODELS["percentage"](charged, sliced(charged, [(DAY, Decimal(n)) for n in (8, 12, 0)]))
    assert found.amount == 3 + Fraction("2.5")
    assert sum(d.quantity for d in found.details if d.part == "free") == 10


def test_an_event_below_zero_gives_back_its_rate_alone_and_uses_nothing_up() -> None:
    assert parts("-5", "20", fixed="1", min_per_event="9") == [[("units", "-5", 0)], [("at_min", "20", 1)]]
    assert parts("-5", "10", "1", free_amount="10") == [[("free", "-5", 1)], [("free", "10", 1)], [("units", "1", 1)]]
    charged = terms(charge("percentage", **RATE, fixed="1"))
    assert MODELS["percentage"](charged, sliced(charged, [(DAY, Decimal(-50))])).amount == -5
    assert list(classify(charged, [(DAY, Decimal(-50))])) == [[Part("units", Decimal(-50), 0)]]


def test_C13_each_event_pays_the_rate_of_its_day_and_what_is_free_runs_on() -> None:
    first = {**RATE, "free_amount": "10"}
    both = two("percentage", first, {**first, "rate": "0.2"})
    events = [(date(2026, 10, 15), Decimal(15)), (date(2026, 10, 16), Decimal(10))]
    found = MODELS["percentage"](both, sliced(both, events))
    assert found.amount == Fraction("0.5") + 2
    assert [(str(d.version), d.part, d.quantity) for d in found.details] == [
        ("2026-01-01", "free", 10),
        ("2026-01-01", "units", 5),
        ("2026-10-16", "units", 10),
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "percentage", "rate": "0.1", "fixed": "1", "included": "5"}, "'fixed' is for each event"),
        (
            {"model": "percentage", "rate": "0.1", "fixed": "1", "watermark": {"of": "count"}},
            "'watermark' for the total",
        ),
        ({"model": "package", "size": "1", "price": "1", "prorate": "days"}, "'prorate: days' goes with"),
        ({"model": "per_unit", "included": "5", "prorate": "days"}, "aren't weighed by days"),
        (
            {"model": "per_unit", "included": "5", "watermark": {"of": "count", "take": "each_window"}},
            "'each_window' prices each by itself",
        ),
        ({"model": "flat", "amount": "5", "included": "5"}, "no units that could be included"),
        ({"model": "matrix", "cells": (CELLS[0], CELLS[0])}, "cell 2: what it matches has 2 prices"),
        ({"model": "matrix", "cells": (CELLS[0], {"match": {"k": "v"}, "price": "1"})}, "cell 2: every cell names"),
        ({"model": "graduated_percentage", "tiers": ({"rate": "1", "block": "2"},)}, "belong to the tiers of"),
        ({"convert": {"unit": "k"}}, "either divide_by or multiply_by"),
        ({"convert": {"unit": "k", "divide_by": "2", "multiply_by": "2"}}, "either divide_by or multiply_by"),
        ({"convert": {"unit": "k", "multiply_by": "0"}}, "multiply_by is 0"),
        ({"convert": {"unit": "k", "divide_by": "2", "decimals": 1}}, "there is no 'rounding'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        charge(**fields)
