"""Local hours, days, windows and billing periods found by looking at the clock of a zone, instant by instant.

Nothing of the project's own time code is used: the clock is `zoneinfo`, and every boundary is listed.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LENGTHS = {"1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "1d": DAY}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(text: str) -> int:
    """Microseconds UTC of an ISO 8601 time with an offset."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def naive_utc(us: int) -> datetime:
    """As a TIMESTAMP column shows it."""
    return (EPOCH + timedelta(microseconds=us)).replace(tzinfo=None)


def _offset(zone: ZoneInfo, us: int) -> int:
    shown = (EPOCH + timedelta(microseconds=us)).astimezone(zone).utcoffset()
    assert shown is not None
    return shown // timedelta(microseconds=1)


class Calendar:
    """A zone's clock over [first_us, last_us), which is widened by three days so that no bucket lacks its start."""

    def __init__(self, zone: str, first_us: int, last_us: int) -> None:
        self.first = (first_us - 3 * DAY) // HOUR * HOUR
        self.last = (last_us + 3 * DAY) // HOUR * HOUR
        self._spans = list(self._find_spans(ZoneInfo(zone)))
        days: dict[date, int] = {}
        for start, end, offset in self._spans:
            for us in (start, *_multiples(start, end, offset, DAY)):
                day = date(1970, 1, 1) + timedelta(days=(us + offset) // DAY)
                # Set back over midnight, the clock bears a date again that has ended: the later day goes on.
                if not days or day > max(days):
                    days[day] = us
        self._days, self._day_starts = list(days), list(days.values())
        self._starts: dict[int, list[int]] = {}

    def _find_spans(self, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
        """(start, end, offset) without gaps: each hour is looked at, and each minute where the clock moves."""
        begun, offset = self.first, _offset(zone, self.first)
        for hour in range(self.first, self.last, HOUR):
            if _offset(zone, hour + HOUR) == offset:
                continue
            for minute in range(hour + MINUTE, hour + HOUR + 1, MINUTE):
                if (now := _offset(zone, minute)) != offset:
                    yield begun, minute, offset
                    begun, offset = minute, now
        yield begun, self.last, offset

    def starts(self, length: str) -> list[int]:
        """Every instant at which a window of that length begins: the clock shows a full multiple of it."""
        if length == "1d":
            return self._day_starts
        us = LENGTHS[length]
        if us not in self._starts:
            self._starts[us] = [at for span in self._spans for at in _multiples(*span, us)]
        return self._starts[us]

    def shifts(self) -> list[int]:
        """The instants at which the clock is moved."""
        return [start for start, _, _ in self._spans[1:]]

    def begin(self, us: int, length: str) -> int:
        """The start of the window in which an instant lies."""
        starts = self.starts(length)
        return starts[bisect_right(starts, us) - 1]

    def windows(self, length: str, first_us: int, last_us: int) -> Iterator[tuple[int, int]]:
        """(start, end) of the windows that begin in [first_us, last_us)."""
        starts = self.starts(length)
        place = bisect_right(starts, first_us - 1)
        while starts[place] < last_us:
            yield starts[place], starts[place + 1]
            place += 1

    def day(self, us: int) -> date:
        """The local day of an instant."""
        return self._days[bisect_right(self._day_starts, us) - 1]

    def midnight(self, day: date) -> int:
        """The first instant that bears the day, or a later one where the zone skipped it."""
        return next(start for start, known in zip(self._day_starts, self._days, strict=True) if known >= day)


def _multiples(start: int, end: int, offset: int, length: int) -> range:
    """Instants of [start, end) at which a clock of that offset shows a full multiple of a length."""
    return range(start + -(start + offset) % length, end, length)


def week_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def month_of(day: date) -> date:
    return day.replace(day=1)


def months_between(first_us: int, last_us: int, clock: Calendar) -> Iterator[tuple[date, int, int]]:
    """(first day, start, end) of the local months that meet [first_us, last_us), the last cut at its end."""
    month = month_of(clock.day(first_us))
    while clock.midnight(month) < last_us:
        following = month_of(month + timedelta(days=31))
        if following > clock.day(last_us):
            yield month, clock.midnight(month), last_us
            return
        yield month, clock.midnight(month), min(clock.midnight(following), last_us)
        month = following


def boundary(anchor: date, unit: str, number: int) -> date:
    """The anchor plus a number of units, clamped to the month's last day from the anchor itself."""
    if unit in ("day", "week"):
        return anchor + timedelta(days=number * (7 if unit == "week" else 1))
    months = anchor.year * 12 + anchor.month - 1 + number * {"month": 1, "quarter": 3, "year": 12}[unit]
    year, month = divmod(months, 12)
    return date(year, month + 1, min(anchor.day, calendar.monthrange(year, month + 1)[1]))


@lru_cache(maxsize=65_536)
def period_start(anchor: date, unit: str, every: int, day: date) -> date:
    """The start of the billing period that contains a day, found by walking from the anchor."""
    number = 0
    while boundary(anchor, unit, (number + 1) * every) <= day:
        number += 1
    while boundary(anchor, unit, number * every) > day:
        number -= 1
    return boundary(anchor, unit, number * every)
