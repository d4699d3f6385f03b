"""What `tallystick anomalies` reads and writes: the incidents of the published generation, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from orchestration.catalog import load_catalog
from orchestration.engine import connect
from orchestration.errors import ConfigInvalid, InputHeld
from orchestration.exports.tables import write_table
from orchestration.ledger.findings import Finding, findings
from orchestration.ledger.store import Ledger
from orchestration.pipeline.findings import find, record
from orchestration.pipeline.incidents import Known, figure, has_table, holds, local_hour, require_watched, standing
from orchestration.pipeline.instance import Instance
from orchestration.zones import DAY_US

EXPORT = {
    "incident": "VARCHAR",
    "customer": "VARCHAR",
    "kind": "VARCHAR",
    "first": "VARCHAR",
    "last": "VARCHAR",
    "first_us": "BIGINT",
    "last_us": "BIGINT",
    "alarms": "INTEGER",
    "observed": "DECIMAL(38, 9)",
    "centre": "DECIMAL(38, 9)",
    "lower": "DECIMAL(38, 9)",
    "upper": "DECIMAL(38, 9)",
    "label": "VARCHAR",
    "labelled_by": "VARCHAR",
    "hold": "VARCHAR",
    "decided_by": "VARCHAR",
    "gone": "BOOLEAN",
}
_ALARMS = "SELECT hour_us, observed, centre, lower, upper, z FROM marts.alarms WHERE incident = ? ORDER BY hour_us"
_UNUSUAL = "SELECT * FROM marts.unusual_hours WHERE customer = ? AND hour_us BETWEEN ? AND ? ORDER BY hour_us"
SCOPES = ("total", "endpoint", "credential", "customer", "customer_endpoint", "pipeline", "money")
_SERIES = """
SELECT moment_us, grain, scope, key, series, value, centre, lower, upper, z FROM marts.unusual_series
WHERE scope = coalesce($1, scope) AND key = coalesce($2, key) AND moment_us >= $3
ORDER BY moment_us DESC, grain, scope, key, series
"""


class Listed(NamedTuple):
    """Incidents, and the zone of each customer."""

    incidents: list[Known]
    zones: dict[str, str]

    def zone(self, customer: str) -> str:
        """Of a customer that the catalog no longer has, UTC."""
        return self.zones.get(customer, "UTC")

    def row(self, known: Known) -> dict[str, Any]:
        """An incident as it is exported; first and last hour also by the customer's clock, figures as text."""
        seen, zone = known.seen, self.zone(known.seen.customer)
        figures = {name: getattr(seen, name) or None for name in ("observed", "centre", "lower", "upper")}
        return {
            "incident": seen.incident,
            "customer": seen.customer,
            "kind": seen.kind,
            "first": local_hour(zone, seen.first_us),
            "last": local_hour(zone, seen.last_us),
            "first_us": seen.first_us,
            "last_us": seen.last_us,
            "alarms": known.alarms,
            **figures,
            "label": known.label and known.label.says,
            "labelled_by": known.label and known.label.by,
            "hold": known.hold or None,
            "decided_by": known.decision and known.decision.by,
            "gone": known.gone,
        }


class Detail(NamedTuple):
    """An incident hour by hour; what the detector of whole hours says of the same ones; what people said of it."""

    row: dict[str, Any]
    alarms: list[dict[str, Any]]
    unusual: list[dict[str, Any]]
    said: list[Finding]


def listed(instance: Instance, customer: str | None = None, kind: str | None = None, *, every: bool = False) -> Listed:
    """The open incidents of the published generation, or all of them.

    Raises ConfigInvalid where nothing is published or watched, or where the catalog has no such customer or kind.
    """
    catalog = load_catalog(instance.catalog)
    require_watched(catalog)
    watching = catalog.watched.monitoring
    for what, name, names in (
        ("customer", customer, catalog.customers),
        ("kind of incident", kind, watching.kinds if watching else ()),
    ):
        if name is not None and name not in names:
            raise ConfigInvalid(
                f"'{name}' is no {what} of the catalog",
                not_done="nothing was shown",
                next_step=f"name one of: {', '.join(sorted(names)[:12])}",
            )
    with (
        Ledger.open(instance.home, create=False) as ledger,
        connect(_published(instance), temp=instance.scratch, read_only=True) as con,
    ):
        found = standing(con, holds(catalog), ledger.journal())
    chosen = [
        row
        for row in found
        if customer in (None, row.seen.customer) and kind in (None, row.seen.kind) and (every or row.open)
    ]
    return Listed(chosen, {key: row.zone for key, row in catalog.customers.items()})


