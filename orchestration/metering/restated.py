"""What follows from touched days: days, weeks, months and lines that are written again from what is stored.

A state lasts from its change on, so a change restates every later day; and each day that passes adds one to what lasts.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from orchestration.catalog import Catalog
from orchestration.metering import control
from orchestration.sqltext import identifier


def symmetric(now: str, was: str, columns: Mapping[str, str]) -> str:
    """Rows that only one of two tables has."""
    listed = ", ".join(map(identifier, columns))
    one, other = (f"(SELECT {listed} FROM {a} EXCEPT SELECT {listed} FROM {b})" for a, b in ((now, was), (was, now)))
    return f"({one} UNION ALL {other})"


def has_ranks(catalog: Catalog) -> bool:
    """Whether a charge ranks windows: then each day that passes moves the rank of its month."""
    charges = (c for plan in catalog.plans.values() for version in plan.versions for c in version.charges)
    return any(c.watermark is not None and c.watermark.percentile is not None for c in charges)


def restate(con: duckdb.DuckDBPyConnection) -> None:
    """Write `control.restated_days`, `restated_weeks`, `restated_months` and `touched_lines`.

    From `control.touched_days`, the temporary table `touched`, and what `touched.remember` kept of the generation.
    """
    lasting = "SELECT customer FROM metering.carried_hourly UNION SELECT customer FROM metering.session_events"
    con.execute(_lasting(lasting if _exists(con, "carried_hourly") else "SELECT NULL AS customer WHERE false"))
    replanned = symmetric("control.billing_days", "was_billing_days", control.BILLING_DAYS)
    stored = "metering.usage_by_day" if _exists(con, "usage_by_day") else None
    con.execute(_restated_days(replanned, stored))
    con.execute(
        "CREATE OR REPLACE TABLE control.restated_weeks AS SELECT DISTINCT customer, "
        "CAST(date_trunc('week', local_day) AS DATE) AS week_start FROM control.restated_days ORDER BY ALL"
    )
    con.execute(_restated_months("metering.windows" if _exists(con, "windows") else None))
    con.execute(_touched_lines(symmetric("control.segments", "was_segments", control.SEGMENTS)))


def _exists(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    query = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'metering' AND table_name = $1"
    return con.execute(query, [table]).fetchone() is not None


def _lasting(series: str) -> str:
    """Per customer the first day from which what lasts has to be written again."""
    return (
        "CREATE OR REPLACE TEMP TABLE lasting AS SELECT customer, min(first_day) AS first_day FROM ("
        "SELECT customer, local_day AS first_day FROM touched WHERE carried UNION ALL "
        f"SELECT customer, known_day FROM was_customers WHERE customer IN ({series})) GROUP BY customer"
    )


def _restated_days(replanned: str, stored: str | None) -> str:
    planned = (
        f"UNION SELECT u.customer, u.local_day FROM {stored} AS u JOIN {replanned} AS p ON u.customer = p.customer "
        "AND u.meter = p.meter AND u.local_day >= p.start_day AND u.local_day < p.end_day "
    )
    return (
        "CREATE OR REPLACE TABLE control.restated_days AS SELECT customer, local_day FROM control.touched_days "
        "UNION SELECT customer, CAST(unnest(generate_series(first_day, known_day - 1, INTERVAL 1 DAY)) AS DATE) "
        "FROM lasting JOIN control.customers USING (customer) WHERE first_day < known_day "
        f"{planned if stored else ''}ORDER BY ALL"
    )


def _restated_months(windows: str | None) -> str:
    """Also the running month of every customer that has windows in it: each day that passes adds to all its windows."""
    running = (
        f"UNION SELECT w.customer, CAST(date_trunc('month', w.local_day) AS DATE) FROM {windows} AS w "
        "JOIN was_customers AS was USING (customer) JOIN control.customers AS now USING (customer) "
        "WHERE now.known_day > was.known_day AND w.local_day >= date_trunc('month', was.known_day - 1) "
    )
    return (
        "CREATE OR REPLACE TABLE control.restated_months AS SELECT DISTINCT customer, "
        "CAST(date_trunc('month', local_day) AS DATE) AS month_start FROM control.restated_days "
        f"{running if windows else ''}ORDER BY ALL"
    )


def _touched_lines(changed: str) -> str:
    """Lines of a period in which a day is restated or a segment is another, and those that days have been added to.

    A week belongs to the period in which its Sunday lies, so days before a period may count in it.
    """
    return (
        f"CREATE OR REPLACE TABLE control.touched_lines AS WITH changed AS (FROM {changed}), "
        "periods AS (SELECT subscription, period_start FROM changed "
        "UNION SELECT s.subscription, s.period_start FROM control.segments AS s JOIN control.restated_days AS r "
        "ON s.customer = r.customer AND r.local_day >= s.period_start - 6 AND r.local_day < s.end_day "
        "UNION SELECT s.subscription, s.period_start FROM control.segments AS s "
        "JOIN was_customers AS was USING (customer) JOIN control.customers AS now USING (customer) "
        "WHERE now.known_day > was.known_day AND s.end_day >= was.known_day AND s.start_day < now.known_day) "
        "SELECT line_id FROM changed UNION "
        "SELECT line_id FROM control.segments JOIN periods USING (subscription, period_start) ORDER BY line_id"
    )
