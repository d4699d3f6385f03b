"""Billing periods: whole local days, half-open, tiling time without gap or overlap, both ways from an anchor."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeAlias

from orchestration.zones import HOUR_US, bucket_starts, local_date, midnight_us

Unit: TypeAlias = Literal["day", "week", "month", "quarter", "year"]
Anchoring: TypeAlias = Literal["calendar", "subscription"]

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


def divides(short: Interval, long: Interval) -> bool:
    """Whether periods of one interval lie in those of another, whole, wherever both are counted from."""
    if short == Interval("day"):
        return True
    for table in (_DAYS, _MONTHS):
        if short.unit in table and long.unit in table:
            return long.every * table[long.unit] % (short.every * table[short.unit]) == 0
    return False


def calendar_anchor(interval: Interval) -> date:
    """Where calendar periods are counted from: Monday 2000-01-03 for weeks, else 2000-01-01."""
    return _FIRST_MONDAY if interval.unit == "week" else _FIRST_DAY


def anchor_of(anchoring: Anchoring | date, interval: Interval, start: date) -> date:
    """Where the periods of a subscription that starts on a day are counted from."""
    if isinstance(anchoring, date):
        return anchoring
    return calendar_anchor(interval) if anchoring == "calendar" else start


def boundary(anchor: date, interval: Interval, n: int) -> date:
    """The anchor plus `n` whole intervals (minus, when `n` is negative).

    A day that a month lacks is clamped to the month's last, from the anchor itself each time: 31 Jan, 28 Feb, 31 Mar.
    """
    if interval.unit in _DAYS:
        return anchor + timedelta(days=n * interval.every * _DAYS[interval.unit])
    months = anchor.year * 12 + anchor.month - 1 + n * interval.every * _MONTHS[interval.unit]
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(anchor.day, calendar.monthrange(year, month)[1]))


def whole_intervals(anchor: date, interval: Interval, day: date) -> int:
    """How many whole intervals lie between the anchor and `day`: the n of the period in which `day` lies.

    It is the greatest n whose boundary is not after the day; below 0 for a day before the anchor.
    """
    if interval.unit in _DAYS:
        return (day - anchor).days // (interval.every * _DAYS[interval.unit])
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    n = months // (interval.every * _MONTHS[interval.unit])
    return n if boundary(anchor, interval, n) <= day else n - 1


def period_containing(anchor: date, interval: Interval, day: date) -> tuple[date, date]:
    """The period [start, end) in which `day` lies."""
    n = whole_intervals(anchor, interval, day)
    return boundary(anchor, interval, n), boundary(anchor, interval, n + 1)


def periods(anchor: date, interval: Interval, first_day: date, last_day: date) -> Iterator[tuple[date, date]]:
    """The periods [start, end) from the one with `first_day` to the one with `last_day`, both days included."""
    if last_day < first_day:
        return
    n = whole_intervals(anchor, interval, first_day)
    start = boundary(anchor, interval, n)
    while start <= last_day:
        n += 1
        end = boundary(anchor, interval, n)
        yield start, end
        start = end


def boundaries(anchor: date, interval: Interval, first_day: date, last_day: date) -> list[date]:
    """The days on which a period begins, from `first_day` to `last_day`, both included: the billing days."""
    return [start for start, _ in periods(anchor, interval, first_day, last_day) if start >= first_day]


def is_boundary(anchor: date, interval: Interval, day: date) -> bool:
    """Whether a period begins on `day`, and the one before it is due."""
    return boundaries(anchor, interval, day, day) == [day]


def active_parts(anchor: date, interval: Interval, start: date, end: date) -> list[tuple[date, date]]:
    """The periods of [start, end), the first and the last cut to it: a start or an end between boundaries is a stub."""
    whole = periods(anchor, interval, start, end - timedelta(days=1))
    return [(max(start, first), min(end, after)) for first, after in whole]


def fixed_days_between(start: date, end: date, month_days: int) -> int:
    """Days from `start` to `end` where each month counts `month_days`: what a month has beyond them counts nothing."""
    months = (end.year - start.year) * 12 + end.month - start.month
    return months * month_days + min(end.day, month_days) - min(start.day, month_days)


def window_starts(
    zone: str, window: Unit | Literal["minute", "hour"], start_us: int, end_us: int, anchor: date | None = None
) -> list[int]:
    """Starts of the windows of a zone that cover [start_us, end_us), ascending; the first may lie before it.

    Minutes, hours, days and weeks (Monday) lie as the local clock and calendar say, longer ones do so too unless
    counted from an `anchor`.
    """
    if end_us <= start_us:
        return []
    if window == "hour" or window == "minute":
        return list(bucket_starts(zone, start_us, end_us, HOUR_US if window == "hour" else HOUR_US // 60))
    interval = Interval(window)
    first_day, last_day = local_date(zone, start_us), local_date(zone, end_us - 1)
    tiles = periods(anchor or calendar_anchor(interval), interval, first_day, last_day)
    return [midnight_us(zone, start) for start, _ in tiles]
