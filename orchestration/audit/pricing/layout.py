"""The form of a document: canonical data in which every number is text, with both parties as on the day of issue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from orchestration.audit.pricing.causes import RULES
from orchestration.audit.pricing.differences import Due
from orchestration.audit.pricing.lines import Bounds
from orchestration.audit.pricing.numbers import amount_text
from orchestration.audit.pricing.reductions import Use
from orchestration.audit.pricing.statement import Statement
from orchestration.audit.pricing.taxes import Tax
from orchestration.catalog import Catalog
from orchestration.catalog.models import Entity
from orchestration.ledger.rows import USE_LISTS
from orchestration.money import decimal_text
from orchestration.zones import local_date

Shown = dict[str, Any]


def layout(
    catalog: Catalog, entity: Entity, statement: Statement, number: str, cut_off: date, now_us: int
) -> dict[str, Any]:
    """The document, days half-open; what doesn't apply is left out."""
    lines, currency = statement.lines, statement.group.currency
    issue_date = local_date(entity.zone, now_us)
    customer = catalog.customer_on(statement.group.customer, issue_date)
    totals = {
        "subtotal": statement.subtotal,
        "tax": statement.tax,
        "total": statement.total,
        "amount_due": statement.amount_due,
        **{f"{kind}_total": statement.of_kind(kind) for kind in USE_LISTS},
    }
    body: Shown = {
        "number": number,
        "kind": statement.kind,
        "rules": RULES,
        "issue_date": issue_date.isoformat(),
        "due_date": (issue_date + timedelta(days=customer.terms_days)).isoformat(),
        "cut_off": cut_off.isoformat(),
        "currency": currency,
        "seller": {"entity": entity.key, **{name: getattr(entity, name) for name in ("name", "address", "tax_id")}},
        "buyer": {
            "customer": customer.customer,
            **{name: getattr(customer, name) for name in ("name", "address", "country", "tax_id", "zone")},
        },
        "references": sorted({due.before.document for due in lines if due.before is not None}),
        "service_start": min(due.line.key.start for due in lines).isoformat(),
        "service_end": max(due.line.end for due in lines).isoformat(),
        "lines": [_line(statement, place, due) for place, due in enumerate(lines)],
        **{name: amount_text(minor, currency) for name, minor in totals.items()},
        **_uses([*statement.uses, *statement.payments], currency),
    }
    if statement.corrects:
        body["corrects"] = statement.corrects
    if statement.void:
        body["void"] = statement.void
    if statement.taxes:
        body["taxes"] = [_tax(tax, currency) for tax in statement.taxes]
    return body


def _uses(uses: Iterable[Use], currency: str) -> Shown:
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for use in uses:
        shown = {"number" if use.kind == "credit_note" else "id": use.id, "amount": amount_text(use.amount, currency)}
        shown |= {"percent": use.percent} if use.percent else {}
        shown |= {"base": amount_text(use.base, currency)} if use.base is not None else {}
        shown |= {"document": use.document} if use.document else {}
        found[USE_LISTS[use.kind]].append(shown)
    return dict(found)


def _tax(tax: Tax, currency: str) -> dict[str, str]:
    shown = {
        "category": tax.rate.category,
        "base": amount_text(tax.base, currency),
        "amount": amount_text(tax.amount, currency),
    }
    if tax.exemption:
        return shown | {"reason": tax.exemption}
    return shown | {"name": tax.rate.name, "percent": decimal_text(tax.rate.percent)}


def _line(statement: Statement, place: int, due: Due) -> Shown:
    line, currency, how = due.line, due.line.currency, statement.how[place]
    shown: Shown = {
        "position": str(place + 1),
        "kind": due.kind,
        "subscription": line.key.subscription,
        "customer": line.customer,
        "plan": line.plan,
        "charge": line.key.charge,
        "name": line.name,
        "meter": line.meter,
        "due": line.due,
        "currency": currency,
        "period_start": line.key.period_start.isoformat(),
        "period_end": line.period_end.isoformat(),
        "start": line.key.start.isoformat(),
        "end": line.end.isoformat(),
        "measured": decimal_text(line.measured),
        "quantity": decimal_text(line.quantity),
        "unit": line.unit,
        **{name: amount_text(minor, currency) for name, minor in zip(Bounds._fields, due.bounds, strict=True)},
        "amount": amount_text(due.amount, currency),
        "tax_category": how.category,
        "tax_date": how.day.isoformat(),
        "formula": dict(line.formula),
        **_uses(statement.on_lines[place], currency),
    }
    shown |= {"value": line.key.value} if line.key.value else {}
    shown |= {"trial": "yes"} if line.trial else {}
    shown |= {"exempt": how.exemption} if how.exemption else {}
    taxes = [tax for tax in statement.taxes if tax.shares is not None and place in tax.shares]
    if taxes:
        shown["taxes"] = [_share(tax, place, currency) for tax in taxes]
    if due.before is not None:
        shown["correction"] = _correction(due)
    return shown


def _share(tax: Tax, place: int, currency: str) -> dict[str, str]:
    amount = amount_text((tax.shares or {})[place], currency)
    return {"name": tax.rate.name, "percent": decimal_text(tax.rate.percent), "amount": amount}


def _correction(due: Due) -> Shown:
    """Which document is corrected, why, and what it said and should say."""
    line, before = due.line, due.before
    if before is None:
        return {}
    was = {name: decimal_text(Fraction(before.shown[name])) for name in ("measured", "quantity")}
    now = {"measured": decimal_text(line.measured), "quantity": decimal_text(line.quantity)}
    return {
        "document": before.document,
        "cause": due.cause,
        "before": {"amount": amount_text(before.amount, line.currency), **was},
        "after": {"amount": amount_text(line.amount, line.currency), **now},
    }
