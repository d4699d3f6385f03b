"""How a charge measures its meter, and the numbers of a segment that this takes: lengths, windows, days."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Literal, TypeAlias

from orchestration.billing.segments import Segment
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.catalog.parts import prices_events
from orchestration.zones import DAY_US, HOUR_US, local_date, midnight_us, windows_between

Measure: TypeAlias = Literal[
    "total",
    "running",
    "seats",
    "greatest",
    "least",
    "latest",
    "reading",
    "rank",
    "unique",
    "items",
    "active",
    "mark",
    "daily_sum",
    "each_window",
    "cells",
    "events",
]
"""What SQL makes of a meter in a segment.

By day: `total` (sums), `seats` (what a carried sum gained or lost). On one day: `running` (a carried sum at the end),
`greatest`, `least`, `latest` (the last event), `reading` (the state in force at the end), `rank` (a percentile of
events), `mark` (a window). Distinct values: `unique` (by first day in the period), `active` (by day or week), `items`
(days on which items are there, by the day and rank of their addition). Windows: `daily_sum`, `each_window`. By values
of dimensions: `cells` (sums by day or hour). By what each event pays: `events` (sums by day).
"""
_BY_AGGREGATION: dict[str, Measure] = {
    "count": "total",
    "sum": "total",
    "weighted_sum": "total",
    "max": "greatest",
    "min": "least",
    "latest": "latest",
    "percentile": "rank",
    "unique_count": "unique",
    "level": "mark",
}
_WINDOWS: dict[str, Measure] = {"greatest": "mark", "daily_sum": "daily_sum", "each_window": "each_window"}
WINDOW_US = {"1m": HOUR_US // 60, "5m": HOUR_US // 12, "15m": HOUR_US // 4, "1h": HOUR_US, "1d": DAY_US}


def measure_of(charge: Charge, meter: Meter, prices: Iterable[Charge] = ()) -> Measure:
    """How SQL measures a charge; `prices` are its versions and overrides in the segment."""
    if charge.watermark is not None:
        return _WINDOWS[charge.watermark.take]
    if charge.active is not None:
        return "active"
    if any(map(prices_events, (charge, *prices))):
        return "events"
    by_line = charge.line_per is not None and meter.aggregation != "unique_count"
    if charge.model == "matrix" or by_line or meter.currency is not None:
        return "cells"
    if meter.by_items and charge.prorate is not None:
        return "items"
    if meter.carry and meter.aggregation == "sum":
        return "running" if charge.prorate is None else "seats"
    if meter.carry and meter.aggregation == "latest":
        return "reading"
    return _BY_AGGREGATION[meter.aggregation]


def window_of(charge: Charge, meter: Meter) -> str | None:
    """The length of the windows that a charge looks at; a level without a watermark is taken by hours."""
    if charge.watermark is not None:
        return charge.watermark.window
    return "1h" if meter.aggregation == "level" else None


def known_day(zone: str, now_us: int) -> date:
    """The local day after the one that `now_us` lies in: carried states and empty windows are known until it begins."""
    return local_date(zone, now_us) + timedelta(days=1)


def until_day(segment: Segment, known: date) -> date:
    """The end of the segment, or of what is known of it."""
    return min(segment.end, known)


def window_count(segment: Segment, length: str, zone: str, known: date) -> int:
    """All windows of a segment, empty ones too, through what is known."""
    start, end = midnight_us(zone, segment.start), midnight_us(zone, until_day(segment, known))
    return windows_between(zone, start, end, WINDOW_US[length])


def week_end(day: date) -> date:
    """The Sunday of the ISO week."""
    return day + timedelta(days=6 - day.weekday())


def divisor_of(charge: Charge, meter: Meter | None, segment: Segment, zone: str, known: date) -> int:
    """What the measured sum is divided by, once, on the line: 1 but for averages over time, days or weeks.

    A level x time is divided by the microseconds of the full period, days of items by its days. A mean of days or weeks
    by the number of those in the segment that are known, with or without usage.
    """
    if meter is not None and meter.aggregation == "weighted_sum":
        return midnight_us(zone, segment.period_end) - midnight_us(zone, segment.period_start)
    if meter is not None and measure_of(charge, meter) == "items":
        return segment.period_days
    if charge.active is None or charge.active.take != "mean":
        return 1
    until = until_day(segment, known)
    if charge.active.per == "day":
        return max((until - segment.start).days, 1)
    return max((week_end(until) - week_end(segment.start)).days // 7, 1)
