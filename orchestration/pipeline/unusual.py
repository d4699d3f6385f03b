"""What is unusual beside the kinds of incident: hours as a whole, and series that belong to no customer alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np
from threadpoolctl import threadpool_limits

from orchestration.errors import InputHeld
from orchestration.monitoring import multivariate
from orchestration.monitoring.baseline import COUNT, PRICE, Unit, expect
from orchestration.monitoring.incidents import RATE, WIDTH, Judged, side_by_side
from orchestration.monitoring.screen import discovered, screen
from orchestration.monitoring.series import Floats, Whole, day_type, hour_of_week
from orchestration.pipeline.stored import line_days
from orchestration.pipeline.watched import BESIDE, WEEKS, Hours, columns_of, delivered, since_us
from orchestration.zones import DAY_US, HOUR_US, SECOND_US

DECIMALS = 9
PLACES = 10_000
"""Series whose values are fetched together."""
LESSONS = 1_000_000
"""Customer-hours that a model learns from, about."""
DAY_WARM_UP = 21
LEAST_LATENCIES = 20
"""Of fewer, a percentile tells little."""
_COUNTS = ("requests", "client_errors", "server_errors", "refused")


class Crowd(NamedTuple):
    """Hours of some customers as a whole: what those before a month teach, and the residuals of the later ones."""

    keys: tuple[str, ...]
    begins: Whole
    lessons: Floats
    later: dict[str, Floats]


def crowd_of(judged: Sequence[Judged], hours: Hours, month: int, warm_up: int, every: int) -> Crowd:
    """What is kept of some customers: one in `every` hour that teaches."""
    residuals = {one.kind.series: one.expected.z for one in judged if not one.kind.per}
    if residuals:
        beside = side_by_side(hours.usage, BESIDE, COUNT, warm_up)
        residuals |= {name: expected.z for name, expected in beside.items()}
    moments = hours.usage.moments
    later = moments >= month
    taught = multivariate.lessons(residuals, moments, month)[::every] if residuals else np.empty((0, 0))
    return Crowd(hours.usage.keys, hours.begins[later], taught, {name: z[later] for name, z in residuals.items()})


def unusual_hours(crowds: Sequence[Crowd], moments: Whole, month: int) -> Iterator[dict[str, Any]]:
    """Hours of customers that are far from what usually goes together, by a model of the hours before the month.

    None while those are too few to learn from. One thread: sums of another order would be other sums.
    """
    features = tuple(sorted(crowds[0].later))
    if not features:
        return
    with threadpool_limits(1):
        try:
            model = multivariate.train(features, np.concatenate([crowd.lessons for crowd in crowds]), month)
        except InputHeld:
            return
        for crowd in crowds:
            scored = multivariate.judge(model, crowd.later, moments[moments >= month])
            rows = multivariate.vectors(crowd.later, features)
            for hour, place in np.argwhere(scored.fired.T)[:, ::-1].tolist():
                why = multivariate.reasons(model, rows[hour, place])
                yield {
                    "customer": crowd.keys[place],
                    "hour_us": int(crowd.begins[hour, place]) * SECOND_US,
                    "distance": round(float(scored.score[hour, place]), DECIMALS),
                    "threshold": round(model.threshold, DECIMALS),
                    "model": model.version,
                    "reasons": json.dumps({name: round(share, 3) for name, share in why}),
                }


class _Part(NamedTuple):
    """Series of one unit: their names (scope, key, series) and values, moments x series."""

    unit: Unit
    names: list[tuple[str, str, str]]
    values: Floats


def unusual_series(
    con: duckdb.DuckDBPyConnection, moments: Whole, now_us: int, warm_up: int
) -> tuple[int, list[dict[str, Any]]]:
    """How many series were looked at, and their moments beyond what their past allows.

    By hours of UTC: requests of credentials, endpoints and in total, quantities of customers' meters. By days: what was
    delivered, and what customers' usage earned. False discoveries are controlled over all series of a moment.
    """
    since, until = int(moments[0]) * SECOND_US, now_us // HOUR_US * HOUR_US
    hourly = [
        _part(con, _REQUESTS, [since, until], HOUR_US, moments * SECOND_US, COUNT),
        _part(con, _LATENCIES, [since, until], HOUR_US, moments * SECOND_US, PRICE),
        _part(con, _QUANTITIES, [since, until], HOUR_US, moments * SECOND_US, COUNT),
    ]
    # Of what no source has delivered yet, nothing is known.
    lost = ~np.any([np.zeros(len(moments), dtype=np.bool_), *delivered(con, moments).values()], axis=0)
    for part in hourly:
        part.values[lost] = np.nan
    # The running day is not whole.
    days = np.arange(since_us(now_us) // DAY_US, now_us // DAY_US, dtype=np.int64) * DAY_US
    daily = [
        _part(con, _DELIVERED, [int(days[0]), int(days[-1])], DAY_US, days, COUNT),
        _part(con, _LAGS, [int(days[0]), int(days[-1])], DAY_US, days, PRICE),
        _part(con, _EARNED, [int(days[0]), int(days[-1])], DAY_US, days, PRICE),
    ]
    by_hour = hour_of_week(moments) if len(moments) >= WEEKS * 168 else day_type(moments)
    weekday = (days // DAY_US + 3) % 7
    found = list(_screened("hour", hourly, moments * SECOND_US, by_hour, warm_up))
    found += _screened("day", daily, days, weekday, DAY_WARM_UP)
    return sum(len(part.names) for part in (*hourly, *daily)), found


def _part(con: duckdb.DuckDBPyConnection, query: str, span: list[int], step: int, moments: Whole, unit: Unit) -> _Part:
    """The series of a query (scope, key, series, moment, value): 0 where a count has no row since its first one.

    The engine numbers the series: a name for each value of a hundred thousand would take all memory there is.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE named_values AS {query}", span)
    con.execute(_NAMES)
    con.execute(_VALUES)
    names = con.execute("SELECT scope, key, series FROM value_names ORDER BY place").fetchall()
    con.execute("DROP TABLE named_values; DROP TABLE value_names")
    out = np.full((len(moments), len(names)), np.nan)
    for begin in range(0, len(names), PLACES):
        places, at, values = columns_of(con, _PLACED, [begin, begin + PLACES])
        rows = at // step - int(moments[0]) // step
        if unit is COUNT:
            first = np.full(len(names[begin : begin + PLACES]), len(moments))
            np.minimum.at(first, places - begin, rows)
            part = out[:, begin : begin + PLACES]
            part[np.arange(len(moments))[:, None] >= first] = 0
        out[rows, places] = values
    con.execute("DROP TABLE placed_values")
    return _Part(unit, names, out)


