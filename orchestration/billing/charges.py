"""What charge models take and give: measured slices in, parts of an amount out. Nothing is rounded here.

The models themselves are in `orchestration.billing.models`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias

from orchestration.billing.segments import ChargeTerms, PriceFrom
from orchestration.errors import Problem
from orchestration.money import EXACT, decimal_text

ZERO = Decimal(0)
ONE = Decimal(1)

SlicePart: TypeAlias = Literal["units", "free", "at_min", "at_max"]
DetailPart: TypeAlias = Literal[
    "units", "packages", "blocks", "free", "events", "at_min", "at_max", "fee", "tier_fee", "event_fee"
]


class Slice(NamedTuple):
    """The quantity of one local day, in the unit that the prices are for.

    `windows` is above 1 where windows are priced each by itself: so many of the day have this quantity. `rank` is set
    for items: what they were the n-th of when they were added, on that day. `cell` is what a matrix prices: a JSON
    object of the values of its dimensions, keys sorted; `hour_us` is the start of the hour, where cells share included
    units. For prices by event, `events` are how many they are and `part` is what they pay: `units` the rate on
    `quantity` (money above the free amount) and the fixed fee, `at_min` and `at_max` the bound each, `free` nothing.
    """

    day: date
    quantity: Decimal
    windows: int = 1
    rank: int | None = None
    cell: str = ""
    hour_us: int | None = None
    events: int = 0
    part: SlicePart = "units"


class PriceDetail(NamedTuple):
    """A part of an amount: `quantity` units at `price` each, by one version of the plan.

    `tier` counts from 1, None where the model has none. `part` is "units" for what usage caused, "fee" for a fixed fee,
    "tier_fee" for the flat fee of a tier; packages and blocks are counted whole. "free" is usage that costs nothing.
    Of prices by event, `quantity` is how many events pay the fixed fee ("event_fee") or a bound. `contract` is that of
    an override, `cell` a matrix's combination of values, empty where the default prices it.
    """

    version: date
    tier: int | None
    quantity: Decimal
    price: Decimal
    part: DetailPart = "units"
    contract: str = ""
    cell: str | None = None

    @property
    def amount(self) -> Decimal:
        """Exact, before proration and rounding."""
        return EXACT.multiply(self.quantity, self.price)

    def as_dict(self) -> dict[str, str]:
        """As documents hold it: every number as text."""
        found = {
            "version": self.version.isoformat(),
            "part": self.part,
            "tier": "" if self.tier is None else str(self.tier),
            "quantity": decimal_text(self.quantity),
            "price": decimal_text(self.price),
            "amount": decimal_text(self.amount),
        }
        if self.contract:
            found["contract"] = self.contract
        if self.cell is not None:
            found["cell"] = self.cell
        return found


class Priced(NamedTuple):
    """What a model says: the parts of the amount, and what is wrong with the quantity."""

    details: tuple[PriceDetail, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def amount(self) -> Decimal:
        """Exact, before proration and rounding."""
        found = ZERO
        for detail in self.details:
            found = EXACT.add(found, detail.amount)
        return found


Model: TypeAlias = Callable[[ChargeTerms, Sequence[Slice]], Priced]
"""A charge model: its terms in one segment and what was measured in it, to the parts of the amount."""


def by_day(slices: Iterable[Slice]) -> list[Slice]:
    """One slice a day (and rank), ascending: what came within a day is summed, so its order cannot matter."""
    slices = list(slices)
    listed = [piece.day for piece in slices]
    if listed == sorted(set(listed)) and all(piece[2:] == _PLAIN for piece in slices):
        return slices
    days: dict[tuple[date, int], Decimal] = {}
    for piece in slices:
        key = (piece.day, piece.rank or 0)
        days[key] = EXACT.add(days.get(key, ZERO), piece.quantity)
    return [Slice(day, days[day, rank], rank=rank or None) for day, rank in sorted(days)]


_PLAIN = Slice(date.min, ZERO)[2:]
"""What says of a slice that summing it by day would leave it as it is."""


def merged(slices: Iterable[Slice]) -> list[Slice]:
    """One slice for each that can be told apart (day, hour, rank, cell, part), ascending.

    It is the order in which cells use up what they share.
    """
    slices = list(slices)
    keys = [(p.day, p.hour_us or 0, p.rank or 0, p.cell, p.part) for p in slices]
    if keys == sorted(set(keys)):
        return slices
    found: dict[tuple[date, int, int, str, SlicePart], tuple[Decimal, int]] = {}
    for key, piece in zip(keys, slices, strict=True):
        quantity, events = found.get(key, (ZERO, 0))
        found[key] = EXACT.add(quantity, piece.quantity), events + piece.events
    return [
        Slice(day, found[key][0], rank=rank or None, cell=cell, hour_us=hour or None, events=found[key][1], part=part)
        for key in sorted(found)
        for day, hour, rank, cell, part in [key]
    ]


def total(slices: Iterable[Slice]) -> Decimal:
    """The sum of the quantities; of windows that are priced each by itself, of all of them."""
    found = ZERO
    for piece in slices:
        quantity, windows = piece.quantity, piece.windows
        found = EXACT.add(found, quantity if windows == 1 else EXACT.multiply(quantity, windows))
    return found


def detail_of(
    price: PriceFrom, tier: int | None, quantity: Decimal, each: Decimal, part: DetailPart = "units"
) -> PriceDetail:
    """A part of an amount at the prices of one version, or of the contract that replaces them."""
    return PriceDetail(price.version, tier, quantity, each, part, price.contract)


def stated(price: PriceFrom, option: Literal["amount", "price", "rate", "size"]) -> Decimal:
    """An option that the model needs. Raises ValueError where the version lacks it: the catalog lets none through."""
    found: Decimal | None = getattr(price.charge, option)
    if found is None:
        raise ValueError(f"charge '{price.charge.key}' has no {option} in the version of {price.version}")
    return found


def below_zero(terms: ChargeTerms, quantity: Decimal, what: str = "quantity") -> tuple[Problem, ...]:
    """The report that a quantity below 0 is priced as 0; nothing for any other."""
    if quantity >= 0:
        return ()
    message = f"{what} {decimal_text(quantity)} is below 0 and is priced as 0"
    return (Problem("negative_quantity", message, f"charge '{terms.charge.key}'"),)
