"""How often what came lay in the interval that was forecast: every customer of an instance, on every day of a month."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from math import sqrt

import duckdb

from orchestration.catalog import Catalog
from orchestration.closing.rated import Quantities, Quantity, Rater
from orchestration.metering.control import ChargedSegment, charged_segments
from orchestration.pipeline.forecast import line_forecast, shares_of
from orchestration.pipeline.price import read_quantities
from orchestration.zones import DAY_US

Totals = dict[tuple[str, str], list[tuple[float, float, float, float]]]
"""By customer and currency, for each line: what came, the middle of its forecast, the lower and the upper end."""


def coverage(con: duckdb.DuckDBPyConnection, catalog: Catalog, first: date, end: date) -> tuple[int, int]:
    """Of the totals of all customers, forecast on each day of [first, end): those in their interval, and how many."""
    quantities = read_quantities(con)
    inside = [found for day in _days(first, end) for found in _on(catalog, quantities, day, first)]
    return sum(inside), len(inside)


def _on(catalog: Catalog, quantities: Quantities, day: date, first: date) -> list[bool]:
    now_us = (day - date(1970, 1, 1)).days * DAY_US + DAY_US // 2
    items = [item for item in charged_segments(catalog, now_us) if item.segment.period_start == first]
    known = {item.line_id: _before(quantities, item) for item in items}
    shares = shares_of(
        (line, row.day.weekday(), float(row.quantity), 1) for line, rows in known.items() for row in rows
    )
    totals: Totals = defaultdict(list)
    rater = Rater.of(catalog)
    for item in items:
        found = line_forecast(rater, item, known[item.line_id], shares)
        if found is not None and known[item.line_id]:
            [line] = rater.rate_charge(item, quantities.get(item.line_id, ()))
            amounts = (line.amount, found.middle, found.low, found.high)
            key = item.segment.customer, item.segment.currency
            totals[key].append(tuple(float(amount.amount) for amount in amounts))
    return [_holds(lines) for lines in totals.values()]


def _before(quantities: Quantities, item: ChargedSegment) -> list[Quantity]:
    """What is known in the middle of the day that `known` follows."""
    return [row for row in quantities.get(item.line_id, ()) if row.day < item.known - timedelta(days=1)]


def _holds(lines: list[tuple[float, float, float, float]]) -> bool:
    """As the drafts combine them; half a cent either way is rounding."""
    came, middle = sum(line[0] for line in lines), sum(line[1] for line in lines)
    below = sqrt(sum((line[1] - line[2]) ** 2 for line in lines))
    above = sqrt(sum((line[3] - line[1]) ** 2 for line in lines))
    return middle - below <= came <= middle + above


def _days(first: date, end: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((end - first).days)]
