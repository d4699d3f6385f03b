"""Which lines are due at a cut-off, and by how much they differ from all that was issued for them.

Nothing is numbered or stored here. A line that was issued before is never issued again: what comes is the difference
between its amount now and all that was issued for it, so that a second run finds zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

from orchestration.billing.rating import Line, LineKey
from orchestration.billing.shares import Use, UseKind, uses_in
from orchestration.billing.taxes import RateKey, Treatment
from orchestration.money import EXACT, Money

LineKind: TypeAlias = Literal["fee", "usage", "cap", "true_up", "adjustment", "correction"]
MADE_BY_PLANS: dict[str, Literal["cap", "true_up"]] = {"cap": "cap", "true_up": "true_up"}
"""Lines that no charge makes, by the keys that they have instead."""
PARTS = ("gross", "discount", "excess", "top_up")


class Parts(NamedTuple):
    """amount = gross - discount - excess + top_up."""

    gross: Money
    discount: Money
    excess: Money
    top_up: Money

    def less(self, other: Parts) -> Parts:
        return Parts(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Issued:
    """What documents have said of one line so far: the sum of their amounts, the first document's number, and the line
    as the latest of them shows it. `uses` are the sums of the coupons and credits that stand on it, in their order,
    `taxes` those of its taxes by name and percentage."""

    amount: Decimal
    document: str
    line: Mapping[str, Any]
    parts: Parts | None = None
    uses: tuple[Use, ...] = ()
    taxes: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)

    @property
    def net(self) -> Decimal:
        """Its amount less coupons and promotional credits."""
        taken = sum((use.amount.amount for use in self.uses), Decimal(0))
        return EXACT.subtract(self.amount, taken)


Original: TypeAlias = Mapping[LineKey, Issued]
"""The lines that a document was the first to show, with all that was issued for them."""


@dataclass(frozen=True, slots=True)
class Before:
    """What stood in documents before a correction, and which document is corrected.

    `treatment` is how that document taxed the line, `original` all that stands of it.
    """

    amount: Money
    measured: Decimal
    quantity: Decimal
    document: str
    cause: str
    parts: Parts
    treatment: Treatment
    original: Original


@dataclass(frozen=True, slots=True)
class DueLine:
    """A line as it goes on a document. `amount` is what it adds: the line's own, or the difference to `before`."""

    line: Line
    amount: Money
    before: Before | None = None

    @property
    def kind(self) -> LineKind:
        if self.before is not None:
            return "correction"
        return "fee" if self.line.kind == "usage" and self.line.meter is None else self.line.kind

    @property
    def parts(self) -> Parts:
        """What the amount is made of; differences on a correction."""
        now = parts_of(self.line)
        return now if self.before is None else now.less(self.before.parts)

    @property
    def order(self) -> tuple[bool, str, date, date, str, str]:
        """The order on a document: by subscription, period and charge, adjustments last."""
        line = self.line
        adjusts = line.kind == "adjustment"
        return adjusts, line.subscription, line.period_start, line.start, line.charge, line.value


class Group(NamedTuple):
    """The due lines of one customer, seller and currency."""

    customer: str
    entity: str
    currency: str
    lines: list[DueLine]


def parts_of(line: Line) -> Parts:
    """What a line's amount is made of. A line that states no gross has its amount as one."""
    none = Money.zero(line.currency)
    if line.gross is None:
        return Parts(line.amount, none, none, none)
    return Parts(line.gross, line.discount or none, line.excess or none, line.top_up or none)


def key_of(line: Mapping[str, Any]) -> LineKey:
    """Which line a document shows."""
    return LineKey(
        line["subscription"],
        line["charge"],
        date.fromisoformat(line["period_start"]),
        date.fromisoformat(line["start"]),
        line.get("value", ""),
    )


def issued_lines(documents: Iterable[Mapping[str, Any]]) -> dict[LineKey, Issued]:
    """Fold issued documents, oldest first, into what was issued for each line."""
    issued: dict[LineKey, Issued] = {}
    for document in documents:
        for key, shown in shown_lines(document):
            issued[key] = together(issued.get(key), shown)
    return issued


def shown_lines(document: Mapping[str, Any]) -> Iterator[tuple[LineKey, Issued]]:
    """What one document says of its lines."""
    ranks = {(use.kind, use.id): use.rank for use in uses_in(document, document["currency"])}
    for line in document["lines"]:
        yield key_of(line), _shown(document["number"], line, ranks)


def _shown(number: str, line: Mapping[str, Any], ranks: Mapping[tuple[UseKind, str], int]) -> Issued:
    currency = line["currency"]
    uses = (use._replace(rank=ranks[use.kind, use.id], document="") for use in uses_in(line, currency))
    taxes = {(tax["name"], tax["percent"]): Decimal(tax["amount"]) for tax in line.get("taxes", ())}
    parts = Parts(*(_money(line[name], currency) for name in PARTS))
    return Issued(Decimal(line["amount"]), number, line, parts, tuple(uses), taxes)


def _money(text: str, currency: str) -> Money:
    return Money(Decimal(text), currency)


