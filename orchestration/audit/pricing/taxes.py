"""Taxes: which rates a line has on its tax date, and each rate of the sum of its lines, rounded once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from orchestration.audit.pricing.differences import Due
from orchestration.audit.pricing.lines import Key
from orchestration.audit.pricing.numbers import nearest, share_out, split
from orchestration.audit.pricing.record import Body, Standing
from orchestration.catalog.terms import Exemption, TaxRate


class Rate(NamedTuple):
    category: str
    name: str
    percent: Fraction


@dataclass(frozen=True, slots=True)
class Treatment:
    """Each of `rates` on the same base, or none for the reason in `exemption`."""

    category: str
    day: date
    rates: tuple[Rate, ...]
    exemption: str = ""


@dataclass(frozen=True, slots=True)
class Tax:
    """Of a document; an exempt one has no name and no amount. `shares` are the parts that fall on lines, by place."""

    rate: Rate
    base: int
    amount: int
    exemption: str = ""
    shares: Mapping[int, int] | None = None


def _holds(start: date | None, end: date | None, day: date) -> bool:
    return (start or date.min) <= day < (end or date.max)


def treatment(
    due: Due, known: Sequence[TaxRate] | None, exemptions: Sequence[Exemption], entity: str, country: str
) -> Treatment:
    """A correction keeps that of what it corrects. Without `known` rates the catalog has no taxes; `exemptions` are the
    customer's. Raises ValueError for a category without a rate."""
    if due.before is not None:
        return _kept(due.before.shown)
    line = due.line
    if known is None:
        return Treatment(line.tax_category, line.tax_date, ())
    for row in exemptions:
        if row.category in (None, line.tax_category) and _holds(row.start, row.end, line.tax_date):
            return Treatment(line.tax_category, line.tax_date, (), row.reason)
    rates = {
        Rate(rate.category, rate.name, Fraction(rate.percent))
        for rate in known
        if rate.category == line.tax_category
        and (rate.entity is None or rate.entity == entity)
        and (not rate.countries or country in rate.countries)
        and _holds(rate.start, rate.end, line.tax_date)
    }
    if not rates:
        raise ValueError(f"{line.customer}: no rate of tax category '{line.tax_category}' on {line.tax_date}")
    return Treatment(line.tax_category, line.tax_date, tuple(sorted(rates)))


def _kept(shown: Body) -> Treatment:
    category, day = shown["tax_category"], date.fromisoformat(shown["tax_date"])
    if "exempt" in shown:
        return Treatment(category, day, (), shown["exempt"])
    rates = tuple(Rate(category, tax["name"], Fraction(tax["percent"])) for tax in shown.get("taxes", ()))
    return Treatment(category, day, rates)


def taxes_of(
    nets: Sequence[int], how: Sequence[Treatment], *, even: bool, original: Mapping[Key, Standing] | None = None
) -> list[Tax]:
    """Rates in their order, then exemptions. Of a note for an `original` no tax gives back more than stands."""
    by_rate: dict[Rate, list[int]] = defaultdict(list)
    exempt: dict[tuple[str, str], int] = defaultdict(int)
    for place, (net, one) in enumerate(zip(nets, how, strict=True)):
        for rate in one.rates:
            by_rate[rate].append(place)
        if one.exemption:
            exempt[one.category, one.exemption] += net
    found = []
    for rate in sorted(by_rate):
        places = by_rate[rate]
        base = sum(nets[place] for place in places)
        amount = nearest(rate.percent * Fraction(base, 100), even)
        if original is not None:
            net, tax = _standing(original.values(), rate)
            amount = -max(tax, 0) if net + base == 0 else max(amount, -max(tax, 0))
        shares = dict(zip(places, _shares(amount, [nets[place] for place in places], rate.percent), strict=True))
        found.append(Tax(rate, base, amount, shares=shares))
    return found + [
        Tax(Rate(category, "", Fraction(0)), exempt[category, reason], 0, reason) for category, reason in sorted(exempt)
    ]


def _shares(amount: int, nets: Sequence[int], percent: Fraction) -> list[int]:
    """Over lines of one sign in their proportions. Of lines of both signs each bears its own tax, since their sum says
    nothing of how large they are."""
    if any(nets) and (all(net >= 0 for net in nets) or all(net <= 0 for net in nets)):
        return split(amount, nets)
    return share_out(amount, [percent * Fraction(net, 100) for net in nets])


def _standing(original: Iterable[Standing], rate: Rate) -> tuple[int, int]:
    """Net and tax that stand of an original at a rate."""
    net = tax = 0
    for line in original:
        for (name, percent), amount in line.taxes.items():
            if Rate(line.shown["tax_category"], name, Fraction(percent)) == rate:
                net, tax = net + line.net, tax + amount
    return net, tax
