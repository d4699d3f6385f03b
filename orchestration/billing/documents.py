"""Documents: which lines are due at a cut-off, and the canonical content of an invoice or a credit note.

Nothing is numbered or stored here. A line that was issued before is never issued again: what comes is the difference
between its amount now and all that was issued for it, so that a second run finds zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

from orchestration.billing.rating import Line, LineKey
from orchestration.catalog.models import Customer, Entity
from orchestration.money import EXACT, Money, decimal_text

RULES_VERSION = "1"
"""Version of the billing rules; every document names the one by which it was made."""

DocumentKind: TypeAlias = Literal["invoice", "credit_note"]


@dataclass(frozen=True, slots=True)
class Issued:
    """What documents have said of one line so far: the sum of their amounts, the first document's number, and the line
    as the latest of them shows it."""

    amount: Decimal
    document: str
    line: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Before:
    """What stood in documents before a correction, and which document is corrected."""

    amount: Money
    measured: Decimal
    quantity: Decimal
    document: str
    cause: str


@dataclass(frozen=True, slots=True)
class DueLine:
    """A line as it goes on a document. `amount` is what it adds: the line's own, or the difference to `before`."""

    line: Line
    amount: Money
    before: Before | None = None

    @property
    def kind(self) -> Literal["fee", "usage", "correction"]:
        if self.before is not None:
            return "correction"
        return "fee" if self.line.meter is None else "usage"

    @property
    def order(self) -> tuple[str, date, date, str]:
        return self.line.subscription, self.line.period_start, self.line.start, self.line.charge


class Group(NamedTuple):
    """One document's worth of due lines."""

    customer: str
    entity: str
    currency: str
    lines: list[DueLine]

    @property
    def total(self) -> Money:
        return _sum(self.lines, self.currency)

    @property
    def kind(self) -> DocumentKind:
        """A total below zero is a credit note; its amounts keep their signs."""
        return "credit_note" if self.total < Money.zero(self.currency) else "invoice"


def issued_lines(documents: Iterable[Mapping[str, Any]]) -> dict[LineKey, Issued]:
    """Fold issued documents, oldest first, into what was issued for each line."""
    issued: dict[LineKey, Issued] = {}
    for document in documents:
        for line in document["lines"]:
            key = LineKey(
                line["subscription"],
                line["charge"],
                date.fromisoformat(line["period_start"]),
                date.fromisoformat(line["start"]),
            )
            amount, before = Decimal(line["amount"]), issued.get(key)
            if before is None:
                issued[key] = Issued(amount, document["number"], line)
            else:
                issued[key] = Issued(EXACT.add(before.amount, amount), before.document, line)
    return issued


def is_due(line: Line, cut_off: date) -> bool:
    """Arrears are due when the whole period has ended by the cut-off; an advance fee when its segment has begun."""
    return line.period_end <= cut_off if line.due == "arrears" else line.start <= cut_off


def due_lines(
    rated: Iterable[Line], issued: Mapping[LineKey, Issued], cut_off: date, retracted: Collection[LineKey] = ()
) -> list[DueLine]:
    """Every line due at a cut-off, each once, sorted.

    `rated` are all lines of the subscriptions that `issued` speaks of, priced from what is known now: an issued line
    that is not among them has lost its segment or charge and is worth 0 now. A line not issued before comes when it is
    due, also at 0; one issued before comes as a correction when its amount has changed. `retracted` are issued lines of
    whose events some were retracted, or restored, since.
    """
    now = {line.key: line for line in rated}
    begins = {(line.subscription, line.start) for line in now.values()}
    found: list[DueLine] = []
    for key, line in now.items():
        if key in issued:
            found += _correction(line, issued[key], begins, retracted)
        elif is_due(line, cut_off):
            found.append(DueLine(line, line.amount))
    for key, before in issued.items():
        if key not in now:
            found += _correction(_gone(before.line), before, begins, retracted)
    return sorted(found, key=lambda due: due.order)


def _correction(
    line: Line, issued: Issued, begins: set[tuple[str, date]], retracted: Collection[LineKey]
) -> list[DueLine]:
    """The difference to what was issued, or nothing when there is none. Raises ValueError when the currency changed."""
    shown = issued.line
    if shown["currency"] != line.currency:
        raise ValueError(f"{line.key} was issued in {shown['currency']} and cannot be corrected in {line.currency}")
    before = Money(issued.amount, line.currency)
    difference = line.amount - before
    if not difference:
        return []
    return [
        DueLine(
            line,
            difference,
            Before(
                amount=before,
                measured=Decimal(shown["measured"]),
                quantity=Decimal(shown["quantity"]),
                document=issued.document,
                cause=_cause(line, shown, begins, line.key in retracted),
            ),
        )
    ]


def _cause(line: Line, shown: Mapping[str, Any], begins: set[tuple[str, date]], retracted: bool) -> str:
    """Why an amount differs, as far as the two evaluations tell."""
    end_shown = date.fromisoformat(shown["end"])
    if line.end < end_shown:
        return "plan change" if (line.subscription, line.end) in begins else "ended"
    if line.end > end_shown or line.plan != shown["plan"]:
        return "plan change" if line.plan != shown["plan"] else "catalog"
    if line.measured == Decimal(shown["measured"]):
        return "price"
    return "retraction" if retracted else "late usage"


