from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from orchestration.periods import (
    Interval,
    active_parts,
    boundaries,
    boundary,
    calendar_anchor,
    fixed_days_between,
    is_boundary,
    period_containing,
    periods,
    whole_intervals,
    window_starts,
)
from orchestration.zones import HOUR_US, advance_days, bucket_start, days_between, local_date, midnight_us

D = date.fromisoformat
INTERVALS = [
    Interval("day", 1),
    Interval("day", 10),
    Interval("week", 1),
    Interval("week", 2),
    Interval("month", 1),
    Interval("month", 5),
    Interval("quarter", 1),
    Interval("year", 1),
    Interval("year", 3),
]


@pytest.mark.parametrize(
    ("anchor", "interval", "expected"),
    [
        ("2025-01-29", Interval("month"), ["2025-01-29", "2025-02-28", "2025-03-29", "2025-04-29"]),
        ("2025-01-30", Interval("month"), ["2025-01-30", "2025-02-28", "2025-03-30", "2025-04-30"]),
        ("2025-01-31", Interval("month"), ["2025-01-31", "2025-02-28", "2025-03-31", "2025-04-30"]),
        ("2024-01-31", Interval("month"), ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
        ("2024-11-30", Interval("quarter"), ["2024-11-30", "2025-02-28", "2025-05-30", "2025-08-30"]),
        ("2024-02-29", Interval("year"), ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
        ("2026-10-05", Interval("week", 2), ["2026-10-05", "2026-10-19", "2026-11-02"]),
    ],
)
def test_B5_boundaries_are_clamped_from_the_anchor_itself(anchor: str, interval: Interval, expected: list[str]) -> None:
    assert [boundary(D(anchor), interval, n).isoformat() for n in range(len(expected))] == expected


def test_B5_boundaries_before_the_anchor() -> None:
    assert [boundary(D("2025-03-31"), Interval("month"), n) for n in (-1, -2)] == [D("2025-02-28"), D("2025-01-31")]


@pytest.mark.parametrize("interval", INTERVALS, ids=str)
def test_B5_periods_tile_for_every_start_date_of_four_years(interval: Interval) -> None:
    for number in range(4 * 365 + 1):
        anchor = date(2023, 6, 1) + timedelta(days=number)
        tiles = list(periods(anchor, interval, anchor, anchor + timedelta(days=400)))
        assert tiles[0][0] == anchor
        assert tiles[-1][0] <= anchor + timedelta(days=400) < tiles[-1][1]
        assert all(start < end for start, end in tiles)
        assert all(a[1] == b[0] for a, b in pairwise(tiles))


@pytest.mark.parametrize("interval", INTERVALS, ids=str)
@pytest.mark.parametrize("anchor", ["2024-01-31", "2024-02-29", "2000-01-01", "2030-12-30"])
def test_B5_every_day_lies_in_exactly_the_period_found_for_it(anchor: str, interval: Interval) -> None:
    previous: tuple[date, date] | None = None
    for number in range(3 * 365):
        day = date(2024, 1, 1) + timedelta(days=number)
        period = period_containing(D(anchor), interval, day)
        assert period[0] <= day < period[1]
        assert previous is None or period == previous or period[0] == previous[1]
        previous = period


def test_calendar_periods_begin_where_the_calendar_says() -> None:
    day = D("2026-11-18")
    expected = {
        Interval("week"): ("2026-11-16", "2026-11-23"),
        Interval("month"): ("2026-11-01", "2026-12-01"),
        Interval("quarter"): ("2026-10-01", "2027-01-01"),
        Interval("year"): ("2026-01-01", "2027-01-01"),
        Interval("month", 6): ("2026-07-01", "2027-01-01"),
        Interval("day"): ("2026-11-18", "2026-11-19"),
    }
    for interval, (start, end) in expected.items():
        assert period_containing(calendar_anchor(interval), interval, day) == (D(start), D(end))


def test_calendar_weeks_of_every_other_monday_are_counted_from_one_anchor() -> None:
    interval = Interval("week", 2)
    starts = [start for start, _ in periods(calendar_anchor(interval), interval, D("1999-12-01"), D("2026-12-31"))]
    assert {start.weekday() for start in starts} == {0}
    assert D("2000-01-03") in starts


def test_periods_include_the_one_of_the_last_day_and_none_for_no_days() -> None:
    interval = Interval("month")
    assert list(periods(D("2026-01-01"), interval, D("2026-01-15"), D("2026-02-01"))) == [
        (D("2026-01-01"), D("2026-02-01")),
        (D("2026-02-01"), D("2026-03-01")),
    ]
    assert list(periods(D("2026-01-01"), interval, D("2026-01-15"), D("2026-01-14"))) == []


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe", "Africa/Cairo"])
def test_B3_fifty_years_of_periods_are_finite_and_contiguous_as_instants(zone: str) -> None:
    tiles = list(periods(D("1990-01-31"), Interval("month"), D("1990-01-31"), D("2040-01-30")))
    assert len(tiles) == 600
    edges = [midnight_us(zone, start) for start, _ in tiles]
    assert all(a < b for a, b in pairwise(edges))
    for edge, (start, _) in zip(edges, tiles, strict=True):
        assert local_date(zone, edge - 1) < start <= local_date(zone, edge)


@pytest.mark.parametrize("interval", [("month", 0), ("month", -1), ("fortnight", 1)])
def test_an_interval_that_stands_still_is_refused(interval: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match="interval"):
        Interval(*interval)  # type: ignore[arg-type]


@pytest.mark.parametrize("interval", INTERVALS, ids=str)
@pytest.mark.parametrize("anchor", ["2024-01-31", "2024-02-29", "2026-10-05"])
def test_B5_billing_days_are_the_starts_of_periods_each_once(anchor: str, interval: Interval) -> None:
    first, last = D("2023-12-15"), D("2027-03-02")
    days = boundaries(D(anchor), interval, first, last)
    assert all(a < b for a, b in pairwise(days))
    one_by_one = [
        d for n in range((last - first).days + 1) if is_boundary(D(anchor), interval, d := day_after(first, n))
    ]
    assert days == one_by_one
    for day in days:
        n = whole_intervals(D(anchor), interval, day)
        assert boundary(D(anchor), interval, n) == day
        assert whole_intervals(D(anchor), interval, day - timedelta(days=1)) == n - 1


def day_after(day: date, days: int) -> date:
    return day + timedelta(days=days)


@pytest.mark.parametrize("interval", INTERVALS, ids=str)
def test_B5_the_parts_of_a_subscription_tile_it_from_its_first_day_to_its_last(interval: Interval) -> None:
    start, end = D("2024-02-17"), D("2026-07-09")
    parts = active_parts(D("2020-12-31"), interval, start, end)
    assert (parts[0][0], parts[-1][1]) == (start, end)
    assert all(a < b for a, b in parts)
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    assert sum((b - a).days for a, b in parts) == (end - start).days


def test_a_subscription_of_no_days_has_no_part() -> None:
    assert active_parts(D("2026-01-01"), Interval("month"), D("2026-01-15"), D("2026-01-15")) == []


@pytest.mark.parametrize(
    ("start", "end", "month_days", "days"),
    [
        ("2026-01-31", "2026-02-28", 30, 28),
        ("2026-01-30", "2026-01-31", 30, 0),
        ("2026-02-28", "2026-03-31", 30, 32),
        ("2026-01-15", "2027-01-15", 30, 360),
        ("2026-05-01", "2026-05-01", 30, 0),
    ],
)
def test_months_of_thirty_days_have_no_thirty_first(start: str, end: str, month_days: int, days: int) -> None:
    assert fixed_days_between(D(start), D(end), month_days) == days


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"])
def test_B4_hour_windows_are_the_buckets_of_their_instants_over_clock_changes(zone: str) -> None:
    for day in (D("2018-02-17"), D("2018-11-03"), D("2026-04-04"), D("2026-10-03"), D("2026-11-01")):
        start, end = midnight_us(zone, day) + 1, midnight_us(zone, day + timedelta(days=2))
        found = window_starts(zone, "hour", start, end)
        assert found == sorted({bucket_start(zone, us) for us in range(start, end, HOUR_US // 12)})
        minutes = window_starts(zone, "minute", start, end)
        assert minutes == list(range(start - 1, end, HOUR_US // 60))


def test_windows_are_widened_to_whole_ones_and_none_is_made_of_nothing() -> None:
    start, end = midnight_us("Asia/Tokyo", D("2026-10-07")) + 5, midnight_us("Asia/Tokyo", D("2026-10-19"))
    weeks = [midnight_us("Asia/Tokyo", D(day)) for day in ("2026-10-05", "2026-10-12")]
    assert window_starts("Asia/Tokyo", "week", start, end) == weeks
    assert window_starts("Asia/Tokyo", "week", start, end + 1) == [*weeks, end]
    assert window_starts("Asia/Tokyo", "hour", end, end) == window_starts("Asia/Tokyo", "day", end, start) == []
    anchored = window_starts("Asia/Tokyo", "month", start, end, D("2026-08-31"))
    assert anchored == [midnight_us("Asia/Tokyo", D("2026-09-30"))]


def test_B11_days_are_dates_and_not_hours_over_24() -> None:
    zone = "America/New_York"
    for first, last in (("2026-03-07", "2026-03-09"), ("2026-10-31", "2026-11-02")):
        start, end = midnight_us(zone, D(first)), midnight_us(zone, D(last))
        assert (end - start) % (24 * HOUR_US) != 0
        assert days_between(zone, start, end) == days_between(zone, start, end + HOUR_US) == 2
        assert days_between(zone, end, start) == -2
        assert days_between(zone, start, end - 1) == 1
        assert advance_days(zone, start, 2) == end
        assert advance_days(zone, end + 7 * HOUR_US, -2) == start + 7 * HOUR_US


def test_a_time_that_a_day_lacks_is_the_first_instant_after_it_and_one_that_it_has_twice_the_first() -> None:
    zone = "America/New_York"
    half_past_two = midnight_us(zone, D("2026-03-07")) + 5 * HOUR_US // 2
    assert advance_days(zone, half_past_two, 1) == midnight_us(zone, D("2026-03-08")) + 2 * HOUR_US
    half_past_one = midnight_us(zone, D("2026-10-31")) + 3 * HOUR_US // 2
    assert advance_days(zone, half_past_one, 1) == midnight_us(zone, D("2026-11-01")) + 3 * HOUR_US // 2
