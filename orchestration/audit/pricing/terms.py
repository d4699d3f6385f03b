"""Terms: what a charge is in a span, and its prices from day to day."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestration.audit.pricing.spans import Span
from orchestration.catalog.charges import Charge, Tier
from orchestration.catalog.plans import PlanVersion
from orchestration.catalog.terms import Override
from orchestration.catalog.versions import structure


@dataclass(frozen=True, slots=True)
class Price:
    """The charge at the prices that hold from a day on; `version` is the day of the plan's version that states them,
    `contract` the one that replaces them."""

    from_day: date
    version: date
    charge: Charge
    contract: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """`prices` ascend, the first holds from the span's first day."""

    prices: tuple[Price, ...]

    @property
    def charge(self) -> Charge:
        """The charge in its structure, and at its first prices."""
        return self.prices[0].charge

    def place(self, day: date) -> int:
        """Which of the prices hold on a day."""
        return max(bisect_right(self.prices, day, key=lambda price: price.from_day) - 1, 0)

    def price_on(self, day: date) -> Price:
        return self.prices[self.place(day)]


def price_versions(span: Span) -> list[tuple[date, PlanVersion]]:
    """The versions that a span has the prices of, each from its day: the one in force, and later ones like it."""
    shape = structure(span.version)
    found = [(span.start, span.version)]
    for version in sorted(span.plan.versions, key=lambda version: version.effective):
        if span.version.effective < version.effective < span.end and structure(version) == shape:
            first = max(version.effective, span.start)
            found = [pair for pair in found if pair[0] < first] + [(first, version)]
    return found


def terms_of(span: Span, contracts: Sequence[Override]) -> dict[str, Terms]:
    """The terms of every charge of a span by key, in the order of the version in force on its first day.

    `contracts` are those of its customer and plan.
    """
    versions = price_versions(span)
    return {charge.key: _terms(span, charge.key, versions, contracts) for charge in versions[0][1].charges}


def _terms(span: Span, key: str, versions: Sequence[tuple[date, PlanVersion]], contracts: Sequence[Override]) -> Terms:
    own = [row for row in contracts if row.charge == key]
    days = {day for day, _ in versions} | {span.start}
    days |= {day for row in own for day in (row.start, row.end) if day is not None and span.start < day < span.end}
    prices = []
    for day in sorted(days):
        version = versions[bisect_right(versions, day, key=lambda pair: pair[0]) - 1][1]
        charge = next(charge for charge in version.charges if charge.key == key)
        agreed = [row for row in own if row.start <= day and (row.end is None or day < row.end)]
        for row in agreed:
            charge = _replaced(charge, row)
        prices.append(Price(day, version.effective, charge, "".join(row.contract for row in agreed)))
    # A fee is that of the first day.
    return Terms(tuple(prices[:1] if prices[0].charge.model == "flat" else prices))


def _replaced(charge: Charge, row: Override) -> Charge:
    """A contract's prices in the charge's structure: what it doesn't name stays."""
    names = ("amount", "price", "rate", "fixed", "default", "multiplier")
    update: dict[str, Any] = {name: value for name in names if (value := getattr(row, name)) is not None}
    if row.tiers:
        update["tiers"] = tuple(_tier(old, new) for old, new in zip(charge.tiers, row.tiers, strict=True))
    agreed = {frozenset(cell.match.items()): cell.price for cell in row.cells}
    if agreed:
        update["cells"] = tuple(
            cell.model_copy(update={"price": agreed.get(frozenset(cell.match.items()), cell.price)})
            for cell in charge.cells
        )
    return charge.model_copy(update=update)


def _tier(old: Tier, new: Tier) -> Tier:
    return old.model_copy(update={"price": new.price, "rate": new.rate})
