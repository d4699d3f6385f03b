"""The series of a build as matrices, hours x customers, in the order of their clocks: what the detectors look at.

Floats: what is watched is no money and no quantity, and billed nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import duckdb
import numpy as np

from orchestration.catalog import Catalog
from orchestration.catalog.monitoring import Monitoring
from orchestration.money import CURRENCIES
from orchestration.monitoring.incidents import Usage
from orchestration.monitoring.series import Flags, Floats, Whole, day_type, hour_of_week
from orchestration.pipeline.stored import line_days
from orchestration.zones import HOUR_US, SECOND_US, offset_intervals

HOUR = 3600
MONTHS = 3
WEEKS = 8
"""With a longer history each hour of the week is a slot of its own."""
MEASURES = ("requests", "denied", "refused", "unknown_paths", "retries", "items")
BESIDE = ("server_errors", "endpoints", "users", "addresses", "bytes")
"""Series that no kind of incident looks at alone: an hour as a whole is judged by them too."""
NEW = ("new_country_requests", "new_client_requests")
_NAMES = {"items": "distinct_ids"}
LEAST_COINS = 100


class Hours(NamedTuple):
    """The customers of a build and the hours that they are watched in.

    `usage.moments` are full hours of UTC; `begins` is, hours x customers, when the customer's own hour begins within
    it, in seconds.
    """

    usage: Usage
    begins: Whole


def since_us(now_us: int) -> int:
    """The first day of the calendar month three months before that of `now_us`: later runs of a month look at the
    same past."""
    now = datetime.fromtimestamp(now_us // SECOND_US, UTC)
    months = now.year * 12 + now.month - 1 - MONTHS
    return int(datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC).timestamp()) * SECOND_US


def customers_of(con: duckdb.DuckDBPyConnection, now_us: int) -> dict[str, int]:
    """The customers that had requests in the time that is watched, in order, with the first hour of each."""
    return dict(con.execute(_CUSTOMERS, [since_us(now_us), now_us // HOUR_US * HOUR_US]).fetchall())


def hours_of(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    row: Monitoring,
    now_us: int,
    customers: Mapping[str, int],
    keys: Sequence[str],
) -> Hours:
    """The hours of some of the `customers`, from the first hour of any of them on."""
    until = now_us // HOUR_US * HOUR_US
    con.execute(_CHOSEN, [list(keys)])
    start = min(customers.values()) // HOUR_US * HOUR
    moments = np.arange(start, until // SECOND_US, HOUR, dtype=np.int64)
    offsets = _offsets([catalog.customers[key].zone for key in keys], moments)
    begins = moments[:, None] + -offsets % HOUR
    local = begins + offsets
    long = len(moments) >= WEEKS * 168
    first = np.array([(customers[key] // HOUR_US * HOUR - start) // HOUR for key in keys])
    known = _delivered(con, moments, keys) & (np.arange(len(moments))[:, None] >= first)
    span = [start * SECOND_US, until]
    series = dict(_counts(con, _CUSTOMER_HOURS, span, (*MEASURES, *BESIDE), known))
    series |= dict(_counts(con, _NEW_HOURS, span, NEW, known))
    for meter in sorted({name for each in row.ratios for name in (each.meter, each.per)}):
        series |= dict(_counts(con, _QUANTITIES, [*span, meter], [quantity_of(meter)], known))
    series["unit_price"] = _prices(con, catalog, span, series["requests"], (begins + offsets) // (24 * HOUR))
    slots = hour_of_week(local) if long else day_type(local)
    return Hours(Usage(tuple(keys), moments, slots, series), begins)


def quantity_of(meter: str) -> str:
    """The name of the series of a meter's quantity."""
    return f"quantity:{meter}"


_CUSTOMERS = """
SELECT customer, min(moment_us) FROM metering.watched_series
WHERE scope = 'customer' AND grain = 'hour' AND moment_us >= $1 AND moment_us < $2 GROUP BY customer ORDER BY customer
"""
_CHOSEN = """
CREATE OR REPLACE TEMP TABLE watched_customers AS
SELECT customer, place - 1 AS place FROM (SELECT unnest($1::VARCHAR[]) AS customer, generate_subscripts($1, 1) AS place)
"""
_CUSTOMER_HOURS = f"""
SELECT moment_us, place, {", ".join((*MEASURES, *BESIDE))}
FROM metering.watched_series JOIN watched_customers USING (customer)
WHERE scope = 'customer' AND grain = 'hour' AND moment_us >= $1 AND moment_us < $2 ORDER BY ALL
"""
_NEW_HOURS = f"""
SELECT hour_us, place, {", ".join(NEW)} FROM marts.new_requests JOIN watched_customers USING (customer)
WHERE hour_us >= $1 AND hour_us < $2 ORDER BY ALL
"""
_QUANTITIES = """
SELECT epoch_us(hour_start) AS hour_us, place, sum(quantity) FROM marts.usage_hourly JOIN watched_customers
USING (customer) WHERE meter = $3 AND epoch_us(hour_start) >= $1 AND epoch_us(hour_start) < $2 GROUP BY ALL ORDER BY ALL
"""


def columns_of(con: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any]) -> list[Any]:
    """The columns of a query, as arrays; NULL is NaN, or masked where the column has no NaN."""
    return list(con.execute(query, parameters).fetchnumpy().values())


