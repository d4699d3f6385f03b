"""Holes in what a stream delivers. Pure: hours and numbers as integers in, ranges out.

Hours are UTC hours since 1970. A stretch is a pair of the first and the last of consecutive hours that have events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

Stretch = tuple[int, int]

WINDOW = 168
NEEDED = 160
"""A stream delivers hourly while it had events in so many of the hours of the window before."""


class Hole(NamedTuple):
    """Hours [first, end) without an event. `open`: nothing has come since."""

    first: int
    end: int
    open: bool


def gaps(stretches: Sequence[Stretch], until: int) -> list[Hole]:
    """Every hole after the first event that begins before the hour `until`.

    Args:
        stretches: ascending and apart. until: the first hour that may still be delivered.
    """
    found = [Hole(a + 1, b, False) for (_, a), (b, _) in pairwise(stretches) if a + 1 < until]
    if stretches and stretches[-1][1] + 1 < until:
        found.append(Hole(stretches[-1][1] + 1, until, True))
    return found


def silences(stretches: Sequence[Stretch], until: int) -> list[Hole]:
    """The holes that begin while the stream delivers hourly. What has a rhythm of its own has none."""
    return [hole for hole in gaps(stretches, until) if _delivered(stretches, hole.first) >= NEEDED]


def _delivered(stretches: Sequence[Stretch], hour: int) -> int:
    """Hours with events among the WINDOW before `hour`."""
    begin, total = hour - WINDOW, 0
    for first, last in reversed(stretches):
        if last < begin:
            break
        total += max(0, min(last, hour - 1) - max(first, begin) + 1)
    return total


def by_day(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same stretches in days: a day with an event in any of its hours has one."""
    found: list[Stretch] = []
    for first, last in stretches:
        start, end = first // 24, last // 24
        if found and start <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def missing_numbers(numbers: Iterable[int]) -> list[Stretch]:
    """First and last of each range that is missing between the lowest and the highest of the numbers."""
    return [(a + 1, b - 1) for a, b in pairwise(sorted(set(numbers))) if b > a + 1]
