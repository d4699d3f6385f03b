"""Invoices, their lines, taxes and uses of credit as CSV, one folder a cut-off, and each document as canonical JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from orchestration.canonical import sha256_hex
from orchestration.durable import Point, write_file
from orchestration.errors import IntegrityFailure
from orchestration.exports.safecsv import render
from orchestration.ledger.rows import USE_LISTS, DocumentRow
from orchestration.ledger.store import Ledger

INVOICE_COLUMNS = {
    "number": "text",
    "kind": "text",
    "entity": "text",
    "customer": "text",
    "customer_name": "text",
    "country": "text",
    "tax_id": "text",
    "currency": "text",
    "issue_date": "text",
    "due_date": "text",
    "service_start": "text",
    "service_end": "text",
    "subtotal": "number",
    "coupon_total": "number",
    "promotional_total": "number",
    "tax": "number",
    "total": "number",
    "credit_note_total": "number",
    "prepaid_total": "number",
    "amount_due": "number",
    "corrects": "text",
    "sha256": "text",
}
LINE_COLUMNS = {
    "number": "text",
    "position": "number",
    "kind": "text",
    "customer": "text",
    "subscription": "text",
    "plan": "text",
    "charge": "text",
    "description": "text",
    "meter": "text",
    "service_start": "text",
    "service_end": "text",
    "quantity": "number",
    "unit": "text",
    "currency": "text",
    "gross": "number",
    "discount": "number",
    "excess": "number",
    "top_up": "number",
    "amount": "number",
    "tax_category": "text",
}
TAX_COLUMNS = {
    "number": "text",
    "customer": "text",
    "currency": "text",
    "category": "text",
    "name": "text",
    "percent": "number",
    "base": "number",
    "amount": "number",
    "reason": "text",
}
USE_COLUMNS = {
    "number": "text",
    "customer": "text",
    "currency": "text",
    "kind": "text",
    "id": "text",
    "percent": "number",
    "base": "number",
    "amount": "number",
    "document": "text",
}
"""`document` is the one whose coupon or credit a correction has changed."""


def expected_exports(documents: Iterable[DocumentRow]) -> dict[PurePosixPath, bytes]:
    """What the exports of these documents are: bytes by relative path. Names come from cut-offs and numbers only."""
    by_cut_off: dict[str, list[DocumentRow]] = defaultdict(list)
    for row in documents:
        by_cut_off[row.cut_off].append(row)
    files: dict[PurePosixPath, bytes] = {}
    for cut_off, rows in sorted(by_cut_off.items()):
        folder, bodies = PurePosixPath(cut_off), [(row, json.loads(row.body)) for row in rows]
        files[folder / "invoices.csv"] = render(INVOICE_COLUMNS, [_invoice(row, body) for row, body in bodies])
        lines = [_line(body, line) for _, body in bodies for line in body["lines"]]
        files[folder / "invoice_lines.csv"] = render(LINE_COLUMNS, lines)
        taxes = [_cells(TAX_COLUMNS, body, tax) for _, body in bodies for tax in body.get("taxes", ())]
        uses = [
            _cells(USE_COLUMNS, body, {"kind": kind, "id": use.get("number"), **use})
            for _, body in bodies
            for kind, name in USE_LISTS.items()
            for use in body.get(name, ())
        ]
        if taxes:
            files[folder / "invoice_taxes.csv"] = render(TAX_COLUMNS, taxes)
        if uses:
            files[folder / "invoice_uses.csv"] = render(USE_COLUMNS, uses)
        files |= {folder / "documents" / f"{row.number}.json": row.body for row in rows}
    return files


def export_invoices(ledger: Ledger, folder: Path) -> list[Path]:
    """Write all issued documents below `folder`; files that are right already are left. Returns the CSV files."""
    files = expected_exports(ledger.documents())
    for relative, data in files.items():
        _refuse_links(folder, relative)
        write_export(folder / relative, data)
    return [folder / relative for relative in files if relative.suffix == ".csv"]


def _refuse_links(folder: Path, relative: PurePosixPath) -> None:
    """Raise IntegrityFailure where a folder below `folder` is a link: what is behind it isn't ours."""
    for parent in relative.parents:
        if (folder / parent).is_symlink() and parent != PurePosixPath("."):
            raise IntegrityFailure(
                "a folder of the exports is a link to somewhere else",
                where=str(folder / parent),
                not_done="this file and those after it were not written",
                next_step="remove the link, then `tallystick export invoices`",
            )


def write_export(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step, durably; a file that is right already is left alone."""
    if path.is_file() and not path.is_symlink() and sha256_hex(path.read_bytes()) == sha256_hex(data):
        return
    write_file(path, data, Point.EXPORT_NAMED)


def _invoice(row: DocumentRow, body: dict[str, Any]) -> list[str | None]:
    buyer = body["buyer"]
    values = {
        **{c: body[c] for c in INVOICE_COLUMNS if c in body},
        "entity": row.entity,
        "customer": row.customer,
        "customer_name": buyer["name"],
        "country": buyer["country"],
        "tax_id": buyer["tax_id"],
        "corrects": row.corrects,
        "sha256": row.sha256,
    }
    return [values[c] for c in INVOICE_COLUMNS]


def _line(body: dict[str, Any], line: dict[str, Any]) -> list[str | None]:
    renamed = {"number": body["number"], "description": line["name"], "service_start": line["start"]}
    values = {**line, **renamed, "service_end": line["end"]}
    return [values[c] for c in LINE_COLUMNS]


def _cells(columns: dict[str, str], body: dict[str, Any], values: dict[str, Any]) -> list[str | None]:
    """A row about a document; what it doesn't have is an empty cell."""
    head = {"number": body["number"], "customer": body["buyer"]["customer"], "currency": body["currency"]}
    return [{**values, **head}.get(column) for column in columns]
