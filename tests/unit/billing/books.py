"""A book of documents: closes one after the other, by the functions that drafts, closes and audits share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from billing_make import CUSTOMER, ENTITY, D

from orchestration.billing.adjustments import adjustment_lines
from orchestration.billing.credits import used_in
from orchestration.billing.documents import build_document
from orchestration.billing.due import DueLine, due_lines, grouped, issued_lines
from orchestration.billing.policy import Policy, decided
from orchestration.billing.rating import Line
from orchestration.billing.statements import Agreed, paid, statements
from orchestration.billing.taxes import Buyer
from orchestration.canonical import canonical_bytes
from orchestration.catalog.terms import Adjustment, Coupon, Grant, Taxes
from orchestration.money import Money

UNTAXED = Buyer("main", "FR")
SERIES = {"invoice": "INV", "credit_note": "CN", "debit_note": "DN"}


def buyer(**fields: Any) -> Buyer:
    """A French buyer under a `taxes.yaml` of these rates and exemptions."""
    taxes = Taxes.model_validate(fields)
    return Buyer("main", "FR", taxes.rates, taxes.exemptions)


VAT = buyer(rates=[{"category": "standard", "name": "VAT", "percent": "20"}])


def coupon(key: str = "c1", **fields: Any) -> Coupon:
    return Coupon.model_validate({"id": key, "customer": "acme", "issued": "2026-01-01", **fields})


def off(amount: str, key: str = "c1", **fields: Any) -> Coupon:
    """A coupon of an amount."""
    return coupon(key, amount=amount, currency=fields.pop("currency", "EUR"), **fields)


def grant(amount: str, key: str = "g1", kind: str = "promotional", **fields: Any) -> Grant:
    values = {"id": key, "customer": "acme", "kind": kind, "amount": amount, "currency": "EUR"}
    return Grant.model_validate({**values, "granted": "2026-01-01", **fields})


def adjustment(amount: str, key: str = "a1", day: str = "2026-10-10", **fields: Any) -> Adjustment:
    values = {"id": key, "customer": "acme", "day": day, "amount": amount, "currency": "EUR"}
    return Adjustment.model_validate({**values, "reason": "agreed", "by": "ana", "on": day, **fields})


def line(
    amount: str, charge: str = "usage", *, period: str = "2026-10-01", currency: str = "EUR", **fields: Any
) -> Line:
    """A line of a month of usage, as rating makes it; `amount` has the currency's decimals."""
    start = D(period)
    end = date(start.year + start.month // 12, start.month % 12 + 1, 1)
    values: dict[str, Any] = {
        "subscription": "sub-1",
        "customer": "acme",
        "plan": "pro",
        "charge": charge,
        "name": charge,
        "meter": "calls",
        "due": "arrears",
        "currency": currency,
        "period_start": start,
        "period_end": end,
        "start": start,
        "end": end,
        "measured": Decimal(amount),
        "quantity": Decimal(amount),
        "unit": "call",
        "amount": Money(Decimal(amount), currency),
        "formula": {"model": "per_unit", "details": [], "proration": "1", "exact": amount},
    }
    return Line(**{**values, **fields})


@dataclass
class Book:
    """Issued documents, and what the customer has agreed."""

    agreed: Agreed = field(default_factory=lambda: Agreed(UNTAXED))
    adjustments: Sequence[Adjustment] = ()
    documents: list[dict[str, Any]] = field(default_factory=list)
    policy: Policy = field(default_factory=Policy)
    waiting: list[DueLine] = field(default_factory=list)

    def issue(
        self, lines: Sequence[Line], cut_off: str = "2026-11-01", voids: Mapping[str, bool] | None = None
    ) -> list[dict[str, Any]]:
        """The documents of a close, the credit notes for originals first. What waits is in `waiting`."""
        day, used = D(cut_off), used_in(self.documents)
        rated = [*lines, *adjustment_lines(self.adjustments)]
        found: list[dict[str, Any]] = []
        due = decided(due_lines(rated, issued_lines(self.documents), day, voids=voids), self.policy, day)
        self.waiting = [one for one in due if one.waits]
        for group in (part for whole in grouped(due, lambda *_: "main") for part in whole.in_turn()):
            for statement in statements(group, self.agreed, used, day):
                whole = paid(statement, self.agreed, used, day)
                body = build_document(
                    whole,
                    number=f"{SERIES[whole.kind]}-{len(self.documents) + 1}",
                    entity=ENTITY,
                    customer=CUSTOMER,
                    issue_date=day,
                    due_date=day,
                    cut_off=day,
                )
                canonical_bytes(body)
                used.add(body["number"], whole.account, whole.total, [*whole.uses, *whole.payments])
                self.documents.append(body)
                found.append(body)
        return found


def agreed(*terms: Coupon | Grant, buyer: Buyer = UNTAXED, **fields: Any) -> Agreed:
    return Agreed(
        buyer=buyer,
        coupons=[term for term in terms if isinstance(term, Coupon)],
        grants=[term for term in terms if isinstance(term, Grant)],
        **fields,
    )


def sums(body: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Subtotal, what coupons and promotional credits took, tax, total."""
    return tuple(body[name] for name in ("subtotal", "coupon_total", "promotional_total", "tax", "total"))  # type: ignore[return-value]
