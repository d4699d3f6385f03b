"""Numbers: sequential per series (seller, kind of document, year of issue), in the order of the customers' keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from orchestration.billing.documents import Group, build_document
from orchestration.catalog import Catalog
from orchestration.catalog.models import Entity
from orchestration.zones import local_date

Body = dict[str, Any]


def series_name(entity: Entity, kind: str, issue_date: date) -> str:
    """The number series of a seller, a kind of document and a year."""
    return f"{entity.series}{'-CN' if kind == 'credit_note' else ''}-{issue_date.year}"


def numbered(
    catalog: Catalog,
    due: Sequence[Group],
    cut_off: date,
    now_us: int,
    journal_seq: int,
    last_number: Callable[[str], int],
) -> tuple[list[Body], list[Body]]:
    """Bodies of the documents with their numbers, and bodies of the zero invoices that are skipped and take none.

    `due` comes in the order of the numbers; `last_number` gives the last one used of a series. A skipped invoice is
    named by its journal entry, so that a later difference can refer to it.
    """
    entities = {e.key: e for e in catalog.settings.entities}
    numbers: dict[str, int] = {}
    issued: list[Body] = []
    skipped: list[Body] = []
    for group in due:
        entity, customer = entities[group.entity], catalog.customers[group.customer]
        issue_date = local_date(entity.zone, now_us)
        skip = not group.total and entity.zero_invoices == "skip"
        series = series_name(entity, group.kind, issue_date)
        if not skip:
            numbers[series] = numbers.get(series, last_number(series)) + 1
        body = build_document(
            number=f"journal-{journal_seq}" if skip else f"{series}-{numbers[series]:06d}",
            kind=group.kind,
            entity=entity,
            customer=customer,
            currency=group.currency,
            lines=group.lines,
            issue_date=issue_date,
            due_date=issue_date + timedelta(days=customer.terms_days),
            cut_off=cut_off,
        )
        (skipped if skip else issued).append(body)
    return issued, skipped
