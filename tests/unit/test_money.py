from __future__ import annotations

from decimal import Decimal, Inexact, InvalidOperation, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.money import (
    CURRENCIES,
    EXACT,
    CurrencyMismatch,
    Money,
    allocate,
    decimal_text,
    round_fraction,
)

FRACTIONS = st.fractions(min_value=-(10**12), max_value=10**12, max_denominator=10**9)


@pytest.mark.parametrize(
    ("value", "half_away", "half_even", "up", "down"),
    [
        ("1.004", "1.00", "1.00", "1.01", "1.00"),
        ("1.005", "1.01", "1.00", "1.01", "1.00"),
        ("1.015", "1.02", "1.02", "1.02", "1.01"),
        ("-1.005", "-1.01", "-1.00", "-1.01", "-1.00"),
        ("-1.015", "-1.02", "-1.02", "-1.02", "-1.01"),
        ("-0.004", "0.00", "0.00", "-0.01", "0.00"),
        ("0", "0.00", "0.00", "0.00", "0.00"),
    ],
)
def test_rounding_modes_mirror_below_zero(value: str, half_away: str, half_even: str, up: str, down: str) -> None:
    got = [str(round_fraction(Decimal(value), 2, mode)) for mode in ("half_away", "half_even", "up", "down")]  # type: ignore[arg-type]
    assert got == [half_away, half_even, up, down]


def test_rounding_refuses_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="unknown rounding"):
        round_fraction(1, 2, "half_up")  # type: ignore[arg-type]


@given(FRACTIONS, st.integers(0, 9))
def test_rounding_is_never_off_by_more_than_half_a_unit(value: Fraction, decimals: int) -> None:
    assert abs(Fraction(round_fraction(value, decimals)) - value) * 10**decimals * 2 <= 1
    assert round_fraction(-value, decimals) == -round_fraction(value, decimals)


@pytest.mark.parametrize(
    ("currency", "text"),
    [("JPY", "13"), ("EUR", "12.50"), ("KWD", "12.500"), ("CLF", "12.5000"), ("UYW", "12.5000"), ("ISK", "13")],
)
def test_C5_minor_units_of_0_2_3_and_4_decimals(currency: str, text: str) -> None:
    assert Money.of(Fraction(25, 2), currency).text == text
    assert (-Money.of(Fraction(25, 2), currency)).text == f"-{text}"


def test_C5_sub_cent_amounts_round_to_zero_and_stay_usable() -> None:
    tiny = Money.of(Decimal("0.000000000001"), "EUR")
    assert tiny == Money.zero("EUR")
    assert not tiny
    assert (-tiny).text == "0.00"
    assert Money.of(Fraction(-1, 1000), "EUR").text == "0.00"


def test_C3_tax_like_fractions_are_rounded_and_not_cut() -> None:
    assert Money.of(Fraction(1999, 1000), "EUR").text == "2.00"
    assert Money.of(Fraction(-1999, 1000), "EUR").text == "-2.00"


@pytest.mark.parametrize("value", [0.1, 1.0, True, "1.00", None])
def test_C4_only_exact_numbers_become_money(value: object) -> None:
    with pytest.raises(TypeError, match="exact number"):
        Money.of(value, "EUR")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_C4_a_number_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        Money.of(Decimal(value), "EUR")


def test_C4_the_context_raises_rather_than_round() -> None:
    with pytest.raises(Inexact):
        EXACT.divide(Decimal(1), Decimal(3))
    with pytest.raises(Inexact):
        EXACT.add(Decimal(10) ** 100, Decimal("0.1"))
    with pytest.raises(InvalidOperation):
        EXACT.add(Decimal("sNaN"), Decimal(1))


def test_C4_a_context_of_the_caller_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 3
        total = Money.of(Decimal("123456789.12"), "EUR") + Money.of(Decimal("0.01"), "EUR")
        assert total.text == "123456789.13"
        assert (-total).text == "-123456789.13"
        assert round_fraction(Fraction(10**30, 3), 2) == EXACT.create_decimal("3" * 30 + ".33")