def detail(instance: Instance, name: str) -> Detail:
    """One incident, by the beginning of its id. Raises ConfigInvalid where none or several begin so."""
    found = listed(instance, every=True)
    known = find(found.incidents, name)
    seen, zone = known.seen, found.zone(known.seen.customer)
    with connect(_published(instance), temp=instance.scratch, read_only=True) as con:
        alarms = con.execute(_ALARMS, [seen.incident]).fetchall()
        asked = con.execute(_UNUSUAL, [seen.customer, seen.first_us, seen.last_us])
        names = [column[0] for column in asked.description]
        unusual = [dict(zip(names, row, strict=True)) for row in asked.fetchall()]
    hours: list[dict[str, Any]] = [
        {"hour": local_hour(zone, hour_us)}
        | {n: figure(v) or None for n, v in zip(("observed", "centre", "lower", "upper", "z"), figures, strict=True)}
        for hour_us, *figures in alarms
    ]
    odd = [
        {"hour": local_hour(zone, row.pop("hour_us"))} | {n: v for n, v in row.items() if n != "customer"}
        for row in unusual
    ]
    with Ledger.open(instance.home, create=False) as ledger:
        said = [f for f in findings(ledger.journal()) if f.seen.incident == seen.incident]
    return Detail(found.row(known), hours, odd, said)


def unusual(
    instance: Instance, scope: str | None = None, key: str | None = None, since: date | None = None
) -> list[dict[str, Any]]:
    """The moments of series that are beyond their past, of the published generation, the latest first; from a day of
    UTC on. Figures as text.

    Raises ConfigInvalid where nothing is published or watched, or where no series has such a scope, and InputHeld for
    a generation that was built before they were watched.
    """
    require_watched(load_catalog(instance.catalog))
    if scope not in (None, *SCOPES):
        raise ConfigInvalid(
            f"'{scope}' is no scope of series",
            not_done="nothing was shown",
            next_step=f"name one of: {', '.join(SCOPES)}",
        )
    since_us = (since - date(1970, 1, 1)).days * DAY_US if since else 0
    with connect(_published(instance), temp=instance.scratch, read_only=True) as con:
        if not has_table(con, "marts", "unusual_series"):
            raise InputHeld(
                "the published generation knows no unusual series: they weren't watched when it was built",
                where="monitoring.yaml",
                not_done="nothing was shown",
                next_step="run `tallystick run`, then ask again",
            )
        asked = con.execute(_SERIES, [scope, key, since_us])
        names = [column[0] for column in asked.description][5:]
        found = asked.fetchall()
    return [
        {"moment": local_hour("UTC", us), "moment_us": us, "grain": grain, "scope": of, "key": name, "series": series}
        | {n: figure(v) or None for n, v in zip(names, figures, strict=True)}
        for us, grain, of, name, series, *figures in found
    ]


def say(instance: Instance, name: str, says: str, by: str, reason: str, now_us: int) -> tuple[Finding, bool]:
    """Journal a label or a decision, as `record` does. The caller holds the instance's lock."""
    known = find(listed(instance, every=True).incidents, name)
    with Ledger.open(instance.home, create=False) as ledger:
        return record(ledger, load_catalog(instance.catalog), known, says, by, reason, now_us)


def write_incidents(instance: Instance, path: Path, found: Listed, rows: Sequence[Known]) -> None:
    """Write incidents as the suffix of `path` says: .csv, .parquet or .json."""
    write_table(path, EXPORT, [found.row(row) for row in rows], instance.scratch)


def _published(instance: Instance) -> Path:
    path = instance.published_db()
    if path is None:
        raise ConfigInvalid(
            "nothing has been published yet",
            not_done="nothing was shown or decided",
            next_step="run `tallystick run` first",
        )
    return path
