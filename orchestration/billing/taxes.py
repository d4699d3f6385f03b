"""Taxes: the rates of a line on its tax date, and the tax of each rate on the sum of its lines, rounded once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from orchestration.billing.rating import Line
from orchestration.catalog.terms import Exemption, TaxRate
from orchestration.money import Money, Rounding, allocate


class RateKey(NamedTuple):
    """One rate of a category, as its name and percentage say. Lines that share it are taxed together."""

    category: str
    name: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a line is taxed: by each of `rates` on the same base, or not at all for the reason in `exemption`."""

    category: str
    day: date
    rates: tuple[RateKey, ...]
    exemption: str = ""


class LineTax(NamedTuple):
    """The part of a tax that falls on a line."""

    name: str
    percent: Decimal
    amount: Money


@dataclass(frozen=True, slots=True)
class TaxTotal:
    """A tax of a document: `amount` is `percent` of `base`, rounded once; an exempt one has neither name nor amount."""

    category: str
    name: str
    percent: Decimal
    base: Money
    amount: Money
    exemption: str = ""


@dataclass(frozen=True, slots=True)
class Buyer:
    """What decides the taxes of a buyer. `rates` is None where the catalog has no taxes at all."""

    entity: str
    country: str
    rates: Sequence[TaxRate] | None = None
    exemptions: Sequence[Exemption] = ()


def tax_date(line: Line) -> date:
    """The last day of the line's period, the first for what is billed in advance."""
    return line.period_start if line.due == "advance" else line.period_end - timedelta(days=1)


def in_force(start: date | None, end: date | None, day: date) -> bool:
    return (start is None or start <= day) and (end is None or day < end)


def treatment(line: Line, buyer: Buyer) -> Treatment | None:
    """How a line is taxed that was not issued before. None: its category has no rate for this buyer on that day."""
    return treated(line.tax_category, tax_date(line), buyer)


def treated(category: str, day: date, buyer: Buyer) -> Treatment | None:
    """How a category is taxed on a day. None: it has no rate for this buyer."""
    if buyer.rates is None:
        return Treatment(category, day, ())
    for exemption in buyer.exemptions:
        if exemption.category in (None, category) and in_force(exemption.start, exemption.end, day):
            return Treatment(category, day, (), exemption.reason)
    found = {
        RateKey(category, rate.name, rate.percent)
        for rate in buyer.rates
        if rate.holds_for(category, buyer.entity, buyer.country) and in_force(rate.start, rate.end, day)
    }
    return Treatment(category, day, tuple(sorted(found))) if found else None


def taxes(
    nets: Sequence[tuple[Money, Treatment]],
    currency: str,
    rounding: Rounding = "half_away",
    amounts: Mapping[RateKey, Money] | None = None,
) -> tuple[list[TaxTotal], list[list[LineTax]]]:
    """The taxes of a document and, by line, the parts that fall on it.

    Each rate is taken of the sum of its lines and rounded once; its parts go by largest remainder. `amounts` replace
    what a rate gives, where a credit note may give back no more than was billed.
    """
    lines: dict[RateKey, list[int]] = defaultdict(list)
    exempt: dict[tuple[str, str], Money] = {}
    for position, (net, how) in enumerate(nets):
        for rate in how.rates:
            lines[rate].append(position)
        if how.exemption:
            key = how.category, how.exemption
            exempt[key] = exempt.get(key, Money.zero(currency)) + net
    totals: list[TaxTotal] = []
    parts: list[list[LineTax]] = [[] for _ in nets]
    for rate, positions in sorted(lines.items()):
        base = sum((nets[position][0] for position in positions), Money.zero(currency))
        amount = (amounts or {}).get(rate)
        amount = tax_of(base, rate.percent, rounding) if amount is None else amount
        totals.append(TaxTotal(*rate, base, amount))
        shares = _shares(amount.minor, [nets[position][0].minor for position in positions], rate.percent)
        for position, share in zip(positions, shares, strict=True):
            parts[position].append(LineTax(rate.name, rate.percent, Money.of_minor(share, currency)))
    for (category, reason), base in sorted(exempt.items()):
        totals.append(TaxTotal(category, "", Decimal(0), base, Money.zero(currency), reason))
    return totals, parts


def _shares(amount: int, nets: Sequence[int], percent: Decimal) -> list[int]:
    """A tax over its lines, in minor units.

    Where some are above 0 and some below, their sum is small beside them, and so would be a share of it only by chance:
    each line then has its own tax, cut towards zero, and the units left go to the largest remainders.
    """
    if sum(nets) and (min(nets) >= 0 or max(nets) <= 0):
        return allocate(amount, nets)
    exact = [Fraction(net) * Fraction(percent) / 100 for net in nets]
    shares = [int(part) for part in exact]
    left = amount - sum(shares)
    unit = 1 if left > 0 else -1
    order = sorted(range(len(nets)), key=lambda place: (unit * (shares[place] - exact[place]), place))
    each, more = divmod(abs(left), len(nets))
    for rank, place in enumerate(order):
        shares[place] += unit * (each + (rank < more))
    return shares


def tax_of(base: Money, percent: Decimal, rounding: Rounding = "half_away") -> Money:
    return Money.of(Fraction(base.amount) * Fraction(percent) / 100, base.currency, rounding)
