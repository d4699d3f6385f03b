"""Drafts: what the next documents would hold, customer by customer, and how they are written into the build.

A draft prices what is known. Fees in arrears, top-ups and true-ups of a period that hasn't ended may still become
another amount: they stand beside the total, as expected.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

import duckdb

from orchestration.billing.documents import DueLine, Group, Issued, due_lines, grouped
from orchestration.billing.rating import Line, LineKey
from orchestration.catalog import Catalog
from orchestration.closing.rated import QUANTITY_COLUMNS, Quantities, Quantity
from orchestration.engine import load_rows
from orchestration.money import Money
from orchestration.pipeline.instance import Instance

Row = dict[str, Any]

DRAFT_LINES = {
    "cut_off": "DATE",
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
    "lines": "INTEGER",
    "total": "DECIMAL(38, 4)",
    "expected": "DECIMAL(38, 4)",
}


class Draft(NamedTuple):
    """A document that a close might issue: `group` has its lines at what is known, `expected` what stands beside."""

    cut_off: date
    group: Group
    expected: Money


def read_quantities(con: duckdb.DuckDBPyConnection) -> Quantities:
    """What the build measured, by line id; the days of a line ascending."""
    found: dict[str, list[Quantity]] = defaultdict(list)
    rows = con.execute(
        f"SELECT line_id, {QUANTITY_COLUMNS} FROM marts.charge_quantities ORDER BY line_id, local_day, quantity, rank"
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


def drafts_of(
    catalog: Catalog,
    lines: Sequence[Line],
    issued: Mapping[LineKey, Issued],
    today: Mapping[str, date],
    tomorrow: date,
    retracted: Collection[LineKey] = (),
) -> Iterator[Draft]:
    """The drafts of some customers, ascending by cut-off. `today` is the local day by customer, `tomorrow` the cut-off
    of what has no period of its own."""
    for cut_off, groups in drafts(catalog, lines, issued, tomorrow, retracted).items():
        for group in groups:
            none, day = Money.zero(group.currency), today.get(group.customer, date.max)
            known = [replace(due, amount=due.amount - expected_of(due, day)) for due in group.lines]
            expected = sum((expected_of(due, day) for due in group.lines), none)
            yield Draft(cut_off, group._replace(lines=known), expected)


def drafts(
    catalog: Catalog,
    lines: Sequence[Line],
    issued: Mapping[LineKey, Issued],
    today: date,
    retracted: Collection[LineKey] = (),
) -> dict[date, list[Group]]:
    """What the next documents would hold, by cut-off: the end of each period that is not issued yet.

    Fees in advance and differences to issued lines stand where a close would put them: in the customer's earliest
    draft, from the fee's first day on; by `today` where there is none. `retracted` are issued lines that retractions
    concern.
    """
    by_cut_off: dict[date, list[DueLine]] = defaultdict(list)
    ends: dict[str, list[date]] = defaultdict(list)
    rest: list[DueLine] = []
    for due in due_lines(lines, issued, date.max, retracted):
        if due.before is None and due.line.due == "arrears":
            by_cut_off[due.line.period_end].append(due)
            ends[due.line.customer].append(due.line.period_end)
        else:
            rest.append(due)
    for due in rest:
        begin = due.line.start if due.before is None else date.min
        later = [end for end in ends[due.line.customer] if end >= begin]
        by_cut_off[min(later, default=max(begin, today))].append(due)
    entity_of = {key: c.entity for key, c in catalog.customers.items()}
    return {cut_off: grouped(by_cut_off[cut_off], entity_of) for cut_off in sorted(by_cut_off)}


def load_drafts(con: duckdb.DuckDBPyConnection, instance: Instance, found: Iterable[Draft]) -> list[Row]:
    """Write drafts to `record.draft_lines` and `record.draft_documents`; the rows of the latter.

    Each draft is written as it comes, so that no more than the drafts of one customer need be in memory.
    """
    documents: list[Row] = []

    def lines() -> Iterator[Row]:
        for draft in found:
            group, day = draft.group, draft.cut_off.isoformat()
            head = {"entity": group.entity, "customer": group.customer, "currency": group.currency, "cut_off": day}
            total, expected = group.total.text, draft.expected.text
            documents.append({**head, "lines": len(group.lines), "total": total, "expected": expected})
            yield from ({**_draft_line(due), **head} for due in group.lines)

    load_rows(con, "record.draft_lines", DRAFT_LINES, lines(), instance.scratch)
    load_rows(con, "record.draft_documents", DRAFTS, documents, instance.scratch)
    return documents


def _draft_line(due: DueLine) -> Row:
    line = due.line
    full = line.amount if due.before is None else due.amount
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
        "expected": (full - due.amount).text,
        "formula": json.dumps(line.formula, sort_keys=True, ensure_ascii=False),
    }


def by_customer(
    lines: Iterable[Line], issued: Mapping[LineKey, Issued]
) -> Iterator[tuple[list[Line], dict[LineKey, Issued]]]:
    """Lines, sorted by customer, with what was issued for their subscriptions, a customer at a time."""
    of: dict[str, dict[LineKey, Issued]] = defaultdict(dict)
    for key, before in issued.items():
        of[key.subscription][key] = before
    for _, found in groupby(lines, key=lambda line: line.customer):
        theirs = list(found)
        subscriptions = sorted({line.subscription for line in theirs})
        yield theirs, {key: before for name in subscriptions for key, before in of.pop(name, {}).items()}
    for name in sorted(of):
        yield [], of[name]
