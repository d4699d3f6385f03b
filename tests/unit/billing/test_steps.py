"""Steps 1 to 3: quantity, gross, discount and bounds; trials; and formulas that are evaluated again by themselves."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from billing_make import METERS, D, charge, segment, terms, used

from orchestration.billing.charges import Slice
from orchestration.billing.formula import average_price, paid_quantity
from orchestration.billing.per_event import sliced
from orchestration.billing.rating import Line, rate

STUB = segment("2026-10-25")
"""7 days of 31."""


def line(quantity: str | int, part: Any = None, meter: str = "calls", **fields: Any) -> Line:
    part, rounding = part or segment(), fields.pop("rounding", "half_away")
    priced = terms(charge(meter=meter, **fields), start=str(part.start))
    return rate(priced, part, used((str(part.start), quantity)), METERS[meter], rounding=rounding)


def shown(one: Line) -> list[str]:
    amounts = (one.gross, one.discount, one.excess, one.top_up, one.amount)
    return [amount.text for amount in amounts if amount is not None]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["100.05", "0.00", "0.00", "0.00", "100.05"]),
        ({"discount_percent": "10"}, ["100.05", "10.01", "0.00", "0.00", "90.04"]),
        ({"maximum": "50"}, ["100.05", "0.00", "50.05", "0.00", "50.00"]),
        ({"minimum": "150"}, ["100.05", "0.00", "0.00", "49.95", "150.00"]),
        ({"discount_percent": "10", "maximum": "90.04"}, ["100.05", "10.01", "0.00", "0.00", "90.04"]),
        ({"discount_percent": "50", "minimum": "60", "maximum": "80"}, ["100.05", "50.03", "0.00", "9.98", "60.00"]),
        ({"discount_percent": "100"}, ["100.05", "100.05", "0.00", "0.00", "0.00"]),
    ],
)
def test_C6_discount_then_maximum_then_minimum(fields: dict[str, Any], expected: list[str]) -> None:
    assert shown(line("100.05", meter="tokens", **fields)) == expected


def test_C6_the_gross_is_rounded_before_it_is_bounded() -> None:
    one = line(3, price="0.335", maximum="1")
    assert shown(one) == ["1.01", "0.00", "0.01", "0.00", "1.00"]


def test_C7_minimum_maximum_and_included_units_are_prorated_by_days_of_the_full_period() -> None:
    assert shown(line(0, STUB, minimum="31")) == ["0.00", "0.00", "0.00", "7.00", "7.00"]
    assert shown(line(100, STUB, maximum="31")) == ["100.00", "0.00", "93.00", "0.00", "7.00"]
    assert line(100, STUB, included="31").quantity == 93
    assert shown(line(0, STUB, minimum="31", prorated=False))[-1] == "31.00"
    assert line(100, STUB, included="31", prorated=False).quantity == 69
    # 100 x 7 / 31 of 100 units, rounded once to 9 decimals.
    one = line(100, STUB, included="100")
    assert one.formula["included"] == {"units": "100", "proration": "7/31", "used": "22.580645161"}
    assert one.quantity == Decimal("77.419354839")
    # A mark is prorated itself, so what is included in it is not.
    assert line(100, STUB, "stored", included="31").quantity == 69


def test_C3_money_rounds_half_away_from_zero_or_half_to_even_as_the_seller_says() -> None:
    assert [line(n, price="0.005").amount.text for n in (1, 3, -1)] == ["0.01", "0.02", "-0.01"]
    assert [line(n, price="0.005", rounding="half_even").amount.text for n in (1, 3, -1)] == ["0.00", "0.02", "0.00"]
    one = line(1, price="0.1", discount_percent="25", rounding="half_even")
    assert shown(one) == ["0.10", "0.02", "0.00", "0.00", "0.08"]


@pytest.mark.parametrize(
    ("currency", "expected"),
    [
        # 10 % of the rounded gross, 123.5 yen, and not of the exact one.
        ("JPY", ["1235", "124", "111", "0", "1000"]),
        ("EUR", ["1234.57", "123.46", "111.11", "0.00", "1000.00"]),
        ("KWD", ["1234.568", "123.457", "111.111", "0.000", "1000.000"]),
        ("CLF", ["1234.5679", "123.4568", "111.1111", "0.0000", "1000.0000"]),
    ],
)
def test_C5_every_step_rounds_to_the_minor_unit_of_the_currency(currency: str, expected: list[str]) -> None:
    part = segment(currency=currency)
    one = line(1, part, price="1234.567890123", discount_percent="10", maximum="1000")
    assert shown(one) == expected


def test_C4_twelve_decimals_of_price_and_nine_of_quantity_stay_exact() -> None:
    one = line("0.000000001", meter="tokens", price="0.000000000001")
    assert (one.formula["exact"], one.amount.text) == ("0.000000000000000000001", "0.00")


def test_a_trial_is_measured_and_shown_and_costs_nothing() -> None:
    part = replace(segment(), trial=True)
    one = line(100, part, included="30", minimum="50", discount_percent="10")
    assert (one.trial, one.measured, one.quantity, one.amount.text) == (True, 100, 100, "0.00")
    assert one.formula["details"] == []
    assert (one.formula["trial"], one.formula["amount"]) == ("true", "0.00")
    fee = rate(terms(charge("flat", key="base", amount="31.00", minimum="50")), part)
    assert (fee.amount.text, fee.kind, fee.trial) == ("0.00", "fee", True)


def cell(day: str, hour: int, name: str, quantity: int) -> Slice:
    return Slice(D(day), Decimal(quantity), cell=f'{{"m":"{name}"}}', hour_us=hour)


def test_included_units_are_shared_by_cells_and_used_up_by_hour_then_cell() -> None:
    cells = ({"match": {"m": "a"}, "price": "1"}, {"match": {"m": "b"}, "price": "100"})
    priced = terms(charge("matrix", cells=cells, included="10"))
    slices = [cell("2026-10-02", 3, "a", 4), cell("2026-10-01", 2, "b", 6), cell("2026-10-01", 2, "a", 3)]
    for order in itertools.permutations(slices):
        one = rate(priced, segment(), order, METERS["calls"])
        # 3 of a and 6 of b in the first hour, then 1 of the 4 of a.
        assert (one.quantity, one.amount.text, one.formula["included"]["used"]) == (3, "3.00", "10")
    early = [cell("2026-10-01", 1, "b", 6), *slices]
    assert rate(priced, segment(), early, METERS["calls"]).amount.text == f"{6 * 100 - 100 * 1 + 4}.00"


def test_a_conversion_is_of_the_total_of_all_cells() -> None:
    cells = ({"match": {"m": "a"}, "price": "1"}, {"match": {"m": "b"}, "price": "100"})
    convert = {"divide_by": "1000", "unit": "k", "rounding": "up"}
    priced = terms(charge("matrix", cells=cells, convert=convert))
    one = rate(priced, segment(), [cell("2026-10-01", 1, "b", 700), cell("2026-10-01", 1, "a", 500)], METERS["calls"])
    assert (one.quantity, one.amount.text) == (2, "101.00")


def test_what_is_measured_is_billed_or_included_exactly() -> None:
    for quantity in ("0", "9.999999999", "10", "10.000000001", "-3"):
        one = line(quantity, STUB, "tokens", included="44.285714285714")
        assert one.measured == one.quantity + Decimal(one.formula["included"]["used"])
    assert line(-3, included="10").amount.text == "-3.00"


def test_an_average_price_of_all_units_or_of_those_that_cost_something() -> None:
    one = line(121, model="package", size="10", price="100", free="10")
    assert average_price(Fraction(one.formula["exact"]), one.quantity) == Fraction(1200, 121)
    assert paid_quantity(one.quantity, one.formula) == 111
    assert average_price(Fraction(0), Decimal(0)) == 0


def test_a_line_of_a_value_and_a_contract_say_so() -> None:
    priced = terms(charge(line_per="region"))
    priced = replace(priced, prices=(replace(priced.prices[0], contract="C-7"),))
    one = rate(priced, segment(), used(("2026-10-01", 1)), METERS["calls"], value="eu")
    assert (one.value, one.key.value, one.formula["details"][0]["contract"]) == ("eu", "eu", "C-7")


@pytest.mark.parametrize("decimals", [-2, 0, 2])
def test_a_conversion_rounds_to_the_decimals_that_it_says(decimals: int) -> None:
    convert = {"multiply_by": "1.5", "unit": "u", "rounding": "half_up", "decimals": decimals}
    expected = {-2: "200", 0: "185", 2: "185.18"}[decimals]
    assert line("123.456", meter="tokens", convert=convert).quantity == Decimal(expected)


# -- formulas --------------------------------------------------------------------------------------------------------


def amount_of(formula: dict[str, Any]) -> str:
    """The amount of a formula by schoolbook arithmetic: no code of the program, another rounding."""
    places = {"JPY": 0, "EUR": 2, "KWD": 3}[formula["currency"]]
    mode = {"half_away": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN}[formula["rounding"]]

    def cents(exact: Fraction) -> Decimal:
        with localcontext(prec=200):
            found = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal(1).scaleb(-places), mode)
            return abs(found) if found == 0 else found

    exact = sum((Fraction(d["quantity"]) * Fraction(d["price"]) for d in formula["details"]), Fraction(0))
    assert all(Fraction(d["amount"]) == Fraction(d["quantity"]) * Fraction(d["price"]) for d in formula["details"])
    exact *= Fraction(formula["proration"])
    assert Fraction(formula["exact"]) == exact
    left = cents(exact)
    assert formula["gross"] == str(left)
    if "discount" in formula:
        taken = cents(Fraction(left) * Fraction(formula["discount"]["percent"]) / 100)
        assert formula["discount"]["amount"] == str(taken)
        left -= taken
    if "maximum" in formula:
        limit = Fraction(formula["maximum"]["amount"]) * Fraction(formula["maximum"]["proration"])
        taken = cents(max(Fraction(left) - limit, Fraction(0)))
        assert formula["maximum"]["excess"] == str(taken)
        left -= taken
    if "minimum" in formula:
        least = Fraction(formula["minimum"]["amount"]) * Fraction(formula["minimum"]["proration"])
        added = cents(max(least - Fraction(left), Fraction(0)))
        assert formula["minimum"]["top_up"] == str(added)
        left += added
    return str(left)


TIERED = [
    {"up_to": "7.5", "price": "1.37", "flat_fee": "0.333"},
    {"up_to": "20", "price": "0.9"},
    {"price": "0.123456"},
]
RATED = [{"up_to": "7.5", "rate": "0.029", "flat_fee": "0.3"}, {"rate": "0.0123"}]
BY_MODEL: dict[str, dict[str, Any]] = {
    "flat": {"amount": "31.07"},
    "per_unit": {"price": "0.12345"},
    "graduated": {"tiers": TIERED, "flat_fee_at_zero": True},
    "volume": {"tiers": TIERED},
    "package": {"size": "3", "free": "2.5", "price": "1.111"},
    "percentage": {"rate": "0.029", "fixed": "0.3", "free_amount": "10", "min_per_event": "0.5", "max_per_event": "1"},
    "graduated_percentage": {"tiers": RATED},
    "matrix": {"cells": [{"match": {"m": "a"}, "price": "0.77"}], "default": "1.003"},
    "dynamic": {"multiplier": "1.33333"},
}


def random_line(rng: Random, model: str) -> Line:
    part = segment(rng.choice(["2026-10-01", "2026-10-12"]), currency=rng.choice(["JPY", "EUR", "KWD"]))
    bounds = {
        "discount_percent": rng.choice([None, "7.5", "33.333"]),
        "maximum": rng.choice([None, "9.995", "30"]),
        "minimum": rng.choice([None, "5.555"]),
    }
    fields = {name: value for name, value in bounds.items() if value is not None}
    if model not in ("flat", "percentage") and rng.random() < 0.5:
        fields["included"] = "4.2"
    first = (
        charge(model, meter="tokens", **BY_MODEL[model], **fields)
        if model != "flat"
        else charge("flat", **BY_MODEL[model], **fields)
    )
    later = first.model_copy(update={"price": Decimal("0.2")}) if model in ("per_unit", "package") else first
    priced = terms(first, ("2026-10-20", later), start=str(part.start))
    days = [D("2026-10-12"), D("2026-10-19"), D("2026-10-20"), D("2026-10-31")]
    uses = [(rng.choice(days), Decimal(rng.randint(-3000, 15000)).scaleb(-3)) for _ in range(rng.randint(0, 6))]
    slices = [Slice(day, n, cell=rng.choice(['{"m":"a"}', '{"m":"z"}'])) for day, n in uses]
    if model == "percentage":
        slices = sliced(priced, sorted(uses))
    rounding = rng.choice(["half_away", "half_even"])
    if model == "flat":
        return rate(priced, part, rounding=rounding)
    return rate(priced, part, slices, METERS["tokens"], rounding=rounding)


@pytest.mark.parametrize("model", BY_MODEL)
def test_a_formula_gives_the_amount_again_by_itself(model: str) -> None:
    rng = Random(f"formula {model}")
    seen = set()
    for _ in range(200):
        one = random_line(rng, model)
        assert amount_of(one.formula) == one.amount.text == one.formula["amount"]
        assert one.gross is not None and one.discount is not None and one.excess is not None and one.top_up is not None
        assert one.gross - one.discount - one.excess + one.top_up == one.amount
        seen |= {name for name in ("discount", "maximum", "minimum", "included") if name in one.formula}
    assert seen >= {"discount", "maximum", "minimum"}
