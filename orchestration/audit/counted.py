"""The events behind one line, each with its part of what was measured: a table `counted`, made by the engine alone.

An event of a sum or a count brings its own value; a distinct value belongs to its first event; a mark to the events of
its window; a level to its changes, also to those before the segment. What nothing single caused is not in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from orchestration.audit.charged import Charged, measure_of, window_of
from orchestration.audit.taken import value_of
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.metering.compile import as_text, matches_sql
from orchestration.sqltext import literal
from orchestration.zones import midnight_us

ORDER = "time_us, source, event_id"
_FIRST = f"row_number() OVER (PARTITION BY {{0}} ORDER BY {ORDER}) = 1"


@dataclass(frozen=True)
class Behind:
    """What is asked for: a line of a document, what it prices, and the segments of its subscription and charge."""

    line: Mapping[str, Any]
    item: Charged
    meter: Meter
    zone: str
    earlier: tuple[Charged, ...] = ()
    only: tuple[int, int] | None = None
    """The instants, half-open, between which alone the events of a sum are asked for."""

    @property
    def charge(self) -> Charge:
        return self.item.terms.charge

    @property
    def measure(self) -> str:
        return measure_of(self.charge, self.meter, (price.charge for price in self.item.terms.prices))

    @property
    def start_us(self) -> int:
        return midnight_us(self.zone, self.item.segment.start)

    @property
    def end_us(self) -> int:
        return midnight_us(self.zone, self.item.segment.end)

    @property
    def until_us(self) -> int:
        """The end of what was known of a state that lasts."""
        return midnight_us(self.zone, min(self.item.segment.end, self.item.known))


def make_counted(con: duckdb.DuckDBPyConnection, behind: Behind) -> None:
    """Make the table `counted` from the view `attributed` and `audit.days`: file_id, line, source, event_id, time_us,
    day, value (what the event says, as text), price (of a matrix), quantity (DECIMAL(38, 9))."""
    _make_seen(con, behind)
    quantity = _SHARES[behind.measure](con, behind)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE counted AS SELECT * FROM (SELECT file_id, line, source, event_id, time_us, day, "
        f"CAST(value AS VARCHAR) AS value, price, CAST({quantity} AS DECIMAL(38, 9)) AS quantity FROM seen) "
        "WHERE quantity IS NOT NULL"
    )


def by_day(behind: Behind, written: Mapping[date, str]) -> str:
    """A SQL expression that has another text from a day on."""
    texts = [(day, written[day]) for day in sorted(written)]
    cases = "".join(f" WHEN day >= DATE '{day}' THEN {text}" for day, text in reversed(texts[1:]))
    return f"CASE{cases} ELSE {texts[0][1]} END" if cases else texts[0][1]


def _make_seen(con: duckdb.DuckDBPyConnection, behind: Behind) -> None:
    """The events that the line's meter takes, up to the end; of what lasts, also those before the start."""
    meter, charge, segment = behind.meter, behind.charge, behind.item.segment
    first = min([behind.start_us, *(midnight_us(behind.zone, other.segment.start) for other in behind.earlier)])
    if behind.measure == "active":
        first = min(first, midnight_us(behind.zone, behind.item.active_from))
    wanted = [matches_sql(meter), f"time_us < {behind.until_us if meter.carried else behind.end_us}"]
    if not meter.carried:
        wanted.append(f"time_us >= {first}")
    if behind.only is not None:
        wanted.append(f"time_us >= {behind.only[0]} AND time_us < {behind.only[1]}")
    if charge.line_per is not None:
        wanted.append(f"coalesce({as_text(charge.line_per)}, '') = {literal(behind.line.get('value', ''))}")
    if meter.currency is not None:
        wanted.append(f"{as_text(meter.currency)} = {literal(segment.currency)}")
    price = "NULL"
    if charge.model == "matrix":
        price = by_day(behind, {p.from_day: _cells(p.charge) for p in behind.item.terms.prices})
    each = charge.by_dimension == "each"
    dimensions = ", ".join(as_text(name) for name in sorted(meter.dimensions)) if each else ""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE seen AS SELECT file_id, line, source, event_id, time_us, day, "
        f"{value_of(meter)} AS value, CAST({price} AS DECIMAL(38, 12)) AS price, "
        f"CAST(to_json([{dimensions}]) AS VARCHAR) AS dimensions FROM (SELECT e.*, d.day FROM attributed AS e "
        f"ASOF LEFT JOIN audit.days AS d ON d.customer = e.customer AND e.time_us >= d.start_us "
        f"WHERE e.customer = {literal(segment.customer)}) WHERE {' AND '.join(wanted)}"
    )
    unpriced = " OR price IS NULL" if charge.model == "matrix" else ""
    con.execute(f"DELETE FROM seen WHERE value IS NULL{unpriced}")


def _cells(charge: Charge) -> str:
    """The price of the cell that an event falls in, NULL where there is none."""
    cases = [
        f"WHEN {' AND '.join(f'{as_text(name)} = {literal(value)}' for name, value in cell.match.items())} "
        f"THEN {cell.price:f}"
        for cell in charge.cells
    ]
    default = "NULL" if charge.default is None else f"{charge.default:f}"
    return f"CASE {' '.join(cases)} ELSE {default} END"


