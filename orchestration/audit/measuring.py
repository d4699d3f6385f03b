"""The quantity of a charge in a segment from single events: one function for each measure."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import pairwise, starmap

from orchestration.audit.charged import Charged, Quantity, measure_of, window_of
from orchestration.audit.clock import Clock
from orchestration.audit.items import days_by_rank, days_there
from orchestration.audit.parts import by_event, cells
from orchestration.audit.states import ZERO, Reading, Series, sum_of
from orchestration.audit.taken import Seen, Taken
from orchestration.money import EXACT
from orchestration.zones import midnight_us


@dataclass(frozen=True)
class Part:
    """A charged segment with the events of its meter. `siblings` are all segments of its subscription and meter."""

    item: Charged
    taken: Taken
    clock: Clock
    siblings: Sequence[Charged]

    @property
    def days(self) -> list[date]:
        """Local days of the segment."""
        segment = self.item.segment
        return [day for _, day in self.clock.days if segment.start <= day < segment.end]

    @cached_property
    def span(self) -> tuple[int, int]:
        """The first instants of the segment and of what follows it."""
        segment = self.item.segment
        return midnight_us(self.clock.zone, segment.start), midnight_us(self.clock.zone, segment.end)

    @cached_property
    def until_us(self) -> int:
        """The first instant that is not known, or after the segment."""
        return midnight_us(self.clock.zone, min(self.item.segment.end, self.item.known))

    @property
    def lasting_days(self) -> list[tuple[date, int, int]]:
        """(day, first instant, first instant after it) of the days that are known."""
        until = min(self.item.segment.end, self.item.known)
        edges = [(day, start) for start, day in self.clock.days if self.item.segment.start <= day < until]
        return [(day, start, end) for (day, start), (_, end) in pairwise([*edges, (until, self.until_us)])]

    @property
    def series(self) -> list[Series]:
        return self.taken.series(self.item.segment.customer)

    @property
    def seen(self) -> list[Seen]:
        """Distinct values, or items that are there, by days that are known."""
        if not self.taken.meter.by_items:
            return self.taken.seen.get(self.item.segment.customer, [])
        known_us = midnight_us(self.clock.zone, min(self.clock.end, self.item.known))
        return list(starmap(Seen, days_there(self.events, self.clock, known_us)))

    @property
    def events(self) -> list[Reading]:
        return self.taken.readings.get(self.item.segment.customer, [])

    def inside(self, us: int) -> bool:
        start, end = self.span
        return start <= us < end


def measured(part: Part) -> list[Quantity]:
    """What the segment's meter comes to, by day; empty where there is nothing to price."""
    charge, meter = part.item.terms.charge, part.taken.meter
    prices = (price.charge for price in part.item.terms.prices)
    return _MEASURES[measure_of(charge, meter, prices)](part)


def _total(part: Part) -> list[Quantity]:
    if part.taken.meter.aggregation == "weighted_sum":
        return [
            Quantity(day, series.integral(start, end))
            for day, start, end in part.lasting_days
            for series in part.series
            if series.begun(end)
        ]
    sums = part.taken.totals.get(part.item.segment.customer, {})
    return [Quantity(day, sums[day]) for day in part.days if day in sums]


def _seats(part: Part) -> list[Quantity]:
    """By how much the total differs from one end of a day to the next."""
    found, before = [], ZERO
    for day, _, end in part.lasting_days:
        total = sum_of(series.before(end) or ZERO for series in part.series)
        if total != before:
            found.append(Quantity(day, EXACT.subtract(total, before)))
        before = total
    return found


def _running(part: Part) -> list[Quantity]:
    changes = _seats(part)
    return [Quantity(changes[-1].day, sum_of(change.quantity for change in changes))] if changes else []


def _extreme(part: Part) -> list[Quantity]:
    """The greatest or least of all values, on the first day that has it."""
    choose = max if part.taken.meter.aggregation == "max" else min
    by_day: dict[date, list[Decimal]] = defaultdict(list)
    if part.taken.meter.carried:
        for day, start, end in part.lasting_days:
            by_day[day] += [value for series in part.series for value in series.values(start, end)]
    else:
        for event in part.events:
            if part.inside(event.time_us):
                by_day[part.clock.day_of(event.time_us)].append(event.value)
    values = [value for day in by_day.values() for value in day]
    if not values:
        return []
    best = choose(values)
    return [Quantity(min(day for day in by_day if best in by_day[day]), best)]


def _last_event(part: Part) -> list[Quantity]:
    events = [e for e in part.events if part.inside(e.time_us)]
    return [Quantity(part.clock.day_of(events[-1].time_us), events[-1].value)] if events else []


def _reading(part: Part) -> list[Quantity]:
    """The last reading before the end; of series with one at the same instant that of the greatest dimensions."""
    end = part.until_us
    last = [
        (s.times[place - 1], number) for number, s in enumerate(part.series) if (place := bisect_left(s.times, end))
    ]
    if not last:
        return []
    time_us, number = max(last)
    value = part.series[number].before(end)
    assert value is not None
    return [Quantity(part.clock.day_of(time_us) if part.inside(time_us) else part.item.segment.start, value)]


