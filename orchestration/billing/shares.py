"""What takes money off lines: coupons and credits, each at most what is left, in whole minor units split over lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, NamedTuple, TypeAlias

from orchestration.money import Money, Rounding, allocate

UseKind: TypeAlias = Literal["coupon", "promotional", "credit_note", "prepaid"]

LISTS: dict[UseKind, str] = {
    "coupon": "coupons",
    "promotional": "promotional",
    "credit_note": "credit_notes",
    "prepaid": "prepaid",
}
"""By kind the list of a document, or of a line, that names what was used."""


class Use(NamedTuple):
    """What a document, or a line of it, has used of a coupon, a credit or a credit note.

    `base` is what was left when it was taken; None on a line and on a correction. `document` is the corrected one whose
    coupon or credit it was, empty otherwise; such an amount is a difference and may be below 0. `rank` is its place
    among all that the document used.
    """

    kind: UseKind
    id: str
    amount: Money
    percent: Decimal | None = None
    base: Money | None = None
    document: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Reduction:
    """A coupon or a credit that may be used now: a percentage of what is left, or at most `amount` minor units of it.

    `applies_to` are keys of charges; empty, it names every line that it may touch at all.
    """

    kind: UseKind
    id: str
    percent: Decimal | None = None
    amount: int = 0
    applies_to: tuple[str, ...] = ()

    def names(self, charge: str) -> bool:
        return not self.applies_to or charge in self.applies_to


def at_most(wanted: int, left: int) -> int:
    """As much of `wanted` as is left, never below 0."""
    return max(0, min(wanted, left))


def percentage(percent: Decimal, left: int, currency: str, rounding: Rounding) -> int:
    """A percentage of minor units, rounded once."""
    exact = Money.of_minor(left, currency).amount
    return Money.of(Fraction(percent) * Fraction(exact) / 100, currency, rounding).minor


def wanted_of(reduction: Reduction, left: int, currency: str, rounding: Rounding) -> int:
    """What a reduction takes of `left` minor units."""
    if reduction.percent is None:
        return at_most(reduction.amount, left)
    return at_most(percentage(reduction.percent, left, currency, rounding), left)


def split(amount: int, lefts: Sequence[int]) -> list[int]:
    """An amount over what is left of lines, by largest remainder; a line at or below 0 takes no share."""
    return allocate(amount, [max(0, left) for left in lefts])


def take(
    reduction: Reduction,
    lefts: list[int],
    named: Sequence[int],
    currency: str,
    rounding: Rounding,
    limit: int | None = None,
) -> tuple[Use, dict[int, int]] | None:
    """Use a reduction on the lines at the positions `named`; `lefts`, minor units by position, are reduced.

    What is left of all of them together, but no more than `limit`, is the base: a line below 0 makes it less. Returns
    what was used and the shares by position; None where it names no line.
    """
    if not named:
        return None
    whole = sum(lefts[position] for position in named)
    base = max(0, whole if limit is None else min(limit, whole))
    amount = wanted_of(reduction, base, currency, rounding)
    shares = split(amount, [lefts[position] for position in named])
    for position, share in zip(named, shares, strict=True):
        lefts[position] -= share
    money = Money.of_minor(amount, currency)
    use = Use(reduction.kind, reduction.id, money, reduction.percent, Money.of_minor(base, currency))
    return use, {position: share for position, share in zip(named, shares, strict=True) if share}


def uses_in(shown: Mapping[str, Any], currency: str) -> list[Use]:
    """What a document, or a line of it, says that it used; the ranks are the places of its own lists."""
    return [
        Use(
            kind=kind,
            id=use["number" if kind == "credit_note" else "id"],
            amount=Money(Decimal(use["amount"]), currency),
            percent=Decimal(use["percent"]) if "percent" in use else None,
            document=use.get("document", ""),
            rank=rank,
        )
        for kind, name in LISTS.items()
        for rank, use in enumerate(shown.get(name, ()))
    ]


def total_of(uses: Iterable[Use], kind: UseKind, currency: str) -> Money:
    return sum((use.amount for use in uses if use.kind == kind), Money.zero(currency))