_NAMES = """
CREATE OR REPLACE TEMP TABLE value_names AS
SELECT *, row_number() OVER (ORDER BY scope, key, series) - 1 AS place
FROM (SELECT DISTINCT scope, key, series FROM named_values)
"""
_VALUES = """
CREATE OR REPLACE TEMP TABLE placed_values AS
SELECT place, moment_us, value FROM named_values JOIN value_names USING (scope, key, series)
"""
_PLACED = "SELECT place, moment_us, value FROM placed_values WHERE place >= $1 AND place < $2"


def _screened(
    grain: str, parts: Sequence[_Part], moments_us: Whole, slots: Whole, warm_up: int
) -> Iterator[dict[str, Any]]:
    z = [screen(part.values.astype(np.float32), slots, part.unit, warm_up, RATE).z for part in parts]
    found = discovered(np.concatenate(z, axis=1), RATE)
    begin = 0
    for part in parts:
        flags = found[:, begin : begin + len(part.names)]
        begin += len(part.names)
        columns = np.flatnonzero(flags.any(axis=0))
        if not columns.size:
            continue
        expected = expect(part.values[:, columns], slots, part.unit, warm_up)
        limits = (part.values[:, columns], *expected.limits(part.unit, WIDTH), expected.z)
        for place, column in enumerate(columns.tolist()):
            for row in np.flatnonzero(flags[:, column]).tolist():
                figures = (float(each[row, place]) for each in limits)
                scope, key, series = part.names[column]
                yield {
                    "scope": scope,
                    "key": key,
                    "series": series,
                    "grain": grain,
                    "moment_us": int(moments_us[row]),
                    **dict(zip(("value", "centre", "lower", "upper", "z"), figures, strict=True)),
                }


