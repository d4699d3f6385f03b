"""What is taken off lines: no more than there is, whole to the last unit, and named by the lines that bear it alone."""

from __future__ import annotations

from decimal import Decimal

import pytest
from books import Book, agreed, line, off

from orchestration.billing.shares import Reduction, at_most, take, wanted_of


@pytest.mark.parametrize(("wanted", "left", "taken"), [(5, 3, 3), (3, 5, 3), (5, -3, 0), (-5, 3, 0), (0, 0, 0)])
def test_no_more_is_taken_than_is_left_and_never_less_than_nothing(wanted: int, left: int, taken: int) -> None:
    assert at_most(wanted, left) == taken
    assert wanted_of(Reduction("coupon", "c", amount=wanted), left, "EUR", "half_away") == taken


def test_a_percentage_above_100_takes_no_more_than_is_left() -> None:
    assert wanted_of(Reduction("coupon", "c", Decimal(150)), 1000, "EUR", "half_away") == 1000


def test_lines_that_bear_nothing_of_a_reduction_do_not_name_it() -> None:
    lefts = [1000, 0]
    taken = take(Reduction("coupon", "c", amount=500), lefts, [0, 1], "EUR", "half_away")
    assert taken is not None
    assert (taken[1], lefts) == ({0: 500}, [500, 0])
    (body,) = Book(agreed(off("5.00"))).issue([line("10.00", "a"), line("0.00", "b")])
    assert [shown.get("coupons") for shown in body["lines"]] == [[{"id": "c1", "amount": "5.00"}], None]
