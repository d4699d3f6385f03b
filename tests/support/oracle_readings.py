"""What events are to a meter, in plain Python: its filter, its readings, their value, and states that carry.

Only the catalog's types come from the project.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from orchestration.catalog.fields import duration_us
from orchestration.catalog.meters import All, AnyOf, Condition, Filter, Meter

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Event:
    """An accepted line. `endpoint` is the route that its path fits; a property that it lacks is not in `properties`."""

    feed: str
    source: str
    event_id: str
    event_type: str
    time_us: int
    credential: str
    user: str | None = None
    method: str | None = None
    path: str | None = None
    endpoint: str | None = None
    status: int | None = None
    bytes: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str]:
        return self.source, self.event_id

    @property
    def order(self) -> tuple[int, bytes, bytes]:
        """(time, event key)."""
        return self.time_us, self.source.encode(), self.event_id.encode()

    def text(self, name: str) -> str | None:
        if name == "user":
            return self.user or None
        if name in ("status", "bytes"):
            number = getattr(self, name)
            return None if number is None else str(number)
        return getattr(self, name) if name in Event.__dataclass_fields__ else self.properties.get(name)

    def number(self, name: str) -> Decimal | None:
        text = self.text(name)
        return Decimal(text) if text is not None and _NUMBER.fullmatch(text) else None


def counted(batches: Iterable[Sequence[Event]]) -> list[Event]:
    """The events that count: of each identity the first committed; within a batch the earliest."""
    first: dict[tuple[str, str], Event] = {}
    for batch in batches:
        for event in sorted(batch, key=lambda e: e.time_us):
            first.setdefault(event.identity, event)
    return list(first.values())


def holds(node: Filter | None, event: Event) -> bool:
    """Whether a filter takes an event; a comparison with a missing field is false."""
    if node is None:
        return True
    if isinstance(node, All):
        return all(holds(part, event) for part in node.all)
    if isinstance(node, AnyOf):
        return any(holds(part, event) for part in node.any)
    if isinstance(node, Condition):
        return _compare(node, event)
    return not holds(node.not_, event)


def _compare(node: Condition, event: Event) -> bool:
    if event.text(node.field) is None or node.op == "exists":
        return event.text(node.field) is not None
    if isinstance(node.value, tuple):
        among = any(_compare(Condition(field=node.field, op="eq", value=v), event) for v in node.value)
        return among == (node.op == "in")
    left: Any = event.text(node.field)
    right: Any = str(node.value)
    if isinstance(node.value, int) or node.op in ("lt", "le", "gt", "ge"):
        left, right = event.number(node.field), Decimal(right)
        if left is None:
            return False
    return {
        "eq": left == right,
        "ne": left != right,
        "lt": node.op == "lt" and left < right,
        "le": node.op == "le" and left <= right,
        "gt": node.op == "gt" and left > right,
        "ge": node.op == "ge" and left >= right,
    }[node.op]


@dataclass(frozen=True, slots=True)
class Reading:
    """What an event of a customer is to a meter. `value` is None where the meter can't measure it."""

    event: Event
    dimensions: str
    value: Any
    time_us: int
    """That of the event, but for the end of a session that expires."""


