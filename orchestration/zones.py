"""Zones: instants in integer microseconds of UTC to local days and hours, and back. No floats, no server zone.

Only the pinned `tzdata` package counts: zone data of the host would make a document depend on the machine.

A zone is an IANA name, or a history of names: `Europe/Berlin 2026-11-01 Asia/Tokyo` is the clock of somebody who moves.
The day before a move ends at midnight of the old zone, and the day of the move begins at that instant, so that days and
hours tile time over a move as over any change of a clock.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]

zoneinfo.reset_tzpath(to=())
ZoneInfo.clear_cache()

TZDATA_VERSION: str = tzdata.IANA_VERSION
"""The release of the zone data in use, e.g. "2026f"; it stands in the journal."""

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
_NAMES = frozenset(zoneinfo.available_timezones())
# Two changes of one zone must not fall into one step, or both could be missed. A test holds this against every zone.
_STEP_S = 2 * 24 * 3_600
# No offset reaches 36 hours, so an instant that far before a UTC midnight bears an earlier date everywhere.
_REACH_US = 36 * HOUR_US


@dataclass(frozen=True, slots=True)
class OffsetInterval:
    """A stretch of time, half-open, in which a zone has one offset from UTC.

    An instant `us` in it belongs to the hour bucket `s if s >= start_us else carry_bucket_us`, with
    `s = us - (us + offset_us) % HOUR_US`, and to the local day `max(wall day, carry_day)`, with the wall day
    `(us + offset_us) // DAY_US` days after 1970-01-01: a clock that is set back over midnight does not return to a
    day that has ended.
    """

    start_us: int
    end_us: int
    offset_us: int
    carry_bucket_us: int
    carry_day: date


def zone_exists(name: str) -> bool:
    """Whether the pinned zone data has a zone of exactly this name."""
    return name in _NAMES


@lru_cache(maxsize=1024)
def _moved(name: str) -> tuple[str, date, str] | None:
    """The zone (or history) before the last move, its day, and the zone since; None for a plain name."""
    parts = name.rsplit(" ", 2)
    return (parts[0], date.fromisoformat(parts[1]), parts[2]) if len(parts) == 3 else None


def zone_on(zone: str, day: date) -> str:
    """The plain name that is in force on a local day."""
    while (move := _moved(zone)) is not None:
        zone, since, later = move
        if day >= since:
            return later
    return zone


def history_before(zone: str, day: date) -> str:
    """The zone or history without the moves on a day and after it."""
    while (move := _moved(zone)) is not None and move[1] >= day:
        zone = move[0]
    return zone


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    if name not in _NAMES:
        raise ValueError(f"unknown IANA time zone '{name}'")
    return ZoneInfo(name)


def _offset_s(zone: ZoneInfo, second: int) -> int:
    """Offset from UTC, in seconds, at `second` seconds after the epoch."""
    delta = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert delta is not None
    return delta.days * 86_400 + delta.seconds


def _wall_day(name: str, us: int) -> date:
    """The date that the clock shows."""
    while (move := _moved(name)) is not None:
        name = move[2] if us >= _midnight(*move[:2]) else move[0]
    offset_us = _offset_s(_zone(name), us // SECOND_US) * SECOND_US
    return _EPOCH_DAY + timedelta(days=(us + offset_us) // DAY_US)


def _transition(zone: ZoneInfo, low: int, high: int) -> int:
    """The second at which the offset of `high` begins, given exactly one change in (low, high]."""
    after = _offset_s(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(zone, middle) == after:
            high = middle
        else:
            low = middle
    return high


def _transitions(zone: ZoneInfo, first: int, last: int) -> Iterator[int]:
    """Every second t with first < t <= last at which a new offset begins, ascending."""
    low, before = first, _offset_s(zone, first)
    while low < last:
        high = min(low + _STEP_S, last)
        after = _offset_s(zone, high)
        if after != before:
            yield _transition(zone, low, high)
        low, before = high, after


def _first_showing(name: str, wall_us: int) -> int:
    """The first instant at which the clock shows `wall_us` (microseconds since 1970-01-01 of its own) or later."""
    zone = _zone(name)
    first = (wall_us - _REACH_US) // SECOND_US
    last = (wall_us + _REACH_US) // SECOND_US
    starts = [first, *_transitions(zone, first, last)]
    for start, end in zip(starts, [*starts[1:], last], strict=True):
        shows = max(start * SECOND_US, wall_us - _offset_s(zone, start) * SECOND_US)
        if shows < end * SECOND_US:
            return shows
    raise AssertionError(f"the clock of {name} never shows {wall_us}")


@lru_cache(maxsize=65_536)
def _midnight(name: str, day: date) -> int:
    if (move := _moved(name)) is not None:
        earlier, since, later = move
        begins = _midnight(earlier, min(day, since))
        return begins if day <= since else max(begins, _midnight(later, day))
    return _first_showing(name, (day - _EPOCH_DAY).days * DAY_US)


def midnight_us(zone: str, day: date) -> int:
    """The first instant that bears `day`, or a later date where the zone skipped that day altogether."""
    return _midnight(zone, day)


def local_date(zone: str, us: int) -> date:
    """The local day to which an instant belongs: the last one that has begun by then."""
    day = _wall_day(zone, us)
    while us >= _midnight(zone, day + timedelta(days=1)):
        day += timedelta(days=1)
    return day


def advance_days(zone: str, us: int, days: int) -> int:
    """The instant at which the clock shows what it shows at `us`, some dates later (or earlier): not `days` x 24 hours.

    Of two such instants it is the first; where the clock skips that time, the first instant after it.
    """
    return _first_showing(zone, us + _offset_s(_zone(zone), us // SECOND_US) * SECOND_US + days * DAY_US)


def days_between(zone: str, start_us: int, end_us: int) -> int:
    """Local days from the one of an instant to that of another, by dates, whatever their length."""
    return (local_date(zone, end_us) - local_date(zone, start_us)).days


def _bucket_before(zone: ZoneInfo, us: int) -> int:
    """The latest instant before `us` at which the local clock showed a full hour."""
    last = us - 1
    offset = _offset_s(zone, last // SECOND_US)
    full_hour = last - (last + offset * SECOND_US) % HOUR_US
    if _offset_s(zone, full_hour // SECOND_US) == offset:
        return full_hour
    changed = _transition(zone, full_hour // SECOND_US, last // SECOND_US) * SECOND_US
    return _bucket_before(zone, changed)


def bucket_start(zone: str, us: int) -> int:
    """The start of the hour bucket of an instant: the latest instant up to it that showed a full local hour.

    A move begins a bucket too, so that none lies in two billing periods.
    """
    if (move := _moved(zone)) is not None:
        begins = _midnight(*move[:2])
        return max(begins, bucket_start(move[2], us)) if us >= begins else bucket_start(move[0], us)
    return _bucket_before(_zone(zone), us + 1)


def bucket_starts(zone: str, start_us: int, end_us: int, length_us: int = HOUR_US) -> Iterator[int]:
    """Starts of the buckets that cover [start_us, end_us), ascending; the first may lie before it.

    A bucket begins where the local clock shows a full multiple of its length, which divides an hour.
    """
    if end_us <= start_us:
        return
    current = bucket_start(zone, start_us)
    for row in offset_intervals(zone, current + 1, end_us):
        full = row.start_us + -(row.start_us + row.offset_us) % length_us
        moved = [row.start_us] if row.carry_bucket_us == row.start_us < full else []
        for begins in (*moved, *range(full, row.end_us, length_us)):
            if begins > start_us:
                yield current
            current = begins
    yield current


@lru_cache(maxsize=4096)
def _offset_intervals(name: str, start_us: int, end_us: int) -> tuple[OffsetInterval, ...]:
    if (move := _moved(name)) is not None:
        return tuple(_over_move(name, *move, start_us, end_us))
    zone = _zone(name)
    changes = _transitions(zone, start_us // SECOND_US, (end_us - 1) // SECOND_US)
    starts = [start_us, *(second * SECOND_US for second in changes)]
    return tuple(
        OffsetInterval(
            start_us=start,
            end_us=end,
            offset_us=_offset_s(zone, start // SECOND_US) * SECOND_US,
            carry_bucket_us=_bucket_before(zone, start),
            carry_day=local_date(name, start - 1),
        )
        for start, end in zip(starts, [*starts[1:], end_us], strict=True)
    )


def _over_move(
    name: str, earlier: str, since: date, later: str, start_us: int, end_us: int
) -> Iterator[OffsetInterval]:
    """The intervals of the zone before, and those of the zone since, which carry nothing from before the move."""
    begins = _midnight(earlier, since)
    yield from offset_intervals(earlier, start_us, min(end_us, begins))
    first_day = local_date(name, begins)
    for row in offset_intervals(later, max(start_us, begins), end_us):
        yield replace(
            row,
            carry_bucket_us=begins if row.start_us == begins else max(begins, row.carry_bucket_us),
            carry_day=max(first_day, row.carry_day),
        )


def offset_intervals(zone: str, start_us: int, end_us: int) -> list[OffsetInterval]:
    """The intervals of one offset that cover [start_us, end_us) without gap or overlap; empty when it is empty."""
    return list(_offset_intervals(zone, start_us, end_us)) if start_us < end_us else []


@lru_cache(maxsize=65_536)
def _windows_between(name: str, start_us: int, end_us: int, length_us: int) -> int:
    if length_us == DAY_US:
        first, last = local_date(name, start_us), local_date(name, end_us - 1)
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return sum(local_date(name, midnight_us(name, day)) == day for day in days)
    count = 0
    for part in _offset_intervals(name, start_us, end_us):
        low, high = part.start_us + part.offset_us, part.end_us + part.offset_us
        count += (high - 1) // length_us - (low - 1) // length_us
        begins_day = midnight_us(name, local_date(name, part.start_us)) == part.start_us
        # Where a clock is moved at midnight to no full window, the day begins with the rest of one.
        count += begins_day and low % length_us != 0
    return count


def windows_between(zone: str, start_us: int, end_us: int, length_us: int) -> int:
    """How many windows [start_us, end_us) has; both are first instants of local days.

    A window begins where the local clock shows a full multiple of its length, which is a day or divides an hour; one
    that midnight cuts is two.
    """
    return _windows_between(zone, start_us, end_us, length_us) if start_us < end_us else 0
