"""States that last, measured a second way: every instant of a series in order, asked for the state at any time.

No hours, no days and no sums of parts: an integral goes from change to change, a level is looked up.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby, pairwise
from typing import NamedTuple

from orchestration.catalog.fields import duration_us
from orchestration.catalog.meters import CARRIED, Meter
from orchestration.money import EXACT

ZERO = Decimal(0)


class Reading(NamedTuple):
    """One measured event. `value` is a number; `session`, or the item, tells which stop belongs to which start."""

    time_us: int
    source: str
    event_id: str
    value: Decimal
    dimensions: str
    session: str | None


@dataclass(slots=True)
class Series:
    """A state from its first event on: `states[n]` is in force from `times[n]` until `times[n + 1]`.

    `readings` are all values at the instant, of which the last is the state; where events are changes, the state alone.
    """

    times: list[int] = field(default_factory=list)
    states: list[Decimal] = field(default_factory=list)
    readings: list[tuple[Decimal, ...]] = field(default_factory=list)

    def at(self, us: int) -> Decimal | None:
        """The state with all that happens at the instant; None before the first event."""
        place = bisect_right(self.times, us)
        return self.states[place - 1] if place else None

    def before(self, us: int) -> Decimal | None:
        place = bisect_left(self.times, us)
        return self.states[place - 1] if place else None

    def values(self, start_us: int, end_us: int) -> list[Decimal]:
        """The state at the start, and every value in [start, end)."""
        first, last = bisect_left(self.times, start_us), bisect_left(self.times, end_us)
        opening = self.at(start_us)
        inside = [value for readings in self.readings[first:last] for value in readings]
        return inside if opening is None else [opening, *inside]

    def integral(self, start_us: int, end_us: int) -> Decimal:
        """Level x microseconds over [start, end)."""
        edges = [start_us, *(us for us in self.times if start_us < us < end_us), end_us]
        parts = (EXACT.multiply(self.at(a) or ZERO, Decimal(b - a)) for a, b in pairwise(edges))
        return sum_of(parts)

    def begun(self, us: int) -> bool:
        """Whether the series has an event before the instant."""
        return bool(self.times) and self.times[0] < us


def sum_of(values: Iterable[Decimal]) -> Decimal:
    """Exact."""
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total


def adds_up(meter: Meter) -> bool:
    """Whether events are changes that are added up, or readings that replace one another."""
    return meter.aggregation in CARRIED or meter.aggregation == "sum"


def series_of(meter: Meter, events: Sequence[Reading]) -> list[Series]:
    """What lasts: changes of all dimensions added up to one series, readings one for each dimensions."""
    if meter.session is not None:
        events = list(_changes_of_sessions(meter, events))
    if adds_up(meter):
        return [_added_up(events)] if events else []
    grouped: dict[str, list[Reading]] = defaultdict(list)
    for event in events:
        grouped[event.dimensions].append(event)
    return [_replaced(grouped[dimensions]) for dimensions in sorted(grouped)]


def _added_up(events: Sequence[Reading]) -> Series:
    series, total = Series(), ZERO
    for time_us, group in groupby(sorted(events), key=lambda event: event.time_us):
        total = EXACT.add(total, sum_of(event.value for event in group))
        series.times.append(time_us)
        series.states.append(total)
        series.readings.append((total,))
    return series


def _replaced(events: Sequence[Reading]) -> Series:
    series = Series()
    for time_us, group in groupby(sorted(events), key=lambda event: event.time_us):
        values = tuple(event.value for event in group)
        series.times.append(time_us)
        series.states.append(values[-1])
        series.readings.append(values)
    return series


def _changes_of_sessions(meter: Meter, events: Sequence[Reading]) -> Iterable[Reading]:
    """Starts and stops that pair, and an end for each start that expires."""
    longest = None if meter.expires_after is None else duration_us(meter.expires_after)
    by_session: dict[str | None, list[Reading]] = defaultdict(list)
    for event in sorted(events):
        by_session[event.session].append(event)
    for session in by_session.values():
        opened: Reading | None = None
        for event in session:
            if opened is not None and longest is not None and event.time_us > opened.time_us + longest:
                yield _end(opened, opened.time_us + longest)
                opened = None
            if event.value > 0 and opened is not None and event.time_us == opened.time_us + (longest or -1):
                # It expires at the instant at which the next one starts.
                yield _end(opened, event.time_us)
                opened = None
            if event.value > 0 and opened is None:
                yield event
                opened = event
            elif event.value < 0 and opened is not None:
                yield _end(opened, event.time_us)
                opened = None
        if opened is not None and longest is not None:
            yield _end(opened, opened.time_us + longest)


def _end(opened: Reading, time_us: int) -> Reading:
    return opened._replace(time_us=time_us, value=-opened.value)