def dimensions_of(meter: Meter, event: Event) -> str:
    named = {name: event.text(name) for name in meter.dimensions}
    return json.dumps(named, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def measured(meter: Meter, events: Iterable[Event]) -> Iterator[Reading]:
    """A meter's readings of one customer's events, unmeasured ones among them, ascending by (time, event key)."""
    taken = [e for e in events if e.event_type == meter.event_type and holds(meter.filter, e)]
    taken.sort(key=lambda e: e.order)
    if meter.start is not None:
        yield from _started(meter, taken)
        return
    for event in taken:
        yield Reading(event, dimensions_of(meter, event), _value(meter, event), event.time_us)


def _value(meter: Meter, event: Event) -> Any:
    if meter.value is None:
        return Decimal(1)
    if meter.aggregation == "unique_count":
        return event.text(meter.value) or None
    number = event.number(meter.value)
    below = number is not None and number < 0
    return None if below and not (meter.allow_negative or meter.aggregation in ("weighted_sum", "level")) else number


def _started(meter: Meter, taken: Sequence[Event]) -> Iterator[Reading]:
    """+1 for each start and -1 for each stop; with `session` the stop is that of a start that is still open."""
    lasts = None if meter.expires_after is None else duration_us(meter.expires_after)
    open_starts: dict[str, Event] = {}
    for event in taken:
        starts, stops = holds(meter.start, event), holds(meter.stop, event)
        if not (starts or stops):
            continue
        dimensions = dimensions_of(meter, event)
        if meter.session is None:
            yield Reading(event, dimensions, Decimal(1) if starts else Decimal(-1), event.time_us)
            continue
        session = event.text(meter.session) or None
        begun = open_starts.get(session or "")
        if begun is not None and lasts is not None and begun.time_us + lasts <= event.time_us:
            yield Reading(begun, dimensions_of(meter, begun), Decimal(-1), begun.time_us + lasts)
            begun = None
            del open_starts[session or ""]
        if session is None or starts == (begun is not None):
            yield Reading(event, dimensions, None, event.time_us)
        elif starts:
            open_starts[session] = event
            yield Reading(event, dimensions, Decimal(1), event.time_us)
        elif begun is not None:
            del open_starts[session]
            yield Reading(event, dimensions_of(meter, begun), Decimal(-1), event.time_us)
    for begun in open_starts.values():
        if lasts is not None:
            yield Reading(begun, dimensions_of(meter, begun), Decimal(-1), begun.time_us + lasts)


def combined(meter: Meter, readings: Sequence[Reading]) -> Decimal:
    """The value of a meter without state, over at least one reading."""
    values = [r.value for r in readings]
    if meter.aggregation == "unique_count":
        return Decimal(len(set(values)))
    if meter.aggregation == "latest":
        return max(readings, key=lambda r: r.event.order).value
    if meter.aggregation == "percentile":
        assert meter.percentile is not None
        return sorted(values)[rank(meter.percentile, len(values)) - 1]
    return {"count": sum, "sum": sum, "min": min, "max": max}[meter.aggregation](values)


def rank(percentile: int, of: int) -> int:
    """ceil(percentile x of / 100), from 1."""
    return -(-percentile * of // 100)


class State:
    """A series of a meter that carries: what is in force at each instant, and what was read at it."""

    def __init__(self, meter: Meter, readings: Iterable[Reading]) -> None:
        self.meter = meter
        at: dict[int, list[Reading]] = defaultdict(list)
        for reading in readings:
            at[reading.time_us].append(reading)
        self.times = sorted(at)
        self.read = [[r.value for r in at[time]] for time in self.times]
        self.states: list[Decimal] = []
        for time in self.times:
            if meter.aggregation in ("sum", "weighted_sum", "level"):
                before = self.states[-1] if self.states else Decimal(0)
                self.states.append(sum((r.value for r in at[time]), before))
            else:
                self.states.append(max(at[time], key=lambda r: r.event.order).value)

    def value(self, start: int, end: int) -> Decimal | None:
        """The meter's value over [start, end); None when that is before its first event."""
        inside, after = bisect_left(self.times, start), bisect_left(self.times, end)
        if after == 0:
            return None
        kind = self.meter.aggregation
        if kind in ("sum", "latest"):
            return self.states[after - 1]
        if kind == "weighted_sum":
            return self._integral(start, end, inside, after)
        in_force = bisect_right(self.times, start) - 1
        opening = [self.states[in_force]] if in_force >= 0 else []
        if kind == "level":
            return max(opening + self.states[inside:after])
        read = [value for values in self.read[inside:after] for value in values]
        return min(opening + read) if kind == "min" else max(opening + read)

    def _integral(self, start: int, end: int, inside: int, after: int) -> Decimal:
        """Value x microseconds."""
        total = Decimal(0)
        for place in range(max(inside - 1, 0), after):
            until = self.times[place + 1] if place + 1 < len(self.times) else end
            total += self.states[place] * max(0, min(end, until) - max(start, self.times[place]))
        return total
