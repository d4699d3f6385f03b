"""B5 whole: every start day of eight years, every interval, forty zones. No day is billed twice, and none never."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from billing_make import charge, phase, plan

from orchestration.billing.segments import charge_segments, segments
from orchestration.periods import Interval, boundary, divides
from orchestration.zones import DAY_US, HOUR_US, local_date, midnight_us

FIRST, DAYS = date(2021, 1, 1), 8 * 365 + 2
STARTS = [FIRST + timedelta(days=n) for n in range(DAYS)]
EVERY = {"day": (1, 7, 45), "week": (1, 2, 5), "month": (1, 2, 5, 6), "quarter": (1, 2), "year": (1, 2)}
INTERVALS = [Interval(unit, every) for unit, counts in EVERY.items() for every in counts]  # type: ignore[arg-type]
ZONES = [
    "Africa/Abidjan",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Africa/Nairobi",
    "America/Anchorage",
    "America/Asuncion",
    "America/Bogota",
    "America/Chicago",
    "America/Denver",
    "America/Halifax",
    "America/Havana",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Dubai",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
]


@pytest.mark.parametrize("anchor", ["calendar", "subscription"])
@pytest.mark.parametrize("interval", INTERVALS, ids=str)
def test_B5_segments_tile_from_every_start_day_of_eight_years(interval: Interval, anchor: str) -> None:
    plans = {"pro": plan(("2000-01-01", [charge()]), anchor=anchor, interval=interval.unit, every=interval.every)}
    row = phase("2000-01-01")
    for start in STARTS:
        through = boundary(start, interval, 1)
        found = segments([row.model_copy(update={"start": start})], plans, through)
        assert found[0].start == start
        assert all(a.end == b.start == b.period_start == a.period_end for a, b in pairwise(found))
        assert found[-1].start <= through < found[-1].end
        assert all(s.period_start <= s.start < s.end <= s.period_end for s in found)
        assert anchor == "calendar" or found[0].period_start == start


@pytest.mark.parametrize("interval", INTERVALS, ids=str)
def test_B5_periods_do_not_depend_on_when_the_subscription_starts_or_ends_in_them(interval: Interval) -> None:
    """The periods of a stated anchor, seen from subscriptions that start and end on any day, are the same ones."""
    plans = {"pro": plan(("2000-01-01", [charge()]), anchor="2024-01-31", interval=interval.unit, every=interval.every)}
    row, known = phase("2000-01-01"), dict[date, tuple[date, date]]()
    for start in STARTS[::11]:
        rows = [row.model_copy(update={"start": start, "end": start + timedelta(days=40)})]
        found = segments(rows, plans, date.max)
        assert (found[0].start, found[-1].end) == (start, start + timedelta(days=40))
        for part in found:
            for day in (part.start, part.end - timedelta(days=1)):
                assert known.setdefault(day, (part.period_start, part.period_end)) == (
                    part.period_start,
                    part.period_end,
                )


def test_forty_zones_are_forty() -> None:
    assert len(set(ZONES)) == len(ZONES) == 40


@pytest.mark.parametrize("zone", ZONES)
def test_B5_B6_midnights_tile_in_every_zone_so_that_periods_of_days_do(zone: str) -> None:
    """A period is the instants from one midnight to another; each begins where the one before it ends."""
    edges = [midnight_us(zone, day) for day in [*STARTS, FIRST + timedelta(days=DAYS)]]
    assert all(DAY_US - 2 * HOUR_US <= b - a <= DAY_US + 2 * HOUR_US for a, b in pairwise(edges))
    for day, edge in zip(STARTS[::5], edges[::5], strict=False):
        assert local_date(zone, edge) == day
        assert local_date(zone, edge - 1) == day - timedelta(days=1)


def test_B6_a_fee_and_the_usage_beside_it_have_the_same_days_whatever_their_due_and_interval() -> None:
    fee = charge("flat", key="base", amount="1", due="advance", interval="month")
    usage = charge(interval="month")
    for start in STARTS[:366:3]:
        yearly = plan(("2000-01-01", [fee, usage]), anchor="subscription", interval="year")
        (part,) = segments([phase(str(start))], {"pro": yearly}, start)
        fees, used = (list(charge_segments(part, c, date.max)) for c in (fee, usage))
        assert fees == used
        assert len(fees) == 12


DIVIDING = [
    ("day", 1, "month", 1, True),
    ("day", 7, "week", 1, True),
    ("week", 1, "day", 14, True),
    ("week", 2, "week", 3, False),
    ("week", 1, "month", 1, False),
    ("day", 2, "month", 1, False),
    ("month", 1, "year", 1, True),
    ("quarter", 1, "year", 1, True),
    ("month", 3, "quarter", 1, True),
    ("month", 5, "year", 1, False),
    ("year", 1, "month", 12, True),
    ("year", 1, "month", 6, False),
    ("month", 2, "day", 60, False),
]


@pytest.mark.parametrize(("unit", "every", "of_unit", "of_every", "expected"), DIVIDING)
def test_an_interval_divides_another_where_every_period_of_it_lies_in_one(
    unit: str, every: int, of_unit: str, of_every: int, expected: bool
) -> None:
    short, long = Interval(unit, every), Interval(of_unit, of_every)  # type: ignore[arg-type]
    assert divides(short, long) == expected
    edges = {boundary(date(2024, 1, 31), short, n) for n in range(2000)}
    assert all(boundary(date(2024, 1, 31), long, n) in edges for n in range(20)) == expected
