"""Quantities measured a second way: from single events by instants, without the warehouse, its models or its hours.

Days and windows are lists of instants made in Python and joined by order, not from offsets; what is measured is put
together in Python, state by state and value by value. An error in the models would have to be made here again, in
another form, to go unseen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from orchestration.audit.charged import Charged, Quantity, window_of
from orchestration.audit.clock import Clock
from orchestration.audit.endpoints import load_endpoints
from orchestration.audit.measuring import Part, measured
from orchestration.audit.taken import ATTRIBUTED, Taken, load_credentials, load_days, load_windows
from orchestration.catalog import Catalog
from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import FileRow
from orchestration.metering.compile import names_read
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.lakeview import create_line_views
from orchestration.metering.retractions import load_retractions


def requantify(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    charged: Sequence[Charged],
    lake: Path,
    files: Sequence[FileRow],
    scratch: Path,
) -> dict[str, list[Quantity]]:
    """The quantity of every charged segment, from the events of `files` in the folder `lake`.

    What the catalog reads and the files were read without has been extracted; what it retracts doesn't count.
    """
    load_conflicts(con, catalog, Lake(lake), files, scratch)
    load_retractions(con, catalog, Lake(lake), files, scratch)
    create_line_views(con, catalog, Lake(lake), [f for f in files if f.min_us is not None])
    load_endpoints(con, catalog.routes, scratch, needed="endpoint" in names_read(catalog.meters.values()))
    load_credentials(con, catalog.credentials, scratch)
    con.execute(ATTRIBUTED)
    clocks = _clocks(catalog, charged)
    load_days(con, clocks, scratch)
    load_windows(con, clocks, _wanted_windows(catalog, charged), scratch)
    found: dict[str, list[Quantity]] = {}
    for key, items in sorted(_by_meter(charged).items()):
        taken = Taken(con, catalog.meters[key])
        subscriptions: dict[str, list[Charged]] = defaultdict(list)
        for item in items:
            subscriptions[item.segment.subscription].append(item)
        for item in items:
            siblings = subscriptions[item.segment.subscription]
            if rows := measured(Part(item, taken, clocks[item.segment.customer], siblings)):
                found[item.line_id] = rows
    return found


def _by_meter(charged: Sequence[Charged]) -> dict[str, list[Charged]]:
    found: dict[str, list[Charged]] = defaultdict(list)
    for item in charged:
        if item.terms.charge.meter is not None:
            found[item.terms.charge.meter].append(item)
    return found


def _clocks(catalog: Catalog, charged: Sequence[Charged]) -> dict[str, Clock]:
    """By customer, from the first day of a segment to the end of the last, and the day after, which bounds it."""
    spans: dict[str, tuple[date, date]] = {}
    for item in charged:
        start, end = item.segment.start, item.segment.end
        first, last = spans.get(item.segment.customer, (start, end))
        spans[item.segment.customer] = (min(first, start), max(last, end))
    return {key: Clock(catalog.customers[key].zone, first, last) for key, (first, last) in sorted(spans.items())}


def _wanted_windows(catalog: Catalog, charged: Sequence[Charged]) -> set[tuple[str, str]]:
    """(customer, length) of the windows that hold events; what lasts is asked at their edges."""
    return {
        (item.segment.customer, length)
        for item in charged
        if (key := item.terms.charge.meter) is not None
        and not (meter := catalog.meters[key]).carried
        and (length := window_of(item.terms.charge, meter)) is not None
    }
