"""What the same months cost under two catalogs, side by side: sums of lines in, differences out.

Amounts of two currencies are never put together; a customer that is billed in two stands twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple, TypeAlias, TypeVar

from orchestration.money import Money, round_fraction

K = TypeVar("K")


class Sold(NamedTuple):
    """What lines are summed by. The charge is the line's: a charge's key, `cap` or `true_up`."""

    customer: str
    plan: str
    charge: str
    currency: str

    @property
    def account(self) -> Account:
        return self.customer, self.currency


Account: TypeAlias = tuple[str, str]
"""Customer and currency."""
Sums: TypeAlias = Mapping[Sold, Money]


@dataclass(frozen=True, slots=True)
class Change:
    """What something costs under one catalog and under the other, in one currency."""

    before: Money
    after: Money

    @property
    def difference(self) -> Money:
        return self.after - self.before

    @property
    def percent(self) -> Decimal | None:
        """The difference in percent of what it cost before, at two decimals; None of nothing, or less."""
        if self.before.amount <= 0:
            return None
        return round_fraction(Fraction(self.difference.amount) * 100 / Fraction(self.before.amount), 2)

    def rises_by_more_than(self, percent: Decimal) -> bool:
        """Whether it costs more by over so many percent of what it cost before; of nothing, or less, any rise is."""
        rise = Fraction(self.difference.amount)
        return rise > 0 and rise * 100 > max(Fraction(self.before.amount), Fraction(0)) * Fraction(percent)

    def __add__(self, other: Change) -> Change:
        return Change(self.before + other.before, self.after + other.after)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences at every grain; each sums to `totals`, by currency.

    `customers` has those in `much_more` first, then by currency, the greatest rise first; `rows` follow their order.
    `only_before` and `only_after` are rows without a line under the other catalog: they cost 0 there.
    """

    rows: Mapping[Sold, Change]
    customers: Mapping[Account, Change]
    plans: Mapping[tuple[str, str], Change]
    charges: Mapping[tuple[str, str, str], Change]
    totals: Mapping[str, Change]
    much_more: frozenset[Account]
    only_before: frozenset[Sold]
    only_after: frozenset[Sold]


def compare(before: Sums, after: Sums, much_more: Decimal) -> Comparison:
    """Put the sums under two catalogs side by side. Customers whose rise is above `much_more` percent come first."""
    rows = {
        sold: Change(*(sums.get(sold, Money.zero(sold.currency)) for sums in (before, after)))
        for sold in {**before, **after}
    }
    customers = _summed(rows, lambda sold: sold.account)
    above = frozenset(account for account, change in customers.items() if change.rises_by_more_than(much_more))

    def rank(account: Account) -> tuple[bool, str, int, str]:
        customer, currency = account
        return account not in above, currency, -customers[account].difference.minor, customer

    return Comparison(
        rows={sold: rows[sold] for sold in sorted(rows, key=lambda sold: (rank(sold.account), sold))},
        customers={account: customers[account] for account in sorted(customers, key=rank)},
        plans=_summed(rows, lambda sold: (sold.plan, sold.currency)),
        charges=_summed(rows, lambda sold: (sold.plan, sold.charge, sold.currency)),
        totals=_summed(rows, lambda sold: sold.currency),
        much_more=above,
        only_before=frozenset(before.keys() - after.keys()),
        only_after=frozenset(after.keys() - before.keys()),
    )


def _summed(rows: Mapping[Sold, Change], group: Callable[[Sold], K]) -> dict[K, Change]:
    """Sums by group, in the order of the rows."""
    found: dict[K, Change] = {}
    for sold in sorted(rows):
        key = group(sold)
        found[key] = found[key] + rows[sold] if key in found else rows[sold]
    return found
