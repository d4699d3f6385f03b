"""The evidence of a line as the warehouse keeps it, by file and day: explained without reading the events again.

The table was written after the close that issued the document, so nothing that came later is in it. It is believed as
far as it goes: where it says less than is asked for, or its sums are not those of the document, the events are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import groupby
from pathlib import Path

import duckdb

from orchestration.audit.attribution import Stretch, cost_of, left_after, one_price, priced_stretches
from orchestration.audit.counted import Behind, can_share
from orchestration.audit.known import Known
from orchestration.audit.splitting import Part
from orchestration.engine import connect
from orchestration.ledger.store import Ledger
from orchestration.money import EXACT

_ROWS = """
SELECT e.file_id, f.path, f.sha256, e.local_day, e.outcome, e.events, e.quantity, e.first_line, e.last_line
FROM record.line_evidence AS e JOIN record.files AS f USING (file_id)
WHERE e.document = $1 AND e.position = $2 ORDER BY e.file_id, e.local_day, e.outcome
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """The events of a file on a local day that came to the same. `quantity` is None where it is no sum over events."""

    file_id: int
    path: str
    sha256: str
    day: date
    outcome: str
    events: int
    quantity: Decimal | None
    first_line: int
    last_line: int
    amount: Fraction = Fraction(0)


Split = Callable[[date, list[int], list[Stretch]], Mapping[int, Part]]
"""By file what is behind a day, from the events themselves: see `day_by_file`."""


def kept_cells(warehouse: Path | None, ledger: Ledger, known: Known, position: str, temp: Path) -> list[Cell] | None:
    """What the published generation says of a line; None where there is none, or it doesn't know the document."""
    if warehouse is None:
        return None
    try:
        with connect(warehouse, temp=temp, read_only=True) as con:
            [(seq, through)] = con.execute("SELECT seq, hash FROM record.trail_through").fetchall()
            here = {entry.seq: entry.hash for entry in ledger.journal()}
            if seq < known.entry.seq or through != here.get(seq):
                return None
            return [Cell(*row) for row in con.execute(_ROWS, [known.row.number, int(position)]).fetchall()]
    except (duckdb.CatalogException, duckdb.IOException):
        # A generation of an earlier program, or one that a run has just taken away.
        return None


def priced_cells(behind: Behind, cells: Sequence[Cell], split: Split) -> list[Cell] | None:
    """The cells whose events were taken, with what they cost; None where all events have to be looked at.

    Days follow one another, so what a day costs is what all units up to its end cost, less those up to its start. Of a
    day within which the price changes, and that has several files, the events are looked at by `split`.
    """
    taken = [cell for cell in cells if cell.outcome == "taken"]
    quantities = [cell.quantity for cell in taken if cell.quantity is not None]
    total = reduce(EXACT.add, quantities, Decimal(0))
    if not can_share(behind) or behind.measure != "total" or len(quantities) < len(taken):
        return None
    pieces = priced_stretches(behind.line, behind.charge, total)
    # With values below 0 the running total could go back over a bound within a day.
    if Fraction(total) != Fraction(behind.line["measured"]) or (len(pieces) > 1 and behind.meter.allow_negative):
        return None
    found: list[Cell] = []
    start = Fraction(0)
    for day, group in groupby(sorted(taken, key=lambda cell: cell.day), key=lambda cell: cell.day):
        of_day = list(group)
        end = start + sum((Fraction(cell.quantity or 0) for cell in of_day), Fraction(0))
        priced = _priced_day(day, of_day, start, end, pieces, split)
        if priced is None:
            return None
        found += priced
        start = end
    return found


def _priced_day(
    day: date, cells: Sequence[Cell], start: Fraction, end: Fraction, pieces: Sequence[Stretch], split: Split
) -> list[Cell] | None:
    """The cells of one day, which take the units from `start` to `end`; None where the events are others."""
    price = one_price(pieces, start, end)
    if price is not None:
        return [replace(cell, amount=Fraction(cell.quantity or 0) * price) for cell in cells]
    if len(cells) == 1:
        return [replace(cells[0], amount=cost_of(pieces, end) - cost_of(pieces, start))]
    by_file = split(day, [cell.file_id for cell in cells], left_after(pieces, start))
    if {cell.file_id: (cell.events, cell.quantity) for cell in cells} != {
        file_id: (part.events, part.quantity) for file_id, part in by_file.items()
    }:
        return None
    return [replace(cell, amount=by_file[cell.file_id].amount) for cell in cells]


def total_of(cells: Iterable[Cell]) -> tuple[int, Fraction, Fraction]:
    """Number, quantity and amount of all."""
    number, quantity, amount = 0, Fraction(0), Fraction(0)
    for cell in cells:
        number += cell.events
        quantity += Fraction(cell.quantity or 0)
        amount += cell.amount
    return number, quantity, amount
