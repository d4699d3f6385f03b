"""Units that are held: seats, weighed by the days that are left of the period, and items, by the days they are there.

Seats have positions too. All positions that any change or tier begins or ends at cut the line into cells; a change
fills or empties the cells that it passes, and each remembers the change that filled it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise

from orchestration.audit.pricing.amounts import (
    NONE,
    Detail,
    detail,
    tier_at,
    tier_fees,
    tiers_of,
    uniform,
    volume_fee,
)
from orchestration.audit.pricing.numbers import to_places
from orchestration.audit.pricing.pieces import Piece, together
from orchestration.audit.pricing.spans import Span
from orchestration.audit.pricing.terms import Terms


@dataclass(frozen=True, slots=True)
class _Passed:
    """Positions (low, high] that the change number `by` fills (sign 1) or empties (-1); the change `owner` filled them
    (or owes them, below 0), and their prices are those of its day."""

    low: Fraction
    high: Fraction
    by: int
    sign: int
    owner: int


def seats(terms: Terms, span: Span, pieces: Sequence[Piece]) -> tuple[list[Detail], Fraction]:
    """The parts of the amount, and the weighed quantity: rounded once, and shown by its parts.

    Only prices without tiers know positions below 0. Where the changes weigh less than 0, nothing is due under tiers.
    """
    changes = together(pieces, apart=False)
    weights = [Fraction((span.end - piece.day).days, span.period_days) for piece in changes]
    tiered = bool(terms.charge.tiers)
    if tiered and sum((p.quantity * w for p, w in zip(changes, weights, strict=True)), NONE) < 0:
        return [], NONE
    reached = sum((piece.quantity for piece in changes), NONE)
    all_in = tier_at(terms.charge, reached) if terms.charge.model == "volume" else None
    exact, shown, highest = NONE, NONE, NONE
    sums: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    # What one change takes of another's units is one part of it, tier by tier: each part shows what it adds.
    for (by, owner, sign), group in groupby(_passed(terms, changes), key=lambda cell: (cell.by, cell.owner, cell.sign)):
        cells = list(group)
        highest = max([highest, *(cell.high for cell in cells)])
        for number, units in _by_tier(terms, cells, all_in):
            exact += units * sign * weights[by]
            before, shown = shown, to_places(exact)
            sums[number, terms.place(changes[owner].day)] += shown - before
    details = []
    for (number, place), quantity in sorted(sums.items()):
        price = terms.prices[place]
        each = price.charge.tiers[number - 1].unit_price if tiered else price.charge.price
        details.append(detail(price, number or None, quantity, each))
    fees = tier_fees(terms, highest) if all_in is None else volume_fee(terms, all_in, reached)
    return details + fees, shown


def _passed(terms: Terms, changes: Sequence[Piece]) -> Iterator[_Passed]:
    totals = [NONE]
    for piece in changes:
        totals.append(totals[-1] + piece.quantity)
    bounds = {high for _, _, high, _ in tiers_of(terms.charge) if high is not None}
    cells = list(pairwise(sorted({*totals, *bounds, NONE})))
    owners: dict[tuple[Fraction, Fraction], int] = {}
    for by, (before, after) in enumerate(pairwise(totals)):
        sign = 1 if after > before else -1
        bottom, top = min(before, after), max(before, after)
        for cell in [cell for cell in cells if bottom <= cell[0] and cell[1] <= top][::sign]:
            # Away from 0 a cell is filled (or owed), towards 0 it is emptied.
            away = (cell[1] > 0) == (sign > 0)
            if away:
                owners[cell] = by
            yield _Passed(*cell, by, sign, owners[cell])


def _by_tier(terms: Terms, cells: Sequence[_Passed], all_in: int | None) -> Iterator[tuple[int, Fraction]]:
    """(tier, units) of positions above 0; without tiers all as one, numbered 0."""
    if not terms.charge.tiers:
        yield 0, sum((cell.high - cell.low for cell in cells), NONE)
        return
    above = [cell for cell in cells if cell.low >= 0]
    if all_in is not None:
        found = {all_in: sum((cell.high - cell.low for cell in above), NONE)}
    else:
        found = {
            number: sum((c.high - c.low for c in above if c.low >= low and (high is None or c.high <= high)), NONE)
            for number, low, high, _ in tiers_of(terms.charge)
        }
    yield from ((number, units) for number, units in found.items() if units > 0)


def items(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
    """Days of items / days of the full period, in the tier of the rank at which each was added."""
    if not terms.charge.tiers:
        return uniform(lambda charge: charge.price)(terms, pieces)
    sums: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for piece in together(pieces, apart=False):
        sums[tier_at(terms.charge, Fraction(piece.rank or 1)), terms.place(piece.day)] += piece.quantity
    details = []
    for (number, place), quantity in sorted(sums.items()):
        price = terms.prices[place]
        details.append(detail(price, number, quantity, price.charge.tiers[number - 1].unit_price))
    greatest = max((piece.rank or 1 for piece in pieces), default=0)
    return details + tier_fees(terms, Fraction(greatest))
