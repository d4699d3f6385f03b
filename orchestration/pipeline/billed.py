"""What was billed, day by day of service: in all for each line, and for each line of each document.

Most lines stand on one document, cost what it says, and had nothing taken off: their days are those of the line as it
is priced now (`record.rated_lines`), and no row is written for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import groupby, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from orchestration.billing.daily import minor_texts
from orchestration.billing.spread import Shown, spread
from orchestration.engine import load_rows
from orchestration.money import Money
from orchestration.pipeline.issued import KEY
from orchestration.sqltext import identifier

BILLED_DAYS = {**KEY, "customer": "VARCHAR", "currency": "VARCHAR", "daily": "VARCHAR"}
DOCUMENT_DAYS = {
    "seq": "INTEGER",
    "place": "BIGINT",
    **KEY,
    "currency": "VARCHAR",
    "daily": "VARCHAR",
    "reduced": "VARCHAR",
}
"""`daily` and `reduced` are amounts by day, from the line's first day on: [1.00, 2.00]."""
_KEYS = ", ".join(map(identifier, KEY))
_BY_DOCUMENT = f"""
SELECT {_KEYS}, seq, place, customer, currency, amount, reduced, "end", meter IS NOT NULL AS metered,
    CAST(daily AS DECIMAL(38, 4)[]) AS daily, customer IN (FROM unsettled) AS unsettled
FROM record.billed_lines AS billed LEFT JOIN (SELECT {_KEYS}, daily FROM record.rated_lines) USING ({_KEYS})
WHERE customer IN (FROM unsettled) OR daily IS NULL OR reduced <> 0
    OR ({_KEYS}) IN (SELECT ({_KEYS}) FROM record.billed_lines GROUP BY {_KEYS} HAVING count(*) > 1)
ORDER BY {_KEYS}, seq, place
"""


class _Row(NamedTuple):
    """A row of `_BY_DOCUMENT`; `daily` are the days of the line as it is priced now, None where it is gone."""

    subscription: str
    charge: str
    period_start: date
    start: date
    value: str
    seq: int
    place: int
    customer: str
    currency: str
    amount: Decimal
    reduced: Decimal
    end: date
    metered: bool
    daily: list[Decimal] | None
    unsettled: bool


def load_billed_days(con: duckdb.DuckDBPyConnection, scratch: Path) -> None:
    """Write `record.document_days`, and `record.billed_days` for the lines of customers in `unsettled`."""
    billed: list[dict[str, Any]] = []
    load_rows(con, "record.document_days", DOCUMENT_DAYS, _document_days(con, billed), scratch)
    load_rows(con, "record.billed_days", BILLED_DAYS, billed, scratch)


def _document_days(con: duckdb.DuckDBPyConnection, billed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The days of each document; those of what is not settled are summed up in `billed`."""
    for key, group in groupby(map(_Row._make, con.execute(_BY_DOCUMENT).fetchall()), key=itemgetter(*range(len(KEY)))):
        rows = list(group)
        currency = rows[-1].currency
        weights = [_minor(part, currency) for part in rows[-1].daily or ()]
        shown = (
            Shown(_minor(row.amount, currency), _minor(row.reduced, currency), (row.end - row.start).days, row.metered)
            for row in rows
        )
        found = list(spread(shown, weights))
        head = {name: str(value) for name, value in zip(KEY, key, strict=True)} | {"currency": currency}
        for row, days in zip(rows, found, strict=True):
            yield {
                **head,
                "seq": row.seq,
                "place": row.place,
                "daily": _listed(days.amounts, currency),
                "reduced": _listed(days.reduced, currency),
            }
        if rows[-1].unsettled and key[0]:
            days_in_all = [sum(day) for day in zip_longest(*(days.amounts for days in found), fillvalue=0)]
            daily = _listed(days_in_all if any(days_in_all) else [], currency)
            billed.append({**head, "customer": rows[-1].customer, "daily": daily})


def _minor(amount: Decimal, currency: str) -> int:
    return Money.of(amount, currency).minor


def _listed(minors: list[int], currency: str) -> str:
    return f"[{', '.join(minor_texts(minors, currency))}]"
