"""The events that a meter takes, as lists and sums by customer. Read from the lake's lines, one meter at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import duckdb

from orchestration.audit.clock import Clock
from orchestration.audit.states import Reading, Series, series_of
from orchestration.catalog.meters import CARRIED, Meter
from orchestration.catalog.models import Credential
from orchestration.engine import load_rows
from orchestration.metering.compile import as_number, as_text, filter_sql, matches_sql, value_sql

ATTRIBUTED = (
    "CREATE OR REPLACE TEMP VIEW attributed AS SELECT e.*, r.endpoint, c.customer FROM lake.lines AS e "
    "LEFT JOIN audit.endpoints AS r ON r.feed = e.feed AND r.path = e.path "
    "AND r.method IS NOT DISTINCT FROM e.method "
    "ANTI JOIN lake.verdicts AS v ON e.file_id = v.file_id AND e.line = v.line "
    "JOIN audit.credentials AS c ON c.credential = e.credential AND (c.feed IS NULL OR c.feed = e.feed) "
    "AND e.time_us >= c.from_us AND e.time_us < c.to_us"
)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVER = 2**62


class Seen(NamedTuple):
    """A distinct value on a day."""

    value: str
    dimensions: str
    day: date


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def load_credentials(con: duckdb.DuckDBPyConnection, credentials: Iterable[Credential], scratch: Path) -> None:
    """Write `audit.credentials`: whose each is from an instant to another."""
    columns = {
        "credential": "VARCHAR",
        "customer": "VARCHAR",
        "feed": "VARCHAR",
        "from_us": "BIGINT",
        "to_us": "BIGINT",
    }

    rows = (
        {
            "credential": row.credential,
            "customer": row.customer,
            "feed": row.source,
            "from_us": -_EVER if row.valid_from is None else micros(row.valid_from),
            "to_us": _EVER if row.valid_to is None else micros(row.valid_to),
        }
        for row in credentials
    )
    load_rows(con, "audit.credentials", columns, rows, scratch)


def load_days(con: duckdb.DuckDBPyConnection, clocks: Mapping[str, Clock], scratch: Path) -> None:
    """Write `audit.days`: every local day with its first instant."""
    rows = (
        {"customer": customer, "day": day.isoformat(), "start_us": start}
        for customer, clock in sorted(clocks.items())
        for start, day in clock.days
    )
    load_rows(con, "audit.days", {"customer": "VARCHAR", "day": "DATE", "start_us": "BIGINT"}, rows, scratch)


def load_windows(
    con: duckdb.DuckDBPyConnection, clocks: Mapping[str, Clock], wanted: Iterable[tuple[str, str]], scratch: Path
) -> None:
    """Write `audit.windows`: the first instants of all windows of each wanted (customer, length)."""
    columns = {"customer": "VARCHAR", "length": "VARCHAR", "start_us": "BIGINT"}
    rows = (
        {"customer": customer, "length": length, "start_us": start}
        for customer, length in sorted(wanted)
        for start in clocks[customer].starts(length)
    )
    load_rows(con, "audit.windows", columns, rows, scratch)


def value_of(meter: Meter) -> str:
    """What an event of the meter says: a number, a text; NULL where it can't be measured."""
    if meter.value is not None and meter.aggregation in CARRIED:
        return as_number(meter.value)
    if meter.start is None:
        return f"({value_sql(meter)})"
    start, stop = filter_sql(meter.start), filter_sql(meter.stop)
    known = "TRUE" if meter.paired_by is None else f"nullif({as_text(meter.paired_by)}, '') IS NOT NULL"
    return (
        f"CAST(CASE WHEN {known} AND {start} <> {stop} THEN CASE WHEN {start} THEN 1 ELSE -1 END END AS DECIMAL(38, 9))"
    )


class Taken:
    """The measured events of one meter, from the view `attributed` of `con`. The next meter replaces what it reads."""

    def __init__(self, con: duckdb.DuckDBPyConnection, meter: Meter) -> None:
        self.con, self.meter = con, meter
        self._windows: dict[str, dict[str, dict[int, Decimal]]] = {}
        self._series: dict[str, list[Series]] = {}
        dimensions = ", ".join(as_text(name) for name in sorted(self.meter.dimensions))
        session = "NULL" if self.meter.paired_by is None else as_text(self.meter.paired_by)
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE taken AS SELECT customer, time_us, source, event_id, {value_of(self.meter)} "
            f"AS value, CAST(to_json([{dimensions}]) AS VARCHAR) AS dimensions, CAST({session} AS VARCHAR) AS session "
            f"FROM attributed WHERE {matches_sql(self.meter)}"
        )
        self.con.execute("DELETE FROM taken WHERE value IS NULL")

    @cached_property
    def totals(self) -> Mapping[str, Mapping[date, Decimal]]:
        """Sums by customer and local day."""
        rows = self.con.execute(
            "SELECT t.customer, d.day, CAST(sum(t.value) AS DECIMAL(38, 9)) FROM taken AS t ASOF JOIN audit.days AS d "
            "ON d.customer = t.customer AND t.time_us >= d.start_us GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        found: dict[str, dict[date, Decimal]] = defaultdict(dict)
        for customer, day, total in rows:
            found[customer][day] = total
        return found

    @cached_property
    def seen(self) -> Mapping[str, list[Seen]]:
        """Distinct values by customer."""
        rows = self.con.execute(
            "SELECT DISTINCT t.customer, t.value, t.dimensions, d.day FROM taken AS t ASOF JOIN audit.days AS d "
            "ON d.customer = t.customer AND t.time_us >= d.start_us ORDER BY ALL"
        ).fetchall()
        found: dict[str, list[Seen]] = defaultdict(list)
        for customer, *seen in rows:
            found[customer].append(Seen(*seen))
        return found

    def windows(self, length: str) -> Mapping[str, Mapping[int, Decimal]]:
        """Values by customer and first instant, of the windows that have an event."""
        if length in self._windows:
            return self._windows[length]
        function = {"max": "max(t.value)", "unique_count": "count(DISTINCT t.value)"}.get(
            self.meter.aggregation, "sum(t.value)"
        )
        rows = self.con.execute(
            f"SELECT t.customer, w.start_us, CAST({function} AS DECIMAL(38, 9)) FROM taken AS t "
            "ASOF JOIN (FROM audit.windows WHERE length = $1) AS w "
            "ON w.customer = t.customer AND t.time_us >= w.start_us GROUP BY ALL ORDER BY ALL",
            [length],
        ).fetchall()
        found = self._windows[length] = defaultdict(dict)
        for customer, start, value in rows:
            found[customer][start] = value
        return found

    @cached_property
    def readings(self) -> Mapping[str, list[Reading]]:
        """Every event by customer, in the order of (time, event key)."""
        rows = self.con.execute(
            "SELECT customer, time_us, source, event_id, value, dimensions, session FROM taken ORDER BY ALL"
        ).fetchall()
        found: dict[str, list[Reading]] = defaultdict(list)
        for customer, *reading in rows:
            found[customer].append(Reading(*reading))
        return found

    def series(self, customer: str) -> list[Series]:
        """What lasts of a customer."""
        if customer not in self._series:
            self._series[customer] = series_of(self.meter, self.readings.get(customer, []))
        return self._series[customer]
