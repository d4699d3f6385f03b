"""Status of limits, worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from orchestration.monitoring.entitlements import Earned, Window, status, window_on

OCTOBER = Window(date(2026, 10, 1), date(2026, 11, 1))
TODAY = date(2026, 10, 15)
"""A Thursday."""


def days(*pairs: tuple[int, str]) -> dict[date, Decimal]:
    return {date(2026, 10, day): Decimal(n) for day, n in pairs}


@pytest.mark.parametrize(
    ("per", "start", "end"),
    [
        ("day", date(2026, 10, 15), date(2026, 10, 16)),
        ("week", date(2026, 10, 12), date(2026, 10, 19)),
        ("month", date(2026, 10, 1), date(2026, 11, 1)),
        ("period", date(2026, 9, 20), date(2026, 10, 20)),
    ],
)
def test_the_window_of_a_day(per: str, start: date, end: date) -> None:
    period = Window(date(2026, 9, 20), date(2026, 10, 20))
    assert window_on(per, TODAY, period) == (start, end)  # type: ignore[arg-type]


def test_what_is_used_before_the_window_is_not_of_it() -> None:
    used = {date(2026, 9, 30): Decimal(900), **days((1, "10"), (15, "5.5"))}
    found = status(OCTOBER, TODAY, Decimal(100), (10, 15, 16), used)
    assert (found.used, found.remaining, found.percent, found.alerts) == (
        Decimal("15.5"),
        Decimal("84.5"),
        15,
        (10, 15),
    )
    assert (found.reached, found.over, found.overage) == (None, 0, {})


def test_overage_is_the_share_of_what_lies_above_the_limit_on_each_day() -> None:
    """Of 60 on the 2nd, 10 lie above 100; all 40 of the 3rd do. The 2nd earned 6.00, the 3rd 1.00: 1.00 and 1.00."""
    earned = [
        Earned(date(2026, 10, 1), "EUR", Fraction(9)),
        Earned(date(2026, 10, 2), "EUR", Fraction(6)),
        Earned(date(2026, 10, 3), "EUR", Fraction(1)),
        Earned(date(2026, 10, 3), "USD", Fraction(1, 3)),
    ]
    found = status(OCTOBER, TODAY, Decimal(100), (100, 140, 150), days((1, "50"), (2, "60"), (3, "40")), earned)
    assert found.reached == date(2026, 10, 2)
    assert (found.used, found.remaining, found.over, found.percent) == (150, 0, 50, 150)
    assert found.alerts == (100, 140, 150)
    assert found.overage == {"EUR": Fraction(2), "USD": Fraction(1, 3)}
    assert found.forecast is None, "it has happened"


def test_a_limit_is_reached_when_nothing_is_left() -> None:
    assert status(OCTOBER, TODAY, Decimal(50), (), days((3, "49.999999999"))).reached is None
    assert status(OCTOBER, TODAY, Decimal(50), (), days((3, "50"))).reached == date(2026, 10, 3)


def test_a_limit_of_nothing_is_reached_by_the_first_use() -> None:
    unused = status(OCTOBER, TODAY, Decimal(0), (100,), {})
    assert (unused.percent, unused.remaining, unused.reached) == (100, 0, None)
    assert status(OCTOBER, TODAY, Decimal(0), (100,), days((9, "1"))).reached == date(2026, 10, 9)


def test_the_forecast_goes_on_as_each_day_of_the_week_did() -> None:
    """Ten on each working day since Thursday, 1 October, none on weekends: 100 by the 14th. Of 145, 45 are left: today
    (the 15th) 10, the 16th 10, nothing at the weekend, and the 19th, 20th and 21st 10 each: gone on the 21st."""
    used = {day: Decimal(10) for n in range(14) if (day := date(2026, 10, 1) + timedelta(days=n)).weekday() < 5}
    assert sum(used.values()) == 100
    found = status(OCTOBER, TODAY, Decimal(145), (), used)
    assert found.forecast == date(2026, 10, 21)
    # What today has had counts with today: of its usual 10, 4 are still to come, and 5 are left after the 20th.
    assert status(OCTOBER, TODAY, Decimal(145), (), used | days((15, "6"))).forecast == date(2026, 10, 21)
    # A busier day than usual brings it forward: after 16 today, 29 are left for the 16th, 19th and 20th.
    assert status(OCTOBER, TODAY, Decimal(145), (), used | days((15, "16"))).forecast == date(2026, 10, 20)


def test_no_forecast_beyond_the_window_or_without_any_use() -> None:
    assert status(OCTOBER, TODAY, Decimal(10_000), (), days((14, "1"))).forecast is None
    assert status(OCTOBER, TODAY, Decimal(1), (), {}).forecast is None


def test_a_peak_is_not_added_up() -> None:
    found = status(OCTOBER, TODAY, Decimal(10), (80,), days((1, "8"), (2, "9"), (3, "2")), how="max")
    assert (found.used, found.remaining, found.percent, found.alerts) == (9, 1, 90, (80,))
    above = status(OCTOBER, TODAY, Decimal(10), (), days((1, "8"), (2, "12"), (3, "11")), how="max")
    assert (above.reached, above.over, above.overage) == (date(2026, 10, 2), 2, {})
