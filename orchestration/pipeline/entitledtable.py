"""The status of entitlements, and what is deprecated, put into a build after pricing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.entitlements import FILE as ENTITLEMENTS
from orchestration.engine import load_rows
from orchestration.money import decimal_text
from orchestration.pipeline.entitled import Entitled, statuses

QUANTITY = "DECIMAL(38, 9)"
ENTITLEMENT_STATUS = {
    "customer": "VARCHAR",
    "subscription": "VARCHAR",
    "plan": "VARCHAR",
    "meter": "VARCHAR",
    "per": "VARCHAR",
    "kind": "VARCHAR",
    "window_start": "DATE",
    "window_end": "DATE",
    "limit": QUANTITY,
    "used": QUANTITY,
    "remaining": QUANTITY,
    "percent": "INTEGER",
    "alerts": "INTEGER[]",
    "reached": "DATE",
    "forecast": "DATE",
    "over": QUANTITY,
    "overage": "MAP(VARCHAR, VARCHAR)",
}
DEPRECATED = {"endpoint": "VARCHAR"}
DEPRECATED_CLIENTS = {"name": "VARCHAR"}


def load_entitled(con: duckdb.DuckDBPyConnection, catalog: Catalog, now_us: int, scratch: Path) -> None:
    """Write `record.entitlement_status`, `deprecated_endpoints` and `deprecated_clients` where the catalog asks for it.

    A status that it no longer asks for is taken away: without its file its view is not built again.
    """
    if ENTITLEMENTS in catalog.files:
        rows = map(status_row, statuses(con, catalog, now_us))
        load_rows(con, "record.entitlement_status", ENTITLEMENT_STATUS, rows, scratch)
    else:
        con.execute("DROP VIEW IF EXISTS marts.entitlement_status; DROP TABLE IF EXISTS record.entitlement_status")
    row = catalog.watched.monitoring
    if row is not None:
        endpoints = ({"endpoint": endpoint} for endpoint in sorted(set(row.deprecated)))
        load_rows(con, "record.deprecated_endpoints", DEPRECATED, endpoints, scratch)
        clients = ({"name": name} for name in sorted(set(row.deprecated_clients)))
        load_rows(con, "record.deprecated_clients", DEPRECATED_CLIENTS, clients, scratch)


def status_row(item: Entitled) -> dict[str, Any]:
    """An entitlement's status as a row: numbers as text, amounts to four places by currency."""
    row, state = item.entitlement, item.status
    return {
        "customer": item.customer,
        "subscription": item.subscription,
        "plan": row.plan,
        "meter": row.meter,
        "per": row.per,
        "kind": row.kind,
        "window_start": state.window.start.isoformat(),
        "window_end": state.window.end.isoformat(),
        "limit": decimal_text(state.limit),
        "used": decimal_text(state.used),
        "remaining": decimal_text(state.remaining),
        "percent": state.percent,
        "alerts": list(state.alerts),
        "reached": None if state.reached is None else state.reached.isoformat(),
        "forecast": None if state.forecast is None else state.forecast.isoformat(),
        "over": decimal_text(state.over),
        "overage": {currency: four_places(amount) for currency, amount in state.overage.items()},
    }


def four_places(amount: Fraction) -> str:
    """A share of lines that are rounded as wholes: never below 0."""
    scaled = round(amount * 10_000)
    return f"{scaled // 10_000}.{scaled % 10_000:04}"
