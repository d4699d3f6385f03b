"""What a quantity costs, one unit after the other: the table of semantics.md, section 4, walked and not calculated.

Whole numbers all the way: quantities in billionths, prices in 10**-12, so amounts in 10**-21. A step of a walk is one
unit, or less where a day's usage, a tier, a block, a package or an allowance ends within it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from orchestration.catalog.charges import Charge, Tier

UNIT = 10**9
PRICE = 10**12
AMOUNT = UNIT * PRICE
Prices = Callable[[date], Charge]


def units(value: Decimal | None) -> int:
    return int((value or Decimal(0)).scaleb(9))


def price(value: Decimal | None) -> int:
    return int((value or Decimal(0)).scaleb(12))


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the quantity, in the order in which it was used."""

    day: date
    quantity: int
    cell: str = ""


def pile(pieces: Iterable[Piece]) -> list[Piece]:
    """Units as they lie at the end: a piece puts some on the pile, or takes off the last; what is missing is owed."""
    lying: list[Piece] = []
    owed = 0
    for piece in pieces:
        rest = piece.quantity
        while rest < 0 and lying:
            last = lying.pop()
            if last.quantity > -rest:
                lying.append(Piece(last.day, last.quantity + rest, last.cell))
            rest = min(0, rest + last.quantity)
        if rest < 0:
            owed -= rest
            continue
        made_up = min(owed, rest)
        owed, rest = owed - made_up, rest - made_up
        while rest > 0:
            lying.append(Piece(piece.day, min(UNIT, rest), piece.cell))
            rest -= UNIT
    return lying


def total(pieces: Iterable[Piece]) -> int:
    return sum(piece.quantity for piece in pieces)


def per_unit(prices: Prices, pieces: Sequence[Piece]) -> int:
    amount = 0
    for piece in pieces:
        cost = price(prices(piece.day).price)
        sign = 1 if piece.quantity > 0 else -1
        for _ in range(abs(piece.quantity) // UNIT):
            amount += sign * UNIT * cost
        amount += sign * (abs(piece.quantity) % UNIT) * cost
    return amount


def tier_at(tiers: Sequence[Tier], position: int) -> int:
    """The tier in which the unit lies that ends at a position: a bound belongs to the tier below it."""
    for number, tier in enumerate(tiers):
        if tier.up_to is None or position <= units(tier.up_to):
            return number
    raise ValueError("the last tier is open")


def flat_fees(charge: Charge, entered: set[int]) -> int:
    """Of the tiers that were entered; at a quantity of 0 of the first, where the charge says so."""
    amount = 0
    for number in entered or ({0} if charge.flat_fee_at_zero else set()):
        amount += UNIT * price(charge.tiers[number].flat_fee)
    return amount


def graduated(prices: Prices, pieces: Sequence[Piece]) -> int:
    """Also with a rate a tier, of money; and by blocks, whose price is due when one is started."""
    amount, position, paid_to = 0, 0, 0
    entered: set[int] = set()
    for atom in pile(pieces):
        charge, rest = prices(atom.day), atom.quantity
        while rest > 0:
            number = tier_at(charge.tiers, position + 1)
            tier = charge.tiers[number]
            if number not in entered:
                entered.add(number)
                paid_to = position
            end = position + rest if tier.up_to is None else min(position + rest, units(tier.up_to))
            if tier.block is None:
                amount += (end - position) * price(tier.price if tier.price is not None else tier.rate)
            while tier.block is not None and paid_to < end:
                amount += UNIT * price(tier.price)
                paid_to += units(tier.block)
            rest, position = rest - (end - position), end
    return amount + flat_fees(prices(pieces[0].day), entered)


def volume(prices: Prices, pieces: Sequence[Piece]) -> int:
    lying = pile(pieces)
    number = tier_at(prices(pieces[0].day).tiers, total(lying))
    amount = 0
    for atom in lying:
        amount += atom.quantity * price(prices(atom.day).tiers[number].price)
    return amount + flat_fees(prices(pieces[0].day), {number} if lying else set())


def package(prices: Prices, pieces: Sequence[Piece]) -> int:
    amount, free, room, last = 0, None, 0, 0
    for atom in pile(pieces):
        charge, rest = prices(atom.day), atom.quantity
        free = units(charge.free) if free is None else free
        given = min(free, rest)
        free, rest = free - given, rest - given
        while rest > 0:
            if room == 0:
                room, last = units(charge.size), UNIT * price(charge.price)
                amount += last
            put = min(room, rest)
            room, rest = room - put, rest - put
    begun = room > 0
    return amount - last if begun and prices(pieces[0].day).whole else amount


def matrix(prices: Prices, pieces: Sequence[Piece]) -> int:
    amount = 0
    for atom in pieces:
        charge, rest = prices(atom.day), max(0, atom.quantity)
        while rest > 0:
            step = min(UNIT, rest)
            amount += step * price(cell_price(charge, atom.cell))
            rest -= step
    return amount


def cell_price(charge: Charge, cell: str) -> Decimal | None:
    values = json.loads(cell)
    for row in charge.cells:
        if all(values.get(name) == value for name, value in row.match.items()):
            return row.price
    return charge.default


def dynamic(prices: Prices, pieces: Sequence[Piece]) -> int:
    amount = 0
    for piece in pieces:
        multiplier = prices(piece.day).multiplier
        amount += piece.quantity * price(Decimal(1) if multiplier is None else multiplier)
    return amount


@dataclass(frozen=True, slots=True)
class Paid:
    """What an event of `percentage` pays: `part` as the slices of a line name it, `excess` of money above the free
    amount, `amount` in 10**-21."""

    day: date
    part: str
    excess: int
    amount: int


def events_paid(prices: Prices, events: Sequence[Piece]) -> list[Paid]:
    """Each event by itself, in the order of (time, event key). One below 0 gives the rate back, and no more."""
    found: list[Paid] = []
    used = 0
    for number, event in enumerate(events, 1):
        charge = prices(event.day)
        has_free = charge.free_events is not None or charge.free_amount is not None
        ended = charge.free_events is not None and number > charge.free_events
        left = max(0, units(charge.free_amount) - used) if charge.free_amount is not None else event.quantity
        ended = ended or not has_free or (charge.free_amount is not None and left == 0)
        if not ended and event.quantity <= left:
            found.append(Paid(event.day, "free", 0, 0))
        else:
            found.append(_paid(charge, event.day, event.quantity - (0 if ended else left)))
        used += max(0, event.quantity)
    return found


def _paid(charge: Charge, day: date, excess: int) -> Paid:
    if excess < 0:
        return Paid(day, "units", excess, excess * price(charge.rate))
    amount = excess * price(charge.rate) + UNIT * price(charge.fixed)
    if charge.min_per_event is not None and amount < UNIT * price(charge.min_per_event):
        return Paid(day, "at_min", excess, UNIT * price(charge.min_per_event))
    if charge.max_per_event is not None and amount > UNIT * price(charge.max_per_event):
        return Paid(day, "at_max", excess, UNIT * price(charge.max_per_event))
    return Paid(day, "units", excess, amount)


def percentage(prices: Prices, pieces: Sequence[Piece]) -> int:
    return sum(paid.amount for paid in events_paid(prices, pieces))


WALKS: dict[str, Callable[[Prices, Sequence[Piece]], int]] = {
    "per_unit": per_unit,
    "graduated": graduated,
    "graduated_percentage": graduated,
    "volume": volume,
    "package": package,
    "matrix": matrix,
    "dynamic": dynamic,
    "percentage": percentage,
}
