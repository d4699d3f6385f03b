"""What a line may come to at the end of its period: a forecast with an interval. The one place that uses floats.

A charge's days so far are taken as draws around a level that differs by weekday: the weekday's share is that of all
charges together, the level and its spread are the charge's own. What is left of the period is the level times its
days; the interval has the spread of those days, and that of the level, which was learned from few. The quantities are
rated as any others, so that tiers and prices to come are in the amounts. No amount that is billed comes from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import fsum, sqrt
from typing import NamedTuple, TypeAlias

import duckdb

from orchestration.closing.rated import Quantity, Rater
from orchestration.metering.control import ChargedSegment
from orchestration.metering.measures import measure_of
from orchestration.money import EXACT, Money

FEWEST_DAYS = 10
"""With fewer days so far there is no forecast: a whole week has each weekday once."""
WEEKS = 8
"""No older days count."""
_NORMAL = 1.6449
"""Standard deviations of a normal distribution to either side that hold 90 %."""

Days: TypeAlias = Mapping[date, float]
Weekdays: TypeAlias = Sequence[float]
"""How busy each weekday is, from Monday, 1 on average."""


_SAMPLE = 1_000
"""Lines from whose days the weekdays are learned, at most."""
_WEEKDAYS = f"""
WITH recent AS (
    SELECT line_id, local_day, quantity FROM marts.charge_quantities
    WHERE local_day >= $1 AND local_day < $2 AND quantity > 0
        AND window_us IS NULL AND rank IS NULL AND hour_us IS NULL AND value = '' AND cell = '' AND part = 'units'
), chosen AS (SELECT DISTINCT line_id FROM recent ORDER BY hash(line_id), line_id LIMIT {_SAMPLE})
SELECT line_id, isodow(local_day) - 1, sum(quantity), count(*) FROM recent SEMI JOIN chosen USING (line_id)
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is still to come: the middle and the ends of the interval."""

    middle: float
    low: float
    high: float


class LineForecast(NamedTuple):
    """What a line may come to in all."""

    middle: Money
    low: Money
    high: Money


def weekday_shares(con: duckdb.DuckDBPyConnection, today: date) -> Weekdays:
    """How busy each weekday is, from Monday, 1 on average; every line weighs the same, whatever its quantities."""
    first = today - timedelta(weeks=WEEKS)
    rows = con.execute(_WEEKDAYS, [first, today]).fetchall()
    return shares_of((line, weekday, float(quantity), days) for line, weekday, quantity, days in rows)


def shares_of(rows: Iterable[tuple[str, int, float, int]]) -> Weekdays:
    """The same from rows of line, weekday, its sum and its number of days."""
    by_line: dict[str, list[tuple[int, float, int]]] = {}
    for line, weekday, quantity, days in rows:
        by_line.setdefault(line, []).append((weekday, quantity, days))
    sums: list[list[float]] = [[1.0] for _ in range(7)]
    counts = [1] * 7
    for found in by_line.values():
        mean = fsum(quantity for _, quantity, _ in found) / sum(days for *_, days in found)
        for weekday, quantity, days in found:
            sums[weekday].append(quantity / mean)
            counts[weekday] += days
    shares = [fsum(parts) / count for parts, count in zip(sums, counts, strict=True)]
    return [share * 7 / fsum(shares) for share in shares]


def forecast(days: Days, first: date, end: date, shares: Weekdays) -> Forecast | None:
    """What the days [first, end) bring, from those before `first`, each of which has an entry; None with too few."""
    known = sorted(day for day in days if first - timedelta(weeks=WEEKS) <= day < first)
    if len(known) < FEWEST_DAYS:
        return None
    ahead = [shares[(first + timedelta(days=n)).weekday()] for n in range((end - first).days)]
    weights = [shares[day.weekday()] for day in known]
    level = fsum(days[day] for day in known) / sum(weights)
    # A day spreads with the root of its share, as counts do.
    squares = sum((days[day] - level * share) ** 2 / share for day, share in zip(known, weights, strict=True))
    variance = squares / (len(known) - 1)
    spread = sqrt(variance * (sum(ahead) + sum(ahead) ** 2 / sum(weights)))
    half = _NORMAL * spread
    middle = level * sum(ahead)
    return Forecast(middle, max(middle - half, min(middle, 0.0)), middle + half)


def filled(days: Days, first: date, end: date) -> dict[date, float]:
    """Every day of [first, end), those without an amount at 0."""
    return {day: days.get(day, 0.0) for day in (first + timedelta(days=n) for n in range((end - first).days))}


def line_forecast(
    rater: Rater, item: ChargedSegment, used: Sequence[Quantity], shares: Weekdays
) -> LineForecast | None:
    """What the line of a charge may come to; None where there is no telling: a charge that doesn't add up over days or
    has its usage in parts, a segment that has ended, or one that is too young."""
    charge, segment, today = item.terms.charge, item.segment, item.known - timedelta(days=1)
    meter = None if charge.meter is None else rater.catalog.meters[charge.meter]
    prices = (price.charge for price in item.terms.prices)
    if meter is None or not segment.start < today < segment.end or measure_of(charge, meter, prices) != "total":
        return None
    if item.divisor != 1 or any(row != Quantity(row.day, row.quantity) for row in used):
        return None
    days = filled({row.day: float(row.quantity) for row in used}, segment.start, today)
    found = forecast(days, today, segment.end, shares)
    if found is None or found.middle <= 0:
        return None
    amounts = (
        _amount(rater, item, used, shares, part / found.middle * _level(found, item, shares))
        for part in (found.middle, found.low, found.high)
    )
    return LineForecast(*amounts)


def _level(found: Forecast, item: ChargedSegment, shares: Weekdays) -> float:
    first = item.known - timedelta(days=1)
    ahead = (item.segment.end - first).days
    return found.middle / fsum(shares[(first + timedelta(days=n)).weekday()] for n in range(ahead))


def _amount(rater: Rater, item: ChargedSegment, used: Sequence[Quantity], shares: Weekdays, level: float) -> Money:
    """The amount of the line, if the days from today on have a level. Days of one price version are added up."""
    today = item.known - timedelta(days=1)
    starts = [price.from_day for price in item.terms.prices]
    sums = dict.fromkeys(starts, Decimal(0))
    ahead = [today + timedelta(days=n) for n in range((item.segment.end - today).days)]
    rows = [(row.day, row.quantity) for row in used if row.day < today]
    rows += [(day, Decimal(round(level * shares[day.weekday()] * 10**6)).scaleb(-6)) for day in ahead]
    for day, quantity in rows:
        version = max(start for start in starts if start <= day)
        sums[version] = EXACT.add(sums[version], quantity)
    [line] = rater.rate_charge(item, [Quantity(day, sums[day]) for day in sorted(sums)])
    return line.amount