def _rank(part: Part) -> list[Quantity]:
    events = [e for e in part.events if part.inside(e.time_us)]
    if not events or part.taken.meter.percentile is None:
        return []
    ordered = sorted(event.value for event in events)
    value = ordered[-(-part.taken.meter.percentile * len(ordered) // 100) - 1]
    return [Quantity(part.clock.day_of(min(e.time_us for e in events if e.value == value)), value)]


def _key(part: Part, value: str, dimensions: str) -> tuple[str, str]:
    return value, dimensions if part.item.terms.charge.by_dimension == "each" else ""


def _line_value(part: Part, dimensions: str) -> str:
    """The value that has a line of its own; empty without one."""
    name = part.item.terms.charge.line_per
    if name is None:
        return ""
    return json.loads(dimensions)[sorted(part.taken.meter.dimensions).index(name)] or ""


def _unique(part: Part) -> list[Quantity]:
    """First days of values in the period, of which those count that lie in this segment and not in an earlier one."""
    segment = part.item.segment
    earlier = [
        (other.segment.start, other.segment.end)
        for other in part.siblings
        if (other.segment.period_start, other.segment.period_end) == (segment.period_start, segment.period_end)
        and other.segment.start <= segment.start
        and measure_of(other.terms.charge, part.taken.meter) == "unique"
    ]
    firsts: dict[tuple[str, tuple[str, str]], date] = {}
    for value, dimensions, day in part.seen:
        if any(start <= day < end for start, end in earlier):
            key = _line_value(part, dimensions), _key(part, value, dimensions)
            firsts[key] = min(day, firsts.get(key, date.max))
    counts = Counter((day, of) for (of, _), day in firsts.items() if segment.start <= day < segment.end)
    return [Quantity(day, Decimal(counts[day, of]), value=of) for day, of in sorted(counts)]


def _items(part: Part) -> list[Quantity]:
    """Days on which items are there, by the day and rank of their addition."""
    segment = part.item.segment
    found = days_by_rank(part.events, part.clock, segment.start, segment.end, part.until_us)
    return [Quantity(day, Decimal(found[day, rank]), rank=rank) for day, rank in sorted(found)]


def _active(part: Part) -> list[Quantity]:
    """Distinct values of each day; or of each week, on its Sunday."""
    segment, active = part.item.segment, part.item.terms.charge.active
    assert active is not None
    until = min(segment.end, part.item.known)
    groups: dict[tuple[date, str], set[tuple[str, str]]] = defaultdict(set)
    for value, dimensions, day in part.seen:
        counted_on = day
        if active.per == "week":
            while counted_on.isoweekday() != 7:
                counted_on += timedelta(days=1)
        begins = segment.start if active.per == "day" else part.item.active_from
        if begins <= day and segment.start <= counted_on < until:
            groups[counted_on, _line_value(part, dimensions)].add(_key(part, value, dimensions))
    found = [Quantity(day, Decimal(len(groups[day, of])), value=of) for day, of in sorted(groups)]
    if active.take == "max":
        # The first day of those on which a line has most.
        best = {of: max(one.quantity for one in found if one.value == of) for _, of in groups}
        firsts = {of: min(one.day for one in found if (one.value, one.quantity) == (of, best[of])) for of in best}
        return [one for one in found if one.day == firsts[one.value]]
    return found


def _windows(part: Part) -> tuple[dict[int, Decimal], int]:
    """Values by first instant, of the windows that have one; and how many windows there are."""
    length = window_of(part.item.terms.charge, part.taken.meter)
    assert length is not None
    start, end = part.span
    known = part.clock.between(length, start, part.until_us)
    if part.taken.meter.carried:
        return dict(_lasting(part, [*known, part.until_us])), len(known)
    values = part.taken.windows(length).get(part.item.segment.customer, {})
    return {us: values[us] for us in part.clock.between(length, start, end) if us in values}, len(known)


def _lasting(part: Part, edges: Sequence[int]) -> Iterator[tuple[int, Decimal]]:
    """Of a total its value at the window's end; of a level and of readings the greatest in it."""
    for start, end in pairwise(edges):
        if part.taken.meter.aggregation == "sum":
            values = [value for series in part.series if (value := series.before(end)) is not None]
        else:
            values = [value for series in part.series for value in series.values(start, end)]
        if values:
            yield start, max(values)


def _mark(part: Part) -> list[Quantity]:
    windows, count = _windows(part)
    if not windows:
        return []
    watermark = part.item.terms.charge.watermark
    percentile = (watermark.percentile if watermark else None) or 100
    ordered = sorted([*windows.values(), *[ZERO] * (count - len(windows))])
    value = ordered[-(-percentile * len(ordered) // 100) - 1]
    if not value:
        return []
    start = min(us for us in windows if windows[us] == value)
    return [Quantity(part.clock.day_of(start), value, start)]


def _daily_sum(part: Part) -> list[Quantity]:
    by_day: dict[date, Decimal] = defaultdict(lambda: ZERO)
    for start, value in _windows(part)[0].items():
        day = part.clock.day_of(start)
        by_day[day] = max(by_day[day], value)
    return [Quantity(day, by_day[day]) for day in sorted(by_day) if by_day[day]]


def _each_window(part: Part) -> list[Quantity]:
    counts = Counter((part.clock.day_of(start), value) for start, value in _windows(part)[0].items() if value)
    return [Quantity(day, value, None, counts[day, value]) for day, value in sorted(counts)]


_MEASURES: dict[str, Callable[[Part], list[Quantity]]] = {
    "total": _total,
    "running": _running,
    "seats": _seats,
    "greatest": _extreme,
    "least": _extreme,
    "latest": _last_event,
    "reading": _reading,
    "rank": _rank,
    "unique": _unique,
    "items": _items,
    "active": _active,
    "mark": _mark,
    "daily_sum": _daily_sum,
    "each_window": _each_window,
    "cells": cells,
    "events": by_event,
}
