"""Billing periods: whole local days, half-open, tiling time without gap or overlap, both ways from an anchor."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["day", "week", "month", "quarter", "year"]

_DAYS: dict[str, int] = {"day": 1, "week": 7}
_MONTHS: dict[str, int] = {"month": 1, "quarter": 3, "year": 12}
_FIRST_MONDAY = date(2000, 1, 3)
_FIRST_DAY = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """`every` whole units; a quarter is 3 months."""

    unit: Unit
    every: int = 1

    def __post_init__(self) -> None:
        if self.unit not in _DAYS and self.unit not in _MONTHS:
            raise ValueError(f"unknown interval unit '{self.unit}'")
        if self.every < 1:
            raise ValueError(f"an interval has at least 1 {self.unit}, not {self.every}")


def calendar_anchor(interval: Interval) -> date:
    """Where calendar periods are counted from: Monday 2000-01-03 for weeks, else 2000-01-01."""
    return _FIRST_MONDAY if interval.unit == "week" else _FIRST_DAY


def boundary(anchor: date, interval: Interval, n: int) -> date:
    """The anchor plus `n` whole intervals (minus, when `n` is negative).

    A day that a month lacks is clamped to the month's last, from the anchor itself each time: 31 Jan, 28 Feb, 31 Mar.
    """
    if interval.unit in _DAYS:
        return anchor + timedelta(days=n * interval.every * _DAYS[interval.unit])
    months = anchor.year * 12 + anchor.month - 1 + n * interval.every * _MONTHS[interval.unit]
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(anchor.day, calendar.monthrange(year, month)[1]))


def _number_of(anchor: date, interval: Interval, day: date) -> int:
    """The n of the period that contains `day`: the greatest whose boundary is not after it."""
    if interval.unit in _DAYS:
        return (day - anchor).days // (interval.every * _DAYS[interval.unit])
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    n = months // (interval.every * _MONTHS[interval.unit])
    return n if boundary(anchor, interval, n) <= day else n - 1


def period_containing(anchor: date, interval: Interval, day: date) -> tuple[date, date]:
    """The period [start, end) in which `day` lies."""
    n = _number_of(anchor, interval, day)
    return boundary(anchor, interval, n), boundary(anchor, interval, n + 1)


def periods(anchor: date, interval: Interval, first_day: date, last_day: date) -> Iterator[tuple[date, date]]:
    """The periods [start, end) from the one with `first_day` to the one with `last_day`, both days included."""
    if last_day < first_day:
        return
    n = _number_of(anchor, interval, first_day)
    start = boundary(anchor, interval, n)
    while start <= last_day:
        n += 1
        end = boundary(anchor, interval, n)
        yield start, end
        start = end
