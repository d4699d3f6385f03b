"""The last days before a build's now against the catalog's limits, and how clients took refusals, as tables.

A build replays `replay_days` whole days of UTC, each time anew: what is found follows from the log, the catalog and the
run's now. Requests are read as they are judged, so that a day of them need not fit into memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import duckdb

from orchestration.catalog import Catalog
from orchestration.monitoring.backoff import Behaviour, Storm, behaviours, storms
from orchestration.monitoring.limiters import Limit
from orchestration.monitoring.throttling import Policy, Verdict, episodes, replay
from orchestration.pipeline.context import Context
from orchestration.pipeline.entitledtable import four_places
from orchestration.pipeline.prepare import open_build
from orchestration.pipeline.requests import (
    Client,
    read_attempts,
    read_requests,
    requests_between,
    requests_by_minute,
)
from orchestration.pipeline.throttle import GAP_US, Share, policy_of, rated_in, shares_of, valued
from orchestration.pipeline.watchtables import Found, write_rows
from orchestration.zones import DAY_US

Rows = Sequence[dict[str, Any]]


class Limits(NamedTuple):
    """The rows of the tables of the same names; empty where nothing is replayed."""

    throttle_days: Rows = ()
    throttle_episodes: Rows = ()
    gateway_refusals: Rows = ()
    client_backoff: Rows = ()
    retry_storms: Rows = ()
    retry_storm_costs: Rows = ()


def limits_of(context: Context, catalog: Catalog, days: int) -> Limits:
    """Replay the whole days of UTC before the run's now, as many as `days`. The caller holds the lock."""
    if not days:
        return Limits()
    until = context.now_us // DAY_US * DAY_US
    since = until - days * DAY_US
    policies = [policy_of(row) for row in catalog.watched.throttles]
    # A limit remembers what came before: the replay begins earlier and says nothing of that time.
    lead = max((_memory_us(policy.rule) for policy in policies), default=0)
    with requests_between(context, catalog, since - lead, until, building=True) as con:
        replayed = _replayed(con, policies, since) if policies else Limits()
        con.execute("DELETE FROM requests WHERE time_us < ?", [since])
        attempts = list(read_attempts(con, catalog))
        found = storms(attempts, requests_by_minute(con))
        shares = shares_of(
            con, catalog, {str(n): storm.places for n, storm in enumerate(found)}, context.instance.scratch
        )
    return replayed._replace(
        client_backoff=[_behaviour(each) for each in behaviours(attempts)],
        retry_storms=[each._asdict() for each in found],
        retry_storm_costs=_costs(context, found, shares),
    )


def _costs(context: Context, found: Sequence[Storm], shares: Sequence[Share]) -> Rows:
    if not shares:
        return []
    with open_build(context.instance) as build:
        rated = rated_in(build)
    return [
        {
            "endpoint": found[int(cost.policy)].endpoint,
            "minute_us": found[int(cost.policy)].minute_us,
            "customer": cost.customer,
            "retries": cost.requests,
            "currency": cost.currency,
            "amount": four_places(cost.amount),
        }
        for cost in valued(shares, rated)
    ]


def _memory_us(rule: Limit) -> int:
    """How long before a request another one can matter for it: until a bucket has filled up; a day for those that are
    still running. At most 92 days are looked through."""
    lead = DAY_US if rule.kind == "concurrency" else rule.window_us
    if rule.kind == "token_bucket":
        lead = -(-rule.burst * rule.window_us // rule.limit)
    return min(lead, 92 * DAY_US)


def write_limits(con: duckdb.DuckDBPyConnection, limits: Limits, found: Found) -> Found:
    """Write the tables into a build; what they found beside what else was."""
    for table, rows in limits._asdict().items():
        write_rows(con, table, rows)
    return found._replace(
        over=sum(day["over"] for day in limits.throttle_days),
        missed=sum(day["missed"] for day in limits.throttle_days),
        undue=sum(day["undue"] for day in limits.gateway_refusals),
        hammering=sum(client["kind"] == "immediate" for client in limits.client_backoff),
        storms=len(limits.retry_storms),
    )


def _replayed(con: duckdb.DuckDBPyConnection, policies: Sequence[Policy], since: int) -> Limits:
    over: Counter[tuple[int, str]] = Counter()
    missed: Counter[tuple[int, str]] = Counter()
    undue: Counter[tuple[int, str]] = Counter()

    def counted(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        for verdict in verdicts:
            if verdict.time_us < since:
                continue
            day = verdict.time_us // DAY_US
            undue[day, verdict.customer] += verdict.undue
            if verdict.policy is not None:
                over[day, verdict.policy] += 1
                missed[day, verdict.policy] += verdict.missed
            yield verdict

    found = episodes(counted(replay(policies, read_requests(con))), GAP_US)
    return Limits(
        [
            {
                "day_us": day * DAY_US,
                "policy": policy.key,
                "requests": requests,
                "over": over[day, policy.key],
                "missed": missed[day, policy.key],
            }
            for policy in policies
            for day, requests in _concerned(con, policy, since)
        ],
        [each._asdict() for each in found],
        [
            {
                "day_us": day * DAY_US,
                "customer": customer,
                "requests": requests,
                "refused": refused,
                "undue": undue[day, customer],
            }
            for day, customer, requests, refused in con.execute(_REFUSALS, [since]).fetchall()
        ],
    )


_REFUSALS = f"""
SELECT time_us // {DAY_US} AS day, customer, count(*), count(*) FILTER (status = 429) FROM requests WHERE time_us >= ?
GROUP BY day, customer ORDER BY day, customer
"""
_CONCERNED = f"""
SELECT time_us // {DAY_US} AS day, count(*) FROM requests
WHERE time_us >= $1 AND (len($2::VARCHAR[]) = 0 OR list_has_any(coalesce(plans, []), $2::VARCHAR[]))
    AND (len($3::VARCHAR[]) = 0 OR list_contains($3::VARCHAR[], credential))
    AND (len($4::VARCHAR[]) = 0 OR list_contains($4::VARCHAR[], coalesce(endpoint, '')))
GROUP BY day ORDER BY day
"""


def _concerned(con: duckdb.DuckDBPyConnection, policy: Policy, since: int) -> list[tuple[int, int]]:
    """How many requests a policy limits, by day: what `Policy.concerns` says of each."""
    named = [sorted(each) for each in (policy.plans, policy.credentials, policy.endpoints)]
    return con.execute(_CONCERNED, [since, *named]).fetchall()


def _behaviour(found: Behaviour) -> dict[str, Any]:
    return {**Client.of(found.client)._asdict(), **found._asdict(), "waits_us": json.dumps(found.waits_us)}
