"""Which lines are due at a cut-off, and by how much they differ from all that was issued for them.

Nothing is numbered or stored here. A line that was issued before is never issued again: what comes is the difference
between its amount now and all that was issued for it, so that a second run finds zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

from orchestration.billing.causes import Cause, causes_of, gone
from orchestration.billing.rating import Line, LineKey
from orchestration.billing.shares import Use, UseKind, uses_in
from orchestration.billing.taxes import RateKey, Treatment
from orchestration.money import EXACT, Money

LineKind: TypeAlias = Literal["fee", "usage", "cap", "true_up", "adjustment", "correction"]
VoidKind: TypeAlias = Literal["", "final", "reissue"]
"""What became of a line: it stands, or its document was voided for good, or to be billed anew."""
Wait: TypeAlias = Literal["", "report_only", "late_horizon", "correction_floor", "withheld"]
"""Why a difference is on no document, empty where it is."""
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
    `taxes` those of its taxes by name and percentage. `rules` are those by which the latest was made, `void` says
    whether its document was taken back."""

    amount: Decimal
    document: str
    line: Mapping[str, Any]
    parts: Parts | None = None
    uses: tuple[Use, ...] = ()
    taxes: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    rules: str = ""
    void: VoidKind = ""

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
    cause: Cause
    parts: Parts
    treatment: Treatment
    original: Original


@dataclass(frozen=True, slots=True)
class DueLine:
    """A line as it goes on a document. `amount` is what it adds: the line's own, or the difference to `before`.

    A correction is `own` where it goes on a note for its original, on none while it `waits`; `void` takes a line back.
    """

    line: Line
    amount: Money
    before: Before | None = None
    own: bool = False
    waits: Wait = ""
    void: VoidKind = ""

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

    def in_turn(self) -> Iterator[Group]:
        """What takes documents back, then all else: what comes back of coupons and credits may be used anew."""
        for takes_back in (True, False):
            if lines := [due for due in self.lines if bool(due.void) == takes_back]:
                yield self._replace(lines=lines)


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
        yield key_of(line), _shown(document, line, ranks)


def _shown(document: Mapping[str, Any], line: Mapping[str, Any], ranks: Mapping[tuple[UseKind, str], int]) -> Issued:
    currency = line["currency"]
    uses = (use._replace(rank=ranks[use.kind, use.id], document="") for use in uses_in(line, currency))
    taxes = {(tax["name"], tax["percent"]): Decimal(tax["amount"]) for tax in line.get("taxes", ())}
    parts = Parts(*(_money(line[name], currency) for name in PARTS))
    rules, void = document.get("rules", ""), document.get("void", "")
    return Issued(Decimal(line["amount"]), document["number"], line, parts, tuple(uses), taxes, rules, void)


def _money(text: str, currency: str) -> Money:
    return Money(Decimal(text), currency)


def together(before: Issued | None, after: Issued) -> Issued:
    """A line, as documents have shown it so far, and one more of them. The coupons of the original stand on it, and no
    others, so documents are put together one by one, oldest first. What is billed anew after a void begins anew."""
    if before is None or before.void == "reissue":
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
    return Issued(amount, before.document, after.line, parts, tuple(uses), taxes, after.rules, after.void)


def is_due(line: Line, cut_off: date) -> bool:
    """Arrears are due when the whole period has ended by the cut-off; an advance fee when its segment has begun."""
    return line.period_end <= cut_off if line.due == "arrears" else line.start <= cut_off


