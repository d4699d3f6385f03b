"""Step 2, before proration: what the models of charges make of pieces. Nothing is rounded.

Units have positions, one after the other through the span. Which day has which positions is read off the lowest that
the total falls to from a day on; what they cost is the integral of the tiers' prices over them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from orchestration.audit.pricing.pieces import Piece, together
from orchestration.audit.pricing.terms import Price, Terms
from orchestration.catalog.charges import Charge, Tier
from orchestration.money import decimal_text

NONE = Fraction(0)


@dataclass(frozen=True, slots=True)
class Detail:
    """A part of an amount: so much at one price of one version."""

    version: str
    tier: int | None
    quantity: Fraction
    price: Fraction
    part: str = "units"
    contract: str = ""
    cell: str | None = None

    def shown(self) -> dict[str, str]:
        found = {
            "version": self.version,
            "part": self.part,
            "tier": "" if self.tier is None else str(self.tier),
            "quantity": decimal_text(self.quantity),
            "price": decimal_text(self.price),
            "amount": decimal_text(self.quantity * self.price),
        }
        found |= {"contract": self.contract} if self.contract else {}
        return found | ({} if self.cell is None else {"cell": self.cell})


def detail(price: Price, tier: int | None, quantity: Fraction, each: Decimal | None, part: str = "units") -> Detail:
    return Detail(price.version.isoformat(), tier, quantity, Fraction(each or 0), part, price.contract)


def amount_of(details: Iterable[Detail]) -> Fraction:
    return sum((one.quantity * one.price for one in details), NONE)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions (low, high] that have the prices at one place of the terms."""

    low: Fraction
    high: Fraction
    place: int

    def within(self, low: Fraction, high: Fraction | None) -> Fraction:
        """How much of it lies in (low, high]."""
        top = self.high if high is None else min(self.high, high)
        return max(NONE, top - max(self.low, low))


def stretches(terms: Terms, pieces: Iterable[Piece]) -> tuple[list[Stretch], Fraction]:
    """All positions with their prices, and where they end. What a day takes back is gone from the top; what is owed
    below 0 is made up before anything is priced. So a day keeps what no later total falls below."""
    days = together(pieces, apart=False)
    totals = [NONE]
    for piece in days:
        totals.append(totals[-1] + piece.quantity)
    found: list[Stretch] = []
    lowest = totals[-1]
    for piece, before in zip(reversed(days), reversed(totals[:-1]), strict=True):
        high, lowest = lowest, min(lowest, before)
        if high > max(lowest, NONE):
            found.append(Stretch(max(lowest, NONE), high, terms.place(piece.day)))
    return found[::-1], totals[-1]


def by_place(found: Iterable[tuple[int, Fraction]]) -> list[tuple[int, Fraction]]:
    """Quantities above 0, summed by the place of their prices."""
    sums: dict[int, Fraction] = {}
    for place, quantity in found:
        if quantity > 0:
            sums[place] = sums.get(place, NONE) + quantity
    return sorted(sums.items())


