"""The list price of a meter: what is the least that anybody would have paid for a unit of it, by the plans in force.

It values what no line bills: an amount that has no customer, or no plan, has no other price.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from orchestration.catalog.charges import Charge
from orchestration.catalog.plans import Plan
from orchestration.catalog.versions import version_on
from orchestration.money import Money


class ListPrice(NamedTuple):
    """The price of a measured unit, in whole units of a currency."""

    price: Fraction
    currency: str

    def of(self, quantity: Decimal | int) -> Money:
        """What a quantity costs, rounded once."""
        return Money.of(self.price * Fraction(quantity), self.currency)


def list_prices(plans: Iterable[Plan], day: date) -> dict[str, ListPrice]:
    """By meter the lowest price above 0 of all plans in force on a day, in the currency in which most of them sell it
    (of equals the first by name). A meter that no plan sells by the unit is left out."""
    found: dict[str, dict[str, list[Fraction]]] = defaultdict(lambda: defaultdict(list))
    for plan in plans:
        version = version_on(plan, day)
        for charge in version.charges if version is not None else ():
            if charge.meter is not None and (prices := [price for price in _prices(charge) if price > 0]):
                found[charge.meter][plan.currency].append(min(prices))
    return {meter: _lowest(by_currency) for meter, by_currency in found.items()}


def _lowest(by_currency: Mapping[str, list[Fraction]]) -> ListPrice:
    sold = Counter({currency: len(prices) for currency, prices in sorted(by_currency.items())})
    ((currency, _),) = sold.most_common(1)
    return ListPrice(min(by_currency[currency]), currency)


def _prices(charge: Charge) -> Iterator[Fraction]:
    """The prices of a measured unit; none where a sum of events is not what is priced."""
    if charge.watermark is not None or charge.active is not None or charge.prorate is not None:
        return
    ratio = Fraction(1) if charge.convert is None else charge.convert.ratio
    if charge.model == "per_unit" and charge.price is not None:
        yield Fraction(charge.price) * ratio
    elif charge.model == "package" and charge.price is not None and charge.size is not None:
        yield Fraction(charge.price) / Fraction(charge.size) * ratio
    elif charge.model in ("graduated", "volume"):
        yield from (Fraction(tier.unit_price) / Fraction(tier.block or 1) * ratio for tier in charge.tiers)
    elif charge.model == "matrix":
        cells = [cell.price for cell in charge.cells]
        yield from (Fraction(price) * ratio for price in (*cells, charge.default) if price is not None)
