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
from orchestration.catalog.meters import Meter
from orchestration.engine import connect
from orchestration.errors import ConfigInvalid
from orchestration.exports.tables import write_table
from orchestration.metering.control import credential_rows
from orchestration.metering.planned import plan_segments
from orchestration.money import decimal_text
from orchestration.monitoring.entitlements import HISTORY_DAYS, Earned, How, Status, Window, status, window_on
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.state import read_state
from orchestration.pipeline.stored import line_days
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


class _Asked(NamedTuple):
    """An entitlement of a subscription, with its window and the customer's local day."""

    customer: str
    subscription: str
    entitlement: Entitlement
    window: Window
    today: date


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
    """The same from a build that has been priced, or a generation, at any now."""
    asked: dict[str, list[_Asked]] = defaultdict(list)
    for who, subscription, plan, today, period in _active(catalog, now_us):
        if customer is None or customer == who:
            for row in catalog.watched.entitlements:
                if row.plan == plan:
                    asked[row.meter].append(_Asked(who, subscription, row, window_on(row.per, today, period), today))
    found = [item for meter in sorted(asked) for item in _of_meter(con, catalog.meters[meter], asked[meter])]
    return sorted(found, key=lambda e: (e.customer, e.subscription, e.entitlement.meter, e.status.window))


def _active(catalog: Catalog, now_us: int) -> Iterator[tuple[str, str, str, date, Window]]:
    """(customer, subscription, plan, local day, billing period) of what is subscribed to now."""
    for segment, _ in plan_segments(catalog, now_us):
        today = local_date(catalog.customers[segment.customer].zone, now_us)
        if segment.start <= today < segment.end:
            period = Window(segment.period_start, segment.period_end)
            yield segment.customer, segment.subscription, segment.plan, today, period


def _of_meter(con: duckdb.DuckDBPyConnection, meter: Meter, asked: Sequence[_Asked]) -> Iterator[Entitled]:
    """The statuses of all subscriptions on one meter: a query for all of them costs what one for each would."""
    how: How = "max" if meter.aggregation == "max" else "sum"
    distinct = meter.aggregation == "unique_count"
    query = _FIRST_SEEN if distinct else _QUANTITIES[how]
    today = [a.today for a in asked]
    begin = [a.window.start for a in asked]
    since = [min(a.window.start, a.today - timedelta(days=HISTORY_DAYS)) for a in asked]
    used: dict[int, dict[date, Decimal]] = defaultdict(dict)
    for place, day, n in _spans(con, query, meter.key, asked, since, today):
        # In the window, values count that are new in it; before it, those that were new in the weeks before.
        if not distinct or day < begin[place]:
            used[place][day] = Decimal(n)
    for place, day, n in _spans(con, _FIRST_SEEN, meter.key, asked, begin, today) if distinct else ():
        used[place][day] = Decimal(n)
    earned: dict[int, list[Earned]] = defaultdict(list)
    ends = [a.window.end - timedelta(days=1) for a in asked]
    for place, day, currency, amount in _spans(con, _EARNED, meter.key, asked, begin, ends):
        earned[place].append(Earned(day, currency, Fraction(amount)))
    for place, (who, subscription, row, window, day) in enumerate(asked):
        state = status(window, day, row.limit, row.alerts, used[place], earned[place], how)
        yield Entitled(who, subscription, row, state)


def _spans(
    con: duckdb.DuckDBPyConnection,
    query: str,
    meter: str,
    asked: Sequence[_Asked],
    first: Sequence[date],
    last: Sequence[date],
) -> list[tuple[Any, ...]]:
    """Rows of a query over `spans`: the customers by their place, with the first and the last day of each."""
    customers = [a.customer for a in asked]
    return con.execute(query, [customers, first, last, meter]).fetchall()


_OVER = """
WITH spans AS (
    SELECT unnest(range(len($1))) AS place, unnest($1::VARCHAR[]) AS customer, unnest($2::DATE[]) AS first,
        unnest($3::DATE[]) AS last
)
"""
_DAYS = """FROM marts.usage_daily JOIN spans USING (customer)
WHERE meter = $4 AND local_day BETWEEN first AND last GROUP BY ALL ORDER BY ALL"""
_QUANTITIES: dict[How, str] = {
    "sum": f"{_OVER} SELECT place, local_day, sum(quantity) {_DAYS}",
    "max": f"{_OVER} SELECT place, local_day, max(quantity) {_DAYS}",
}
_FIRST_SEEN = f"""{_OVER}
SELECT place, first_day, count(*) FROM (
    SELECT place, min(local_day) AS first_day FROM metering.distinct_values JOIN spans USING (customer)
    WHERE meter = $4 AND local_day BETWEEN first AND last GROUP BY place, value_key
) GROUP BY ALL ORDER BY ALL
"""
_EARNED = f"""{_OVER}
SELECT place, local_day, currency, CAST(sum(earned) AS VARCHAR)
FROM ({line_days("(FROM record.rated_lines WHERE meter = $4)")}) JOIN spans USING (customer)
WHERE local_day BETWEEN first AND last GROUP BY ALL ORDER BY ALL
"""
"""The amounts of `marts.revenue_daily`, which a build has only after its prices."""


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