def due_lines(
    rated: Iterable[Line],
    issued: Mapping[LineKey, Issued],
    cut_off: date,
    known: Mapping[LineKey, Cause] | None = None,
    voids: Mapping[str, bool] | None = None,
) -> list[DueLine]:
    """Every line due at a cut-off, each once, sorted.

    `rated` are all lines of the subscriptions that `issued` speaks of, priced from what is known now: an issued line
    that is not among them has lost its segment or charge and is worth 0 now. A line not issued before comes when it is
    due, also at 0; one issued before comes as a correction when its amount has changed. `known` is what came to be
    known of issued lines since, beside their amounts; `voids` are documents to be taken back, and whether their lines
    are billed anew: then a line comes twice, taken back and anew. What was voided for good never comes again.
    """
    now = {line.key: line for line in rated}
    back = _voided(issued, voids or {})
    standing = {key: before for key, before in issued.items() if not before.void and key not in back}
    final = {key for key, before in issued.items() if before.void == "final"}
    final |= {key for key, due in back.items() if due.void == "final"}
    found = [
        DueLine(line, line.amount)
        for key, line in now.items()
        if key not in standing and key not in final and is_due(line, cut_off)
    ]
    changed: list[tuple[Line, Issued]] = []
    for key, before in standing.items():
        line = now.get(key) or gone(before.line)
        if before.line["currency"] != line.currency:
            was = before.line["currency"]
            raise ValueError(f"{line.key} was issued in {was} and cannot be corrected in {line.currency}")
        if line.amount.amount != before.amount:
            changed.append((line, before))
    originals = _originals(standing, [before for _, before in changed])
    begins = {(line.subscription, line.start): line.plan for line in now.values()}
    causes = causes_of([(line, b.line, b.amount, b.rules) for line, b in changed], now.keys(), begins, known or {})
    for line, before in changed:
        found.append(_correction(line, before, causes[line.key], originals[_original(before)]))
    return sorted([*back.values(), *found], key=lambda due: due.order)


def changed_keys(rated: Iterable[Line], issued: Mapping[LineKey, Issued]) -> set[LineKey]:
    """The issued lines that cost another amount now."""
    now = {line.key: line.amount.amount for line in rated}
    return {
        key
        for key, before in issued.items()
        if key.subscription and not before.void and now.get(key, Decimal(0)) != before.amount
    }


def _voided(issued: Mapping[LineKey, Issued], voids: Mapping[str, bool]) -> dict[LineKey, DueLine]:
    """All that stands of the lines that voided documents were the first to show, taken back."""
    chosen = {key: before for key, before in issued.items() if not before.void and before.document in voids}
    originals = _originals(chosen, chosen.values())
    found: dict[LineKey, DueLine] = {}
    for key, before in chosen.items():
        line = gone(before.line, end=date.fromisoformat(before.line["end"]))
        void: VoidKind = "reissue" if voids[before.document] else "final"
        back = _correction(line, before, "void", originals[_original(before)])
        found[key] = replace(back, own=True, void=void)
    return found


def _originals(
    issued: Mapping[LineKey, Issued], wanted: Iterable[Issued]
) -> dict[tuple[str, str, str], dict[LineKey, Issued]]:
    """By original, all that stands of it."""
    originals: dict[tuple[str, str, str], dict[LineKey, Issued]] = {_original(before): {} for before in wanted}
    for key, before in issued.items() if originals else ():
        if (original := _original(before)) in originals:
            originals[original][key] = before
    return originals


def _original(issued: Issued) -> tuple[str, str, str]:
    """The document that was the first to show a line. Zero invoices that were skipped share the name of their entry."""
    return issued.document, issued.line["customer"], issued.line["currency"]


def _correction(line: Line, issued: Issued, cause: Cause, original: Original) -> DueLine:
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


def grouped(lines: Iterable[DueLine], seller: Callable[[str, date], str]) -> list[Group]:
    """Due lines by (customer, entity, currency), sorted: the order in which documents are numbered within an entity.

    `seller` says who sells to a customer in the period that begins on a day. What waits is on no document.
    """
    groups: dict[tuple[str, str, str], list[DueLine]] = defaultdict(list)
    for due in lines:
        if due.waits:
            continue
        groups[due.line.customer, seller(due.line.customer, due.line.period_start), due.line.currency].append(due)
    return [Group(*key, sorted(groups[key], key=lambda due: due.order)) for key in sorted(groups)]
