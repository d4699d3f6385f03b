"""Quantities measured a second way: from single events by instants, without the warehouse, its models or its hours.

Days and hours come from lists of instants made in Python and joined by order, not from offsets; sums per line are put
together in Python. An error in the models would have to be made here again, in another form, to go unseen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from orchestration.audit.endpoints import load_endpoints
from orchestration.catalog import Catalog
from orchestration.closing.rated import Quantities
from orchestration.engine import load_rows
from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import FileRow
from orchestration.metering.compile import matches_sql, names_read, value_sql
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.control import CREDENTIALS, ChargedSegment, credential_rows, measure_of
from orchestration.metering.lakeview import create_line_views
from orchestration.metering.retractions import load_retractions
from orchestration.zones import bucket_start, local_date, midnight_us

_QUARTER_US = 900_000_000
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Measured:
    """By (customer, meter): sums by day; values by (day, window start); days on which a distinct value was seen."""

    days: dict[Key, dict[date, Decimal]]
    windows: dict[Key, dict[tuple[date, int], Decimal]]
    users: dict[Key, dict[str, list[date]]]


def requantify(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    charged: Sequence[ChargedSegment],
    lake: Path,
    files: Sequence[FileRow],
    scratch: Path,
) -> Quantities:
    """The quantity of every charged segment, from the events of `files` in the folder `lake`.

    What the catalog reads and the files were read without has been extracted; what it retracts doesn't count.
    """
    load_conflicts(con, catalog, Lake(lake), files, scratch)
    load_retractions(con, catalog, Lake(lake), files, scratch)
    create_line_views(con, catalog, Lake(lake), [f for f in files if f.min_us is not None])
    load_endpoints(con, catalog.routes, scratch, needed="endpoint" in names_read(catalog.meters.values()))
    load_rows(con, "audit.credentials", CREDENTIALS, credential_rows(catalog.credentials), scratch)
    spans = _spans(charged)
    load_rows(
        con, "audit.days", {"customer": "VARCHAR", "day": "DATE", "start_us": "BIGINT"}, _days(catalog, spans), scratch
    )
    hourly = {c.segment.customer for c in charged if c.terms.charge.watermark is not None}
    hours = _hours(catalog, {k: v for k, v in spans.items() if k in hourly})
    load_rows(con, "audit.hours", {"customer": "VARCHAR", "bucket_us": "BIGINT"}, hours, scratch)
    measured = _measure(con, catalog)
    firsts = _first_days(catalog, charged, measured)
    return {item.line_id: rows for item in charged if (rows := _quantity(catalog, item, measured, firsts))}


def _spans(charged: Sequence[ChargedSegment]) -> dict[str, tuple[date, date]]:
    spans: dict[str, tuple[date, date]] = {}
    for item in charged:
        start, end = item.segment.start, item.segment.end
        first, last = spans.get(item.segment.customer, (start, end))
        spans[item.segment.customer] = (min(first, start), max(last, end))
    return spans


def _days(catalog: Catalog, spans: dict[str, tuple[date, date]]) -> Iterator[dict[str, Any]]:
    """Every local day that exists, with its first instant; the day after the last bounds it."""
    for customer, (first, last) in sorted(spans.items()):
        zone, day = catalog.customers[customer].zone, first
        while day <= last:
            start_us = midnight_us(zone, day)
            if local_date(zone, start_us) == day:
                yield {"customer": customer, "day": day.isoformat(), "start_us": start_us}
            day += timedelta(days=1)


def _hours(catalog: Catalog, spans: dict[str, tuple[date, date]]) -> Iterator[dict[str, Any]]:
    """Every instant at which the local clock shows a full hour, found by asking the clock each quarter of an hour."""
    for customer, (first, last) in sorted(spans.items()):
        zone = catalog.customers[customer].zone
        start, end = midnight_us(zone, first), midnight_us(zone, last)
        for bucket in sorted({bucket_start(zone, us) for us in range(start, end, _QUARTER_US)}):
            yield {"customer": customer, "bucket_us": bucket}


def _measure(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> Measured:
    """All meters, one after the other, from attributed events."""
    con.execute(
        "CREATE OR REPLACE TEMP VIEW attributed AS SELECT e.*, r.endpoint, c.customer FROM lake.lines AS e "
        "LEFT JOIN audit.endpoints AS r ON r.feed = e.feed AND r.path = e.path "
        "AND r.method IS NOT DISTINCT FROM e.method "
        "ANTI JOIN lake.verdicts AS v ON e.file_id = v.file_id AND e.line = v.line "
        "JOIN audit.credentials AS c ON c.credential = e.credential AND (c.feed IS NULL OR c.feed = e.feed) "
        "AND e.time_us >= c.from_us AND e.time_us < c.to_us"
    )
    measured = Measured(defaultdict(dict), defaultdict(dict), defaultdict(lambda: defaultdict(list)))
    for key, meter in sorted(catalog.meters.items()):
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE taken AS SELECT e.customer, d.day, e.time_us, {value_sql(meter)} AS value "
            f"FROM attributed AS e ASOF JOIN audit.days AS d ON d.customer = e.customer AND e.time_us >= d.start_us "
            f"WHERE {matches_sql(meter)}"
        )
        if meter.aggregation == "unique_count":
            rows = con.execute("SELECT DISTINCT customer, value, day FROM taken WHERE value IS NOT NULL ORDER BY ALL")
            for customer, value, day in rows.fetchall():
                measured.users[customer, key][value].append(day)
            continue
        rows = con.execute("SELECT customer, day, sum(value)::DECIMAL(38, 9) FROM taken GROUP BY ALL ORDER BY ALL")
        for customer, day, total in rows.fetchall():
            if total is not None:
                measured.days[customer, key][day] = total
        function = "max" if meter.aggregation == "max" else "sum"
        rows = con.execute(
            f"SELECT t.customer, t.day, h.bucket_us, {function}(t.value)::DECIMAL(38, 9) FROM taken AS t "
            "ASOF JOIN audit.hours AS h ON h.customer = t.customer AND t.time_us >= h.bucket_us "
            "WHERE t.value IS NOT NULL GROUP BY ALL ORDER BY ALL"
        )
        for customer, day, bucket, value in rows.fetchall():
            measured.windows[customer, key][day, bucket] = value
    return measured


def _first_days(
    catalog: Catalog, charged: Sequence[ChargedSegment], measured: Measured
) -> dict[tuple[str, str, date], dict[str, date]]:
    """By (subscription, meter, period): the first active day of each distinct value."""
    firsts: dict[tuple[str, str, date], dict[str, date]] = defaultdict(dict)
    for item in charged:
        meter, segment = item.terms.charge.meter, item.segment
        if meter is None or measure_of(item.terms.charge, catalog.meters[meter].aggregation) != "unique":
            continue
        seen = firsts[segment.subscription, meter, segment.period_start]
        for value, days in measured.users[segment.customer, meter].items():
            active = [day for day in days if segment.start <= day < segment.end]
            if active:
                seen[value] = min(min(active), seen.get(value, date.max))
    return firsts


def _quantity(
    catalog: Catalog,
    item: ChargedSegment,
    measured: Measured,
    firsts: dict[tuple[str, str, date], dict[str, date]],
) -> list[tuple[date, Decimal, int | None]]:
    meter, segment = item.terms.charge.meter, item.segment
    if meter is None:
        return []
    key, aggregation = (segment.customer, meter), catalog.meters[meter].aggregation
    measure = measure_of(item.terms.charge, aggregation)
    if measure == "total":
        sums = measured.days[key]
        return [(day, sums[day], None) for day in sorted(sums) if segment.start <= day < segment.end]
    if measure == "unique":
        seen = firsts[segment.subscription, meter, segment.period_start].values()
        counts = Counter(day for day in seen if segment.start <= day < segment.end)
        return [(day, Decimal(counts[day]), None) for day in sorted(counts)]
    inside = {w: v for w, v in measured.windows[key].items() if segment.start <= w[0] < segment.end}
    return _mark(inside if measure == "1h" else _by_day(inside, greatest=aggregation == "max"))


def _by_day(windows: dict[tuple[date, int], Decimal], *, greatest: bool) -> dict[tuple[date, int], Decimal]:
    """Hours to days; a day starts with its first hour that has a value."""
    grouped: dict[date, dict[int, Decimal]] = defaultdict(dict)
    for (day, bucket), value in windows.items():
        grouped[day][bucket] = value
    return {
        (day, min(hours)): max(hours.values()) if greatest else sum(hours.values(), Decimal(0))
        for day, hours in grouped.items()
    }


def _mark(windows: dict[tuple[date, int], Decimal]) -> list[tuple[date, Decimal, int | None]]:
    """The greatest window, the earliest of equals."""
    if not windows:
        return []
    (day, start), value = min(windows.items(), key=lambda item: (-item[1], item[0][1]))
    return [(day, value, start)]
