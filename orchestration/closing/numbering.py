"""Numbers: sequential per series (seller, kind of document, year of issue), in the order of the customers' keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from orchestration.billing.credits import Used
from orchestration.billing.documents import build_document
from orchestration.billing.due import Group
from orchestration.billing.statements import Statement
from orchestration.catalog import Catalog
from orchestration.catalog.models import Entity
from orchestration.closing.statements import Agreements, worked_out
from orchestration.zones import local_date

Body = dict[str, Any]
_SERIES = {"credit_note": "-CN", "debit_note": "-DN"}


def series_name(entity: Entity, kind: str, issue_date: date) -> str:
    """The number series of a seller, a kind of document and a year."""
    return f"{entity.series}{_SERIES.get(kind, '')}-{issue_date.year}"


def numbered(
    catalog: Catalog,
    due: Sequence[Group],
    cut_off: date,
    now_us: int,
    journal_seq: int,
    last_number: Callable[[str], int],
    used: Used | None = None,
) -> tuple[list[Body], list[Body]]:
    """Bodies of the documents with their numbers, and bodies of the zero invoices that are skipped and take none.

    `due` comes in the order of the numbers; `last_number` gives the last one used of a series, `used` what documents
    have used so far, which is carried on. A skipped invoice is named by its journal entry, so that a later difference
    can refer to it.
    """
    entities = {e.key: e for e in catalog.settings.entities}
    numbers: dict[str, int] = {}

    def skips(statement: Statement) -> bool:
        return statement.is_zero and entities[statement.entity].zero_invoices == "skip"

    def name(statement: Statement) -> str:
        if skips(statement):
            return f"journal-{journal_seq}"
        entity = entities[statement.entity]
        series = series_name(entity, statement.kind, local_date(entity.zone, now_us))
        numbers[series] = numbers.get(series, last_number(series)) + 1
        return f"{series}-{numbers[series]:06d}"

    issued: list[Body] = []
    skipped: list[Body] = []
    for number, statement in worked_out(Agreements(catalog), due, cut_off, used or Used(), name):
        entity = entities[statement.entity]
        issue_date = local_date(entity.zone, now_us)
        customer = catalog.customer_on(statement.customer, issue_date)
        body = build_document(
            statement,
            number=number,
            entity=entity,
            customer=customer,
            issue_date=issue_date,
            due_date=issue_date + timedelta(days=customer.terms_days),
            cut_off=cut_off,
        )
        (skipped if skips(statement) else issued).append(body)
    return issued, skipped
