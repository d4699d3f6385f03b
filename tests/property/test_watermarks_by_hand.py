"""Peak concurrency and ranked windows with numbers that were worked out by hand, in one world of quiet customers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import lasting
import pytest
from instances import rows
from lasting import Event, seconds
from usagebuild import build

from orchestration.metering.calendar import count_windows

ZONES = {
    "apia": "Pacific/Apia",
    "burst30": "UTC",
    "burst40": "UTC",
    "calls": "America/New_York",
    "credit": "UTC",
    "howe": "Australia/Lord_Howe",
}


def event(who: str, type_: str, when: str, **sent: str) -> Event:
    return Event(who, type_, seconds(when), f"{who}-{type_}-{when}-{'-'.join(sent.values())}", **sent)


def calls() -> Iterator[Event]:
    """The night of 5 to 6 November in New York, where 01:00 to 02:00 comes twice. B has lost its stop."""
    for session, kind, when in [
        ("A", "start", "2011-11-05T23:50:00-04:00"),
        ("A", "stop", "2011-11-06T01:10:00-04:00"),
        ("B", "start", "2011-11-06T00:30:00-04:00"),
        ("C", "start", "2011-11-06T01:00:00-04:00"),
        ("C", "stop", "2011-11-06T01:20:00-05:00"),
        ("D", "start", "2011-11-06T01:40:00-04:00"),
        ("D", "stop", "2011-11-06T01:50:00-04:00"),
        ("E", "stop", "2011-11-06T09:00:00-05:00"),
    ]:
        yield event("calls", "call", when, session=session, kind=kind)


def all_events() -> Iterator[Event]:
    yield from calls()
    for who, back in (("burst30", "2011-11-21T06:00:00Z"), ("burst40", "2011-11-21T16:00:00Z")):
        yield event(who, "read", "2011-11-16T00:00:00Z", amount="100")
        yield event(who, "read", "2011-11-20T00:00:00Z", amount="300")
        yield event(who, "read", back, amount="100")
    for day in ("02", "03", "04"):
        yield event("credit", "hit", f"2011-11-{day}T10:00:00Z", amount="-5", region="x")
    for hour in range(1, 9):
        for minute in range(hour):
            yield event("howe", "hit", f"2011-10-05T{hour:02d}:{minute:02d}:00+11:00", amount="1")
    yield event("howe", "read", "2011-10-01T10:00:00+10:30", amount="1")
    yield event("apia", "read", "2011-12-29T12:00:00-10:00", amount="5")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("by_hand") / "home"
    lasting.write_catalog(made, ZONES)
    lasting.deliver(made, "all", all_events())
    build(made, "2012-01-01T12:00:00Z")
    return made


def marks(home: Path, who: str, meter: str, month: str, length: str) -> dict[int | None, tuple[Any, ...]]:
    """By percentile: (windows, rank, value, window start)."""
    query = (
        "SELECT percentile, windows, rank, value, window_start FROM marts.high_watermarks "
        f"WHERE (customer, meter, month_start, window_length) = ('{who}', '{meter}', DATE '{month}', '{length}')"
    )
    return {row[0]: row[1:] for row in rows(home, query)}


def test_peak_concurrency_over_midnight_a_repeated_hour_and_a_lost_stop(home: Path) -> None:
    query = (
        "SELECT make_timestamp(bucket_us), high, closing, make_timestamp(set_us) FROM metering.carried_hourly "
        "WHERE customer = 'calls' AND meter = 'calls' ORDER BY bucket_us LIMIT 5"
    )
    # In UTC: A 03:50-05:10, B 04:30 until it expires at 06:30, C 05:00-06:20, D 05:40-05:50.
    day = datetime(2011, 11, 6)
    assert rows(home, query) == [
        (day.replace(hour=3), 1, 1, day.replace(hour=3, minute=50)),
        (day.replace(hour=4), 2, 2, day.replace(hour=4, minute=30)),
        (day.replace(hour=5), 3, 2, day.replace(hour=5)),
        (day.replace(hour=6), 2, 0, day.replace(hour=6)),
        (day.replace(hour=7), 0, 0, day.replace(hour=7)),
    ]
    days = rows(
        home,
        "SELECT local_day, value FROM metering.windows WHERE customer = 'calls' AND meter = 'calls' "
        "AND window_length = '1d' ORDER BY local_day LIMIT 3",
    )
    assert days == [(date(2011, 11, 5), 1), (date(2011, 11, 6), 3), (date(2011, 11, 7), 0)]
    peaks = rows(
        home,
        "SELECT make_timestamp(window_us) FROM metering.windows WHERE customer = 'calls' AND meter = 'calls' "
        "AND window_length = '5m' AND value = 3 ORDER BY 1",
    )
    assert [start.strftime("%H:%M") for (start,) in peaks] == ["05:00", "05:05", "05:40", "05:45"]
    # 30 days of 288 windows, and one hour more.
    greatest = (8652, 8652, Decimal(3), day.replace(hour=5))
    assert marks(home, "calls", "calls", "2011-11-01", "5m") == {
        None: greatest,
        95: (8652, 8220, Decimal(0), day.replace(hour=6, minute=30)),
    }
    unpaired = "SELECT sum(unpaired) FROM metering.session_changes WHERE customer = 'calls'"
    assert rows(home, unpaired) == [(1,)], "the stop of E"


def test_p95_of_5_minute_windows_leaves_out_36_hours_of_a_month_of_30_days(home: Path) -> None:
    found = {who: marks(home, who, "gauge", "2011-11-01", "5m")[95] for who in ("burst30", "burst40")}
    assert found == {
        "burst30": (8640, 8208, Decimal(100), datetime(2011, 11, 16)),
        "burst40": (8640, 8208, Decimal(300), datetime(2011, 11, 20)),
    }


def test_steady_100_from_the_16th_with_30_hours_of_300_has_p95_of_300_in_its_segment(home: Path) -> None:
    """Section 8 of the rules: a segment from the 16th has 4,320 windows, of which 216 are left out and 360 are 300."""
    count = count_windows("UTC", date(2011, 11, 16), date(2011, 12, 1), "5m")
    assert count == 4320
    rank = -(-95 * count // 100)
    [(below, everything)] = rows(
        home,
        "SELECT sum(windows) FILTER (value < 300), sum(windows) FROM metering.windows WHERE customer = 'burst30' "
        "AND meter = 'gauge' AND window_length = '5m' AND local_day >= '2011-11-16' AND local_day < '2011-12-01'",
    )
    assert (below, everything, rank) == (3960, 4320, 4104)
    assert below < rank <= everything


def test_hourly_p99_leaves_out_a_hundredth_of_the_hours_that_there_are(home: Path) -> None:
    # October on Lord Howe has 31 days, one of which has 23 hour buckets; 7 hours are left out of 743.
    found = marks(home, "howe", "hits", "2011-10-01", "1h")
    assert found[99][:3] == (743, 736, Decimal(1))
    assert found[None] == (743, 743, Decimal(8), datetime(2011, 10, 4, 21))


def test_B4_an_hour_of_90_minutes_without_a_change_is_18_windows_of_5_minutes(home: Path) -> None:
    query = (
        "SELECT (end_us - bucket_us) // 60000000, windows, value FROM metering.carried_hourly "
        "JOIN metering.carried_windows USING (customer, meter, local_day) "
        "WHERE customer = 'howe' AND meter = 'gauge' AND bucket_us = window_us AND window_length = '5m' "
        "AND local_day = '2011-10-02' ORDER BY bucket_us LIMIT 3"
    )
    assert rows(home, query) == [(60, 12, 1), (90, 18, 1), (60, 12, 1)]


def test_empty_windows_lie_above_negative_ones(home: Path) -> None:
    assert marks(home, "credit", "bits", "2011-11-01", "1d") == {
        None: (30, 30, Decimal(0), None),
        10: (30, 3, Decimal(-5), datetime(2011, 11, 2)),
    }


def test_B10_a_day_that_a_zone_skipped_has_no_windows(home: Path) -> None:
    query = (
        "SELECT local_day, count(*), sum(end_us - bucket_us) // 3600000000 FROM metering.carried_hourly "
        "WHERE customer = 'apia' AND meter = 'gauge' GROUP BY local_day ORDER BY local_day"
    )
    assert rows(home, query) == [(date(2011, 12, 29), 12, 12), (date(2011, 12, 31), 24, 24)] + [
        (date(2012, 1, day), 24, 24) for day in (1, 2)
    ]
    assert marks(home, "apia", "gauge", "2011-12-01", "15m")[None][0] == 30 * 96
    assert marks(home, "apia", "gauge", "2011-12-01", "1d")[None][0] == 30
    assert marks(home, "apia", "gauge", "2012-01-01", "1h")[None][0] == 48, "known to the end of the running day"
