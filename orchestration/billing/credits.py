"""What documents have used of coupons, credits and credit notes, and what of them may be used now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from orchestration.billing.shares import Reduction, Use, uses_in
from orchestration.catalog.terms import Coupon, Grant
from orchestration.money import EXACT, Money


class Account(NamedTuple):
    """Whose credit notes pay whose documents: those of one seller to one customer in one currency."""

    entity: str
    customer: str
    currency: str


class Used:
    """Folded over documents, in the order of issue; nothing else decides what is left.

    What a correction gives back of a coupon or a credit is used less. A coupon has served every document on which it
    stands, also where there was nothing to take or all was given back: a correction may take it there again, and it
    would serve one document too many.
    """

    def __init__(self) -> None:
        self._amounts: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._taken: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        self._notes: dict[Account, dict[str, Decimal]] = defaultdict(dict)

    def amount(self, kind: str, key: str) -> Decimal:
        """How much of a coupon, a credit or a credit note has been used."""
        return self._amounts.get((kind, key), Decimal(0))

    def documents(self, coupon: str) -> int:
        """How many documents a coupon has served."""
        return len(self._taken.get(coupon, ()))

    def has_taken(self, coupon: str) -> bool:
        """Whether a coupon takes something of any document, corrections counted in."""
        return any(amount > 0 for amount in self._taken.get(coupon, {}).values())

    def ids(self, kind: str) -> set[str]:
        """Everything of a kind that has ever been used."""
        return {key for found, key in self._amounts if found == kind}

    def notes(self, account: Account) -> dict[str, Money]:
        """The credit notes of an account that still owe, by number, in the order of issue."""
        found = {}
        for number, total in self._notes.get(account, {}).items():
            left = EXACT.subtract(total, self.amount("credit_note", number))
            if left > 0:
                found[number] = Money(left, account.currency)
        return found

    def is_note(self, number: str) -> bool:
        """Whether a credit note of this number was issued."""
        return any(number in found for found in self._notes.values())

    def add(self, number: str, account: Account, total: Money, uses: Iterable[Use]) -> None:
        """Count one more document. One with a total below zero owes it from now on."""
        for use in uses:
            key = use.kind, use.id
            self._amounts[key] = EXACT.add(self._amounts[key], use.amount.amount)
            if use.kind == "coupon":
                taken, document = self._taken[use.id], use.document or number
                taken[document] = EXACT.add(taken[document], use.amount.amount)
        if total < Money.zero(account.currency):
            self._notes[account][number] = (-total).amount


def used_in(documents: Iterable[Mapping[str, Any]]) -> Used:
    """What issued documents, oldest first, have used."""
    used = Used()
    for body in documents:
        currency = body["currency"]
        account = Account(body["seller"]["entity"], body["buyer"]["customer"], currency)
        used.add(body["number"], account, Money(Decimal(body["total"]), currency), uses_in(body, currency))
    return used


def valid_coupons(coupons: Iterable[Coupon], used: Used, currency: str, day: date) -> list[Reduction]:
    """The coupons that may be used on a day, in the order in which they are: by issue, then id."""
    found = []
    for coupon in sorted(coupons, key=lambda c: (c.issued, c.id)):
        if coupon.issued > day or (coupon.until is not None and coupon.until <= day):
            continue
        if coupon.currency not in (None, currency):
            continue
        once = coupon.lasts == "once"
        if coupon.amount is None:
            if once and used.has_taken(coupon.id):
                continue
            amount = 0
        else:
            spent = used.amount("coupon", coupon.id) if once else Decimal(0)
            amount = _left(coupon.amount, spent, currency)
            if amount <= 0:
                continue
        if isinstance(coupon.lasts, int) and used.documents(coupon.id) >= coupon.lasts:
            continue
        found.append(Reduction("coupon", coupon.id, coupon.percent, amount, coupon.applies_to))
    return found


def valid_credits(
    grants: Iterable[Grant], kind: Literal["promotional", "prepaid"], used: Used, currency: str, day: date
) -> list[Reduction]:
    """The credits of a kind that may be used on a day and have something left, by priority, expiry, grant date, id."""
    found = []
    for grant in sorted(grants, key=lambda g: (g.priority, g.expires or date.max, g.granted, g.id)):
        if grant.kind != kind or grant.currency != currency or grant.granted > day:
            continue
        if grant.expires is not None and grant.expires <= day:
            continue
        left = _left(grant.amount, used.amount(kind, grant.id), currency)
        if left > 0:
            found.append(Reduction(kind, grant.id, None, left, grant.applies_to))
    return found


def _left(granted: Decimal, spent: Decimal, currency: str) -> int:
    return Money.of(EXACT.subtract(granted, spent), currency).minor