def together(before: Issued | None, after: Issued) -> Issued:
    """A line, as documents have shown it so far, and one more of them. The coupons of the original stand on it, and no
    others, so documents are put together one by one, oldest first."""
    if before is None:
        return after
    later = {(use.kind, use.id): use.amount for use in after.uses}
    uses = (
        use._replace(amount=use.amount + later[use.kind, use.id]) if (use.kind, use.id) in later else use
        for use in before.uses
    )
    taxes = {
        key: EXACT.add(before.taxes.get(key, Decimal(0)), after.taxes.get(key, Decimal(0)))
        for key in {**before.taxes, **after.taxes}
    }
    parts = before.parts and after.parts and Parts(*(a + b for a, b in zip(before.parts, after.parts, strict=True)))
    amount = EXACT.add(before.amount, after.amount)
    return Issued(amount, before.document, after.line, parts, tuple(uses), taxes)


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
    found = [DueLine(line, line.amount) for key, line in now.items() if key not in issued and is_due(line, cut_off)]
    changed: list[tuple[Line, Issued]] = []
    for key, before in issued.items():
        line = now.get(key) or _gone(before.line)
        if before.line["currency"] != line.currency:
            was = before.line["currency"]
            raise ValueError(f"{line.key} was issued in {was} and cannot be corrected in {line.currency}")
        if line.amount.amount != before.amount:
            changed.append((line, before))
    originals: dict[tuple[str, str, str], dict[LineKey, Issued]] = {_original(before): {} for _, before in changed}
    for key, before in issued.items() if originals else ():
        if (original := _original(before)) in originals:
            originals[original][key] = before
    for line, before in changed:
        cause = _cause(line, before.line, begins, line.key in retracted)
        found.append(_correction(line, before, cause, originals[_original(before)]))
    return sorted(found, key=lambda due: due.order)


def _original(issued: Issued) -> tuple[str, str, str]:
    """The document that was the first to show a line. Zero invoices that were skipped share the name of their entry."""
    return issued.document, issued.line["customer"], issued.line["currency"]


def _correction(line: Line, issued: Issued, cause: str, original: Original) -> DueLine:
    shown, amount = issued.line, Money(issued.amount, line.currency)
    none = Money.zero(line.currency)
    before = Before(
        amount=amount,
        measured=Decimal(shown["measured"]),
        quantity=Decimal(shown["quantity"]),
        document=issued.document,
        cause=cause,
        parts=issued.parts or Parts(amount, none, none, none),
        treatment=_treatment(shown),
        original=original,
    )
    return DueLine(line, line.amount - amount, before)


def _treatment(shown: Mapping[str, Any]) -> Treatment:
    """How the latest document taxed a line: every correction keeps it."""
    category = shown["tax_category"]
    day = date.fromisoformat(shown["tax_date"])
    if "exempt" in shown:
        return Treatment(category, day, (), shown["exempt"])
    rates = tuple(RateKey(category, tax["name"], Decimal(tax["percent"])) for tax in shown.get("taxes", ()))
    return Treatment(category, day, rates)


def _cause(line: Line, shown: Mapping[str, Any], begins: set[tuple[str, date]], retracted: bool) -> str:
    """Why an amount differs, as far as the two evaluations tell."""
    end_shown = date.fromisoformat(shown["end"])
    if line.end < end_shown:
        return "plan change" if (line.subscription, line.end) in begins else "ended"
    if line.end > end_shown or line.plan != shown["plan"]:
        return "plan change" if line.plan != shown["plan"] else "catalog"
    if line.measured == Decimal(shown["measured"]) and line.charge not in MADE_BY_PLANS:
        return "price"
    return "retraction" if retracted else "late usage"


def _gone(shown: Mapping[str, Any]) -> Line:
    """An issued line whose segment no longer exists: nothing is active, so nothing is owed.

    Of what a plan adds to its lines, the segment may be there, and nothing to cap or to top up any more.
    """
    start = date.fromisoformat(shown["start"])
    by_plan = shown["charge"] in MADE_BY_PLANS
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
        end=date.fromisoformat(shown["end"]) if by_plan else start,
        measured=Decimal(0),
        quantity=Decimal(0),
        unit=shown["unit"],
        amount=Money.zero(shown["currency"]),
        formula={"model": "none", "details": [], "proration": "0", "exact": "0"},
        kind=MADE_BY_PLANS.get(shown["charge"], "usage" if shown["meter"] else "fee"),
        value=shown.get("value", ""),
        tax_category=shown["tax_category"],
    )


def grouped(lines: Iterable[DueLine], seller: Callable[[str, date], str]) -> list[Group]:
    """Due lines by (customer, entity, currency), sorted: the order in which documents are numbered within an entity.

    `seller` says who sells to a customer in the period that begins on a day.
    """
    groups: dict[tuple[str, str, str], list[DueLine]] = defaultdict(list)
    for due in lines:
        groups[due.line.customer, seller(due.line.customer, due.line.period_start), due.line.currency].append(due)
    return [Group(*key, sorted(groups[key], key=lambda due: due.order)) for key in sorted(groups)]