def begun(stretch: Stretch, low: Fraction, high: Fraction | None, size: Fraction) -> Fraction:
    """How many packages of a size, laid out from `low` on, have their first unit in the stretch and below `high`."""
    top = stretch.high if high is None else min(stretch.high, high)
    first, last = (-((low - edge) // size) for edge in (max(stretch.low, low), max(top, low)))
    return Fraction(max(0, last - first))


def tiers_of(charge: Charge) -> Iterator[tuple[int, Fraction, Fraction | None, Tier]]:
    """(number, bound below, bound above or none, tier)."""
    below = NONE
    for number, tier in enumerate(charge.tiers, 1):
        above = None if tier.up_to is None else Fraction(tier.up_to)
        yield number, below, above, tier
        below = below if above is None else above


def tier_at(charge: Charge, quantity: Fraction) -> int:
    """The tier that a quantity falls in; its upper bound belongs to it."""
    return next(number for number, _, above, _ in tiers_of(charge) if above is None or not above < quantity)


def tier_fees(terms: Terms, reached: Fraction) -> list[Detail]:
    """Due once when the total goes above the bound below a tier; at 0 the first's, where the charge says so."""
    charge = terms.charge
    return [
        detail(terms.prices[0], number, Fraction(1), tier.flat_fee, "tier_fee")
        for number, below, _, tier in tiers_of(charge)
        if tier.flat_fee and (below < reached or (number == 1 and charge.flat_fee_at_zero))
    ]


def volume_fee(terms: Terms, number: int, reached: Fraction) -> list[Detail]:
    """That of the tier which the total falls in."""
    fee = terms.charge.tiers[number - 1].flat_fee
    due = fee and (reached > 0 or terms.charge.flat_fee_at_zero)
    return [detail(terms.prices[0], number, Fraction(1), fee, "tier_fee")] if due else []


def _tier(terms: Terms, found: Sequence[Stretch], number: int, low: Fraction, high: Fraction | None) -> list[Detail]:
    """The units, or started blocks, of (low, high] at the prices of a tier."""
    block = terms.charge.tiers[number - 1].block
    if block is None:
        sums, part = by_place((s.place, s.within(low, high)) for s in found), "units"
    else:
        sums, part = by_place((s.place, begun(s, low, high, Fraction(block))) for s in found), "blocks"
    prices = terms.prices
    return [detail(prices[n], number, q, prices[n].charge.tiers[number - 1].unit_price, part) for n, q in sums]


def graduated(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
    found, reached = stretches(terms, pieces)
    if reached < 0:
        return []
    of_tiers = [_tier(terms, found, number, low, high) for number, low, high, _ in tiers_of(terms.charge)]
    return [one for of_tier in of_tiers for one in of_tier] + tier_fees(terms, reached)


def volume(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
    found, reached = stretches(terms, pieces)
    if reached < 0:
        return []
    number = tier_at(terms.charge, reached)
    return _tier(terms, found, number, NONE, None) + volume_fee(terms, number, reached)


def package(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
    found, reached = stretches(terms, pieces)
    free, size = Fraction(terms.charge.free or 0), Fraction(terms.charge.size or 0)
    top = free + (max(reached, free) - free) // size * size if terms.charge.whole else None
    given = by_place((s.place, s.within(NONE, free)) for s in found)
    sold = by_place((s.place, begun(s, free, top, size)) for s in found)
    prices = terms.prices
    return [detail(prices[n], None, q, None, "free") for n, q in given] + [
        detail(prices[n], None, q, prices[n].charge.price, "packages") for n, q in sold
    ]


def uniform(price_of: Callable[[Charge], Decimal | None]) -> Callable[[Terms, Sequence[Piece]], list[Detail]]:
    """All units of a day at its price, also those below 0."""

    def model(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
        return [
            detail(price, None, sum((p.quantity for p in of_price), NONE), price_of(price.charge))
            for place, price in enumerate(terms.prices)
            if (of_price := [p for p in pieces if terms.place(p.day) == place])
        ]

    return model


def matrix(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
    """Each cell by itself; what no cell names is one."""
    cells: dict[str, list[Piece]] = {}
    for piece in pieces:
        cells.setdefault(_cell(terms.charge, piece.cell), []).append(piece)
    details = []
    for cell in sorted(cells):
        for place, quantity in by_place((s.place, s.high - s.low) for s in stretches(terms, cells[cell])[0]):
            price = terms.prices[place]
            details.append(replace(detail(price, None, quantity, _cell_price(price.charge, cell)), cell=cell))
    return details


def _cell(charge: Charge, text: str) -> str:
    """The values of the cell that prices a combination, as one text; empty for the default."""
    values: Mapping[str, str] = json.loads(text) if text else {}
    fits = [cell.match for cell in charge.cells if dict(cell.match) == dict(values)]
    return json.dumps(dict(fits[0]), sort_keys=True, ensure_ascii=False, separators=(",", ":")) if fits else ""


def _cell_price(charge: Charge, text: str) -> Decimal | None:
    if not text:
        return charge.default
    return next(cell.price for cell in charge.cells if dict(cell.match) == json.loads(text))


def percentage(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
    """Money pays the rate and events the fixed fee; events outside of the bounds pay the bound instead."""
    charge = terms.charge
    parts: list[tuple[str, str, bool, Callable[[Charge], Decimal | None]]] = [
        ("free", "free", False, lambda _: None),
        ("units", "units", False, lambda at: at.rate),
        ("event_fee", "units", True, lambda at: at.fixed),
        ("at_min", "at_min", True, lambda at: at.min_per_event),
        ("at_max", "at_max", True, lambda at: at.max_per_event),
    ]
    details = []
    for part, paid, by_events, price_of in parts:
        if part == "event_fee" and charge.fixed is None:
            continue
        for place, price in enumerate(terms.prices):
            own = [p for p in pieces if p.part == paid and terms.place(p.day) == place]
            counts = [count for p in own if (count := Fraction(p.events) if by_events else p.quantity)]
            if counts:
                details.append(detail(price, None, sum(counts, NONE), price_of(price.charge), part))
    return details


def flat(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
    return [detail(terms.prices[0], None, Fraction(1), terms.charge.amount, "fee")]


MODELS: dict[str, Callable[[Terms, Sequence[Piece]], list[Detail]]] = {
    "flat": flat,
    "per_unit": uniform(lambda charge: charge.price),
    "graduated": graduated,
    "graduated_percentage": graduated,
    "volume": volume,
    "package": package,
    "percentage": percentage,
    "matrix": matrix,
    "dynamic": uniform(lambda charge: Decimal(1) if charge.multiplier is None else charge.multiplier),
}


def each_window(terms: Terms, pieces: Sequence[Piece]) -> list[Detail]:
    """The model on every window alone, and the like of their parts added up."""
    sums: dict[Detail, Fraction] = {}
    for piece in pieces:
        for one in MODELS[terms.charge.model](terms, [replace(piece, windows=1)]):
            key = replace(one, quantity=NONE)
            sums[key] = sums.get(key, NONE) + one.quantity * piece.windows

    def order(one: Detail) -> tuple[int, str, str, str, str, Fraction]:
        return one.tier or 0, one.version, one.contract, one.cell or "", one.part, one.price

    return [replace(key, quantity=sums[key]) for key in sorted(sums, key=order)]