def test_amounts_of_two_currencies_never_meet() -> None:
    euro, yen = Money.of(1, "EUR"), Money.of(1, "JPY")
    assert euro != yen
    for operation in ("__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"):
        with pytest.raises(CurrencyMismatch, match="EUR and JPY"):
            getattr(euro, operation)(yen)
    with pytest.raises(TypeError):
        euro + 1  # type: ignore[operator]
    with pytest.raises(TypeError):
        euro - 1  # type: ignore[operator]


def test_an_amount_off_the_minor_unit_cannot_be_made() -> None:
    for amount in ("1", "1.5", "1.005", "1E+2"):
        with pytest.raises(ValueError, match="decimals of EUR"):
            Money(Decimal(amount), "EUR")
    with pytest.raises(TypeError, match=r"Money\.of"):
        Money(1, "EUR")  # type: ignore[arg-type]
    for code in ("eur", "XAU", "EUX", ""):
        with pytest.raises(ValueError, match="unknown currency"):
            Money.of(1, code)
        with pytest.raises(ValueError, match="unknown currency"):
            Money(Decimal("1.00"), code)


def test_order_sum_and_minor_units() -> None:
    low, high = Money.of(Decimal("-5"), "EUR"), Money.of(Decimal("12.3"), "EUR")
    assert (low.text, high.text) == ("-5.00", "12.30")
    assert low < high and low <= low and high > low and high >= high
    assert (high + low).text == "7.30" and (low - high).text == "-17.30"
    assert (low.minor, high.minor) == (-500, 1230)
    assert Money.of_minor(-500, "EUR") == low
    assert str(high) == "12.30 EUR"


def test_currency_table_has_the_codes_that_differ_from_two_decimals() -> None:
    assert {code for code, n in CURRENCIES.items() if n == 3} == {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
    assert {code for code, n in CURRENCIES.items() if n == 4} == {"CLF", "UYW"}
    zero = {
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    }
    assert {code for code, n in CURRENCIES.items() if n == 0} == zero
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)
    withdrawn = {"ANG", "BGN", "CUC", "HRK", "SLL", "VEF", "ZWL", "DEM"}
    assert not withdrawn & set(CURRENCIES)
    assert {"EUR", "USD", "XCG", "SLE", "ZWG", "VED"} <= set(CURRENCIES)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("10.500"), "10.5"),
        (Decimal("-0.00"), "0"),
        (Fraction(1, 3), "1/3"),
        (Fraction(-22, 7), "-22/7"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(1, 10**12), "0.000000000001"),
        (7, "7"),
    ],
)
def test_text_of_exact_numbers(value: Fraction | Decimal | int, text: str) -> None:
    assert decimal_text(value) == text


@given(FRACTIONS)
def test_text_of_exact_numbers_reads_back_equal(value: Fraction) -> None:
    assert Fraction(decimal_text(value)) == value


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [1, 0, 1], [3, 0, 2]),
        (1, [1, 2, 2], [0, 1, 0]),
        (0, [0, 0], [0, 0]),
        (0, [], []),
        (7, [Decimal("0.1"), Fraction(1, 5)], [2, 5]),
        (19, [200, -10], [20, -1]),
    ],
)
def test_C1_parts_by_largest_remainder(total: int, weights: list[Fraction], parts: list[int]) -> None:
    assert allocate(total, weights) == parts


def test_C1_nothing_to_split_by_is_an_error_and_no_loss() -> None:
    for weights in ([], [0, 0], [1, -1]):
        with pytest.raises(ValueError, match="nothing to split by"):
            allocate(1, weights)


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.fractions(min_value=0, max_value=10**6, max_denominator=1000), min_size=1, max_size=40),
)
def test_C1_parts_sum_exactly_and_lie_within_one_unit(total: int, weights: list[Fraction]) -> None:
    whole = sum(weights)
    if not whole:
        return
    parts = allocate(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / whole) < 1
        assert weight or part == 0


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(-1000, 1000), min_size=1, max_size=20))
def test_C1_parts_sum_exactly_also_with_lines_below_zero(total: int, weights: list[int]) -> None:
    if sum(weights):
        assert sum(allocate(total, weights)) == total
