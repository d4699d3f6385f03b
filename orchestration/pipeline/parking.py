"""Customers who wait: their data fails a check, so their invoice would be a guess. Nobody else waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb

from orchestration.billing.due import Group
from orchestration.catalog import Catalog

_UNMEASURED = """
WITH without_price AS (
    SELECT q.line_id, s.customer, q.local_day, s.meter, sum(q.events) AS events
    FROM marts.charge_quantities AS q JOIN control.segments AS s USING (line_id)
    WHERE q.part = 'unmeasured' AND (
        json_extract_string(q.cell, '$.' || s.currency_field) IS NOT DISTINCT FROM s.currency
        -- An amount in the currency of another subscription that prices the meter is on the line of that one.
        OR NOT EXISTS (
            SELECT 1 FROM control.segments AS other
            WHERE other.customer = s.customer AND other.meter = s.meter
            AND other.currency = json_extract_string(q.cell, '$.' || s.currency_field)
            AND q.local_day >= other.start_day AND q.local_day < other.end_day
        )
    )
    GROUP BY ALL
)
SELECT customer, local_day, meter, sum(events) FROM (
    SELECT customer, local_day, meter, events FROM metering.unmeasured_daily WHERE aggregation <> 'unique_count'
    UNION ALL
    SELECT customer, local_day, meter, max(events) FROM without_price GROUP BY ALL
) GROUP BY ALL ORDER BY customer, meter, local_day
"""
"""Events of a day that a meter can't measure, and those that it measures but that no price takes."""


def unmeasured(con: duckdb.DuckDBPyConnection) -> list[tuple[str, date, str, int]]:
    """Customer, local day, meter and number of events that are not measured, or that no price takes."""
    return con.execute(_UNMEASURED).fetchall()


def parked(con: duckdb.DuckDBPyConnection, catalog: Catalog, groups: Sequence[Group], cut_off: date) -> dict[str, str]:
    """Reason by customer, over the days of the lines that are due; from the marts of a generation."""
    first: dict[str, date] = {}
    for group in groups:
        # An adjustment is no usage, and says nothing about the days of it.
        for begins in (due.line.start for due in group.lines if due.line.kind != "adjustment"):
            first[group.customer] = min(begins, first.get(group.customer, begins))
    reasons: dict[str, list[str]] = {}
    for customer, day, meter, events in unmeasured(con):
        if customer in first and first[customer] <= day < cut_off and events > catalog.settings.unmeasured_limit:
            reasons.setdefault(customer, []).append(f"{events} unmeasured event(s) for '{meter}' on {day}")
    for customer, day, source, event_id in con.execute(
        "SELECT customer, utc_day, source, event_id FROM marts.conflicts "
        "WHERE status = 'open' AND customer IS NOT NULL ORDER BY customer, utc_day, source, event_id"
    ).fetchall():
        # A UTC day may be one day off the local one: a conflict at the edge parks rather than slips through.
        if customer in first and (first[customer] - day).days <= 1 and (day - cut_off).days < 1:
            reasons.setdefault(customer, []).append(f"conflict on event '{event_id}' of '{source}' on {day}")
    return {customer: "; ".join(_first(found)) for customer, found in sorted(reasons.items())}


def _first(found: list[str]) -> list[str]:
    shown = 3
    return found if len(found) <= shown else [*found[:shown], f"and {len(found) - shown} more"]
