"""Series by five minutes, each judged by its own past alone: all requests, and those of the busiest endpoints.

What happens within minutes drowns in an hour. There are too few days to know each five minutes of a week, so that this
is the work of the detector that needs none: `deviation`, by the hour of the day.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np

from orchestration.monitoring.alarms import onsets
from orchestration.monitoring.deviation import THRESHOLD, scores
from orchestration.monitoring.series import Flags, Floats, Whole, hour_of_day
from orchestration.pipeline.unusual import LEAST_LATENCIES
from orchestration.pipeline.watched import HOUR, columns_of, delivered
from orchestration.zones import DAY_US, HOUR_US, SECOND_US

GRAIN = "5m"
STEP_US = 300 * SECOND_US
DAYS = 28
"""Of the past, and up to six more: it begins on a Monday of UTC, so that runs of a week look at the same one."""
WARM_UP = 7 * DAY_US // STEP_US
"""Known moments of a series before anything is said of it: a week."""
ENDPOINTS = 200
LEAST_COUNT = 10.0
"""By how many a count has to differ from its usual: the first error in weeks is far off, and no matter."""
SILENT = HOUR_US // STEP_US
_COUNTS = ("requests", "server_errors", "refused", "denied")
_LATENCY = "latency_p95_us"


def unusual_five_minutes(con: duckdb.DuckDBPyConnection, now_us: int) -> tuple[int, list[dict[str, Any]]]:
    """How many series were looked at, and the first moment of each time in which one was beyond its past.

    A series is silent until it was within its past for an hour. Of what no source has delivered, nothing is known.
    """
    today = now_us // DAY_US
    con.execute(_WINDOWS, [(today - (today + 3) % 7 - DAYS) * DAY_US, now_us // STEP_US * STEP_US])
    [(first,)] = con.execute("SELECT min(moment_us) FROM five_minutes").fetchall()
    if first is None:
        return 0, []
    moments = np.arange(first, now_us // STEP_US * STEP_US, STEP_US, dtype=np.int64)
    con.execute(_LOOKED_AT, [len(moments), ENDPOINTS])
    keys = con.execute("SELECT scope, key FROM single_series ORDER BY place").fetchall()
    values = np.concatenate([*_counts(con, moments, len(keys)), _latencies(con, moments, len(keys))], axis=1)
    [(last,)] = con.execute("SELECT coalesce(max(max_us), 0) FROM record.files").fetchall()
    # What comes after the last file may still be on its way.
    values[~_reached(con, moments) | (moments > last)] = np.nan
    names = [(*key, series) for series in (*_COUNTS, _LATENCY) for key in keys]
    # Most endpoints never fail: what was 0 all the time can't be beyond its past.
    some = np.flatnonzero(np.nan_to_num(values).any(axis=0))
    return len(names), list(_found([names[n] for n in some.tolist()], values[:, some], moments, last))


def _counts(con: duckdb.DuckDBPyConnection, moments: Whole, keys: int) -> Iterator[Floats]:
    """Moments x keys of each count: 0 where there is no row since the first one."""
    at, places, *counts = columns_of(con, _VALUES, [])
    rows = (at - moments[0]) // STEP_US
    first = np.full(keys, len(moments))
    np.minimum.at(first, places, rows)
    for counted in counts:
        out = np.where(np.arange(len(moments))[:, None] >= first, 0.0, np.nan)
        out[rows, places] = counted.astype(np.float64)
        yield out


def _latencies(con: duckdb.DuckDBPyConnection, moments: Whole, keys: int) -> Floats:
    at, places, latencies = columns_of(con, _LATENCIES, [])
    out = np.full((len(moments), keys), np.nan)
    out[(at - moments[0]) // STEP_US, places] = latencies
    return out


def _reached(con: duckdb.DuckDBPyConnection, moments: Whole) -> Flags:
    """The moments of hours into which a file reaches."""
    hours = np.arange(moments[0] // HOUR_US, moments[-1] // HOUR_US + 1, dtype=np.int64) * HOUR
    reached = np.any([np.zeros(len(hours), dtype=np.bool_), *delivered(con, hours).values()], axis=0)
    return np.asarray(reached[moments // HOUR_US - moments[0] // HOUR_US], dtype=np.bool_)


def _found(names: list[tuple[str, str, str]], values: Floats, moments: Whole, last: int) -> Iterator[dict[str, Any]]:
    slots = hour_of_day(moments // SECOND_US)
    score = scores(values, np.broadcast_to(slots[:, None], values.shape))
    signals = (score >= THRESHOLD) & (np.cumsum(np.isfinite(values), axis=0) > WARM_UP)
    centres: dict[tuple[int, int], float] = {}
    for row, column in np.argwhere(signals).tolist():
        centre = centres[row, column] = float(np.nanmean(values[:row, column][slots[:row] == slots[row]]))
        more = float(values[row, column]) - centre
        # The moment in which the last file ends may not be whole yet: more than usual is said of it, less isn't.
        ends = moments[row] + STEP_US > last
        if names[column][-1] in _COUNTS and (more if ends else abs(more)) < LEAST_COUNT:
            signals[row, column] = False
    for row, column in np.argwhere(onsets(signals, SILENT)).tolist():
        scope, key, series = names[column]
        yield {
            "scope": scope,
            "key": key,
            "series": series,
            "grain": GRAIN,
            "moment_us": int(moments[row]),
            "value": float(values[row, column]),
            "centre": centres[row, column],
            # The detector has a threshold for scores, and no limits in the unit of the series.
            "lower": np.nan,
            "upper": np.nan,
            "z": float(score[row, column]),
        }


_WINDOWS = f"""
CREATE OR REPLACE TEMP TABLE five_minutes AS
SELECT CASE WHEN scope = 'customer' THEN 'total' ELSE scope END AS scope, coalesce(endpoint, '') AS key,
    divide(moment_us, {STEP_US}) * {STEP_US} AS moment_us, sum(latency_events) AS latency_events,
    {", ".join(f"sum({name}) AS {name}" for name in _COUNTS)}
FROM metering.watched_series
WHERE grain = '{GRAIN}' AND scope IN ('customer', 'endpoint') AND moment_us >= $1 AND moment_us < $2 GROUP BY ALL
"""
_LOOKED_AT = """
CREATE OR REPLACE TEMP TABLE single_series AS
SELECT scope, key, row_number() OVER (ORDER BY scope DESC, requests DESC, key) - 1 AS place
FROM (SELECT scope, key, sum(requests) AS requests FROM five_minutes GROUP BY ALL)
WHERE scope = 'total' OR requests >= $1 QUALIFY place <= $2
"""
_VALUES = f"""
SELECT moment_us, place, {", ".join(_COUNTS)}
FROM five_minutes JOIN single_series USING (scope, key)
"""
_LATENCIES = f"""
SELECT each.moment_us, place, {_LATENCY}
FROM five_minutes AS each JOIN single_series USING (scope, key) JOIN metering.latency_series AS latency
    ON latency.scope = each.scope AND coalesce(latency.endpoint, '') = each.key AND latency.grain = '{GRAIN}'
    AND latency.moment_us = each.moment_us
WHERE latency_events >= {LEAST_LATENCIES}
"""
