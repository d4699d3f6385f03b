"""Checks on what is watched. They block nothing: what they find is for a person to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.assets import metadata
from orchestration.assets.build import incidents
from orchestration.engine import connect
from orchestration.pipeline.instance import Instance
from orchestration.resources.instance import TallystickInstance

_UNLABELLED = """
SELECT incident, customer, kind, make_timestamp(first_us), alarms FROM marts.incidents WHERE label IS NULL
ORDER BY first_us, incident
"""
_UNWATCHED = """
SELECT DISTINCT customer FROM metering.requests_daily
WHERE local_day BETWEEN CAST(make_timestamp($1) AS DATE) - 11 AND CAST(make_timestamp($1) AS DATE) - 2
    AND EXISTS (FROM control.watching)
EXCEPT SELECT customer FROM marts.control_charts WHERE series = 'requests' ORDER BY customer
"""
_UNLIKE = """
SELECT make_timestamp(day_us)::DATE AS day, policy AS whose, missed AS requests, 'let through beyond the limit' AS what
FROM marts.throttle_days WHERE missed > 0
UNION ALL SELECT make_timestamp(day_us)::DATE, customer, undue, 'refused within every limit'
FROM marts.gateway_refusals WHERE undue > 0
ORDER BY ALL
"""
_HAMMERING = """
SELECT customer, agent AS what, retries, refused_again || ' refused again' AS told
FROM marts.client_backoff WHERE kind = 'immediate'
UNION ALL SELECT '', endpoint, retries, 'of ' || requests || ' requests in a minute' FROM marts.retry_storms
ORDER BY retries DESC, customer, what
"""


@dg.asset_check(asset=incidents, description="Somebody has said of each new incident whether it is real.")
def incidents_are_labelled(
    context: dg.AssetCheckExecutionContext, tallystick: TallystickInstance
) -> dg.AssetCheckResult:
    """Warn of incidents without a label that the generation published before doesn't have."""
    instance = tallystick.context(context).instance
    known = {row[0] for row in _rows(instance, instance.published_db(), _UNLABELLED)}
    found = [row for row in _rows(instance, _latest(instance), _UNLABELLED) if row[0] not in known]
    heads = ["incident", "customer", "kind", "first hour (UTC)", "alarms"]
    shown = metadata.table(heads, found[: metadata.PREVIEW_ROWS])
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unlabelled": len(found), "preview": shown},
    )


@dg.asset_check(asset=incidents, description="Each customer with requests in the last days has a chart of them.")
def watching_covers_every_customer(
    context: dg.AssetCheckExecutionContext, tallystick: TallystickInstance
) -> dg.AssetCheckResult:
    """Warn of customers whose requests nobody watches, where usage is watched at all."""
    working = tallystick.context(context)
    latest = _latest(working.instance)
    found = [row[0] for row in _rows(working.instance, latest, _UNWATCHED, [working.now_us])]
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unwatched": len(found), "preview": metadata.table(["customer"], [[key] for key in found])},
    )


@dg.asset_check(asset=incidents, description="The gateway has refused what throttling.yaml refuses, and nothing else.")
def gateway_keeps_its_limits(
    context: dg.AssetCheckExecutionContext, tallystick: TallystickInstance
) -> dg.AssetCheckResult:
    """Warn of days of the replay with missed or undue refusals."""
    return _told(
        tallystick.context(context).instance, _UNLIKE, ["day", "policy or customer", "requests", "what"], "unlike"
    )


@dg.asset_check(asset=incidents, description="No client that is refused comes back at once, and no retry storm.")
def clients_back_off(context: dg.AssetCheckExecutionContext, tallystick: TallystickInstance) -> dg.AssetCheckResult:
    """Warn of clients that hammer and of retry storms, as of the replayed days."""
    heads = ["customer", "user agent or endpoint", "retries", ""]
    return _told(tallystick.context(context).instance, _HAMMERING, heads, "hammering")


def _told(instance: Instance, query: str, heads: Sequence[str], name: str) -> dg.AssetCheckResult:
    found = _rows(instance, _latest(instance), query)
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={name: len(found), "preview": metadata.table(heads, found[: metadata.PREVIEW_ROWS])},
    )


def _latest(instance: Instance) -> Path | None:
    """The open build; where there was nothing to build, the published generation."""
    return instance.build_db if instance.build_db.exists() else instance.published_db()


def _rows(instance: Instance, path: Path | None, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """None of a generation that has no incidents: an earlier program made it."""
    if path is None:
        return []
    with connect(path, temp=instance.scratch, read_only=True) as con:
        if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'client_backoff'").fetchall():
            return []
        return con.execute(query, list(parameters)).fetchall()