def _counts(
    con: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any], names: Iterable[str], known: Flags
) -> Iterable[tuple[str, Floats]]:
    """Matrices of the measures of a query (hour, place, measures): 0 where there is no row and something is known."""
    hours, places, *measures = columns_of(con, query, parameters)
    rows = hours // HOUR_US - parameters[0] // HOUR_US
    for name, values in zip(names, measures, strict=True):
        counted = np.zeros(known.shape)
        np.add.at(counted, (rows, places), values.astype(np.float64))
        # What was counted was delivered, whatever its file is said to span.
        yield _NAMES.get(name, name), np.where(known | (counted > 0), counted, np.nan)


def _offsets(zones: Sequence[str], moments: Whole) -> Whole:
    """Offsets from UTC in seconds, hours x zones."""
    of_zone: dict[str, Whole] = {}
    for zone in sorted(set(zones)):
        spans = list(offset_intervals(zone, int(moments[0]) * SECOND_US, int(moments[-1] + HOUR) * SECOND_US))
        starts = np.array([span.start_us // SECOND_US for span in spans])
        values = np.array([span.offset_us // SECOND_US for span in spans])
        of_zone[zone] = values[np.maximum(np.searchsorted(starts, moments, side="right") - 1, 0)]
    return np.stack([of_zone[zone] for zone in zones], axis=1)


def delivered(con: duckdb.DuckDBPyConnection, moments: Whole) -> dict[str, Flags]:
    """By source the hours into which a file of it reaches."""
    covered: dict[str, Flags] = {}
    for source, first, last in con.execute(_FILES).fetchall():
        hours = covered.setdefault(source, np.zeros(len(moments), dtype=np.bool_))
        begin, end = (us // HOUR_US - int(moments[0]) // HOUR for us in (first, last))
        hours[max(begin, 0) : max(end + 1, 0)] = True
    return covered


def _delivered(con: duckdb.DuckDBPyConnection, moments: Whole, keys: Sequence[str]) -> Flags:
    """Hours x customers: whether a file reaches into the hour, of a source that delivered requests of the customer.

    An hour of which nothing was delivered is missing input: it tells nothing of the customer.
    """
    covered = delivered(con, moments)
    out = np.zeros((len(moments), len(keys)), dtype=np.bool_)
    for place, feed in con.execute(_FEEDS).fetchall():
        out[:, place] |= covered.get(feed, out[:, place])
    return out


_FILES = "SELECT source, min_us, max_us FROM record.files WHERE min_us IS NOT NULL ORDER BY ALL"
_FEEDS = """
SELECT DISTINCT place, value FROM metering.client_hours JOIN watched_customers USING (customer)
WHERE what = 'feed' ORDER BY ALL
"""


def _prices(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, span: Sequence[int], requests: Floats, days: Whole
) -> Floats:
    """What a customer's usage of a local day costs, for what the same would have cost at the first price of each meter.

    For hours with requests. Of charges whose units all cost the same alone: in a tier, a package or an allowance the
    price of a unit depends on those before it. Days that earn less than a hundred of the smallest coins are left out.
    """
    out = np.full(requests.shape, np.nan)
    even = [
        {"plan": plan.key, "charge": charge.key}
        for plan in catalog.plans.values()
        for version in plan.versions
        for charge in version.charges
        if _is_even(charge)
    ]
    con.execute("CREATE OR REPLACE TEMP TABLE even (plan VARCHAR, charge VARCHAR)")
    if even:
        con.executemany("INSERT INTO even VALUES ($plan, $charge)", even)
    first: dict[tuple[int, str, str], float] = {}
    earned: dict[tuple[int, int], tuple[float, float]] = {}
    first_day = span[0] // HOUR_US // 24 - 1
    for place, meter, currency, day, amount, quantity in con.execute(_EARNED, [first_day]).fetchall():
        if amount.scaleb(CURRENCIES[currency]) < LEAST_COINS:
            continue
        price = float(amount) / float(quantity)
        at_first = float(quantity) * first.setdefault((place, meter, currency), price)
        total, usual = earned.get((place, day), (0.0, 0.0))
        earned[place, day] = total + float(amount), usual + at_first
    for (place, day), (total, usual) in earned.items():
        out[(days[:, place] == day) & (requests[:, place] > 0), place] = total / usual
    return out


def _is_even(charge: Any) -> bool:
    plain = charge.model in ("per_unit", "dynamic") and not charge.included
    return plain and all(
        part is None for part in (charge.watermark, charge.active, charge.minimum, charge.maximum, charge.prorate)
    )


_EVEN = line_days("(FROM record.rated_lines SEMI JOIN even USING (plan, charge))")
_EARNED = f"""
WITH days AS (
    SELECT customer, meter, currency, charge, earned AS amount, local_day - DATE '1970-01-01' AS day
    FROM ({_EVEN}) WHERE meter IS NOT NULL AND NOT trial
), earned AS (
    SELECT customer, meter, currency, day, sum(amount) AS amount FROM days GROUP BY ALL
    HAVING count(DISTINCT charge) = 1 AND sum(amount) > 0
), used AS (
    SELECT customer, meter, local_day - DATE '1970-01-01' AS day, sum(quantity) AS quantity
    FROM marts.usage_daily WHERE local_day - DATE '1970-01-01' >= $1 GROUP BY ALL HAVING sum(quantity) > 0
)
SELECT place, meter, currency, day, amount, quantity FROM earned JOIN used USING (customer, meter, day)
JOIN watched_customers USING (customer) ORDER BY place, day, meter, currency
"""
