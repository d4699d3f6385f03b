"""The requests of a time, in the order of the log, for what looks at each of them: limits and retries."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

import duckdb

from orchestration.catalog import Catalog
from orchestration.engine import load_rows
from orchestration.metering import control
from orchestration.metering.compile import property_column
from orchestration.metering.plandays import PLAN_SPANS, plan_span_rows
from orchestration.metering.routes import compile_routes
from orchestration.monitoring.backoff import LEAST_RETRIES, Attempt
from orchestration.monitoring.throttling import Request
from orchestration.pipeline.context import Context
from orchestration.pipeline.lakelines import lake_lines
from orchestration.sqltext import identifier
from orchestration.zones import midnight_us

RETRY_AFTER = "retry_after"
"""The property that holds the seconds of a response's Retry-After, where a source maps it."""
BATCH = 10_000


@contextmanager
def requests_in(context: Context, catalog: Catalog, first: date, end: date) -> Iterator[duckdb.DuckDBPyConnection]:
    """The requests of each customer's local days from `first` until before `end`, as `requests_between` has them."""
    zones = [customer.zone for customer in catalog.customers.values()]
    since = min((midnight_us(zone, first) for zone in zones), default=0)
    until = max((midnight_us(zone, end) for zone in zones), default=0)
    with requests_between(context, catalog, since, until, (first, end)) as con:
        yield con


