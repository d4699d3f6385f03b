"""What a day of a line cost by file, where the price changes within the day: minute by minute, and one by its events.

Minutes follow one another as days do. So the events are put in order only in the minutes in which the price changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import duckdb

from orchestration.audit.attribution import Stretch, along_sql, left_after, one_price
from orchestration.audit.counted import Behind, make_counted
from orchestration.audit.evidence import opened
from orchestration.audit.known import Known
from orchestration.audit.taken import value_of
from orchestration.metering.compile import matches_sql
from orchestration.money import EXACT
from orchestration.zones import SECOND_US, midnight_us

MINUTE_US = 60 * SECOND_US


class Part(NamedTuple):
    """The events of one file: their number, what they measured and what they cost."""

    events: int = 0
    quantity: Decimal = Decimal(0)
    amount: Fraction = Fraction(0)

    def plus(self, events: int, quantity: Decimal, amount: Fraction) -> Part:
        return Part(self.events + events, EXACT.add(self.quantity, quantity), self.amount + amount)


def day_by_file(
    home: Path,
    known: Known,
    behind: Behind,
    day: date,
    files: Collection[int],
    pieces: Sequence[Stretch],
    scratch: Path,
) -> Mapping[int, Part]:
    """By file what a local day of a sum came to; units from the first of the day on cost what `pieces` say."""
    some = replace(known, files=[f for f in known.files if f.file_id in files])
    start_us, end_us = (midnight_us(behind.zone, day + timedelta(days=n)) for n in (0, 1))
    found: dict[int, Part] = {}
    gone = Fraction(0)
    with opened(home, some, scratch, []) as con:
        for minute, rows in groupby(_minutes(con, behind, start_us, end_us), key=lambda row: row[0]):
            parts = [(file_id, number, quantity) for _, file_id, number, quantity in rows]
            after = gone + sum((Fraction(quantity) for _, _, quantity in parts), Fraction(0))
            price = one_price(pieces, gone, after)
            if price is None:
                span = max(start_us, minute * MINUTE_US), min(end_us, (minute + 1) * MINUTE_US)
                costs = _by_events(con, replace(behind, only=span), left_after(pieces, gone))
            for file_id, number, quantity in parts:
                amount = costs[file_id] if price is None else Fraction(quantity) * price
                found[file_id] = found.get(file_id, Part()).plus(number, quantity, amount)
            gone = after
    return found


def _minutes(
    con: duckdb.DuckDBPyConnection, behind: Behind, start_us: int, end_us: int
) -> list[tuple[int, int, int, Decimal]]:
    """(minute, file, number, quantity) of what the meter takes, in the order of minutes."""
    return con.execute(
        f"SELECT time_us // {MINUTE_US}, file_id, count(*), CAST(sum(value) AS DECIMAL(38, 9)) FROM ("
        f"SELECT time_us, file_id, {value_of(behind.meter)} AS value FROM attributed "
        f"WHERE {matches_sql(behind.meter)} AND time_us >= {start_us} AND time_us < {end_us}"
        ") WHERE value IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall()


def _by_events(con: duckdb.DuckDBPyConnection, behind: Behind, pieces: Sequence[Stretch]) -> dict[int, Fraction]:
    """By file, what the events cost in their order."""
    make_counted(con, behind)
    rows = con.execute(
        "SELECT file_id, CAST(sum(amount) AS DECIMAL(38, 21)) "
        f"FROM (SELECT file_id, {along_sql(pieces)} AS amount FROM counted) GROUP BY file_id"
    ).fetchall()
    return {file_id: Fraction(amount) for file_id, amount in rows}
