"""What finance asks of the published generation: accrued and deferred revenue at a cut-off, and leaks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import NamedTuple

import duckdb

from orchestration.engine import connect
from orchestration.errors import ConfigInvalid
from orchestration.pipeline.instance import Instance

_PARTS = """
SELECT entity, account, currency, booked_day, local_day, customer, issue_date, net AS amount
FROM marts.billed_daily
UNION ALL BY NAME
SELECT entity, account, currency, booked_day, local_day, customer, CAST(NULL AS DATE) AS issue_date, unbilled AS amount
FROM marts.unbilled_daily
"""
_POSITION = f"""
SELECT entity, account, currency, {{by}}
    CAST(sum(CASE WHEN booked_day < $1 AND coalesce(issue_date >= $1, true) THEN amount ELSE 0 END) AS DECIMAL(38, 4))
        AS accrued,
    CAST(sum(CASE WHEN booked_day >= $1 AND issue_date < $1 THEN amount ELSE 0 END) AS DECIMAL(38, 4)) AS deferred
FROM ({_PARTS}) GROUP BY ALL HAVING accrued <> 0 OR deferred <> 0 ORDER BY ALL
"""


class Position(NamedTuple):
    """Revenue of an account that is earned before a cut-off and not billed by then, and billed by then for days on or
    after it; in `currency`. `day` and `customer` are empty in sums over all of them."""

    entity: str
    account: str
    currency: str
    day: date | None
    customer: str
    accrued: Decimal
    deferred: Decimal


class Leak(NamedTuple):
    """A row of `marts.revenue_leaks`."""

    kind: str
    what: str
    customer: str | None
    meter: str | None
    day: date
    age_days: int
    age: str
    occurrences: int
    counted: str
    quantity: Decimal | None
    currency: str | None
    list_price: Decimal | None
    value: Decimal | None
    valued_at: str | None
    no_value: str | None


def positions(instance: Instance, cut_off: date, *, by_day: bool = False) -> list[Position]:
    """Accrued and deferred revenue at any cut-off, by seller, account and currency; or by day of service and customer.

    Raises ConfigInvalid for an instance that has published nothing.
    """
    with _published(instance) as con:
        return position_rows(con, cut_off, by_day=by_day)


def position_rows(con: duckdb.DuckDBPyConnection, cut_off: date, *, by_day: bool = False) -> list[Position]:
    """What `positions` says, from the marts of a generation."""
    by = "local_day, customer," if by_day else "CAST(NULL AS DATE) AS local_day, '' AS customer,"
    return [Position(*row) for row in con.execute(_POSITION.format(by=by), [cut_off]).fetchall()]


def leaks(instance: Instance) -> list[Leak]:
    """The rows of `marts.revenue_leaks`, the oldest of each kind first. Raises ConfigInvalid as `positions` does."""
    query = f"SELECT {', '.join(Leak._fields)} FROM marts.revenue_leaks ORDER BY kind, day, what, customer, meter"
    with _published(instance) as con:
        return [Leak(*row) for row in con.execute(query).fetchall()]


def _published(instance: Instance) -> duckdb.DuckDBPyConnection:
    path = instance.published_db()
    if path is None:
        raise ConfigInvalid(
            "nothing has been published yet", not_done="nothing was shown", next_step="run `tallystick run` first"
        )
    return connect(path, temp=instance.scratch, read_only=True)