def _gone(shown: Mapping[str, Any]) -> Line:
    """An issued line whose segment no longer exists: nothing is active, so nothing is owed."""
    start = date.fromisoformat(shown["start"])
    return Line(
        subscription=shown["subscription"],
        customer=shown["customer"],
        plan=shown["plan"],
        charge=shown["charge"],
        name=shown["name"],
        meter=shown["meter"],
        due=shown["due"],
        currency=shown["currency"],
        period_start=date.fromisoformat(shown["period_start"]),
        period_end=date.fromisoformat(shown["period_end"]),
        start=start,
        end=start,
        measured=Decimal(0),
        quantity=Decimal(0),
        unit=shown["unit"],
        amount=Money.zero(shown["currency"]),
        formula={"model": "none", "details": [], "proration": "0", "exact": "0"},
    )


def grouped(lines: Iterable[DueLine], entity_of: Mapping[str, str]) -> list[Group]:
    """Due lines by (customer, entity, currency), sorted: the order in which documents are numbered within an entity."""
    groups: dict[tuple[str, str, str], list[DueLine]] = defaultdict(list)
    for due in lines:
        groups[due.line.customer, entity_of[due.line.customer], due.line.currency].append(due)
    return [Group(*key, sorted(groups[key], key=lambda due: due.order)) for key in sorted(groups)]


def build_document(
    *,
    number: str,
    kind: DocumentKind,
    entity: Entity,
    customer: Customer,
    currency: str,
    lines: Sequence[DueLine],
    issue_date: date,
    due_date: date,
    cut_off: date,
) -> dict[str, Any]:
    """The document as canonical JSON-able data: text, lists and objects only, every number as text.

    Days are local to the customer and half-open: an `end` is the first day that no longer belongs. Raises ValueError
    for lines of another customer or currency, for a line twice, and for a kind that the total contradicts.
    """
    group = Group(customer.customer, entity.key, currency, sorted(lines, key=lambda due: due.order))
    _refuse_foreign(group)
    if kind != group.kind:
        raise ValueError(f"document {number}: a total of {group.total} makes it a {group.kind}, not a {kind}")
    return {
        "number": number,
        "kind": kind,
        "rules": RULES_VERSION,
        "issue_date": issue_date.isoformat(),
        "due_date": due_date.isoformat(),
        "cut_off": cut_off.isoformat(),
        "currency": currency,
        **_parties(entity, customer),
        "references": sorted({due.before.document for due in group.lines if due.before is not None}),
        "service_start": min(due.line.start for due in group.lines).isoformat(),
        "service_end": max(due.line.end for due in group.lines).isoformat(),
        "lines": [_line(position, due) for position, due in enumerate(group.lines, 1)],
        "subtotal": group.total.text,
        "tax": Money.zero(currency).text,
        "total": group.total.text,
        "amount_due": group.total.text,
    }


def _parties(entity: Entity, customer: Customer) -> dict[str, Any]:
    """Seller and buyer as they are called on the day of issue."""
    return {
        "seller": {
            "entity": entity.key,
            "name": entity.name,
            "address": entity.address,
            "tax_id": entity.tax_id,
        },
        "buyer": {
            "customer": customer.customer,
            "name": customer.name,
            "address": customer.address,
            "country": customer.country,
            "tax_id": customer.tax_id,
            "zone": customer.zone,
        },
    }


def _refuse_foreign(group: Group) -> None:
    if not group.lines:
        raise ValueError(f"a document for '{group.customer}' has no lines")
    if len({due.line.key for due in group.lines}) != len(group.lines):
        raise ValueError(f"a document for '{group.customer}' has a line twice")
    for due in group.lines:
        if (due.line.customer, due.line.currency) != (group.customer, group.currency):
            raise ValueError(f"{due.line.key} does not belong on a document for '{group.customer}'")


def _sum(lines: Iterable[DueLine], currency: str) -> Money:
    return sum((due.amount for due in lines), Money.zero(currency))


def _line(position: int, due: DueLine) -> dict[str, Any]:
    line = due.line
    shown: dict[str, Any] = {
        "position": str(position),
        "kind": due.kind,
        "subscription": line.subscription,
        "customer": line.customer,
        "plan": line.plan,
        "charge": line.charge,
        "name": line.name,
        "meter": line.meter,
        "due": line.due,
        "currency": line.currency,
        "period_start": line.period_start.isoformat(),
        "period_end": line.period_end.isoformat(),
        "start": line.start.isoformat(),
        "end": line.end.isoformat(),
        "measured": decimal_text(line.measured),
        "quantity": decimal_text(line.quantity),
        "unit": line.unit,
        "amount": due.amount.text,
        "formula": line.formula,
    }
    if due.before is not None:
        shown["correction"] = {
            "document": due.before.document,
            "cause": due.before.cause,
            "before": _evaluation(due.before.amount, due.before.measured, due.before.quantity),
            "after": _evaluation(line.amount, line.measured, line.quantity),
        }
    return shown


def _evaluation(amount: Money, measured: Decimal, quantity: Decimal) -> dict[str, str]:
    return {"amount": amount.text, "measured": decimal_text(measured), "quantity": decimal_text(quantity)}
