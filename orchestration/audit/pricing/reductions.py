"""What takes money off lines: coupons, credits, credit notes. Each takes what it may of what is left, in its order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from orchestration.audit.pricing.differences import Due
from orchestration.audit.pricing.lines import Key
from orchestration.audit.pricing.numbers import minor_units, nearest, split
from orchestration.audit.pricing.record import Record, Standing, Taken
from orchestration.catalog.terms import Coupon, Grant
from orchestration.money import decimal_text


@dataclass(frozen=True, slots=True)
class Use:
    """What a document, or a line of it, has used. `base` is what was left when it was taken, `document` the corrected
    one whose coupon or credit it was."""

    kind: str
    id: str
    amount: int
    percent: str = ""
    base: int | None = None
    document: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Means:
    """What may be used now: a percentage, or at most `amount` minor units; of the named charges, none named: of all."""

    kind: str
    id: str
    percent: str
    amount: int
    applies_to: tuple[str, ...] = ()

    def names(self, due: Due) -> bool:
        return not self.applies_to or due.line.key.charge in self.applies_to

    def of(self, left: int, even: bool) -> int:
        """What it takes of so much."""
        wanted = nearest(left * Fraction(self.percent) / 100, even) if self.percent else self.amount
        return max(0, min(wanted, left))


def coupons(rows: Iterable[Coupon], currency: str, record: Record, day: date) -> list[Means]:
    """Those of a customer that may be used on a day, by issue, then id."""
    found = []
    for row in sorted(rows, key=lambda row: (row.issued, row.id)):
        valid = row.issued <= day and (row.until is None or day < row.until)
        if not valid or row.currency not in (None, currency):
            continue
        served = record.served.get(row.id, {})
        if isinstance(row.lasts, int) and len(served) >= row.lasts:
            continue
        if row.percent is not None:
            if row.lasts != "once" or all(amount <= 0 for amount in served.values()):
                found.append(Means("coupon", row.id, decimal_text(row.percent), 0, row.applies_to))
            continue
        left = minor_units(Fraction(row.amount or 0), currency)
        if row.lasts == "once":
            left -= record.used.get(("coupon", row.id), 0)
        if left > 0:
            found.append(Means("coupon", row.id, "", left, row.applies_to))
    return found


def credits_of(rows: Iterable[Grant], kind: str, currency: str, record: Record, day: date) -> list[Means]:
    """Credits of a customer and kind that have something left on a day, by priority, expiry, grant date, id."""
    found = []
    for row in sorted(rows, key=lambda row: (row.priority, row.expires or date.max, row.granted, row.id)):
        own = (row.kind, row.currency) == (kind, currency)
        left = minor_units(Fraction(row.amount), currency) - record.used.get((kind, row.id), 0) if own else 0
        if left > 0 and row.granted <= day and (row.expires is None or day < row.expires):
            found.append(Means(kind, row.id, "", left, row.applies_to))
    return found


def take(
    means: Means, lefts: list[int], places: Sequence[int], even: bool, limit: int | None = None
) -> tuple[Use, dict[int, int]]:
    """Take it of the lines at these places, whose `lefts` become less: the use and the share of each place.

    A line below 0 makes the base less and takes no share; `limit` bounds the base.
    """
    base = sum(lefts[place] for place in places)
    base = max(0, base if limit is None else min(base, limit))
    amount = means.of(base, even)
    shares = dict(zip(places, split(amount, [max(0, lefts[place]) for place in places]), strict=True))
    for place, share in shares.items():
        lefts[place] -= share
    return Use(means.kind, means.id, amount, means.percent, base), shares


def _is_open(due: Due) -> bool:
    """Whether coupons and credits of its document may touch a line; a trial uses up none."""
    return due.kind not in ("correction", "adjustment") and not due.line.trial


def reduced(lines: Sequence[Due], means: Iterable[Means], on_lines: Sequence[list[Use]], even: bool) -> list[Use]:
    """Coupons and promotional credits of a document; what each line bears is added to `on_lines`."""
    lefts = [due.amount for due in lines]
    found = []
    for one in means:
        places = [n for n, due in enumerate(lines) if _is_open(due) and one.names(due)]
        use, shares = take(one, lefts, places, even)
        if not places or not (use.amount or one.percent):
            continue
        found.append(use)
        for place in places:
            # What a correction will take again stands on the line, also where it took nothing.
            if shares[place] or one.percent or lines[place].amount < 0:
                on_lines[place].append(replace(use, amount=shares[place], base=None))
    return found


def taken_again(lines: Iterable[Due], even: bool) -> dict[Key, list[Use]]:
    """By corrected line, what changes of the coupons and credits of its original."""
    by_original: dict[str, list[Due]] = defaultdict(list)
    for due in lines:
        if due.before is not None:
            by_original[due.before.document].append(due)
    found: dict[Key, list[Use]] = {}
    for document, corrected in by_original.items():
        found |= _again(document, corrected[0].original or {}, corrected, even)
    return found


def _again(
    document: str, original: Mapping[Key, Standing], corrected: Sequence[Due], even: bool
) -> dict[Key, list[Use]]:
    """In their order, on what all lines of the original are worth now: percentages of the new base, amounts as they
    were taken, never above it. Lines that aren't corrected keep what they bear."""
    change = {due.line.key: due.amount for due in corrected}
    lefts = {key: line.amount + change.get(key, 0) for key, line in original.items()}
    borne: dict[Taken, dict[Key, int]] = defaultdict(dict)
    for key, line in original.items():
        for use, amount in line.taken.items():
            borne[use][key] = amount
    found: dict[Key, list[Use]] = {key: [] for key in change}
    for use in sorted(borne, key=lambda use: (use.kind, use.rank)):
        bears = borne[use]
        was = sum(bears.values())
        now = Means(use.kind, use.id, use.percent, was).of(max(0, sum(lefts[key] for key in bears)), even)
        touched = [key for key in change if key in bears]
        amount = now - was + sum(bears[key] for key in touched)
        weights = [max(0, lefts[key]) for key in touched]
        # What no line can bear falls on the first.
        shares = split(amount, weights) if amount > 0 and any(weights) else [amount, *(0 for _ in touched)]
        after = bears | dict(zip(touched, shares, strict=False))
        for key, share in after.items():
            lefts[key] -= share
            if share != bears[key]:
                found[key].append(Use(use.kind, use.id, share - bears[key], use.percent, None, document, use.rank))
    return found


def summed(uses: Iterable[Use]) -> list[Use]:
    """Differences on lines as those of the document, by original and by coupon or credit."""
    sums: dict[tuple[str, str, int, str], Use] = {}
    for use in uses:
        key = use.document, use.kind, use.rank, use.id
        sums[key] = replace(use, amount=use.amount + (sums[key].amount if key in sums else 0))
    return [sums[key] for key in sorted(sums)]
