from __future__ import annotations

import importlib.resources
import os
import random
import struct
import subprocess
import sys
import zoneinfo
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from orchestration import zones
from orchestration.zones import (
    DAY_US,
    HOUR_US,
    OffsetInterval,
    bucket_start,
    bucket_starts,
    history_before,
    local_date,
    midnight_us,
    offset_intervals,
    windows_between,
    zone_exists,
    zone_on,
)

MINUTE_US = 60_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHOSEN = [
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Casey",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Niue",
]


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def bucket_by(intervals: list[OffsetInterval], instant: int) -> tuple[int, date]:
    """Bucket and local day as the warehouse computes them, from the table of intervals alone."""
    (row,) = [i for i in intervals if i.start_us <= instant < i.end_us]
    start = instant - (instant + row.offset_us) % HOUR_US
    day = date(1970, 1, 1) + timedelta(days=(instant + row.offset_us) // DAY_US)
    return (start if start >= row.start_us else row.carry_bucket_us), max(day, row.carry_day)


def buckets_of(zone: str, day: date) -> list[tuple[int, int]]:
    """Start and minutes of every hour bucket of a local day."""
    start, end = midnight_us(zone, day), midnight_us(zone, day + timedelta(days=1))
    starts = sorted({bucket_start(zone, minute) for minute in range(start, end, MINUTE_US)})
    return [(a, (b - a) // MINUTE_US) for a, b in pairwise([*starts, end])]


@pytest.mark.parametrize("name", ["", "Europe", "europe/paris", "Mars/Phobos", "../tzdata", "UTC+2", "/etc/passwd"])
def test_B2_what_is_no_iana_zone_is_refused(name: str) -> None:
    assert not zone_exists(name)
    with pytest.raises(ValueError, match="unknown IANA time zone"):
        midnight_us(name, date(2026, 1, 1))


def test_zone_data_of_the_host_does_not_count() -> None:
    assert zoneinfo.TZPATH == ()
    assert zone_exists("Europe/Paris")
    assert zones.TZDATA_VERSION.startswith("20")


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Asia/Kathmandu", "2026-10-01", "2026-09-30T18:15:00+00:00"),
        ("Pacific/Kiritimati", "2026-11-01", "2026-10-31T10:00:00+00:00"),
        ("Pacific/Niue", "2026-11-01", "2026-11-01T11:00:00+00:00"),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00:00+00:00"),
        ("America/New_York", "2026-03-09", "2026-03-09T04:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00"),  # 00:00 is skipped: the day begins at 01:00
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00:00+00:00"),  # 23:00 of the 17th comes twice
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00+00:00"),  # no such day: the instant the 31st begins
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00+00:00"),
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00+00:00"),  # back to 23:01 at 00:01
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00+00:00"),  # 00:00 comes twice: the earlier
    ],
)
def test_B10_the_day_begins_at_the_first_instant_that_bears_it(zone: str, day: str, expected: str) -> None:
    begins = midnight_us(zone, date.fromisoformat(day))
    assert begins == us(expected)
    assert local_date(zone, begins) >= date.fromisoformat(day)
    assert local_date(zone, begins - 1) < date.fromisoformat(day)


def test_a_clock_set_back_over_midnight_does_not_return_to_the_day_that_ended() -> None:
    begins = midnight_us("America/St_Johns", date(2010, 11, 7))
    for minutes in (0, 1, 30, 60, 61, 600):
        assert local_date("America/St_Johns", begins + minutes * MINUTE_US) == date(2010, 11, 7)


@pytest.mark.parametrize(
    ("zone", "day", "minutes"),
    [
        ("America/New_York", "2026-03-08", [60] * 23),
        ("America/New_York", "2026-11-01", [60] * 25),
        ("America/New_York", "2026-06-01", [60] * 24),
        ("America/Sao_Paulo", "2018-11-04", [60] * 23),
        ("America/Sao_Paulo", "2018-02-17", [60] * 25),
        # 02:00 becomes 01:30: the hour that begins at 01:00 shows no full hour for 90 minutes
        ("Australia/Lord_Howe", "2026-04-05", [60, 90] + [60] * 22),
        # 02:00 becomes 02:30: 30 minutes until 03:00 join the hour before
        ("Australia/Lord_Howe", "2026-10-04", [60, 90] + [60] * 21),
        ("Asia/Kathmandu", "2026-10-01", [60] * 24),
    ],
)
def test_B4_hours_of_days_of_23_25_and_a_half(zone: str, day: str, minutes: list[int]) -> None:
    found = buckets_of(zone, date.fromisoformat(day))
    assert [length for _, length in found] == minutes
    assert found[0][0] == midnight_us(zone, date.fromisoformat(day))


def test_B4_the_repeated_hour_is_two_buckets() -> None:
    first, second = us("2026-11-01T05:30:00+00:00"), us("2026-11-01T06:30:00+00:00")
    assert bucket_start("America/New_York", second) - bucket_start("America/New_York", first) == HOUR_US


def test_B7_kathmandu_hours_do_not_begin_on_utc_hours() -> None:
    assert bucket_start("Asia/Kathmandu", us("2026-10-01T00:00:00+00:00")) == us("2026-09-30T23:15:00+00:00")


def test_casablanca_changes_around_ramadan() -> None:
    rows = offset_intervals("Africa/Casablanca", us("2025-01-01T00:00:00+00:00"), us("2026-01-01T00:00:00+00:00"))
    assert [row.offset_us // HOUR_US for row in rows] == [1, 0, 1]
    assert rows[1].start_us == us("2025-02-23T02:00:00+00:00")
    assert rows[1].end_us == us("2025-04-06T02:00:00+00:00")


@pytest.mark.parametrize("zone", CHOSEN)
def test_B7_intervals_cover_the_time_without_gap_and_agree_with_the_clock(zone: str) -> None:
    start, end = us("2009-01-01T00:00:00+00:00") + 1, us("2012-06-01T00:00:00+00:00") + 123_457
    rows = offset_intervals(zone, start, end)
    assert (rows[0].start_us, rows[-1].end_us) == (start, end)
    assert all(a.end_us == b.start_us and a.offset_us != b.offset_us for a, b in pairwise(rows))
    edges = [row.start_us for row in rows[1:]]
    around = [e + d * HOUR_US // 4 + x for e in edges for d in range(-12, 13) for x in (-1, 0, 1)]
    for instant in [*around, *range(start, end, 41 * HOUR_US)]:
        (row,) = [r for r in rows if r.start_us <= instant < r.end_us]
        clock = (EPOCH + timedelta(microseconds=instant)).astimezone(zoneinfo.ZoneInfo(zone))
        assert clock.utcoffset() == timedelta(microseconds=row.offset_us)
        assert bucket_by(rows, instant) == (bucket_start(zone, instant), local_date(zone, instant))


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Antarctica/Casey", "Asia/Kathmandu", "Pacific/Apia"])
def test_B4_buckets_do_not_depend_on_where_the_table_begins(zone: str) -> None:
    change = us("2011-12-30T10:00:00+00:00") if zone == "Pacific/Apia" else us("2010-04-03T15:00:00+00:00")
    end = change + DAY_US
    for start in range(change - 2 * HOUR_US, change + 2 * HOUR_US, 7 * MINUTE_US + 1):
        rows = offset_intervals(zone, start, end)
        for instant in range(start, start + 3 * HOUR_US, 11 * MINUTE_US):
            assert bucket_by(rows, instant) == (bucket_start(zone, instant), local_date(zone, instant))


@pytest.mark.parametrize("zone", CHOSEN)
def test_B8_one_microsecond_decides_the_day(zone: str) -> None:
    day = date(2026, 2, 25)
    while day < date(2026, 4, 10):
        begins = midnight_us(zone, day)
        assert (local_date(zone, begins - 1), local_date(zone, begins)) == (day - timedelta(days=1), day)
        assert bucket_start(zone, begins) == begins
        assert bucket_start(zone, begins - 1) < begins
        day += timedelta(days=1)


def test_an_empty_stretch_has_no_intervals() -> None:
    assert offset_intervals("Europe/Paris", 5, 5) == []
    assert offset_intervals("Europe/Paris", 6, 5) == []


def test_a_caller_that_edits_its_list_does_not_edit_the_next_ones() -> None:
    offset_intervals("Europe/Paris", 0, DAY_US).clear()
    assert len(offset_intervals("Europe/Paris", 0, DAY_US)) == 1


def _changes(name: str) -> list[int]:
    """The seconds at which a zone's offset changes, read from its compiled file (RFC 8536, 64-bit block)."""
    data = importlib.resources.files("tzdata.zoneinfo").joinpath(name).read_bytes()

    def counts(at: int) -> tuple[int, ...]:
        return struct.unpack(">6l", data[at + 20 : at + 44])

    isut, isstd, leap, times, types, chars = counts(0)
    at = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    times, types = counts(at)[3:5]
    at += 44
    moments = struct.unpack(f">{times}q", data[at : at + 8 * times])
    kinds = data[at + 8 * times : at + 9 * times]
    at += 9 * times
    offsets = [struct.unpack(">l", data[at + 6 * n : at + 6 * n + 4])[0] for n in range(types)]
    values = [offsets[kind] for kind in kinds]
    return [moment for moment, (a, b) in zip(moments[1:], pairwise(values), strict=True) if a != b] if times else []


def test_no_zone_changes_twice_within_one_search_step() -> None:
    for name in sorted(zoneinfo.available_timezones()):
        for before, after in pairwise(_changes(name)):
            assert after - before > zones._STEP_S, name


@pytest.mark.parametrize("zone", CHOSEN)
def test_every_change_in_the_compiled_data_is_found(zone: str) -> None:
    listed = [second for second in _changes(zone) if second > 0]
    found = offset_intervals(zone, 0, (listed[-1] + 1) * 1_000_000 if listed else DAY_US)
    assert [row.start_us // 1_000_000 for row in found[1:]] == listed


def test_B9_the_servers_zone_changes_nothing() -> None:
    code = (
        "from datetime import date; from orchestration.zones import *;"
        "print(midnight_us('Asia/Tokyo', date(2026, 3, 29)), local_date('Asia/Tokyo', 1774710000000000),"
        "offset_intervals('Europe/Paris', 1770000000000000, 1780000000000000))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "TZ": tz}, check=True, capture_output=True, text=True
        ).stdout
        for tz in ("UTC", "Pacific/Kiritimati", "America/St_Johns")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("minutes", [1, 5, 15, 60])
def test_windows_between_midnights_are_those_that_the_clock_shows(name: str, minutes: int) -> None:
    """Looked up minute by minute, around every change of three years."""
    length = minutes * MINUTE_US
    first, last = midnight_us(name, date(2023, 1, 1)), midnight_us(name, date(2026, 1, 1))
    zone = zoneinfo.ZoneInfo(name)
    for part in offset_intervals(name, first, last)[1:]:
        day = local_date(name, part.start_us) - timedelta(days=1)
        start, end = midnight_us(name, day), midnight_us(name, day + timedelta(days=3))
        shown = ((EPOCH + timedelta(microseconds=us)).astimezone(zone) for us in range(start, end, MINUTE_US))
        begun = sum((clock.hour * 60 + clock.minute) % minutes == 0 for clock in shown)
        assert windows_between(name, start, end, length) == begun


@pytest.mark.parametrize(
    ("name", "first", "end", "length", "windows"),
    [
        ("Europe/Berlin", "2026-10-01", "2026-11-01", HOUR_US, 745),
        ("Europe/Berlin", "2026-03-01", "2026-04-01", HOUR_US, 743),
        ("Europe/Berlin", "2026-10-01", "2026-11-01", DAY_US, 31),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-06", HOUR_US, 24),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-06", HOUR_US // 4, 98),
        ("Pacific/Apia", "2011-12-01", "2012-01-01", DAY_US, 30),
        ("Pacific/Apia", "2011-12-01", "2012-01-01", HOUR_US, 720),
        ("Asia/Kathmandu", "2026-11-01", "2026-12-01", HOUR_US // 12, 8640),
        ("UTC", "2026-11-01", "2026-11-01", HOUR_US, 0),
    ],
)
def test_windows_of_a_segment(name: str, first: str, end: str, length: int, windows: int) -> None:
    start_us, end_us = (midnight_us(name, date.fromisoformat(day)) for day in (first, end))
    assert windows_between(name, start_us, end_us, length) == windows


@pytest.mark.parametrize("seed", range(40))
def test_days_and_hours_tile_time_over_moves_from_zone_to_zone(seed: int) -> None:
    dice = random.Random(seed)
    a, b, c = dice.sample(CHOSEN, 3)
    first = dice.choice([date(2011, 12, 20), date(2026, 3, 1), date(2026, 10, 20)]) + timedelta(dice.randrange(20))
    zone = f"{a} {first} {b}"
    if dice.random() < 0.5:
        zone += f" {first + timedelta(dice.randrange(1, 5))} {c}"
    midnights = [midnight_us(zone, first + timedelta(n - 3)) for n in range(12)]
    assert midnights == sorted(midnights)
    assert midnights[:4] == [midnight_us(a, first + timedelta(n - 3)) for n in range(4)]
    start, end = midnights[0], midnights[-1]
    rows = offset_intervals(zone, start, end)
    assert [rows[0].start_us, *(row.end_us for row in rows)] == [*(row.start_us for row in rows), end]
    buckets = list(bucket_starts(zone, start, end))
    assert len(buckets) == windows_between(zone, start, end, HOUR_US)
    assert set(midnights[:-1]) <= set(buckets)
    edges = {us + side for us in (*midnights[1:-1], *(row.start_us for row in rows[1:])) for side in (-1, 0)}
    for instant in {*edges, *range(start, end, 1777 * 1_000_000)}:
        day = local_date(zone, instant)
        assert midnight_us(zone, day) <= instant < midnight_us(zone, day + timedelta(1))
        assert bucket_by(rows, instant) == (bucket_start(zone, instant), day)
        assert buckets[bisect_right(buckets, instant) - 1] == bucket_start(zone, instant)


def test_a_history_of_zones_knows_which_is_in_force() -> None:
    zone = "Europe/Berlin 2026-11-01 Asia/Tokyo 2027-01-01 UTC"
    days = ("2026-10-31", "2026-11-01", "2026-12-31", "2027-01-01")
    assert [zone_on(zone, date.fromisoformat(day)) for day in days] == [
        "Europe/Berlin",
        "Asia/Tokyo",
        "Asia/Tokyo",
        "UTC",
    ]
    before = [history_before(zone, date.fromisoformat(day)) for day in ("2026-11-01", "2027-01-01", "2027-01-02")]
    assert before == ["Europe/Berlin", "Europe/Berlin 2026-11-01 Asia/Tokyo", zone]