def _value(con: duckdb.DuckDBPyConnection, behind: Behind) -> str:
    if behind.meter.aggregation != "weighted_sum":
        return "value"
    # A change is worth its level for the rest of the segment. In whole steps of 9 decimals, so that they sum exactly.
    lasting = f"({behind.until_us} - greatest(time_us, {behind.start_us}))"
    running = f"sum(CAST(value * 1000000000 AS HUGEINT) * {lasting}) OVER (ORDER BY {ORDER} ROWS {{0}})"
    after, before = (
        f"CAST(coalesce({running.format(rows)}, 0) AS HUGEINT) // {behind.item.divisor}"
        for rows in ("UNBOUNDED PRECEDING", "BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING")
    )
    return f"CAST({after} - {before} AS DECIMAL(38, 0)) * 0.000000001"


def _one(con: duckdb.DuckDBPyConnection, behind: Behind) -> str:
    """One event set the value: the first that has it; of readings the last that has it."""
    last = behind.measure in ("latest", "reading")
    order = ORDER if not last else "time_us DESC, source DESC, event_id DESC"
    measured = behind.line["measured"]
    inside = "true" if behind.measure == "reading" else f"time_us >= {behind.start_us}"
    found = f"value = {measured} AND {inside}"
    return f"CASE WHEN {found} AND row_number() OVER (PARTITION BY {found} ORDER BY {order}) = 1 THEN {measured} END"


def _unique(con: duckdb.DuckDBPyConnection, behind: Behind) -> str:
    segment = behind.item.segment
    spans = [(o.segment.start, o.segment.end) for o in (*behind.earlier, behind.item)]
    con.execute(
        "DELETE FROM seen WHERE NOT ("
        + " OR ".join(f"(day >= DATE '{start}' AND day < DATE '{end}')" for start, end in spans)
        + ")"
    )
    first = _FIRST.format("value, dimensions")
    return f"CASE WHEN {first} AND day >= DATE '{segment.start}' AND day < DATE '{segment.end}' THEN 1 END"


def _active(con: duckdb.DuckDBPyConnection, behind: Behind) -> str:
    """Distinct values of a day, or of the week that ends on a Sunday of the segment."""
    segment, active = behind.item.segment, behind.charge.active
    assert active is not None
    until = min(segment.end, behind.item.known)
    on = "day" if active.per == "day" else "CAST(date_trunc('week', day) AS DATE) + 6"
    begins = segment.start if active.per == "day" else behind.item.active_from
    con.execute(
        f"DELETE FROM seen WHERE day < DATE '{begins}' OR {on} < DATE '{segment.start}' OR {on} >= DATE '{until}'"
    )
    if active.take == "max":
        con.execute(
            f"DELETE FROM seen WHERE {on} <> (SELECT {on} AS counted_on FROM seen GROUP BY ALL "
            "ORDER BY count(DISTINCT (value, dimensions)) DESC, counted_on LIMIT 1)"
        )
    return f"CASE WHEN {_FIRST.format(f'value, dimensions, {on}')} THEN 1 END"


def _windows(con: duckdb.DuckDBPyConnection, behind: Behind) -> str:
    """The window that set the mark, those of the days, or all of them; `audit.windows` has their first instants."""
    length = window_of(behind.charge, behind.meter)
    worth = {"max": "max(value)", "unique_count": "count(DISTINCT value)"}.get(behind.meter.aggregation, "sum(value)")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE seen AS SELECT seen.*, w.start_us FROM seen ASOF JOIN (SELECT start_us FROM "
        f"audit.windows WHERE length = '{length}') AS w ON seen.time_us >= w.start_us "
        f"WHERE time_us >= {behind.start_us}"
    )
    chosen = {"mark": "true", "daily_sum": "day", "each_window": "start_us"}[behind.measure]
    only = f"worth = {behind.line['measured']}" if behind.measure == "mark" else "worth <> 0"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE chosen AS SELECT start_us, worth FROM (SELECT start_us, min(day) AS day, "
        f"{worth} AS worth FROM seen GROUP BY start_us) WHERE {only} "
        f"QUALIFY row_number() OVER (PARTITION BY {chosen} ORDER BY worth DESC, start_us) = 1"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE seen AS SELECT * FROM seen JOIN chosen USING (start_us)")
    if behind.meter.aggregation == "max":
        return f"CASE WHEN value = worth AND {_FIRST.format('start_us, value')} THEN value END"
    return f"CASE WHEN {_FIRST.format('start_us, value')} THEN 1 END" if "DISTINCT" in worth else "value"


_SHARES = {
    "total": _value,
    "cells": _value,
    "events": _value,
    "running": _value,
    "seats": _value,
    "greatest": _one,
    "least": _one,
    "latest": _one,
    "reading": _one,
    "rank": _one,
    "unique": _unique,
    "active": _active,
    "mark": _windows,
    "daily_sum": _windows,
    "each_window": _windows,
}
"""By measure. Items, and marks of what lasts, have no share for single events: `can_share` says so."""


def can_share(behind: Behind) -> bool:
    """Whether what was measured can be told apart by events."""
    if behind.measure not in _SHARES or behind.meter.by_items or behind.meter.session is not None:
        return False
    return not (behind.meter.carried and behind.measure in ("mark", "daily_sum", "each_window", "greatest", "least"))
