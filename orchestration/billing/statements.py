"""Statements: what a document says, worked out from due lines in the order of the rules, before it has a number.

Adjustments are lines already. Then coupons, promotional credits, taxes, the total, open credit notes, prepaid credits.
Everything is in whole minor units; what is split goes by largest remainder and sums exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Literal, TypeAlias

from orchestration.billing.corrections import given_back, summed, taken_again
from orchestration.billing.credits import Account, Used, valid_coupons, valid_credits
from orchestration.billing.due import DueLine, Group, VoidKind
from orchestration.billing.rating import LineKey
from orchestration.billing.shares import Reduction, Use, take, total_of
from orchestration.billing.taxes import Buyer, LineTax, TaxTotal, Treatment, tax_date, taxes, treatment
from orchestration.catalog.terms import Coupon, Grant
from orchestration.money import Money, Rounding

DocumentKind: TypeAlias = Literal["invoice", "credit_note", "debit_note"]
UNTOUCHED = frozenset({"correction", "adjustment"})
"""Kinds of lines that no coupon or promotional credit of the document touches."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What holds for one customer: its coupons, credits and taxes, the credit notes that were refunded to it, and how
    its seller rounds."""

    buyer: Buyer
    coupons: Sequence[Coupon] = ()
    grants: Sequence[Grant] = ()
    refunded: frozenset[str] = frozenset()
    rounding: Rounding = "half_away"


@dataclass(frozen=True, slots=True)
class StatedLine:
    """A due line with what was taken off it and the taxes that fall on it."""

    due: DueLine
    uses: tuple[Use, ...]
    treatment: Treatment
    taxes: tuple[LineTax, ...]

    @property
    def net(self) -> Money:
        return _net(self.due, self.uses)

    @property
    def owed(self) -> Money:
        return sum((tax.amount for tax in self.taxes), self.net)


@dataclass(frozen=True)
class Statement:
    """A document without number and dates. `corrects` is the one that a note was made for, empty otherwise.

    `missing` names the tax categories that have no rate for the buyer: such a statement can be shown, never issued.
    """

    customer: str
    entity: str
    currency: str
    stated: tuple[StatedLine, ...]
    taxes: tuple[TaxTotal, ...]
    uses: tuple[Use, ...]
    corrects: str = ""
    missing: tuple[str, ...] = ()
    payments: tuple[Use, ...] = field(default=())

    @property
    def lines(self) -> list[DueLine]:
        return [stated.due for stated in self.stated]

    @property
    def account(self) -> Account:
        return Account(self.entity, self.customer, self.currency)

    @cached_property
    def subtotal(self) -> Money:
        return sum((stated.due.amount for stated in self.stated), Money.zero(self.currency))

    @cached_property
    def coupons(self) -> Money:
        return total_of(self.uses, "coupon", self.currency)

    @cached_property
    def promotional(self) -> Money:
        return total_of(self.uses, "promotional", self.currency)

    @cached_property
    def tax(self) -> Money:
        return sum((tax.amount for tax in self.taxes), Money.zero(self.currency))

    @cached_property
    def total(self) -> Money:
        return self.subtotal - self.coupons - self.promotional + self.tax

    @cached_property
    def credit_notes(self) -> Money:
        return total_of(self.payments, "credit_note", self.currency)

    @cached_property
    def prepaid(self) -> Money:
        return total_of(self.payments, "prepaid", self.currency)

    @cached_property
    def amount_due(self) -> Money:
        return self.total - self.credit_notes - self.prepaid

    @property
    def kind(self) -> DocumentKind:
        """A total below zero is a credit note; its amounts keep their signs. So is what takes a document back."""
        if self.void or self.total < Money.zero(self.currency):
            return "credit_note"
        return "debit_note" if self.corrects else "invoice"

    @property
    def void(self) -> VoidKind:
        """Whether it takes a document back."""
        return self.stated[0].due.void

    @property
    def is_zero(self) -> bool:
        """A zero invoice, which may be skipped. One that has used a coupon or a credit says so, and is none."""
        return not self.total and not any(use.amount for use in (*self.uses, *self.payments))


def statements(group: Group, agreed: Agreed, used: Used, cut_off: date) -> list[Statement]:
    """The documents of a group: notes for the originals of corrections, and an invoice for the rest.

    Corrections go on the invoice, where there is one: what comes with nothing else, what is to have a document of its
    own, and what is below zero on an invoice that would be negative goes on a note for each original, credit notes
    first. Open credit notes and prepaid credits come after, in `paid`, since they need the numbers of the credit notes.
    """
    _refuse_foreign(group)
    again = taken_again(group.lines, agreed.rounding)
    none = Money.zero(group.currency)
    alone = all(due.before is not None for due in group.lines)
    apart: list[DueLine] = [due for due in group.lines if due.before is not None and (due.own or alone)]
    rest = [due for due in group.lines if due.before is None or not (due.own or alone)]
    whole = _statement(group, rest, again, agreed, used, cut_off) if rest else None
    if whole is not None and whole.total < none:
        leaves = [stated.due.before is not None and stated.net < none for stated in whole.stated]
        apart += [stated.due for stated, leaving in zip(whole.stated, leaves, strict=True) if leaving]
        rest = [stated.due for stated, leaving in zip(whole.stated, leaves, strict=True) if not leaving]
        whole = _statement(group, rest, again, agreed, used, cut_off) if rest else None
    by_original: dict[str, list[DueLine]] = defaultdict(list)
    for due in apart:
        by_original[due.before.document if due.before is not None else ""].append(due)
    notes = [_statement(group, by_original[key], again, agreed, used, cut_off, key) for key in sorted(by_original)]
    notes.sort(key=lambda note: note.kind)
    return [*notes, whole] if whole is not None else notes


def paid(statement: Statement, agreed: Agreed, used: Used, cut_off: date) -> Statement:
    """An invoice or a debit note with what open credit notes and prepaid credits pay of it; a credit note as it is."""
    if statement.kind == "credit_note":
        return statement
    currency, lines = statement.currency, statement.stated
    notes = (
        Reduction("credit_note", number, None, left.minor)
        for number, left in used.notes(statement.account).items()
        if number not in agreed.refunded
    )
    means = [*notes, *valid_credits(agreed.grants, "prepaid", used, currency, _last_day(cut_off))]
    lefts = [stated.owed.minor for stated in lines]
    payments: list[Use] = []
    for reduction in means:
        named = [n for n, stated in enumerate(lines) if reduction.names(stated.due.line.charge)]
        # A line below zero has paid for others already, so never more than is left of the whole.
        taken = take(reduction, lefts, named, currency, agreed.rounding, sum(lefts))
        if taken is not None and taken[0].amount:
            payments.append(taken[0])
    return replace(statement, payments=tuple(payments))


def missing_rates(lines: Iterable[DueLine], buyer: Buyer) -> list[str]:
    """The tax categories of new lines that have no rate for the buyer, each with the day that lacks one."""
    new = [due.line for due in lines if due.before is None]
    return sorted({f"'{line.tax_category}' on {tax_date(line)}" for line in new if treatment(line, buyer) is None})


def _last_day(cut_off: date) -> date:
    return cut_off if cut_off == date.min else cut_off - timedelta(days=1)


def _net(due: DueLine, uses: Iterable[Use]) -> Money:
    return due.amount - sum((use.amount for use in uses), Money.zero(due.line.currency))


def _statement(
    group: Group,
    unsorted: Iterable[DueLine],
    again: Mapping[LineKey, Sequence[Use]],
    agreed: Agreed,
    used: Used,
    cut_off: date,
    corrects: str = "",
) -> Statement:
    lines = sorted(unsorted, key=lambda due: due.order)
    by_line = [list(again.get(due.line.key, ())) for due in lines]
    uses = [
        *summed(use for taken in by_line for use in taken),
        *_reduced(group.currency, lines, agreed, used, _last_day(cut_off), by_line),
    ]
    known = [treatment(due.line, agreed.buyer) if due.before is None else due.before.treatment for due in lines]
    how = [x or Treatment(due.line.tax_category, tax_date(due.line), ()) for x, due in zip(known, lines, strict=True)]
    taxed = [(_net(due, taken), x) for due, taken, x in zip(lines, by_line, how, strict=True)]
    before = lines[0].before if corrects else None
    bounded = None if before is None else given_back(before.original, taxed, agreed.rounding)
    totals, parts = taxes(taxed, group.currency, agreed.rounding, bounded)
    return Statement(
        customer=group.customer,
        entity=group.entity,
        currency=group.currency,
        stated=tuple(
            StatedLine(due, tuple(taken), treated, tuple(shares))
            for due, taken, treated, shares in zip(lines, by_line, how, parts, strict=True)
        ),
        taxes=tuple(totals),
        uses=tuple(uses),
        corrects=corrects,
        missing=tuple(missing_rates(lines, agreed.buyer)) if None in known else (),
    )


def _reduced(
    currency: str, lines: Sequence[DueLine], agreed: Agreed, used: Used, day: date, by_line: list[list[Use]]
) -> list[Use]:
    """Coupons, then promotional credits, each on what is left of the lines it names; the shares go to `by_line`.

    A trial uses up none: a document of its lines alone is none that a coupon has served.
    """
    touched = [n for n, due in enumerate(lines) if due.kind not in UNTOUCHED and not due.line.trial]
    lefts = [due.amount.minor for due in lines]
    uses: list[Use] = []
    means = valid_coupons(agreed.coupons, used, currency, day)
    means += valid_credits(agreed.grants, "promotional", used, currency, day)
    for reduction in means:
        named = [n for n in touched if reduction.names(lines[n].line.charge)]
        taken = take(reduction, lefts, named, currency, agreed.rounding)
        if taken is None or not (taken[0].amount or reduction.percent is not None):
            continue
        use, shares = taken
        uses.append(use)
        for n in named:
            # A percentage, and the base that a line below 0 makes less, are taken again when a line is corrected.
            if n in shares or reduction.percent is not None or lines[n].amount.minor < 0:
                share = Money.of_minor(shares.get(n, 0), currency)
                by_line[n].append(use._replace(amount=share, base=None))
    return uses


def _refuse_foreign(group: Group) -> None:
    if not group.lines:
        raise ValueError(f"a document for '{group.customer}' has no lines")
    if len({due.line.key for due in group.lines}) != len(group.lines):
        raise ValueError(f"a document for '{group.customer}' has a line twice")
    for due in group.lines:
        if (due.line.customer, due.line.currency) != (group.customer, group.currency):
            raise ValueError(f"{due.line.key} does not belong on a document for '{group.customer}'")
