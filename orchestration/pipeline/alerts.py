"""Alerts of a build to webhooks: incidents and thresholds of entitlements that no generation before it has told of.

They are posted just before the build is published, and the build says which were. Killed in between, the build is made
again and posts the same under the same key; what could not be posted is posted with the next generation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import duckdb

from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.catalog import Catalog
from orchestration.catalog.monitoring import Webhook
from orchestration.engine import connect, load_rows
from orchestration.money import decimal_text
from orchestration.pipeline.entitled import statuses
from orchestration.pipeline.incidents import figure, has_table
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.webhooks import post

MOST = 100
"""Alerts of a post: those of the latest incidents. It says how many more there are."""
ALERTS = {"hook": "VARCHAR", "alert": "VARCHAR", "posted": "BOOLEAN", "said": "VARCHAR"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Alert(NamedTuple):
    """What is told: its name for ever, the kind of an incident (empty for a threshold), and its fields."""

    key: str
    kind: str
    fields: dict[str, Any]


def post_alerts(
    con: duckdb.DuckDBPyConnection, instance: Instance, catalog: Catalog, now_us: int, report: Callable[[str], None]
) -> None:
    """Tell every webhook what is new in a build, and keep in `control.alerts` what was told. Raises nothing of its own:
    what a webhook doesn't take is reported."""
    watching = catalog.watched.monitoring
    con.execute("DROP TABLE IF EXISTS control.alerts")
    if watching is None or not watching.webhooks:
        return
    alerts = [*_incidents(con, watching.holds), *_thresholds(con, catalog, now_us)]
    told = _told(instance)
    rows: list[dict[str, Any]] = []
    for hook in watching.webhooks:
        wanted = [alert for alert in alerts if not hook.kinds or alert.kind in hook.kinds]
        new = [alert for alert in wanted if (hook.name, alert.key) not in told]
        why = post(hook.url_from, *message(hook, new)) if new else ""
        failed = {alert.key for alert in new} if why else set()
        rows += [
            {"hook": hook.name, "alert": a.key, "posted": a.key not in failed, "said": why if a.key in failed else ""}
            for a in wanted
        ]
        if new:
            report(_text(hook.name, len(new), why) if why else f"webhook '{hook.name}': {len(new)} alert(s) posted")
    load_rows(con, "control.alerts", ALERTS, rows, instance.scratch)


def message(hook: Webhook, new: Sequence[Alert]) -> tuple[bytes, str]:
    """The body and its key; the same alerts give the same of both."""
    shown = new[:MOST]
    body = {
        "hook": hook.name,
        "incidents": [alert.fields for alert in shown if alert.kind],
        "thresholds": [alert.fields for alert in shown if not alert.kind],
        "more": str(len(new) - len(shown)),
    }
    keys = sorted(alert.key for alert in new)
    return json.dumps(body, ensure_ascii=False).encode(), sha256_hex(canonical_bytes([hook.name, *keys]))


def unposted(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """What a generation could not tell, by webhook."""
    if _has_alerts(con):
        failed = "SELECT hook, count(*), max(said) FROM control.alerts WHERE NOT posted GROUP BY hook ORDER BY hook"
        yield from (_text(*row) for row in con.execute(failed).fetchall())


def _text(hook: str, count: int, why: str) -> str:
    return f"webhook '{hook}': {count} alert(s) not posted: {why}; the next generation tries again"


def _told(instance: Instance) -> set[tuple[str, str]]:
    """What the published generation, or one before it, has posted."""
    path = instance.published_db()
    if path is None:
        return set()
    with connect(path, temp=instance.scratch, read_only=True) as con:
        if not _has_alerts(con):
            return set()
        return set(con.execute("SELECT hook, alert FROM control.alerts WHERE posted").fetchall())


def _has_alerts(con: duckdb.DuckDBPyConnection) -> bool:
    return has_table(con, "control", "alerts")


def _incidents(con: duckdb.DuckDBPyConnection, holds: Sequence[str]) -> list[Alert]:
    """The latest first."""
    if not has_table(con, "marts", "incidents"):
        return []
    found = con.execute(
        "SELECT incident, customer, kind, first_us, last_us, alarms, observed, centre, lower, upper "
        "FROM marts.incidents ORDER BY last_us DESC, incident"
    ).fetchall()
    return [
        Alert(
            f"incident {incident}",
            kind,
            {
                "incident": incident,
                "customer": customer,
                "kind": kind,
                "first_hour": _utc(first_us),
                "last_hour": _utc(last_us),
                "alarms": str(alarms),
                **dict(zip(("observed", "centre", "lower", "upper"), map(figure, figures), strict=True)),
                "holds_drafts": kind in holds,
            },
        )
        for incident, customer, kind, first_us, last_us, alarms, *figures in found
    ]


def _thresholds(con: duckdb.DuckDBPyConnection, catalog: Catalog, now_us: int) -> Iterator[Alert]:
    """Thresholds of entitlements that are reached in their window."""
    if not catalog.watched.entitlements:
        return
    for item in statuses(con, catalog, now_us):
        row, state = item.entitlement, item.status
        fields = {
            "customer": item.customer,
            "subscription": item.subscription,
            "meter": row.meter,
            "kind": row.kind,
            "window_start": state.window.start.isoformat(),
            "window_end": state.window.end.isoformat(),
            "limit": decimal_text(state.limit),
        }
        for percent in state.alerts:
            named = fields | {"threshold_percent": str(percent)}
            used = {"used": decimal_text(state.used), "percent": str(state.percent)}
            yield Alert(f"threshold {sha256_hex(canonical_bytes(named))[:16]}", "", named | used)


def _utc(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")