@contextmanager
def requests_between(
    context: Context,
    catalog: Catalog,
    since: int,
    until: int,
    days: tuple[date, date] = (date.min, date.max),
    *,
    building: bool = False,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the table `requests`: those from `since` until before `until`, in microseconds, that lie on
    local `days`, the second not included.

    `place` counts them in the order of time; of one time, in that of files and lines. Beside what is known of the
    request, `m_<key>` of each meter that adds up. `building` is for a run that has a build open: what that reads stays
    as it is, and Retry-After is unknown unless all files were read with it. The caller holds the instance's lock.
    """
    mapped = {RETRY_AFTER} & set().union(*(source.properties for source in catalog.sources))
    asked: tuple[Collection[str], Collection[str]] = ((), mapped) if building else (mapped, ())
    with lake_lines(context, catalog, asked[0], (since, until), asked[1]) as con:
        columns = {identifier(name) for name, *_ in con.execute("DESCRIBE lake.events").fetchall()}
        mapped = {name for name in mapped if property_column(name) in columns}
        scratch = context.instance.scratch
        load_rows(con, "control.plan_spans", PLAN_SPANS, plan_span_rows(catalog), scratch)
        credentials = control.credential_rows(catalog.credentials)
        load_rows(con, "control.credentials", control.CREDENTIALS, credentials, scratch)
        offsets = control.offset_rows(catalog, since, until)
        load_rows(con, "control.customer_offsets", control.CUSTOMER_OFFSETS, offsets, scratch)
        con.execute(_requests_sql(catalog, since, until, mapped), days)
        yield con


def summed_meters(catalog: Catalog) -> list[str]:
    """The meters whose quantity is the sum of what their events have."""
    return sorted(key for key, meter in catalog.meters.items() if control.combine_of(meter) == "sum")


def _requests_sql(catalog: Catalog, since: int, until: int, mapped: Collection[str]) -> str:
    meters = ", ".join(identifier(f"m_{key}") for key in summed_meters(catalog))
    asked = property_column(RETRY_AFTER) if mapped else "NULL"
    endpoint, joins = compile_routes(catalog.routes).endpoint("event")
    return f"""
CREATE TABLE requests AS
WITH counted AS (
    SELECT event.*, {endpoint} AS place_of_call, {asked} AS asked,
        credentials.customer, zones.offset_us, zones.carry_day
    FROM lake.events AS event{joins}
    ANTI JOIN lake.verdicts AS verdict ON event.file_id = verdict.file_id AND event.line = verdict.line
    JOIN control.credentials AS credentials ON event.credential = credentials.credential
        AND event.feed = coalesce(credentials.feed, event.feed)
        AND event.time_us >= credentials.from_us AND event.time_us < credentials.to_us
    JOIN control.customer_offsets AS zones ON credentials.customer = zones.customer
        AND event.time_us >= zones.start_us AND event.time_us < zones.end_us
    WHERE event.time_us >= {since} AND event.time_us < {until}
        AND (event.path IS NOT NULL OR event.method IS NOT NULL OR event.status IS NOT NULL)
)
SELECT row_number() OVER (ORDER BY time_us, file_id, line) - 1 AS place, time_us, coalesce(latency_us, 0) AS lasts_us,
    status, counted.customer, credential, user_key, address_key, agent, place_of_call AS endpoint,
    greatest(make_timestamp(time_us + offset_us)::DATE, carry_day) AS local_day,
    CASE WHEN regexp_full_match(asked, '[0-9]{{1,9}}') THEN CAST(asked AS BIGINT) * 1000000 END AS asked_us,
    spans.plans{", " + meters if meters else ""}
FROM counted LEFT JOIN control.plan_spans AS spans ON counted.customer = spans.customer
    AND time_us >= spans.from_us AND time_us < spans.to_us
WHERE greatest(make_timestamp(time_us + offset_us)::DATE, carry_day) >= ?
    AND greatest(make_timestamp(time_us + offset_us)::DATE, carry_day) < ?
"""


def read_requests(con: duckdb.DuckDBPyConnection) -> Iterator[Request]:
    """The rows of `requests` by place."""
    cursor = con.cursor().execute(
        "SELECT time_us, lasts_us, coalesce(status = 429, false), customer, credential, coalesce(user_key, ''), "
        "coalesce(address_key, ''), coalesce(endpoint, ''), coalesce(plans, []) FROM requests ORDER BY place"
    )
    known: dict[tuple[str, ...], frozenset[str]] = {}
    while rows := cursor.fetchmany(BATCH):
        for row in rows:
            key = tuple(row[-1])
            yield Request._make((*row[:-1], known.setdefault(key, frozenset(key))))


CLIENT = "customer || chr(31) || credential || chr(31) || coalesce(agent, '')"
"""Who takes a refusal and comes back: a customer's user agent with a credential."""


class Client(NamedTuple):
    """The parts of the name of an `Attempt`'s client; a request without a user agent has none."""

    customer: str
    credential: str
    agent: str

    @classmethod
    def of(cls, name: str) -> Client:
        # A user agent is what a stranger sent: it may hold anything, and comes last.
        return cls(*name.split("\x1f", 2))


def read_attempts(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> Iterator[Attempt]:
    """The rows of `requests` by place: refusals, and what followed each at its endpoint. That is all that there is to a
    retry, and a client that is seldom refused may have very many others. Billed is what any meter counts."""
    counted = " OR ".join(f"{identifier(f'm_{key}')} > 0" for key in summed_meters(catalog)) or "false"
    cursor = con.cursor().execute(
        f"""
        WITH attempts AS (
            SELECT {CLIENT} AS client, coalesce(endpoint, '') AS endpoint, time_us, time_us + lasts_us AS ends_us,
                coalesce(status IN (429, 503), false) AS refused, asked_us, coalesce({counted}, false) AS billed, place
            FROM requests
        )
        SELECT client, endpoint, time_us, ends_us, refused, asked_us, billed, place FROM attempts
        QUALIFY refused OR lag(refused, 1, false) OVER (PARTITION BY client, endpoint ORDER BY place)
        ORDER BY place
        """
    )
    while rows := cursor.fetchmany(BATCH):
        yield from (Attempt(*row) for row in rows)


def requests_by_minute(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, int], int]:
    """The rows of `requests` by endpoint and minute since 1970, where there are enough of them for a retry storm."""
    rows = con.execute(
        "SELECT coalesce(endpoint, ''), time_us // 60000000 AS minute, count(*) FROM requests GROUP BY ALL "
        f"HAVING count(*) >= {LEAST_RETRIES}"
    ).fetchall()
    return {(endpoint, minute): count for endpoint, minute, count in rows}
