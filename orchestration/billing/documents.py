"""Documents: the canonical content of an invoice or a credit note, which adds up or is not made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import reduce
from typing import Any

from orchestration.billing.causes import RULES_VERSION
from orchestration.billing.due import (
    PARTS,
    DueLine,
    Group,
    Issued,
    due_lines,
    grouped,
    is_due,
    issued_lines,
)
from orchestration.billing.shares import LISTS, Use
from orchestration.billing.statements import DocumentKind, StatedLine, Statement
from orchestration.billing.taxes import TaxTotal
from orchestration.catalog.models import Customer, Entity
from orchestration.money import EXACT, decimal_text

__all__ = [
    "DocumentKind",
    "DueLine",
    "Group",
    "Issued",
    "build_document",
    "due_lines",
    "grouped",
    "is_due",
    "issued_lines",
]


def build_document(
    statement: Statement,
    *,
    number: str,
    entity: Entity,
    customer: Customer,
    issue_date: date,
    due_date: date,
    cut_off: date,
) -> dict[str, Any]:
    """The document as canonical JSON-able data: text, lists and objects only, every number as text.

    Days are local to the customer and half-open: an `end` is the first day that no longer belongs. Raises ValueError
    for another customer or seller, for a category without a rate, and for anything that doesn't add up.
    """
    _refuse_others(statement, number, entity, customer)
    lines = statement.lines
    document = {
        "number": number,
        "kind": statement.kind,
        "rules": RULES_VERSION,
        "issue_date": issue_date.isoformat(),
        "due_date": due_date.isoformat(),
        "cut_off": cut_off.isoformat(),
        "currency": statement.currency,
        **_parties(entity, customer),
        "references": sorted({due.before.document for due in lines if due.before is not None}),
        "service_start": min(due.line.start for due in lines).isoformat(),
        "service_end": max(due.line.end for due in lines).isoformat(),
        "lines": [_line(position, stated) for position, stated in enumerate(statement.stated, 1)],
        "subtotal": statement.subtotal.text,
        "coupon_total": statement.coupons.text,
        "promotional_total": statement.promotional.text,
        "tax": statement.tax.text,
        "total": statement.total.text,
        "credit_note_total": statement.credit_notes.text,
        "prepaid_total": statement.prepaid.text,
        "amount_due": statement.amount_due.text,
    }
    document |= _uses([*statement.uses, *statement.payments])
    if statement.corrects:
        document["corrects"] = statement.corrects
    if statement.void:
        document["void"] = statement.void
    if statement.taxes:
        document["taxes"] = [_tax(tax) for tax in statement.taxes]
    refuse_wrong_sums(document)
    return document


def _refuse_others(statement: Statement, number: str, entity: Entity, customer: Customer) -> None:
    if (statement.entity, statement.customer) != (entity.key, customer.customer):
        raise ValueError(f"document {number} is of '{statement.customer}' and does not belong to '{customer.customer}'")
    if statement.missing:
        raise ValueError(f"document {number}: no tax rate for {', '.join(statement.missing)}")


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


def _uses(uses: Iterable[Use]) -> dict[str, list[dict[str, str]]]:
    """By kind, in the order of use; a kind that was not used is left out."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for use in uses:
        found[LISTS[use.kind]].append(_use(use))
    return dict(found)


def _use(use: Use) -> dict[str, str]:
    shown = {"number" if use.kind == "credit_note" else "id": use.id, "amount": use.amount.text}
    if use.percent is not None:
        shown["percent"] = decimal_text(use.percent)
    if use.base is not None:
        shown["base"] = use.base.text
    if use.document:
        shown["document"] = use.document
    return shown


def _tax(tax: TaxTotal) -> dict[str, str]:
    shown = {"category": tax.category, "base": tax.base.text, "amount": tax.amount.text}
    if tax.exemption:
        return shown | {"reason": tax.exemption}
    return shown | {"name": tax.name, "percent": decimal_text(tax.percent)}


def _line(position: int, stated: StatedLine) -> dict[str, Any]:
    due, line = stated.due, stated.due.line
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
        **{name: part.text for name, part in zip(PARTS, due.parts, strict=True)},
        "amount": due.amount.text,
        "tax_category": stated.treatment.category,
        "tax_date": stated.treatment.day.isoformat(),
        "formula": line.formula,
    }
    if line.value:
        shown["value"] = line.value
    if line.trial:
        shown["trial"] = "yes"
    shown |= _uses(stated.uses)
    if stated.taxes:
        shown["taxes"] = [
            {"name": tax.name, "percent": decimal_text(tax.percent), "amount": tax.amount.text} for tax in stated.taxes
        ]
    if stated.treatment.exemption:
        shown["exempt"] = stated.treatment.exemption
    if due.before is not None:
        was = due.before
        before = _evaluation(was.amount.text, was.measured, was.quantity)
        after = _evaluation(line.amount.text, line.measured, line.quantity)
        shown["correction"] = {"document": was.document, "cause": was.cause, "before": before, "after": after}
    return shown


def _evaluation(amount: str, measured: Decimal, quantity: Decimal) -> dict[str, str]:
    return {"amount": amount, "measured": decimal_text(measured), "quantity": decimal_text(quantity)}


def refuse_wrong_sums(document: Mapping[str, Any]) -> None:
    """Raise ValueError unless every sum of a document is the exact sum of its parts."""
    lines = document["lines"]
    claims: dict[str, list[Decimal]] = {
        "subtotal": [_sum(lines)],
        "tax": [_sum(document.get("taxes", ())), _sum(tax for line in lines for tax in line.get("taxes", ()))],
    }
    for kind, name in LISTS.items():
        claims[f"{kind}_total"] = [_sum(document.get(name, ()))]
        if kind in ("coupon", "promotional"):
            claims[f"{kind}_total"].append(_sum(use for line in lines for use in line.get(name, ())))
    stated = {name: Decimal(document[name]) for name in (*claims, "total", "amount_due")}
    claims["total"] = [_plus(stated["subtotal"], -stated["coupon_total"], -stated["promotional_total"], stated["tax"])]
    claims["amount_due"] = [_plus(stated["total"], -stated["credit_note_total"], -stated["prepaid_total"])]
    for line in lines:
        gross, discount, excess, top_up = (Decimal(line[name]) for name in PARTS)
        name = f"line {line['position']}"
        stated[name], claims[name] = Decimal(line["amount"]), [_plus(gross, -discount, -excess, top_up)]
    for name, sums in claims.items():
        for found in sums:
            if stated[name] != found:
                raise ValueError(f"document {document['number']} doesn't add up: {name} {stated[name]}, found {found}")


def _sum(parts: Iterable[Mapping[str, Any]]) -> Decimal:
    return _plus(*(Decimal(part["amount"]) for part in parts))


def _plus(*amounts: Decimal) -> Decimal:
    return reduce(EXACT.add, amounts, Decimal(0))