_REQUESTS = f"""
WITH hours AS (
    SELECT * REPLACE (divide(moment_us, {HOUR_US}) * {HOUR_US} AS moment_us) FROM metering.watched_series
    WHERE grain = 'hour' AND moment_us >= $1 AND moment_us < $2
), summed AS (
    SELECT CASE WHEN scope = 'customer' THEN 'total' ELSE scope END AS scope,
        coalesce(credential, endpoint, '') AS key, moment_us, {", ".join(f"sum({name}) AS {name}" for name in _COUNTS)}
    FROM hours GROUP BY ALL
)
SELECT scope, key, unnest({list(_COUNTS)}) AS series, moment_us, unnest([{", ".join(_COUNTS)}]) AS value
FROM summed
"""
_LATENCIES = f"""
SELECT 'customer_endpoint' AS scope, customer || ' ' || coalesce(endpoint, '') AS key, 'latency_p95_us' AS series,
    divide(moment_us, {HOUR_US}) * {HOUR_US} AS moment_us, max(latency_p95_us) AS value FROM metering.watched_series
WHERE grain = 'hour' AND scope = 'endpoint' AND moment_us >= $1 AND moment_us < $2
    AND latency_events >= {LEAST_LATENCIES} AND latency_p95_us > 0
GROUP BY ALL
"""
_QUANTITIES = f"""
SELECT 'customer' AS scope, customer AS key, 'quantity:' || meter AS series,
    divide(epoch_us(hour_start), {HOUR_US}) * {HOUR_US} AS moment_us, greatest(sum(quantity), 0) AS value
FROM marts.usage_hourly JOIN control.meters USING (meter)
WHERE combine = 'sum' AND NOT carried AND epoch_us(hour_start) >= $1 AND epoch_us(hour_start) < $2
GROUP BY ALL
"""
_DELIVERED = f"""
SELECT 'pipeline' AS scope, source AS key, unnest(['files', 'lines', 'quarantined', 'duplicates']) AS series,
    (utc_day - DATE '1970-01-01') * {DAY_US} AS moment_us, unnest([files, lines, quarantined, duplicates]) AS value
FROM marts.pipeline_series WHERE (utc_day - DATE '1970-01-01') * {DAY_US} BETWEEN $1 AND $2 ORDER BY ALL
"""
_LAGS = f"""
SELECT 'pipeline' AS scope, source AS key, 'lag_us' AS series,
    (utc_day - DATE '1970-01-01') * {DAY_US} AS moment_us, lag_us AS value
FROM marts.pipeline_series
WHERE lag_us > 0 AND (utc_day - DATE '1970-01-01') * {DAY_US} BETWEEN $1 AND $2 ORDER BY ALL
"""
_EARNED = f"""
WITH days AS (
    SELECT customer, currency, earned, (local_day - DATE '1970-01-01') * {DAY_US} AS moment_us
    FROM ({line_days("record.rated_lines")}) WHERE kind = 'usage'
)
SELECT 'money' AS scope, customer || ' ' || currency AS key, 'earned' AS series, moment_us, sum(earned) AS value
FROM days WHERE moment_us BETWEEN $1 AND $2 GROUP BY ALL HAVING sum(earned) > 0 ORDER BY ALL
"""
