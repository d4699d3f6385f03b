"""Adjustments: reviewed amounts, each a line of its own on the customer's next document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal

from orchestration.billing.rating import Line
from orchestration.catalog.terms import Adjustment
from orchestration.money import Money


def adjustment_lines(adjustments: Iterable[Adjustment]) -> Iterator[Line]:
    """One line each, of the adjustment's day, due at the first cut-off on or after it. Its id stands as the charge."""
    for row in adjustments:
        amount = Money.of(Decimal(row.amount), row.currency)
        yield Line(
            subscription="",
            customer=row.customer,
            plan="",
            charge=row.id,
            name=row.reason,
            meter=None,
            due="advance",
            currency=row.currency,
            period_start=row.day,
            period_end=row.day + timedelta(days=1),
            start=row.day,
            end=row.day + timedelta(days=1),
            measured=Decimal(1),
            quantity=Decimal(1),
            unit="adjustment",
            amount=amount,
            formula={
                "model": "adjustment",
                "details": [],
                "proration": "1",
                "exact": amount.text,
                "reference": row.reference,
                "reason": row.reason,
            },
            kind="adjustment",
            tax_category=row.tax_category,
            gross=amount,
        )
