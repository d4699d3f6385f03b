"""What a correction does to the coupons, credits and taxes of the document that it corrects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from orchestration.billing.due import DueLine, Original
from orchestration.billing.rating import LineKey
from orchestration.billing.shares import Reduction, Use, UseKind, split, wanted_of
from orchestration.billing.taxes import RateKey, Treatment, tax_of
from orchestration.money import Money, Rounding


def taken_again(lines: Iterable[DueLine], rounding: Rounding) -> dict[LineKey, list[Use]]:
    """What changes of the coupons and credits of the originals, by corrected line.

    They are taken again in their order, on what the original's lines are worth now: percentages of the new base,
    amounts as they were taken, but never more than the new base. Lines that aren't corrected keep their shares.
    """
    originals: dict[str, Original] = {}
    corrected: dict[str, list[DueLine]] = defaultdict(list)
    for due in lines:
        if due.before is not None:
            originals[due.before.document] = due.before.original
            corrected[due.before.document].append(due)
    found: dict[LineKey, list[Use]] = {}
    for document, original in originals.items():
        found |= _taken_again(document, original, corrected[document], rounding)
    return found


def _taken_again(
    document: str, original: Original, corrections: Sequence[DueLine], rounding: Rounding
) -> dict[LineKey, list[Use]]:
    currency = corrections[0].line.currency
    change = {due.line.key: due.amount.minor for due in corrections}
    lefts = {key: Money(issued.amount, currency).minor + change.get(key, 0) for key, issued in original.items()}
    shares: dict[tuple[UseKind, int, str, Decimal | None], dict[LineKey, int]] = defaultdict(dict)
    for key, issued in original.items():
        for use in issued.uses:
            shares[use.kind, use.rank, use.id, use.percent][key] = use.amount.minor
    found: dict[LineKey, list[Use]] = {key: [] for key in change}
    # Coupons come before promotional credits, as their names do.
    for (kind, rank, key_of_use, percent), by_line in sorted(shares.items(), key=lambda item: item[0][:2]):
        taken = sum(by_line.values())
        reduction = Reduction(kind, key_of_use, percent, taken)
        amount = wanted_of(reduction, sum(lefts[key] for key in by_line), currency, rounding)
        touched = [key for key in change if key in by_line]
        shares_now = _shares(amount - taken + sum(by_line[key] for key in touched), [lefts[key] for key in touched])
        now = by_line | dict(zip(touched, shares_now, strict=True))
        for key, share in now.items():
            lefts[key] -= share
            if share != by_line[key]:
                difference = Money.of_minor(share - by_line[key], currency)
                found[key].append(Use(kind, key_of_use, difference, percent, None, document, rank))
    return found


def _shares(amount: int, lefts: Sequence[int]) -> list[int]:
    """An amount over corrected lines, by what is left of them; what no line can bear falls on the first."""
    if amount > 0 and any(left > 0 for left in lefts):
        return split(amount, lefts)
    return [amount if n == 0 else 0 for n in range(len(lefts))]


def summed(uses: Iterable[Use]) -> list[Use]:
    """Differences of lines, summed by original and by coupon or credit."""
    found: dict[tuple[str, str, int, str], Use] = {}
    for use in uses:
        key = use.document, use.kind, use.rank, use.id
        found[key] = use._replace(amount=found[key].amount + use.amount) if key in found else use
    return [found[key] for key in sorted(found)]


def given_back(
    original: Original, taxed: Sequence[tuple[Money, Treatment]], rounding: Rounding
) -> Mapping[RateKey, Money]:
    """The taxes of a credit note for one original: never more than stands of it, and all the rest when no net does."""
    bases: dict[RateKey, Money] = {}
    for net, how in taxed:
        for rate in how.rates:
            bases[rate] = bases.get(rate, Money.zero(net.currency)) + net
    found: dict[RateKey, Money] = {}
    for rate, base in bases.items():
        net, tax = _standing(original, rate, base.currency)
        most = creditable(tax, Money.zero(base.currency))
        found[rate] = -most if not net + base else max(tax_of(base, rate.percent, rounding), -most)
    return found


def creditable(billed: Money, credited: Money) -> Money:
    """What may still be given back: what was billed, less what was given back already, never below 0."""
    return max(billed - credited, Money.zero(billed.currency))


def _standing(original: Original, rate: RateKey, currency: str) -> tuple[Money, Money]:
    """Net and tax that stand of an original at a rate."""
    net, tax = Money.zero(currency), Money.zero(currency)
    for issued in original.values():
        for (name, percent), amount in issued.taxes.items():
            if RateKey(issued.line["tax_category"], name, Decimal(percent)) == rate:
                net, tax = net + Money(issued.net, currency), tax + Money(amount, currency)
    return net, tax
