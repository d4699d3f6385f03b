"""Documents: due lines with what is taken off and put on them, numbered, in the form in which they are issued."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, TypeVar

from orchestration.audit.pricing.differences import Due, Group
from orchestration.audit.pricing.layout import layout
from orchestration.audit.pricing.record import Record
from orchestration.audit.pricing.reductions import Means, Use, coupons, credits_of, reduced, summed, take, taken_again
from orchestration.audit.pricing.statement import Statement
from orchestration.audit.pricing.taxes import taxes_of, treatment
from orchestration.catalog import Catalog
from orchestration.catalog.models import Entity
from orchestration.catalog.terms import Coupon, Exemption, Grant
from orchestration.zones import local_date

Bodies = list[dict[str, Any]]
_SERIES = {"invoice": "", "credit_note": "-CN", "debit_note": "-DN"}
Agreed = TypeVar("Agreed", Coupon, Grant, Exemption)


def _by_customer(rows: Iterable[Agreed]) -> dict[str, list[Agreed]]:
    found: dict[str, list[Agreed]] = defaultdict(list)
    for row in rows:
        found[row.customer].append(row)
    return found


def _without(lines: Sequence[Due], others: Iterable[Due]) -> list[Due]:
    keys = {due.line.key for due in others}
    return [due for due in lines if due.line.key not in keys]


@dataclass(frozen=True)
class Issue:
    """The documents of one close: the catalog and the cut-off that decide them, its now, its journal entry, and the
    last number of each series before it."""

    catalog: Catalog
    cut_off: date
    now_us: int
    journal_seq: int
    last_number: Callable[[str], int]

    @cached_property
    def _coupons(self) -> Mapping[str, Sequence[Coupon]]:
        return _by_customer(self.catalog.coupons)

    @cached_property
    def _grants(self) -> Mapping[str, Sequence[Grant]]:
        return _by_customer(self.catalog.grants)

    @cached_property
    def _exemptions(self) -> Mapping[str, Sequence[Exemption]]:
        return _by_customer(self.catalog.taxes.exemptions if self.catalog.taxes is not None else ())

    @property
    def last_day(self) -> date:
        return self.cut_off - timedelta(days=1)

    def documents(self, groups: Sequence[Group], record: Record) -> tuple[Bodies, Bodies]:
        """(documents, zero invoices that are skipped); `record` is what stood before, and is carried on."""
        entities = {entity.key: entity for entity in self.catalog.settings.entities}
        numbers: dict[str, int] = {}
        issued: Bodies = []
        skipped: Bodies = []
        for group in groups:
            entity = entities[group.entity]
            # What a void gives back of coupons and credits may be used by the same close.
            for turn in (group.part(lambda due: bool(due.void)), group.part(lambda due: not due.void)):
                for statement in self._statements(turn, entity, record) if turn.lines else ():
                    self._pay(statement, entity, record)
                    skips = entity.zero_invoices == "skip" and statement.is_zero
                    number = f"journal-{self.journal_seq}" if skips else self._number(entity, statement, numbers)
                    body = layout(self.catalog, entity, statement, number, self.cut_off, self.now_us)
                    record.add_uses(body)
                    (skipped if skips else issued).append(body)
        return issued, skipped

    def _number(self, entity: Entity, statement: Statement, numbers: dict[str, int]) -> str:
        year = local_date(entity.zone, self.now_us).year
        series = f"{entity.series}{_SERIES[statement.kind]}-{year}"
        numbers[series] = numbers.get(series, self.last_number(series)) + 1
        return f"{series}-{numbers[series]:06d}"

    def _statements(self, group: Group, entity: Entity, record: Record) -> Iterator[Statement]:
        """Notes for the originals of differences, and the rest. On a note is what has a document of its own, all where
        there is nothing else, and what is given back where the rest would come to less than 0.

        Whether what is left can be used is asked once, before the first of them is issued.
        """
        bears_new = any(due.before is None for due in group.lines)
        noted = [due for due in group.lines if due.before is not None and (due.own or not bears_new)]
        rest = _without(group.lines, noted)
        whole = self._statement(group, rest, entity, record) if rest else None
        if whole is not None and whole.total < 0:
            left = [d for d, net in zip(rest, whole.nets, strict=True) if d.before is not None and net < 0]
            noted, rest = [*noted, *left], _without(rest, left)
            whole = self._statement(group, rest, entity, record) if rest else None
        by_original: dict[str, list[Due]] = defaultdict(list)
        for due in sorted(noted, key=lambda due: due.order):
            by_original[due.before.document if due.before is not None else ""].append(due)
        notes = [self._statement(group, by_original[key], entity, record, key) for key in sorted(by_original)]
        for kind in ("credit_note", "debit_note"):
            yield from (note for note in notes if note.kind == kind)
        if whole is not None:
            yield whole

    def _statement(
        self, group: Group, lines: Sequence[Due], entity: Entity, record: Record, corrects: str = ""
    ) -> Statement:
        even = entity.rounding == "half_even"
        again = taken_again(group.lines, even)
        on_lines = [list(again.get(due.line.key, ())) for due in lines]
        uses = summed(use for taken in on_lines for use in taken)
        uses += reduced(lines, self._means(group, record), on_lines, even)
        country = self.catalog.customer_on(group.customer, self.cut_off).country
        rates = None if self.catalog.taxes is None else self.catalog.taxes.rates
        exemptions = self._exemptions.get(group.customer, ())
        how = [treatment(due, rates, exemptions, group.entity, country) for due in lines]
        nets = [due.amount - sum(use.amount for use in taken) for due, taken in zip(lines, on_lines, strict=True)]
        taxes = taxes_of(nets, how, even=even, original=lines[0].original if corrects else None)
        return Statement(group, list(lines), on_lines, how, nets, taxes, uses, corrects)

    def _means(self, group: Group, record: Record) -> list[Means]:
        customer, currency, day = group.customer, group.currency, self.last_day
        found = coupons(self._coupons.get(customer, ()), currency, record, day)
        return found + credits_of(self._grants.get(customer, ()), "promotional", currency, record, day)

    def _pay(self, statement: Statement, entity: Entity, record: Record) -> None:
        """Open credit notes, then prepaid credits, pay what is no credit note: never more than is left of the whole."""
        group = statement.group
        if statement.kind == "credit_note":
            return
        refunded = {row.document for row in self.catalog.refunds}
        account = group.entity, group.customer, group.currency
        means = [Means("credit_note", n, "", left) for n, left in record.owing(account) if n not in refunded]
        grants = self._grants.get(group.customer, ())
        means += credits_of(grants, "prepaid", group.currency, record, self.last_day)
        lefts = statement.owed
        payments: list[Use] = []
        for one in means:
            places = [n for n, due in enumerate(statement.lines) if one.names(due)]
            use, _ = take(one, lefts, places, entity.rounding == "half_even", sum(lefts))
            payments += [use] if use.amount else []
        statement.payments = payments
