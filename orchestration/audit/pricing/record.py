"""What earlier documents have said: of each line, and of coupons, credits and credit notes. Folded oldest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from orchestration.audit.pricing.lines import Bounds, Key
from orchestration.audit.pricing.numbers import read_minor
from orchestration.ledger.rows import USE_LISTS

Body = Mapping[str, Any]


class Taken(NamedTuple):
    """A coupon or a credit as it stands on lines: its place among those of its kind, and its percentage, if any."""

    kind: str
    rank: int
    id: str
    percent: str


@dataclass(slots=True)
class Standing:
    """What stands of a line: by `document`, the first to show it, and all later ones; `shown` as the last showed it, by
    the `rules` of then. With `void`, "final" or "reissue", nothing does: its document was taken back."""

    document: str
    shown: Body
    bounds: Bounds
    taken: dict[Taken, int]
    taxes: dict[tuple[str, str], int]
    rules: str = ""
    void: str = ""

    @property
    def amount(self) -> int:
        return self.bounds.amount

    @property
    def net(self) -> int:
        return self.amount - sum(self.taken.values())

    @property
    def original(self) -> tuple[str, str, str]:
        """Zero invoices that were skipped share a name, so customer and currency stand in it too."""
        return self.document, self.shown["customer"], self.shown["currency"]


def key_of(shown: Body) -> Key:
    period_start, start = (date.fromisoformat(shown[name]) for name in ("period_start", "start"))
    return Key(shown["subscription"], shown["charge"], period_start, start, shown.get("value", ""))


def in_order(bodies: Iterable[Body]) -> list[Body]:
    """Documents of one close: what is billed anew after a void stands on what the void leaves."""
    return sorted(bodies, key=lambda body: "void" not in body)


def uses(shown: Body) -> Iterator[tuple[str, int, Body]]:
    """(kind, place in its list, what was used) of a document or a line."""
    for kind, name in USE_LISTS.items():
        for rank, use in enumerate(shown.get(name, ())):
            yield kind, rank, use


def id_of(kind: str, use: Body) -> str:
    return str(use["number"] if kind == "credit_note" else use["id"])


@dataclass
class Record:
    """`used` is what was used by (kind, id), `served` by coupon what each document took of it, `notes` what each credit
    note owes by (seller, customer, currency), oldest first."""

    lines: dict[Key, Standing] = field(default_factory=dict)
    used: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    served: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    notes: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def of(cls, bodies: Iterable[Body]) -> Record:
        found = cls()
        for body in bodies:
            found.add(body)
        return found

    def branch(self) -> Record:
        """The same, to go on with what is used; lines are those that stand."""
        served = {coupon: defaultdict(int, documents) for coupon, documents in self.served.items()}
        notes = {account: dict(owed) for account, owed in self.notes.items()}
        return Record(
            self.lines,
            defaultdict(int, self.used),
            defaultdict(lambda: defaultdict(int), served),
            defaultdict(dict, notes),
        )

    def add(self, body: Body) -> None:
        """Count one more document."""
        self.add_lines(body)
        self.add_uses(body)

    def add_uses(self, body: Body) -> None:
        """What a document has used; a total below 0 is owed from now on."""
        currency = body["currency"]
        for kind, _, use in uses(body):
            amount, name = read_minor(use["amount"], currency), id_of(kind, use)
            self.used[kind, name] += amount
            if kind == "coupon":
                self.served[name][use.get("document") or body["number"]] += amount
        total = read_minor(body["total"], currency)
        if total < 0:
            account = body["seller"]["entity"], body["buyer"]["customer"], currency
            self.notes[account][body["number"]] = -total

    def add_lines(self, body: Body) -> None:
        ranks = {(kind, id_of(kind, use)): rank for kind, rank, use in uses(body)}
        for shown in body["lines"]:
            self._add(key_of(shown), shown, body, ranks)

    def _add(self, key: Key, shown: Body, body: Body, ranks: Mapping[tuple[str, str], int]) -> None:
        currency = shown["currency"]
        parts = (read_minor(shown[name], currency) for name in ("gross", "discount", "excess", "top_up"))
        bounds = Bounds(*parts)
        taxes = {(t["name"], t["percent"]): read_minor(t["amount"], currency) for t in shown.get("taxes", ())}
        taken = {
            Taken(kind, ranks[kind, id_of(kind, use)], id_of(kind, use), use.get("percent", "")): read_minor(
                use["amount"], currency
            )
            for kind, _, use in uses(shown)
        }
        says = {"rules": body.get("rules", ""), "void": body.get("void", "")}
        if key not in self.lines or self.lines[key].void == "reissue":
            self.lines[key] = Standing(body["number"], shown, bounds, taken, taxes, **says)
            return
        # The coupons of the original stand on a line, and no others.
        before = self.lines[key]
        later = {(use.kind, use.id): amount for use, amount in taken.items()}
        self.lines[key] = Standing(
            before.document,
            shown,
            before.bounds.plus(bounds),
            {use: amount + later.get((use.kind, use.id), 0) for use, amount in before.taken.items()},
            {name: before.taxes.get(name, 0) + taxes.get(name, 0) for name in {**before.taxes, **taxes}},
            **says,
        )

    def owing(self, account: tuple[str, str, str]) -> Iterator[tuple[str, int]]:
        """Credit notes of an account that still owe, oldest first."""
        for number, owed in self.notes.get(account, {}).items():
            left = owed - self.used.get(("credit_note", number), 0)
            if left > 0:
                yield number, left
