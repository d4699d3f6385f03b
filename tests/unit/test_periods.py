from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from orchestration.periods import Interval, boundary, calendar_anchor, period_containing, periods
from orchestration.zones import local_date, midnight_us

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
