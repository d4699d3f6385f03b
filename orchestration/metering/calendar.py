"""The local calendar as rows that the models join: days, hour buckets and windows of the zones in use.

Pure: catalog and spans of days in, rows out. Instants are microseconds UTC, days ISO dates, spans half-open.
Windows shorter than an hour need no table: since 1980 every zone's offset is a whole number of quarter hours, so the
local clock shows full multiples of 1, 5 and 15 minutes at equal steps, whatever it is set to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from orchestration.catalog import Catalog
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.zones import DAY_US, HOUR_US, SECOND_US, OffsetInterval, local_date, midnight_us, offset_intervals

Row = dict[str, Any]
Span = tuple[date, date]

ZONE_DAYS = {"zone": "VARCHAR", "local_day": "DATE", "start_us": "BIGINT", "end_us": "BIGINT"}
ZONE_HOURS = {"zone": "VARCHAR", "local_day": "DATE", "bucket_us": "BIGINT", "end_us": "BIGINT"}
WINDOW_COUNTS = {"zone": "VARCHAR", "month_start": "DATE", "window_length": "VARCHAR", "windows": "BIGINT"}
METER_WINDOWS = {
    "meter": "VARCHAR",
    "aggregation": "VARCHAR",
    "carried": "BOOLEAN",
    "window_length": "VARCHAR",
    "length_us": "BIGINT",
}
WINDOW_STEPS = {"window_length": "VARCHAR", "length_us": "BIGINT", "step_us": "BIGINT"}
MARKS = {"meter": "VARCHAR", "window_length": "VARCHAR", "percentile": "INTEGER"}

LENGTHS_US = {
    "1m": 60 * SECOND_US,
    "5m": 300 * SECOND_US,
    "15m": 900 * SECOND_US,
    # An hour bucket is one window, and where the clock is set back by half an hour it has 90 minutes.
    "1h": 2 * HOUR_US,
    "1d": 2 * DAY_US,
}
"""Real length of a window within an hour; for the hour and the day a bound above that of any."""
_ALWAYS = {"count": ("1h", "1d"), "sum": ("1h", "1d"), "max": ("1h", "1d"), "level": ("1h", "1d"), "unique_count": ()}


def zone_day_rows(spans: Mapping[str, Span]) -> Iterator[Row]:
    """Every local day of the spans that exists in its zone."""
    for zone, (first, end) in sorted(spans.items()):
        for day, start_us, end_us in _days(zone, first, end):
            yield {"zone": zone, "local_day": day.isoformat(), "start_us": start_us, "end_us": end_us}


def zone_hour_rows(spans: Mapping[str, Span]) -> Iterator[Row]:
    """Every hour bucket of the spans; together they cover each day without gap or overlap."""
    for zone, (first, end) in sorted(spans.items()):
        starts = iter(_hour_starts(zone, midnight_us(zone, first), midnight_us(zone, end)))
        after = next(starts, None)
        for day, start_us, end_us in _days(zone, first, end):
            edges = [start_us]
            while after is not None and after < end_us:
                edges += [after] if after > start_us else []
                after = next(starts, None)
            for bucket_us, until_us in pairwise([*edges, end_us]):
                yield {"zone": zone, "local_day": day.isoformat(), "bucket_us": bucket_us, "end_us": until_us}


def window_count_rows(
    months: Iterable[tuple[str, date]], known: Mapping[str, date], lengths: Iterable[str]
) -> Iterator[Row]:
    """How many windows of each length each (zone, first day of a month) has before the zone's known day."""
    ordered = sorted(set(lengths))
    for zone, month in sorted(set(months)):
        end = min((month + timedelta(days=31)).replace(day=1), known[zone])
        if month >= end:
            continue
        for length in ordered:
            windows = count_windows(zone, month, end, length)
            yield {"zone": zone, "month_start": month.isoformat(), "window_length": length, "windows": windows}


def count_windows(zone: str, first: date, end: date, length: str) -> int:
    """How many windows of a length the local days of [first, end) have, by the real time that they last."""
    if length == "1d":
        return sum(1 for _ in _days(zone, first, end))
    length_us = HOUR_US if length == "1h" else LENGTHS_US[length]
    intervals = offset_intervals(zone, midnight_us(zone, first), midnight_us(zone, end))
    return sum(_multiples(interval, length_us) for interval in intervals)


def meter_window_rows(catalog: Catalog) -> Iterator[Row]:
    """The windows to be built: hours and days of what adds up or has a greatest; others where a charge needs them."""
    for meter, length in sorted(_meter_windows(catalog)):
        yield {
            "meter": meter,
            "aggregation": catalog.meters[meter].aggregation,
            "carried": catalog.meters[meter].carried,
            "window_length": length,
            "length_us": LENGTHS_US[length],
        }


def window_step_rows(catalog: Catalog) -> Iterator[Row]:
    """Where the windows of an hour bucket may begin, as steps from the bucket's start."""
    for length in sorted({length for _, length in _meter_windows(catalog)} - {"1d"}):
        for step_us in range(0, 2 * HOUR_US, LENGTHS_US[length]):
            yield {"window_length": length, "length_us": LENGTHS_US[length], "step_us": step_us}


def mark_rows(catalog: Catalog) -> Iterator[Row]:
    """The rules of high watermarks: the greatest window of each kind, and the percentiles that charges state."""
    rules = {(meter, length, 0) for meter, length in _meter_windows(catalog)}
    rules |= {(c.meter, w.window, w.percentile or 0) for c in _charges(catalog) if c.meter and (w := c.watermark)}
    for meter, length, percentile in sorted(rules):
        yield {"meter": meter, "window_length": length, "percentile": percentile or None}


def _meter_windows(catalog: Catalog) -> set[tuple[str, str]]:
    always = {(key, length) for key, meter in catalog.meters.items() for length in _always(meter)}
    return always | {(c.meter, c.watermark.window) for c in _charges(catalog) if c.meter and c.watermark is not None}


def _always(meter: Meter) -> tuple[str, ...]:
    return _ALWAYS.get(meter.aggregation, ())


def _charges(catalog: Catalog) -> Iterator[Charge]:
    for plan in catalog.plans.values():
        for version in plan.versions:
            yield from version.charges


def _days(zone: str, first: date, end: date) -> Iterator[tuple[date, int, int]]:
    """Local days of [first, end) that exist, with their first instant and the one after their last."""
    day, start_us = first, midnight_us(zone, first)
    while day < end:
        end_us = midnight_us(zone, day + timedelta(days=1))
        if start_us < end_us and local_date(zone, start_us) == day:
            yield day, start_us, end_us
        day, start_us = day + timedelta(days=1), end_us


def _hour_starts(zone: str, start_us: int, end_us: int) -> Iterator[int]:
    """The instants of [start_us, end_us) at which the local clock shows a full hour, ascending."""
    for interval in offset_intervals(zone, start_us, end_us):
        first = interval.start_us + -(interval.start_us + interval.offset_us) % HOUR_US
        yield from range(first, interval.end_us, HOUR_US)


def _multiples(interval: OffsetInterval, length_us: int) -> int:
    """How often the local clock shows a full multiple of a length in an interval of one offset."""
    before = (interval.start_us + interval.offset_us - 1) // length_us
    return (interval.end_us + interval.offset_us - 1) // length_us - before
