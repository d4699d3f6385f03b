"""Drafts: what the next documents would hold, customer by customer, and how they are written into the build.

A draft prices what is known. Fees in arrears, top-ups and true-ups of a period that hasn't ended may still become
another amount: they stand beside its sums, as expected, with what a cap will take of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from itertools import count, groupby
from typing import Any

import duckdb

from orchestration.billing.causes import Cause
from orchestration.billing.commitments import CAP
from orchestration.billing.credits import Used
from orchestration.billing.due import DueLine, Group, Issued, grouped
from orchestration.billing.rating import Line, LineKey
from orchestration.billing.statements import Statement
from orchestration.catalog import Catalog
from orchestration.closing.rated import QUANTITY_COLUMNS, QUANTITY_ORDER, Quantities, Quantity
from orchestration.closing.statements import Agreements, all_due, drafted
from orchestration.engine import load_rows
from orchestration.money import Money
from orchestration.pipeline.instance import Instance

Row = dict[str, Any]

DRAFT_LINES = {
    "cut_off": "DATE",
    "corrects": "VARCHAR",
    "kind": "VARCHAR",
    "entity": "VARCHAR",
    "customer": "VARCHAR",
    "subscription": "VARCHAR",
    "plan": "VARCHAR",
    "charge": "VARCHAR",
    "value": "VARCHAR",
    "meter": "VARCHAR",
    "currency": "VARCHAR",
    "description": "VARCHAR",
    "period_start": "DATE",
    "period_end": "DATE",
    "segment_start": "DATE",
    "segment_end": "DATE",
    "quantity": "DECIMAL(38, 9)",
    "unit": "VARCHAR",
    "amount": "DECIMAL(38, 4)",
    "expected": "DECIMAL(38, 4)",
    "formula": "VARCHAR",
}
DRAFTS = {
    "entity": "VARCHAR",
    "customer": "VARCHAR",
    "currency": "VARCHAR",
    "cut_off": "DATE",
    "corrects": "VARCHAR",
    "lines": "INTEGER",
    "subtotal": "DECIMAL(38, 4)",
    "total": "DECIMAL(38, 4)",
    "expected": "DECIMAL(38, 4)",
}


DIFFERENCES = {
    **dict.fromkeys(("customer", "subscription", "charge", "value", "currency"), "VARCHAR"),
    **dict.fromkeys(("period_start", "period_end", "segment_start"), "DATE"),
    **dict.fromkeys(("corrects", "cause", "status"), "VARCHAR"),
    "billed": "DECIMAL(38, 4)",
    "amount": "DECIMAL(38, 4)",
}


@dataclass(frozen=True, slots=True)
class Books:
    """What the drafts of all customers are made by: the catalog, what was used of coupons and credits (carried on from
    draft to draft), the local day by customer, and the cut-off of what has no period of its own. `differences` gathers
    what differs from what was issued."""

    catalog: Catalog
    agreements: Agreements
    used: Used
    today: Mapping[str, date]
    tomorrow: date
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    differences: list[DueLine] = field(default_factory=list)


def read_quantities(con: duckdb.DuckDBPyConnection) -> Quantities:
    """What the build measured, by line id; the days of a line ascending."""
    found: dict[str, list[Quantity]] = defaultdict(list)
    rows = con.execute(
        f"SELECT line_id, {QUANTITY_COLUMNS} FROM marts.charge_quantities ORDER BY line_id, {QUANTITY_ORDER}"
    )
    while batch := rows.fetchmany(10_000):
        for line_id, *measured in batch:
            found[line_id].append(Quantity(*measured))
    return found


def expected_of(due: DueLine, today: date) -> Money:
    """What of a line's amount is expected and not known, on a local day: that of a period which hasn't ended then."""
    line, none = due.line, Money.zero(due.line.currency)
    if line.period_end <= today or due.before is not None or line.due == "advance":
        return none
    if line.meter is None and line.kind in ("fee", "usage", "true_up"):
        return due.amount
    return line.top_up if line.top_up is not None else none


def known_lines(lines: Sequence[DueLine], today: Mapping[str, date]) -> list[DueLine]:
    """Lines with what is known of their amounts. A cap takes what is expected first, and of what is known the rest."""
    known: list[DueLine] = []
    beside: dict[str, list[tuple[Line, Money]]] = defaultdict(list)
    for due in lines:
        amount = expected_of(due, today.get(due.line.customer, date.max))
        known.append(replace(due, amount=due.amount - amount) if amount else due)
        if amount:
            beside[due.line.subscription].append((due.line, amount))
    return [_capped(due, beside.get(due.line.subscription, ())) for due in known]


def _capped(due: DueLine, beside: Iterable[tuple[Line, Money]]) -> DueLine:
    cap = due.line
    if cap.kind != CAP or due.before is not None:
        return due
    none = Money.zero(cap.currency)
    of_cap = (
        amount
        for line, amount in beside
        if line.kind in ("fee", "usage") and line.plan == cap.plan and cap.start <= line.start < cap.end
    )
    known = Money.of(Decimal(cap.formula["lines"]), cap.currency) - sum(of_cap, none)
    return replace(due, amount=min(none, Money.of(Decimal(cap.formula["cap"]), cap.currency) - known))


def drafts_of(
    books: Books,
    lines: Sequence[Line],
    issued: Mapping[LineKey, Issued],
    known: Mapping[LineKey, Cause] | None = None,
    customer: str | None = None,
) -> Iterator[tuple[date, Statement]]:
    """The drafts of some customers, ascending by cut-off; with a `customer`, of that one alone."""
    found = all_due(books.catalog, lines, issued, date.max, known, customer, books.tomorrow)
    books.differences.extend(due for due in found if due.before is not None and not due.void)
    groups = drafts(books.catalog, known_lines(found, books.today), books.tomorrow)
    for cut_off, statements in drafted(books.agreements, groups, books.used, books.numbers).items():
        yield from ((cut_off, statement) for statement in statements)


def drafts(catalog: Catalog, due_lines: Iterable[DueLine], today: date) -> dict[date, list[Group]]:
    """What the next documents would hold, by cut-off: the end of each period that is not issued yet.

    Fees in advance, adjustments and differences to issued lines stand where a close would put them: in the customer's
    earliest draft, from the fee's first day on; by `today` where there is none.
    """
    by_cut_off: dict[date, list[DueLine]] = defaultdict(list)
    ends: dict[str, list[date]] = defaultdict(list)
    rest: list[DueLine] = []
    for due in due_lines:
        if due.before is None and due.line.due == "arrears":
            by_cut_off[due.line.period_end].append(due)
            ends[due.line.customer].append(due.line.period_end)
        else:
            rest.append(due)
    for due in rest:
        begin = due.line.start if due.before is None else date.min
        later = [end for end in ends[due.line.customer] if end >= begin]
        by_cut_off[min(later, default=max(begin, today))].append(due)
    return {cut_off: grouped(by_cut_off[cut_off], catalog.seller) for cut_off in sorted(by_cut_off)}


def load_differences(con: duckdb.DuckDBPyConnection, instance: Instance, differences: Iterable[DueLine]) -> None:
    """Write `record.open_differences`: a row for each difference between what was issued for a line and is known."""
    rows = (
        {
            "customer": due.line.customer,
            "subscription": due.line.subscription,
            "charge": due.line.charge,
            "value": due.line.value,
            "currency": due.line.currency,
            "period_start": due.line.period_start.isoformat(),
            "period_end": due.line.period_end.isoformat(),
            "segment_start": due.line.start.isoformat(),
            "corrects": due.before.document,
            "cause": due.before.cause,
            "status": due.waits or ("own_document" if due.own else "next_invoice"),
            "billed": due.before.amount.text,
            "amount": due.amount.text,
        }
        for due in differences
        if due.before is not None
    )
    load_rows(con, "record.open_differences", DIFFERENCES, rows, instance.scratch)


def load_drafts(
    con: duckdb.DuckDBPyConnection, instance: Instance, found: Iterable[tuple[date, Statement]]
) -> list[Row]:
    """Write drafts to `record.draft_lines` and `record.draft_documents`; the rows of the latter.

    Each draft is written as it comes, so that no more than the drafts of one customer need be in memory.
    """
    documents: list[Row] = []

    def lines() -> Iterator[Row]:
        for cut_off, one in found:
            head = {"entity": one.entity, "customer": one.customer, "currency": one.currency}
            head |= {"cut_off": cut_off.isoformat(), "corrects": one.corrects}
            expected = sum((_expected(due) for due in one.lines), Money.zero(one.currency))
            sums = {"subtotal": one.subtotal.text, "total": one.total.text, "expected": expected.text}
            documents.append({**head, **sums, "lines": len(one.lines)})
            yield from ({**_draft_line(due), **head} for due in one.lines)

    load_rows(con, "record.draft_lines", DRAFT_LINES, lines(), instance.scratch)
    load_rows(con, "record.draft_documents", DRAFTS, documents, instance.scratch)
    return documents


def _expected(due: DueLine) -> Money:
    return Money.zero(due.line.currency) if due.before is not None else due.line.amount - due.amount


def _draft_line(due: DueLine) -> Row:
    line = due.line
    return {
        "kind": due.kind,
        "subscription": line.subscription,
        "plan": line.plan,
        "charge": line.charge,
        "value": line.value,
        "meter": line.meter,
        "description": line.name,
        "period_start": line.period_start.isoformat(),
        "period_end": line.period_end.isoformat(),
        "segment_start": line.start.isoformat(),
        "segment_end": line.end.isoformat(),
        "quantity": f"{line.quantity:f}",
        "unit": line.unit,
        "amount": due.amount.text,
        "expected": _expected(due).text,
        "formula": json.dumps(line.formula, sort_keys=True, ensure_ascii=False),
    }


def by_customer(
    lines: Iterable[Line], issued: Mapping[LineKey, Issued], others: Iterable[str] = ()
) -> Iterator[tuple[str, list[Line], dict[LineKey, Issued]]]:
    """Customer, lines and what was issued to it, a customer at a time. `lines` come sorted by customer; `others` are
    customers that may have neither."""
    of: dict[str, dict[LineKey, Issued]] = defaultdict(dict)
    for key, before in issued.items():
        of[before.line["customer"]][key] = before
    left = {*of, *others}
    for customer, found in groupby(lines, key=lambda line: line.customer):
        left.discard(customer)
        yield customer, list(found), of.get(customer, {})
    for customer in sorted(left):
        yield customer, [], of.get(customer, {})
