"""The log of a time against throttling policies: those of the catalog, kept by the gateway or not, or proposed ones.

What a proposed policy would have refused is shown with the revenue that it touches: of each customer, meter and day,
the amount rated for it in the share that the refused requests have in its quantity.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb

from orchestration.catalog import Catalog, load_catalog
from orchestration.catalog.fields import duration_us
from orchestration.catalog.load import load_throttles
from orchestration.catalog.throttles import Throttle
from orchestration.engine import connect, load_rows
from orchestration.errors import ConfigInvalid
from orchestration.monitoring.backoff import Behaviour, Storm, behaviours, storms
from orchestration.monitoring.limiters import Limit
from orchestration.monitoring.throttling import (
    Episode,
    Policy,
    Request,
    Verdict,
    episodes,
    refused_by,
    replay,
    smallest_limit,
)
from orchestration.pipeline.context import Context
from orchestration.pipeline.requests import (
    read_attempts,
    read_requests,
    requests_by_minute,
    requests_in,
    summed_meters,
)
from orchestration.pipeline.stored import line_days
from orchestration.sqltext import identifier
from orchestration.zones import SECOND_US

GAP_US = 300 * 1_000_000
"""Who keeps the limit for five minutes has ended an episode."""
_REFUSED = {"policy": "VARCHAR", "place": "BIGINT"}


@dataclass(frozen=True, slots=True)
class PolicyCount:
    """Requests that a policy concerns; of these, which are over its limit, and of those the ones that the gateway let
    through (`missed`)."""

    policy: str
    requests: int
    over: int
    missed: int


@dataclass(frozen=True, slots=True)
class Touched:
    """What a policy would have refused of a customer, and the amount that was rated for it, unrounded. Of a retry
    storm (its endpoint and minute instead of the policy): its retries, and what they cost the customer."""

    policy: str
    customer: str
    requests: int
    currency: str | None
    amount: Fraction


@dataclass(frozen=True, slots=True)
class Replay:
    """What the log says of limits between two local days, the second not included.

    `undue` are refusals of the gateway within every policy. With `proposed` policies, verdicts follow them and not the
    gateway; `touched` is then told, and `smallest` limits where a share was asked for.
    `storm_costs` name storms as `storm_name` does.
    """

    first: date
    end: date
    requests: int
    refused: int
    undue: int
    counts: tuple[PolicyCount, ...]
    episodes: tuple[Episode, ...]
    touched: tuple[Touched, ...]
    smallest: Mapping[str, int | None]
    behaviours: tuple[Behaviour, ...]
    storms: tuple[Storm, ...]
    storm_costs: tuple[Touched, ...]
    undue_by: Mapping[tuple[str, date], int]
    """Undue refusals by customer and day of UTC."""


def policy_of(row: Throttle, limit: int | None = None) -> Policy:
    """A policy of the catalog, with another `limit` if one is given."""
    number = row.limit if limit is None else limit
    window = 0 if row.window is None else duration_us(row.window)
    rule = Limit(row.kind, number, window, (row.burst or number) if row.kind == "token_bucket" else 0)
    return Policy(row.key, rule, row.per, frozenset(row.plans), frozenset(row.credentials), frozenset(row.endpoints))


def throttling(
    context: Context, first: date, end: date, proposed: Path | None = None, at_most: Fraction | None = None
) -> Replay:
    """Replay the log of each customer's local days from `first` until before `end`. The caller holds the lock.

    Args:
        proposed: a file like throttling.yaml, to be followed instead of the catalog's.
        at_most: find for each policy the smallest limit that would have refused less than this share.
    Raises:
        CatalogInvalid: the catalog or the proposed policies have problems, each with file and line.
        ConfigInvalid: there is no policy, or no day.
    """
    catalog = load_catalog(context.instance.catalog)
    rows = catalog.watched.throttles if proposed is None else load_throttles(proposed, catalog)
    if not rows or end <= first:
        what = "no day lies between --from and --to" if rows else "the catalog has no throttling policy"
        fix = "name a later day with --to" if rows else "write throttling.yaml, or name a file with --policies"
        raise ConfigInvalid(what, not_done="nothing was replayed", next_step=fix)
    policies = [policy_of(row) for row in rows]
    with requests_in(context, catalog, first, end) as con:
        context.report("replaying the log")
        requests = list(read_requests(con))
        verdicts = list(replay(policies, requests, "gateway" if proposed is None else "policy"))
        alone = {p.key: refused_by(p, requests) for p in policies} if proposed is not None else {}
        attempts = list(read_attempts(con, catalog))
        found = storms(attempts, requests_by_minute(con))
        retried = {storm_name(storm): storm.places for storm in found}
        rated = _published(context)
        return Replay(
            first,
            end,
            len(requests),
            sum(r.refused for r in requests),
            sum(v.undue for v in verdicts),
            tuple(_count(p, requests, verdicts) for p in policies),
            tuple(episodes(verdicts, GAP_US)),
            tuple(valued(shares_of(con, catalog, alone, context.instance.scratch), rated)),
            {} if at_most is None else {row.key: _smallest(row, requests, at_most) for row in rows},
            tuple(behaviours(attempts)),
            tuple(found),
            tuple(valued(shares_of(con, catalog, retried, context.instance.scratch), rated)),
            _undue(verdicts),
        )


def storm_name(storm: Storm) -> str:
    """What a retry storm is called where its cost is told: its endpoint and when its minute began."""
    moment = datetime.fromtimestamp(storm.minute_us // SECOND_US, UTC)
    return f"{storm.endpoint} {moment:%Y-%m-%dT%H:%MZ}"


def _undue(verdicts: Sequence[Verdict]) -> dict[tuple[str, date], int]:
    days = Counter(
        (v.customer, datetime.fromtimestamp(v.time_us // SECOND_US, UTC).date()) for v in verdicts if v.undue
    )
    return dict(sorted(days.items()))


def _count(policy: Policy, requests: Sequence[Request], verdicts: Sequence[Verdict]) -> PolicyCount:
    own = [v for v in verdicts if v.policy == policy.key]
    return PolicyCount(policy.key, sum(map(policy.concerns, requests)), len(own), sum(v.missed for v in own))


def _smallest(row: Throttle, requests: Sequence[Request], share: Fraction) -> int | None:
    """Looked for up to the number of requests: no client can have more."""
    return smallest_limit(partial(policy_of, row), requests, share, max(1, len(requests)))


class Share(NamedTuple):
    """What some requests (a policy's, a storm's) have in the quantities of a customer: by meter and local day."""

    policy: str
    customer: str
    requests: int
    quantities: list[tuple[str, date, Fraction]]


def shares_of(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, alone: Mapping[str, Sequence[int]], scratch: Path
) -> list[Share]:
    """Of requests at places of the log, by policy and customer, in this order."""
    rows = ({"policy": policy, "place": place} for policy, places in alone.items() for place in places)
    load_rows(con, "main.refused", _REFUSED, rows, scratch)
    counted = con.execute(
        "SELECT policy, customer, count(*) FROM main.refused JOIN requests USING (place) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    shares = {(policy, customer): Share(policy, customer, requests, []) for policy, customer, requests in counted}
    for meter in summed_meters(catalog):
        found = con.execute(
            f"SELECT policy, customer, local_day, CAST(sum({identifier(f'm_{meter}')}) AS VARCHAR) FROM main.refused "
            "JOIN requests USING (place) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        for policy, customer, day, quantity in found:
            if quantity is not None:
                shares[policy, customer].quantities.append((meter, day, Fraction(quantity)))
    return list(shares.values())


Rated = Mapping[tuple[str, str, date], Mapping[str, Fraction]]


def valued(shares: Iterable[Share], rated: Rated) -> Iterator[Touched]:
    """The amounts that were rated for shares, by currency."""
    for share in shares:
        amounts: dict[str, Fraction] = defaultdict(Fraction)
        for meter, day, quantity in share.quantities:
            for currency, each in rated.get((share.customer, meter, day), {}).items():
                amounts[currency] += quantity * each
        if not amounts:
            yield Touched(*share[:3], None, Fraction(0))
        for currency, amount in sorted(amounts.items()):
            yield Touched(*share[:3], currency, amount)


def _published(context: Context) -> Rated:
    published = context.instance.published_db()
    if published is None:
        return {}
    with connect(published, temp=context.instance.scratch, read_only=True) as con:
        return rated_in(con)


def rated_in(con: duckdb.DuckDBPyConnection) -> Rated:
    """What a unit of a customer's meter earned on a day, on average, by currency, in a build whose lines are priced."""
    found: dict[tuple[str, str, date], dict[str, Fraction]] = defaultdict(dict)
    for customer, meter, day, currency, amount, quantity in con.execute(_RATED).fetchall():
        found[customer, meter, day][currency] = Fraction(amount) / Fraction(quantity)
    return found


_RATED = f"""
WITH used AS (
    SELECT customer, meter, local_day, sum(quantity) AS quantity FROM marts.usage_daily GROUP BY ALL
), earned AS (
    SELECT customer, meter, local_day, currency, sum(earned) AS amount FROM ({line_days("record.rated_lines")})
    WHERE meter IS NOT NULL GROUP BY ALL
)
SELECT customer, meter, local_day, currency, CAST(amount AS VARCHAR), CAST(quantity AS VARCHAR)
FROM earned JOIN used USING (customer, meter, local_day) WHERE quantity > 0 AND amount <> 0
"""
