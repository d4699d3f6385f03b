"""States that last, against an oracle that looks at the clock every few seconds; and however deliveries are split."""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import lasting
import pytest
from instances import content, rows, tables
from lasting import TICK, Clock, Event, Series, midnight, seconds
from usagebuild import build

NOWS = ("2011-11-05T12:00:00Z", "2011-11-06T03:00:00Z", "2011-11-07T12:00:00Z")
# Zone, and the first day on which something happens: clocks change by an hour, by half of one, a minute after midnight.
RANDOM = {
    "howe": ("Australia/Lord_Howe", date(2011, 10, 1)),
    "york": ("America/New_York", date(2011, 11, 4)),
    "johns": ("America/St_Johns", date(2011, 11, 4)),
    "kath": ("Asia/Kathmandu", date(2011, 11, 3)),
    "niue": ("Pacific/Niue", date(2011, 11, 4)),
    "kiri": ("Pacific/Kiritimati", date(2011, 11, 5)),
}
REGIONS = (None, "eu", 'a "quoted" é')


def some_events(who: str, dice: random.Random) -> Iterator[Event]:
    zone, day = RANDOM[who]
    begin = midnight(zone, day)
    moments = [begin + TICK * dice.randrange(2 * 86_400 // TICK) for _ in range(90)]
    # Edges of windows, and several events at one instant.
    moments += [m - m % 900 for m in moments[:20]] + moments[:15]
    for number, when in enumerate(moments):
        kind = dice.choice(("seat", "store", "run", "read", "call", "call", "call", "hit", "hit"))
        common = {"customer": who, "type": kind, "when": when, "id": f"{who}-{dice.randrange(10**6)}-{number}"}
        amount = dice.choice(("1", "2.5", "-1", "0.000000001", "-3", "7"))
        if kind == "call":
            session = dice.choice(("s1", "s2", "s3", "s3", None))
            sent = {"kind": dice.choice(("start", "start", "stop")), "session": session}
        else:
            sent = {"amount": amount}
        yield Event(**common, **sent, region=dice.choice(REGIONS))


@pytest.fixture(scope="module")
def events() -> dict[str, list[Event]]:
    dice = random.Random(20111)
    return {who: list(some_events(who, dice)) for who in RANDOM}


@pytest.fixture(scope="module")
def in_parts(events: dict[str, list[Event]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Delivered in three parts and no order, at three times: starts after their stops, changes after later ones."""
    home = tmp_path_factory.mktemp("lasting") / "home"
    lasting.write_catalog(home, {who: zone for who, (zone, _) in RANDOM.items()})
    dice = random.Random(7)
    parts: list[list[Event]] = [[], [], []]
    for who in sorted(events):
        for event in events[who]:
            # What has not happened yet can't be delivered.
            parts[0 if event.when < seconds(NOWS[0]) and dice.random() < 0.6 else dice.choice((1, 2))].append(event)
    parts[2] += [e for e in parts[1] if e.when >= seconds(NOWS[1])]
    parts[1] = [e for e in parts[1] if e.when < seconds(NOWS[1])]
    for number, (part, now) in enumerate(zip(parts, NOWS, strict=True)):
        lasting.deliver(home, f"part-{number}", part)
        build(home, now)
    return home


def clock_of(who: str, now: str = NOWS[-1]) -> Clock:
    zone, day = RANDOM[who]
    return Clock(zone, midnight(zone, day.replace(day=1)), lasting.known_until(zone, seconds(now)))


@pytest.fixture(scope="module")
def clocks() -> dict[str, Clock]:
    return {who: clock_of(who) for who in RANDOM}


def test_A13_any_split_of_the_deliveries_gives_the_states_of_one(in_parts: Path) -> None:
    made_by_build = {"metering.sampled_parts", "metering.sampled_fields"}
    names = [n for n in tables(in_parts, "metering", "marts") if n not in made_by_build]
    assert {"metering.carried_hourly", "metering.session_changes", "marts.high_watermarks"} <= set(names)
    before = content(in_parts, names)
    shutil.rmtree(in_parts / "warehouse")
    build(in_parts, NOWS[-1])
    after = content(in_parts, names)
    assert {n: (before[n], after[n]) for n in names if before[n] != after[n]} == {}
    assert all(after[n][0] for n in names)


@pytest.fixture(scope="module")
def series(events: dict[str, list[Event]], clocks: dict[str, Clock]) -> dict[tuple[str, str], dict[str, Series]]:
    """By customer and meter."""
    return {(w, m): lasting.series_of(m, events[w], clocks[w]) for w in RANDOM for m in lasting.LASTING}


@pytest.mark.parametrize("who", sorted(RANDOM))
def test_every_hour_is_what_the_clock_and_the_events_say(
    in_parts: Path, series: dict[tuple[str, str], dict[str, Series]], clocks: dict[str, Clock], who: str
) -> None:
    clock, checked = clocks[who], 0
    for meter in lasting.LASTING:
        expected = {}
        for dimensions, one in series[who, meter].items():
            expected |= {(dimensions, row[1]): row for row in lasting.hours_of(meter, one, clock)}
        found = rows(
            in_parts,
            "SELECT dimensions, local_day, bucket_us, end_us, opening, closing, low, high, level_us, set_us "
            f"FROM metering.carried_hourly WHERE customer = '{who}' AND meter = '{meter}'",
        )
        assert {(row[0], row[2]): row[1:] for row in found} == expected, meter
        checked += len(found)
    assert checked > 1000


def expanded(in_parts: Path, who: str, clock: Clock) -> dict[tuple[str, str], dict[int, Decimal]]:
    """Each window by itself: a row that stands for several begins at the first of them."""
    found: dict[tuple[str, str], dict[int, Decimal]] = defaultdict(dict)
    query = f"SELECT meter, window_length, window_us, windows, value FROM metering.windows WHERE customer = '{who}'"
    places = {
        length: {begin * 1_000_000: n for n, (begin, _) in enumerate(clock.windows(length))}
        for length in (*lasting.MINUTES, "1d")
    }
    for meter, length, window_us, windows, value in rows(in_parts, query):
        listed, first = list(places[length]), places[length][window_us]
        for begin_us in listed[first : first + windows]:
            assert begin_us not in found[meter, length]
            found[meter, length][begin_us] = value
    return found


@pytest.mark.parametrize("who", sorted(RANDOM))
def test_B4_every_window_and_every_rank_is_what_the_clock_and_the_events_say(
    in_parts: Path,
    events: dict[str, list[Event]],
    series: dict[tuple[str, str], dict[str, Series]],
    clocks: dict[str, Clock],
    who: str,
) -> None:
    clock = clocks[who]
    found = expanded(in_parts, who, clock)
    lengths = {(meter, length) for meter, rules in lasting.WINDOWS.items() for length, _ in rules}
    lengths |= {(m, n) for m in lasting.WINDOWS if m != "places" for n in ("1h", "1d")}
    assert found.keys() == lengths
    marks = {
        row[:4]: row[4:]
        for row in rows(
            in_parts,
            "SELECT meter, window_length, month_start, percentile, windows, rank, value, epoch_us(window_start) "
            f"FROM marts.high_watermarks WHERE customer = '{who}'",
        )
    }
    expected = {}
    for meter, length in sorted(lengths):
        if meter in lasting.LASTING:
            values = lasting.lasting_windows(meter, list(series[who, meter].values()), clock, length)
        else:
            values = lasting.event_windows(meter, events[who], clock, length)
        assert found[meter, length] == values, (meter, length)
        rules = {None, *(p for n, p in lasting.WINDOWS[meter] if n == length)}
        expected |= ranks_of(meter, length, values, clock, rules)
    assert marks == expected


def ranks_of(
    meter: str, length: str, values: dict[int, Decimal], clock: Clock, rules: set[int | None]
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Rows of the marks, by month and rule, from every window of the month."""
    by_month: dict[date, list[int]] = defaultdict(list)
    for begin, _ in clock.windows(length):
        by_month[clock.day_of(begin).replace(day=1)].append(begin * 1_000_000)
    found = {}
    for month, begins in by_month.items():
        inside = {us: values[us] for us in begins if us in values}
        for rule in rules if inside else ():
            count, rank, value = lasting.ranked(list(inside.values()), len(begins) - len(inside), rule)
            first = min((us for us, v in inside.items() if v == value), default=None)
            found[meter, length, month, rule] = (count, rank, value, first)
    return found


def test_what_pairs_with_nothing_is_counted(in_parts: Path, events: dict[str, list[Event]]) -> None:
    query = "SELECT customer, sum(unpaired) FROM metering.session_changes GROUP BY ALL ORDER BY ALL"
    expected = [(who, len(lasting.unpaired_of(events[who]))) for who in sorted(RANDOM)]
    assert rows(in_parts, query) == expected
    assert all(count for _, count in expected)
