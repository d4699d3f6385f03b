from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from billing_make import TIERS, charge, terms, used

from orchestration.billing.charges import by_day
from orchestration.billing.models import MODELS
from orchestration.billing.models.tiered import graduated
from orchestration.billing.models.uniform import flat, per_unit
from orchestration.catalog.charges import OPTIONS

THREE = (
    {"up_to": "10", "price": "5", "flat_fee": "1"},
    {"up_to": "20.5", "price": "3", "flat_fee": "2"},
    {"price": "1", "flat_fee": "4"},
)


def amount_of(quantity: str, **fields: object) -> Fraction:
    return graduated(terms(charge("graduated", tiers=THREE, **fields)), used(("2026-10-05", quantity))).amount


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0.000000001", "1.000000005"),
        ("9", "46"),
        ("9.999999999", "50.999999995"),
        ("10", "51"),
        ("10.000000001", "53.000000003"),
        ("11", "56"),
        ("20.5", "84.5"),
        ("20.500000001", "88.500000001"),
        ("21.5", "89.5"),
        ("1000000000000", "1000000000068"),
    ],
)
def test_C12_tier_bounds_are_inclusive_and_continuous(quantity: str, expected: str) -> None:
    assert amount_of(quantity) == Fraction(Decimal(expected))


def test_C12_at_zero_the_first_flat_fee_is_due_only_when_said() -> None:
    assert amount_of("0") == 0
    assert amount_of("0", flat_fee_at_zero=True) == 1
    free = terms(charge("graduated", tiers=THREE, flat_fee_at_zero=True))
    assert graduated(free, []).amount == 1
    assert amount_of("1", flat_fee_at_zero=True) == 6


def test_a_graduated_total_below_zero_is_priced_as_zero_and_reported() -> None:
    priced = graduated(terms(charge("graduated", tiers=TIERS)), used(("2026-10-01", 5), ("2026-10-02", -8)))
    assert (priced.amount, priced.details) == (0, ())
    assert [problem.code for problem in priced.problems] == ["negative_quantity"]
    assert "quantity -3 is below 0" in priced.problems[0].message


def test_per_unit_below_zero_gives_money_back() -> None:
    priced = per_unit(terms(charge(price="0.25")), used(("2026-10-01", "-3.5")))
    assert (priced.amount, priced.problems) == (Fraction(-7, 8), ())


def test_C13_each_unit_pays_the_price_of_its_day() -> None:
    twice = terms(charge(price="1"), ("2026-10-16", charge(price="2")))
    priced = per_unit(twice, used(("2026-10-16", 1), ("2026-10-15", 10), ("2026-10-31", 1), ("2026-10-15", -2)))
    assert [(str(d.version), str(d.quantity), str(d.price), d.amount) for d in priced.details] == [
        ("2026-01-01", "8", "1", 8),
        ("2026-10-16", "2", "2", 4),
    ]


def test_two_versions_positions_run_on() -> None:
    later = charge("graduated", tiers=({"up_to": "1000", "price": "0.12"}, {"price": "0.06"}))
    both = terms(charge("graduated", tiers=TIERS), ("2026-10-16", later))
    priced = graduated(both, used(("2026-10-03", 800), ("2026-10-20", 800)))
    assert priced.amount == 140
    assert [(str(d.version), d.tier, d.quantity, str(d.price)) for d in priced.details] == [
        ("2026-01-01", 1, 800, "0.10"),
        ("2026-10-16", 1, 200, "0.12"),
        ("2026-10-16", 2, 600, "0.06"),
    ]


def test_a_tier_fee_is_due_once_whatever_the_number_of_versions() -> None:
    again = terms(charge("graduated", tiers=THREE), ("2026-10-16", charge("graduated", tiers=THREE)))
    priced = graduated(again, used(("2026-10-01", 5), ("2026-10-20", 5)))
    assert priced.amount == 51
    assert [d.amount for d in priced.details if d.part == "tier_fee"] == [1]


def test_a_correction_gives_back_the_latest_units_at_the_price_they_had() -> None:
    later = charge("graduated", tiers=({"up_to": "1000", "price": "0.12"}, {"price": "0.06"}))
    both = terms(charge("graduated", tiers=TIERS), ("2026-10-16", later))
    # 1000 at 0.10 and 100 at 0.05; 300 are taken back: those 100 and 200 at 0.10
    assert graduated(both, used(("2026-10-03", 1100), ("2026-10-20", -300))).amount == 80
    # the 300 come again, at the prices of their own day
    again = used(("2026-10-03", 1100), ("2026-10-20", -300), ("2026-10-21", 300))
    assert graduated(both, again).amount == 80 + 24 + 6
    # what is owed below 0 is made up first, and no unit is priced for it
    assert graduated(both, used(("2026-10-03", -50), ("2026-10-20", 150))).amount == 12


def test_the_order_within_a_day_changes_nothing() -> None:
    one = terms(charge("graduated", tiers=TIERS))
    first = used(("2026-10-03", 1100), ("2026-10-03", -300), ("2026-10-02", 7))
    assert graduated(one, first) == graduated(one, first[::-1])
    assert by_day(first) == used(("2026-10-02", 7), ("2026-10-03", 800))


def test_a_flat_fee_takes_no_usage() -> None:
    fee = terms(charge("flat", key="base", amount="31.00"))
    assert flat(fee, []).amount == 31
    with pytest.raises(ValueError, match="no usage"):
        flat(fee, used(("2026-10-01", 1)))


def test_usage_before_the_first_price_is_refused() -> None:
    with pytest.raises(ValueError, match="no price on 2026-09-30"):
        per_unit(terms(charge()), used(("2026-09-30", 1)))


def test_C4_prices_of_twelve_decimals_stay_exact() -> None:
    priced = per_unit(terms(charge(price="0.000000000001")), used(("2026-10-01", "0.000000003")))
    assert priced.amount == Fraction(3, 10**21)
    assert priced.details[0].as_dict() == {
        "version": "2026-01-01",
        "part": "units",
        "tier": "",
        "quantity": "0.000000003",
        "price": "0.000000000001",
        "amount": "0.000000000000000000003",
    }


def test_every_model_of_the_catalog_has_its_function() -> None:
    assert MODELS.keys() == OPTIONS.keys()
