"""Holes against a finder that looks at every single hour, and the rules by examples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestration.ingest.holes import NEEDED, WINDOW, Hole, by_day, gaps, missing_numbers, silences

# Long runs with short holes, and short runs: both sides of the threshold are met.
LENGTHS = st.lists(st.tuples(st.integers(1, 260), st.integers(1, 30)), max_size=8)


def stretched(hours: set[int]) -> list[tuple[int, int]]:
    return [
        (h, next(n for n in range(h, max(hours) + 1) if n + 1 not in hours))
        for h in sorted(hours)
        if h - 1 not in hours
    ]


def laid_out(lengths: list[tuple[int, int]], start: int) -> set[int]:
    hours: set[int] = set()
    for run, hole in lengths:
        hours |= set(range(start, start + run))
        start += run + hole
    return hours


def hour_by_hour(hours: set[int], until: int, needed: int) -> list[Hole]:
    """The rule, word by word: an empty hour is missing if enough of the window before had events, or if it goes on a
    hole."""
    found: list[Hole] = []
    missing = False
    for hour in range(min(hours, default=until), max(until, *hours, until) + 1):
        if hour in hours:
            missing = False
        elif missing:
            found[-1] = found[-1]._replace(end=hour + 1)
        elif hour < until and sum(h in hours for h in range(hour - WINDOW, hour)) >= needed:
            missing = True
            found.append(Hole(hour, hour + 1, False))
    return [_ended(hole, hours, until) for hole in found]


def _ended(hole: Hole, hours: set[int], until: int) -> Hole:
    return hole if any(h > hole.first for h in hours) else Hole(hole.first, until, True)


@given(LENGTHS, st.integers(-50, 500_000), st.integers(-40, 60))
def test_f24_silences_are_those_that_a_look_at_every_hour_finds(
    lengths: list[tuple[int, int]], start: int, after: int
) -> None:
    hours = laid_out(lengths, start)
    until = max(hours, default=start) + after
    assert silences(stretched(hours), until) == hour_by_hour(hours, until, NEEDED)


@given(st.sets(st.integers(0, 200)), st.integers(0, 220))
def test_f24_gaps_are_all_hours_without_an_event_after_the_first(hours: set[int], until: int) -> None:
    found = gaps(stretched(hours), until)
    assert found == hour_by_hour(hours, until, 0)
    listed = {h for hole in found for h in range(hole.first, hole.end)}
    assert not listed & hours
    assert {h for h in range(min(hours, default=until), until) if h not in hours} <= listed


@given(st.sets(st.integers(0, 2000)))
def test_f24_days_with_an_event_are_those_of_its_hours(hours: set[int]) -> None:
    days = by_day(stretched(hours))
    assert {d for first, last in days for d in range(first, last + 1)} == {h // 24 for h in hours}
    assert days == stretched({h // 24 for h in hours})


@given(st.sets(st.integers(0, 10**20)), st.sets(st.integers(0, 60)))
def test_f24_missing_numbers_are_those_between_the_lowest_and_the_highest(far: set[int], near: set[int]) -> None:
    found = missing_numbers(near)
    listed = {n for first, last in found for n in range(first, last + 1)}
    assert listed == (set(range(min(near), max(near))) - near if near else set())
    assert sum(last - first + 1 for first, last in missing_numbers(far)) == (
        max(far) - min(far) + 1 - len(far) if far else 0
    )


def test_f24_one_hour_without_an_event_after_a_week_of_them_is_a_hole() -> None:
    assert silences([(0, 167), (169, 400)], 400) == [Hole(168, 169, False)]
    # Eight hours short of a week, and one more.
    assert silences([(8, 167), (169, 400)], 400) == [Hole(168, 169, False)]
    assert silences([(9, 167), (169, 400)], 400) == []


def test_f24_a_stream_that_stops_has_one_hole_until_now() -> None:
    assert silences([(0, 1000)], 9000) == [Hole(1001, 9000, True)]
    assert silences([(0, 1000)], 1001) == []
    assert gaps([(0, 5)], 100) == [Hole(6, 100, True)]
    assert gaps([], 100) == []


def test_f24_a_stream_with_nights_has_no_holes_once_they_are_its_habit() -> None:
    nightly = [(day * 24 + 6, day * 24 + 22) for day in range(60)]
    assert silences(nightly, 60 * 24) == []
    after_a_week = [(0, 7 * 24 + 22), *((day * 24 + 6, day * 24 + 22) for day in range(8, 60))]
    # Only after more than eight empty hours in a week are they a habit: the first two nights are holes.
    assert silences(after_a_week, 60 * 24) == [Hole(d * 24 + 23, d * 24 + 30, False) for d in (7, 8)]
