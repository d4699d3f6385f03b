"""The status of every entitlement at the now of the published generation, and the export that a gateway loads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from orchestration.catalog import Catalog, load_catalog
from orchestration.catalog.entitlements import Entitlement
from orchestration.engine import connect
from orchestration.errors import ConfigInvalid
from orchestration.exports.tables import write_table
from orchestration.metering.control import credential_rows
from orchestration.metering.planned import plan_segments
from orchestration.money import decimal_text
from orchestration.monitoring.entitlements import HISTORY_DAYS, Earned, How, Status, Window, status, window_on
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.state import read_state
from orchestration.zones import local_date, midnight_us

EXPORT = {
    "customer": "VARCHAR",
    "credential": "VARCHAR",
    "meter": "VARCHAR",
    "kind": "VARCHAR",
    "allowed": "BOOLEAN",
    "limit": "DECIMAL(38, 9)",
    "used": "DECIMAL(38, 9)",
    "remaining": "DECIMAL(38, 9)",
    "from_us": "BIGINT",
    "to_us": "BIGINT",
    "as_of_us": "BIGINT",
}


class Entitled(NamedTuple):
    """An entitlement of a customer's subscription, with its status."""

    customer: str
    subscription: str
    entitlement: Entitlement
    status: Status


def entitled(instance: Instance, customer: str | None = None) -> tuple[int, list[Entitled]]:
    """The published generation's now in microseconds UTC, and each entitlement of each subscription at it, by
    customer, subscription, meter and window.

    Raises ConfigInvalid where nothing is published, or the catalog has no entitlement.
    """
    catalog, path, state = load_catalog(instance.catalog), instance.published_db(), read_state(instance)
    if path is None or state is None or not catalog.watched.entitlements:
        unbuilt = path is None or state is None
        raise ConfigInvalid(
            "nothing has been published yet" if unbuilt else "the catalog has no entitlements",
            not_done="nothing was shown",
            next_step="run `tallystick run` first" if unbuilt else "write entitlements.yaml",
        )
    with connect(path, temp=instance.scratch, read_only=True) as con:
        return state.now_us, statuses(con, catalog, state.now_us, customer)


def statuses(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, now_us: int, customer: str | None = None
) -> list[Entitled]:
    """Each entitlement of each subscription at a now, from the marts of a generation or a build."""
    found = [
        Entitled(who, subscription, row, _status(con, catalog, who, row, today, period))
        for who, subscription, plan, today, period in _active(catalog, now_us)
        if customer is None or customer == who
        for row in catalog.watched.entitlements
        if row.plan == plan
    ]
    return sorted(found, key=lambda e: (e.customer, e.subscription, e.entitlement.meter, e.status.window))


def _active(catalog: Catalog, now_us: int) -> Iterator[tuple[str, str, str, date, Window]]:
    """(customer, subscription, plan, local day, billing period) of what is subscribed to now."""
    for segment, _ in plan_segments(catalog, now_us):
        today = local_date(catalog.customers[segment.customer].zone, now_us)
        if segment.start <= today < segment.end:
            period = Window(segment.period_start, segment.period_end)
            yield segment.customer, segment.subscription, segment.plan, today, period


def _status(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, customer: str, row: Entitlement, today: date, period: Window
) -> Status:
    window = window_on(row.per, today, period)
    aggregation = catalog.meters[row.meter].aggregation
    how: How = "max" if aggregation == "max" else "sum"
    since = min(window.start, today - timedelta(days=HISTORY_DAYS))
    wanted = [customer, row.meter, since, today]
    days = con.execute(_FIRST_SEEN if aggregation == "unique_count" else _QUANTITIES[how], wanted).fetchall()
    if aggregation == "unique_count":
        # In the window, values count that are new in it; before it, those that were new in the weeks before.
        new = con.execute(_FIRST_SEEN, [customer, row.meter, window.start, today]).fetchall()
        days = [pair for pair in days if pair[0] < window.start] + new
    amounts = con.execute(_EARNED, [customer, row.meter, window.start, window.end]).fetchall()
    earned = [Earned(day, currency, Fraction(amount)) for day, currency, amount in amounts]
    return status(window, today, row.limit, row.alerts, {day: Decimal(n) for day, n in days}, earned, how)


_DAYS = "FROM marts.usage_daily WHERE customer = ? AND meter = ? AND local_day >= ? AND local_day <= ? GROUP BY ALL"
_QUANTITIES: dict[How, str] = {
    "sum": f"SELECT local_day, sum(quantity) {_DAYS}",
    "max": f"SELECT local_day, max(quantity) {_DAYS}",
}
_FIRST_SEEN = """
SELECT first_day, count(*) FROM (
    SELECT min(local_day) AS first_day FROM metering.distinct_values
    WHERE customer = ? AND meter = ? AND local_day >= ? AND local_day <= ? GROUP BY value_key
) GROUP BY first_day
"""
_EARNED = """
SELECT local_day, currency, CAST(sum(amount) AS VARCHAR) FROM marts.revenue_daily
WHERE customer = ? AND meter = ? AND local_day >= ? AND local_day < ? GROUP BY ALL ORDER BY ALL
"""


def export_rows(catalog: Catalog, now_us: int, found: Sequence[Entitled]) -> Iterator[dict[str, Any]]:
    """A row for each credential of a customer that is valid now and each of its entitlements; decimals as text.

    `allowed` is false where a hard limit is used up. What is used is that of the customer, not of the credential.
    """
    valid: dict[str, set[str]] = defaultdict(set)
    for known in credential_rows(catalog.credentials):
        if known["from_us"] <= now_us < known["to_us"]:
            valid[known["customer"]].add(known["credential"])
    for item in found:
        zone = catalog.customers[item.customer].zone
        row, state = item.entitlement, item.status
        for credential in sorted(valid[item.customer]):
            yield {
                "customer": item.customer,
                "credential": credential,
                "meter": row.meter,
                "kind": row.kind,
                "allowed": row.kind == "soft" or state.remaining > 0,
                "limit": decimal_text(state.limit),
                "used": decimal_text(state.used),
                "remaining": decimal_text(state.remaining),
                "from_us": midnight_us(zone, state.window.start),
                "to_us": midnight_us(zone, state.window.end),
                "as_of_us": now_us,
            }


def write_entitlements(instance: Instance, path: Path, now_us: int, found: Sequence[Entitled]) -> None:
    """Write the export as the suffix of `path` says; whole or not at all. Raises ConfigInvalid for another name."""
    write_table(path, EXPORT, list(export_rows(load_catalog(instance.catalog), now_us, found)), instance.scratch)
