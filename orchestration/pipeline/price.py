"""Pricing: quantities out of the build, lines by the billing rules, drafts back into the build."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import duckdb

from orchestration.billing.due import DueLine, Group, Issued, grouped
from orchestration.billing.rating import Line, LineKey
from orchestration.billing.statements import Statement
from orchestration.catalog import Catalog
from orchestration.closing.rated import Quantities, Quantity
from orchestration.closing.statements import all_due
from orchestration.engine import load_rows
from orchestration.ledger.store import Ledger
from orchestration.pipeline.instance import Instance

Row = dict[str, Any]

LINE_COLUMNS = {
    "kind": "VARCHAR",
    "entity": "VARCHAR",
    "customer": "VARCHAR",
    "subscription": "VARCHAR",
    "plan": "VARCHAR",
    "charge": "VARCHAR",
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
    "formula": "VARCHAR",
}
QUANTITY_COLUMNS = (
    *("local_day", "quantity", "window_us", "windows", "rank"),
    *("value", "cell", "hour_us", "events", "part"),
)
"""Of `marts.charge_quantities`, in the order of a `Quantity`."""
ISSUED_LINE_COLUMNS = {"number": "VARCHAR", "position": "INTEGER", **LINE_COLUMNS}
DRAFT_LINE_COLUMNS = {"cut_off": "DATE", "corrects": "VARCHAR", **LINE_COLUMNS}
DRAFT_COLUMNS = {
    "entity": "VARCHAR",
    "customer": "VARCHAR",
    "currency": "VARCHAR",
    "cut_off": "DATE",
    "corrects": "VARCHAR",
    "lines": "INTEGER",
    "subtotal": "DECIMAL(38, 4)",
    "total": "DECIMAL(38, 4)",
}
SUMS = (
    "subtotal",
    "coupon_total",
    "promotional_total",
    "tax",
    "total",
    "credit_note_total",
    "prepaid_total",
    "amount_due",
)
DOCUMENT_COLUMNS = {
    "number": "VARCHAR",
    "kind": "VARCHAR",
    "entity": "VARCHAR",
    "customer": "VARCHAR",
    "currency": "VARCHAR",
    "issue_date": "DATE",
    "due_date": "DATE",
    "cut_off": "DATE",
    **dict.fromkeys(SUMS, "DECIMAL(38, 4)"),
    "sha256": "VARCHAR",
}


def read_quantities(con: duckdb.DuckDBPyConnection) -> Quantities:
    """What the build measured, by line id; the days of a line ascending."""
    found: dict[str, list[Quantity]] = defaultdict(list)
    rows = con.execute(
        f"SELECT line_id, {', '.join(QUANTITY_COLUMNS)} FROM marts.charge_quantities "
        "ORDER BY line_id, local_day, value, coalesce(hour_us, 0), cell, part, quantity, rank"
    )
    while batch := rows.fetchmany(10_000):
        for line_id, *measured in batch:
            found[line_id].append(Quantity(*measured))
    return found


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
    for due in all_due(catalog, lines, issued, date.max, retracted):
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


def load_drafts(con: duckdb.DuckDBPyConnection, instance: Instance, found: Mapping[date, Sequence[Statement]]) -> None:
    """Write the drafts to `record.draft_documents` and `record.draft_lines`."""
    documents: list[Row] = []
    rows: list[Row] = []
    for cut_off, statements in found.items():
        for one in statements:
            head = {"entity": one.entity, "customer": one.customer, "currency": one.currency}
            head |= {"cut_off": cut_off.isoformat(), "corrects": one.corrects}
            sums = {"subtotal": one.subtotal.text, "total": one.total.text}
            documents.append({**head, **sums, "lines": len(one.lines)})
            rows += [{**_draft_line(due), **head} for due in one.lines]
    load_rows(con, "record.draft_documents", DRAFT_COLUMNS, documents, instance.scratch)
    load_rows(con, "record.draft_lines", DRAFT_LINE_COLUMNS, rows, instance.scratch)


def _draft_line(due: DueLine) -> Row:
    line = due.line
    return {
        "kind": due.kind,
        "subscription": line.subscription,
        "plan": line.plan,
        "charge": line.charge,
        "meter": line.meter,
        "description": line.name,
        "period_start": line.period_start.isoformat(),
        "period_end": line.period_end.isoformat(),
        "segment_start": line.start.isoformat(),
        "segment_end": line.end.isoformat(),
        "quantity": f"{line.quantity:f}",
        "unit": line.unit,
        "amount": due.amount.text,
        "formula": json.dumps(line.formula, sort_keys=True, ensure_ascii=False),
    }


def load_issued(con: duckdb.DuckDBPyConnection, instance: Instance, ledger: Ledger) -> None:
    """Copy issued documents and their lines to `record.issued_documents` and `record.issued_lines`."""
    documents: list[Row] = []
    rows: list[Row] = []
    for row in ledger.documents():
        body = json.loads(row.body)
        head = {"entity": row.entity, "customer": row.customer, "currency": row.currency}
        fields = {c: body[c] for c in ("number", "kind", "issue_date", "due_date", "cut_off")}
        sums = {c: body[c] for c in SUMS}
        documents.append({**head, **fields, **sums, "sha256": row.sha256})
        rows += [_issued_line(row.number, head, line) for line in body["lines"]]
    load_rows(con, "record.issued_documents", DOCUMENT_COLUMNS, documents, instance.scratch)
    load_rows(con, "record.issued_lines", ISSUED_LINE_COLUMNS, rows, instance.scratch)


def _issued_line(number: str, head: Row, line: Mapping[str, Any]) -> Row:
    renamed = ("customer", "currency", "entity", "description", "segment_start", "segment_end", "formula")
    return {
        **head,
        **{c: line[c] for c in LINE_COLUMNS if c not in renamed},
        "number": number,
        "position": int(line["position"]),
        "description": line["name"],
        "segment_start": line["start"],
        "segment_end": line["end"],
        "formula": json.dumps(line["formula"], sort_keys=True, ensure_ascii=False),
    }
