"""Credits month by month: opening + granted - used - expired - returned = closing, to the last unit.

What documents use is of their dates of issue. A credit that expires lapses on the first day on which it is no longer
valid, but for what documents of earlier cut-offs take of it later; what is given back after that lapses at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Literal, NamedTuple, TypeAlias

from orchestration.billing.shares import UseKind

Movement: TypeAlias = Literal["granted", "used", "expired", "returned"]

MOVEMENTS: tuple[Movement, ...] = ("granted", "used", "expired", "returned")


class Item(NamedTuple):
    """A credit, a credit note, or a coupon. `amount` is in minor units; None for a coupon that holds no sum of money
    and is granted as it is used. `ends` is the first day on which it is no longer valid; a credit note that was paid
    out is `returned` on a day."""

    kind: UseKind
    id: str
    customer: str
    currency: str
    amount: int | None
    day: date
    ends: date | None = None
    returned: date | None = None


class Taken(NamedTuple):
    """What a document used, in minor units: `day` is its date of issue, `valid` the day before its cut-off. Below 0
    it gives back."""

    kind: UseKind
    id: str
    customer: str
    currency: str
    day: date
    valid: date
    amount: int


class Month(NamedTuple):
    """All of one kind, customer and currency in a month, by its first day; in minor units."""

    kind: UseKind
    customer: str
    currency: str
    month: date
    opening: int
    granted: int
    used: int
    expired: int
    returned: int
    closing: int


def roll_forward(items: Iterable[Item], taken: Iterable[Taken], today: date) -> list[Month]:
    """A row for each month in which something is left or moves, up to that of `today`.

    What is granted later than today and not used is left out. Uses of what no item holds are granted as they are used.
    """
    uses: dict[tuple[str, str, str], list[Taken]] = defaultdict(list)
    for use in taken:
        uses[use.kind, use.id, use.currency].append(use)
    moved: dict[tuple[UseKind, str, str], dict[date, dict[Movement, int]]] = defaultdict(dict)

    def move(of: Item | Taken, day: date, what: Movement, amount: int) -> None:
        months = moved[of.kind, of.customer, of.currency]
        sums = months.setdefault(day.replace(day=1), defaultdict(int))
        sums[what] += amount

    for item in items:
        if item.amount is None:
            continue
        theirs = sorted(uses.pop((item.kind, item.id, item.currency), ()), key=lambda use: use.day)
        if item.day <= today or theirs:
            for day, what, amount in _movements(item, item.amount, theirs, today):
                move(item, day, what, amount)
    for use in (use for rest in uses.values() for use in rest):
        move(use, use.day, "granted", use.amount)
        move(use, use.day, "used", use.amount)
    return [month for key in sorted(moved) for month in _months(key, moved[key], today)]


def _movements(item: Item, amount: int, uses: Sequence[Taken], today: date) -> Iterator[tuple[date, Movement, int]]:
    yield item.day, "granted", amount
    for use in uses:
        yield use.day, "used", use.amount
    left = amount - sum(use.amount for use in uses)
    if item.returned is not None:
        last = max((use.day for use in uses), default=item.day)
        yield max(item.returned, item.day, last), "returned", left
    elif item.ends is not None and item.ends <= today:
        ends = max(item.ends, item.day)
        back = [use for use in uses if use.day >= ends and use.amount < 0]
        for use in back:
            yield use.day, "expired", -use.amount
        # More was used than there was: nothing expires, and what is left stays below 0 for the check to find.
        yield ends, "expired", max(left + sum(use.amount for use in back), 0)


def _months(key: tuple[UseKind, str, str], moved: dict[date, dict[Movement, int]], today: date) -> Iterator[Month]:
    month, last, opening = min(moved), max(max(moved), today.replace(day=1)), 0
    while month <= last:
        sums = moved.get(month, {})
        granted, used, expired, returned = (sums.get(what, 0) for what in MOVEMENTS)
        closing = opening + granted - used - expired - returned
        if opening or any((granted, used, expired, returned)):
            yield Month(*key, month, opening, granted, used, expired, returned, closing)
        month, opening = (month + timedelta(days=31)).replace(day=1), closing
