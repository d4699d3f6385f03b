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
from itertools import groupby
from pathlib import Path

import duckdb

from orchestration.audit.attribution import Stretch, priced_stretches
from orchestration.audit.counted import Behind, can_share
from orchestration.audit.known import Known
from orchestration.engine import connect
from orchestration.ledger.store import Ledger

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


Split = Callable[[date, list[int], list[Stretch]], Mapping[int, tuple[int, Decimal, Decimal]]]
"""By file, number, quantity and amount of a day's events, from the events themselves: see `day_by_file`."""


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
    total = sum(quantities, Decimal(0))
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
    price = _one_price(pieces, start, end)
    if price is not None:
        return [replace(cell, amount=Fraction(cell.quantity or 0) * price) for cell in cells]
    if len(cells) == 1:
        return [replace(cells[0], amount=_cost(pieces, end) - _cost(pieces, start))]
    by_file = split(day, [cell.file_id for cell in cells], _after(pieces, start))
    if {cell.file_id: (cell.events, cell.quantity) for cell in cells} != {f: row[:2] for f, row in by_file.items()}:
        return None
    return [replace(cell, amount=Fraction(by_file[cell.file_id][2])) for cell in cells]


def _after(pieces: Sequence[Stretch], start: Fraction) -> list[Stretch]:
    """What is left of the pieces when so many units are gone."""
    found, low = [], Fraction(0)
    for number, piece in enumerate(pieces):
        high = low + piece.width
        if high > start or number == len(pieces) - 1:
            found.append(Stretch(max(high - max(start, low), Fraction(0)), piece.price))
        low = high
    return found


def _one_price(pieces: Sequence[Stretch], start: Fraction, end: Fraction) -> Fraction | None:
    """What each unit between two places costs, where that is one price."""
    if not pieces:
        return Fraction(0)
    low = Fraction(0)
    for number, piece in enumerate(pieces):
        high = low + piece.width
        if start >= low and (end <= high or number == len(pieces) - 1):
            return piece.price
        low = high
    return None


def _cost(pieces: Sequence[Stretch], place: Fraction) -> Fraction:
    """What all units up to a place cost; the last piece has no end."""
    cost, low = Fraction(0), Fraction(0)
    for number, piece in enumerate(pieces):
        high = place if number == len(pieces) - 1 else min(place, low + piece.width)
        cost += max(high - low, Fraction(0)) * piece.price
        low += piece.width
    return cost


def total_of(cells: Iterable[Cell]) -> tuple[int, Fraction, Fraction]:
    """Number, quantity and amount of all."""
    number, quantity, amount = 0, Fraction(0), Fraction(0)
    for cell in cells:
        number += cell.events
        quantity += Fraction(cell.quantity or 0)
        amount += cell.amount
    return number, quantity, amount
