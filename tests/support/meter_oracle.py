"""Metering once more, in plain Python: from events and a catalog to every mart, by reading each event and each window.

Only the catalog's types come from the project. Nothing is made from smaller parts: each grain takes its own events, and
a state is looked up at the instants that count. `Oracle.marts` gives rows in the order of `COLUMNS`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from oracle_plans import plan_of_day
from oracle_readings import Event, Reading, State, combined, measured, rank
from oracle_time import HOUR, Calendar, instant, month_of, months_between, naive_utc, week_of

from orchestration.catalog import Catalog
from orchestration.catalog.meters import Meter

_USAGE = ("customer", "plan", "meter", "aggregation")
_PLACE = ("endpoint", "method", "dimensions", "period_start", "quantity")
_ACTIVE = ("active_users", "events", "events_without_user")
COLUMNS = {
    "usage_hourly": (*_USAGE, "hour_start", "local_day", *_PLACE),
    "usage_daily": (*_USAGE, "local_day", *_PLACE),
    "usage_weekly": (*_USAGE, "week_start", *_PLACE),
    "usage_monthly": (*_USAGE, "month_start", *_PLACE),
    "active_users_daily": ("customer", "meter", "application", "local_day", *_ACTIVE),
    "active_users_weekly": ("customer", "meter", "application", "week_start", *_ACTIVE),
    "active_users_monthly": ("customer", "meter", "application", "month_start", *_ACTIVE),
    "high_watermarks": (
        *("customer", "meter", "month_start", "window_length", "percentile"),
        *("windows", "rank", "value", "window_start"),
    ),
    "unmeasured_daily": ("customer", "meter", "aggregation", "local_day", "events"),
    "unattributed_usage": ("source", "credential", "event_type", "utc_day", "events", "bytes"),
}
BY_REQUEST = frozenset({"count", "sum", "min", "max"})
"""Aggregations that are reported by endpoint and method, unless they carry."""
ALL = "(all)"


class Oracle:
    """Every mart, computed from the events that count."""

    def __init__(self, catalog: Catalog, events: Iterable[Event], now_us: int) -> None:
        self.catalog = catalog
        self.meters = [catalog.meters[key] for key in sorted(catalog.meters)]
        self.rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in COLUMNS}
        by_customer: dict[str | None, list[Event]] = defaultdict(list)
        for event in events:
            by_customer[self._owner(event)].append(event)
        self._unattributed(by_customer.pop(None, []))
        self.now_us = now_us
        for customer, owned in by_customer.items():
            _Customer(self, str(customer), owned).measure()

    def marts(self) -> dict[str, Counter[tuple[Any, ...]]]:
        return {name: Counter(rows) for name, rows in self.rows.items()}

    def _owner(self, event: Event) -> str | None:
        """By credential at the time of the event, by validity interval."""
        for row in self.catalog.credentials:
            begun = row.valid_from is None or instant(row.valid_from.isoformat()) <= event.time_us
            over = row.valid_to is not None and instant(row.valid_to.isoformat()) <= event.time_us
            if row.credential == event.credential and row.source in (None, event.feed) and begun and not over:
                return row.customer
        return None

    def _unattributed(self, events: Iterable[Event]) -> None:
        found: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
        for event in events:
            found[event.feed, event.credential, event.event_type, naive_utc(event.time_us).date()].append(event)
        for key, group in found.items():
            self.rows["unattributed_usage"].append((*key, len(group), Decimal(sum(e.bytes or 0 for e in group))))


class _Customer:
    """The rows of one customer."""

    def __init__(self, oracle: Oracle, customer: str, events: Sequence[Event]) -> None:
        self.oracle, self.customer, self.events = oracle, customer, events
        first = min(event.time_us for event in events)
        # From the beginning of the month, whose windows all count.
        self.clock = Calendar(oracle.catalog.customers[customer].zone, first - 32 * 24 * HOUR, oracle.now_us)
        self.known_us = self.clock.midnight(self.clock.day(oracle.now_us) + timedelta(days=1))
        self._plans: dict[tuple[str, date], tuple[str | None, date | None]] = {}

    def measure(self) -> None:
        for meter in self.oracle.meters:
            readings = list(measured(meter, self.events))
            good = [r for r in readings if r.value is not None]
            bad = [r for r in readings if r.value is None]
            days = Counter(self.clock.day(r.time_us) for r in bad)
            self._add("unmeasured_daily", ((meter.key, meter.aggregation, day, days[day]) for day in days))
            if meter.carried:
                self._carried(meter, good)
            else:
                self._plain(meter, good)
            if meter.aggregation == "unique_count":
                self._active(meter, good, bad)
            for length, percentile in rules(self.oracle.catalog, meter):
                self._marks(meter, good, length, percentile)

    def _add(self, mart: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self.oracle.rows[mart] += [(self.customer, *row) for row in rows]

    def _plan(self, meter: Meter, day: date) -> tuple[str | None, date | None]:
        if (meter.key, day) not in self._plans:
            self._plans[meter.key, day] = plan_of_day(self.oracle.catalog, self.customer, meter.key, day)
        return self._plans[meter.key, day]

    def _grains(self, us: int, day: date) -> Iterator[tuple[str, tuple[Any, ...]]]:
        yield "usage_hourly", (naive_utc(self.clock.begin(us, "1h")), day)
        yield from _grains_of_day(day)

    def _plain(self, meter: Meter, good: Iterable[Reading]) -> None:
        groups: dict[tuple[Any, ...], list[Reading]] = defaultdict(list)
        for reading in good:
            event, day = reading.event, self.clock.day(reading.time_us)
            plan, period = self._plan(meter, day)
            place = (event.endpoint, event.method) if meter.aggregation in BY_REQUEST else (None, None)
            for mart, when in self._grains(reading.time_us, day):
                groups[mart, plan, when, (*place, reading.dimensions), period].append(reading)
        for (mart, plan, when, place, period), group in groups.items():
            row = (plan, meter.key, meter.aggregation, *when, *place, period, combined(meter, group))
            self._add(mart, [row])

    def _carried(self, meter: Meter, good: Iterable[Reading]) -> None:
        """Each bucket from the first event of a series on, through the day that is running."""
        series: dict[str, list[Reading]] = defaultdict(list)
        for reading in good:
            if reading.time_us < self.known_us:
                series[reading.dimensions].append(reading)
        for dimensions, readings in series.items():
            state = State(meter, readings)
            spans: dict[tuple[Any, ...], list[tuple[int, int]]] = defaultdict(list)
            for start, end in self.clock.windows("1h", self.clock.begin(state.times[0], "1h"), self.known_us):
                day = self.clock.day(start)
                plan, period = self._plan(meter, day)
                for mart, when in self._grains(start, day):
                    parts = spans[mart, plan, when, period]
                    if parts and parts[-1][1] == start:
                        parts[-1] = (parts[-1][0], end)
                    else:
                        parts.append((start, end))
            for (mart, plan, when, period), parts in spans.items():
                value = _over(meter, state, parts)
                row = (plan, meter.key, meter.aggregation, *when, None, None, dimensions, period, value)
                self._add(mart, [row])

    def _active(self, meter: Meter, good: Iterable[Reading], bad: Iterable[Reading]) -> None:
        groups: dict[tuple[Any, ...], list[Reading]] = defaultdict(list)
        for reading in (*good, *bad):
            for mart, when in _grains_of_day(self.clock.day(reading.time_us)):
                for application in [ALL, reading.dimensions] if meter.dimensions else [ALL]:
                    groups[mart.replace("usage", "active_users"), application, when].append(reading)
        for (mart, application, when), group in groups.items():
            users = [r.value for r in group if r.value is not None]
            row = (meter.key, application, *when, len(set(users)), len(users), len(group) - len(users))
            self._add(mart, [row])

    def _marks(self, meter: Meter, good: Sequence[Reading], length: str, percentile: int | None) -> None:
        """The window at its rank among all windows of each month that are known; an empty one is 0."""
        if not good:
            return
        first_us = min(r.time_us for r in good)
        states = _states(meter, good)
        of_window: dict[int, list[Reading]] = defaultdict(list)
        for reading in good:
            of_window[self.clock.begin(reading.time_us, length)].append(reading)
        for month, start, end in months_between(first_us, self.known_us, self.clock):
            values: list[tuple[Decimal, int | None]] = []
            for begin, until in self.clock.windows(length, start, end):
                if meter.carried:
                    found = max((v for s in states if (v := s.value(begin, until)) is not None), default=None)
                else:
                    found = combined(meter, of_window[begin]) if begin in of_window else None
                values.append((Decimal(0), None) if found is None else (found, begin))
            if all(begin is None for _, begin in values):
                continue
            place = rank(100 if percentile is None else percentile, len(values))
            value = sorted(value for value, _ in values)[place - 1]
            setters = [begin for found, begin in values if found == value and begin is not None]
            window_start = naive_utc(min(setters)) if setters else None
            row = (meter.key, month, length, percentile, len(values), place, value, window_start)
            self._add("high_watermarks", [row])


def _states(meter: Meter, good: Iterable[Reading]) -> list[State]:
    """Of levels and running totals one, over all dimensions; of gauges each, whose greatest counts."""
    if not meter.carried:
        return []
    if meter.aggregation != "max":
        return [State(meter, good)]
    series: dict[str, list[Reading]] = defaultdict(list)
    for reading in good:
        series[reading.dimensions].append(reading)
    return [State(meter, readings) for readings in series.values()]


def _grains_of_day(day: date) -> Iterator[tuple[str, tuple[date]]]:
    yield "usage_daily", (day,)
    yield "usage_weekly", (week_of(day),)
    yield "usage_monthly", (month_of(day),)


def _over(meter: Meter, state: State, parts: Sequence[tuple[int, int]]) -> Decimal:
    """The value over stretches of time, of which there are several where a plan comes back within the grain."""
    values = [value for part in parts if (value := state.value(*part)) is not None]
    if meter.aggregation == "weighted_sum":
        return sum(values, Decimal(0))
    if meter.aggregation in ("level", "max"):
        return max(values)
    return min(values) if meter.aggregation == "min" else values[-1]


def rules(catalog: Catalog, meter: Meter) -> list[tuple[str, int | None]]:
    """(window length, percentile) of the marks that are kept; without a percentile it is the greatest."""
    kept: set[tuple[str, int | None]] = set()
    if meter.aggregation in ("count", "sum", "max", "level"):
        kept |= {("1h", None), ("1d", None)}
    for plan in catalog.plans.values():
        for version in plan.versions:
            for charge in version.charges:
                if charge.meter == meter.key and charge.watermark is not None:
                    kept |= {(charge.watermark.window, None), (charge.watermark.window, charge.watermark.percentile)}
    return sorted(kept, key=str)
