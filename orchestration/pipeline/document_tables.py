"""Issued documents as tables: one for the documents, their lines, their taxes, and what reduced or paid them.

The bodies are canonical JSON with every number as text; the engine takes them apart. A list that a document doesn't
have is an empty one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from orchestration.engine import load_rows
from orchestration.ledger.rows import DocumentRow
from orchestration.sqltext import identifier

MONEY = "DECIMAL(38, 4)"
DOCUMENTS = {
    "number": "VARCHAR",
    "kind": "VARCHAR",
    "entity": "VARCHAR",
    "customer": "VARCHAR",
    "currency": "VARCHAR",
    "issue_date": "DATE",
    "due_date": "DATE",
    "cut_off": "DATE",
    "subtotal": MONEY,
    "coupon_total": MONEY,
    "promotional_total": MONEY,
    "tax": MONEY,
    "total": MONEY,
    "credit_note_total": MONEY,
    "prepaid_total": MONEY,
    "amount_due": MONEY,
    "sha256": "VARCHAR",
}
LINES = {
    "number": "VARCHAR",
    "position": "INTEGER",
    "kind": "VARCHAR",
    "entity": "VARCHAR",
    "customer": "VARCHAR",
    "subscription": "VARCHAR",
    "plan": "VARCHAR",
    "charge": "VARCHAR",
    "value": "VARCHAR",
    "meter": "VARCHAR",
    "currency": "VARCHAR",
    "name": "VARCHAR",
    "period_start": "DATE",
    "period_end": "DATE",
    "start": "DATE",
    "end": "DATE",
    "measured": "DECIMAL(38, 9)",
    "quantity": "DECIMAL(38, 9)",
    "unit": "VARCHAR",
    "gross": MONEY,
    "discount": MONEY,
    "excess": MONEY,
    "top_up": MONEY,
    "amount": MONEY,
    "tax_category": "VARCHAR",
    "corrects": "VARCHAR",
    "cause": "VARCHAR",
    "formula": "VARCHAR",
}
TAXES = {
    "number": "VARCHAR",
    "position": "INTEGER",
    "category": "VARCHAR",
    "name": "VARCHAR",
    "percent": "DECIMAL(38, 12)",
    "base": MONEY,
    "amount": MONEY,
    "reason": "VARCHAR",
}
REDUCTIONS = {"number": "VARCHAR", "kind": "VARCHAR", "id": "VARCHAR", "amount": MONEY}
TABLES: dict[str, dict[str, str]] = {
    "issued_documents": DOCUMENTS,
    "issued_lines": LINES,
    "issued_taxes": TAXES,
    "issued_reductions": REDUCTIONS,
}
"""By name, in the schema `record`, the columns of each table."""
REDUCED_BY = {
    "coupon": ("coupons", "id"),
    "promotional": ("promotional", "id"),
    "credit_note": ("credit_notes", "number"),
    "prepaid": ("prepaid", "id"),
}
"""By kind of a reduction the list of a document that names it, and the field that says which it is."""
_BODIES = dict.fromkeys(("number", "entity", "customer", "currency", "sha256", "body"), "VARCHAR")
_OF_DOCUMENT = frozenset({"number", "entity", "customer", "currency", "sha256"})
_ELSEWHERE = {
    "corrects": "item->>'$.correction.document'",
    "cause": "item->>'$.correction.cause'",
    "formula": "CAST(item->'$.formula' AS VARCHAR)",
    "value": "coalesce(item->>'$.value', '')",
    "tax_category": "coalesce(item->>'$.tax_category', 'standard')",
}


def create_document_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Empty tables in the place of those that are there."""
    for name, columns in TABLES.items():
        typed = ", ".join(f"{identifier(column)} {kind}" for column, kind in columns.items())
        con.execute(f"CREATE SCHEMA IF NOT EXISTS record; CREATE OR REPLACE TABLE record.{name} ({typed})")


def load_bodies(con: duckdb.DuckDBPyConnection, documents: Iterable[DocumentRow], scratch: Path) -> None:
    """Write documents to `record.bodies_anew`, for `add_documents`."""
    load_rows(con, "record.bodies_anew", _BODIES, map(_body_row, documents), scratch)


def add_documents(con: duckdb.DuckDBPyConnection) -> None:
    """Add the documents of `record.bodies_anew` to the tables, and drop it."""
    documents = ", ".join(_from_body(name, kind) for name, kind in DOCUMENTS.items())
    con.execute(f"INSERT INTO record.issued_documents SELECT {documents} FROM record.bodies_anew")
    for table, columns, name in (("issued_lines", LINES, "lines"), ("issued_taxes", TAXES, "taxes")):
        listed = ", ".join(_from_item(column, kind, table) for column, kind in columns.items())
        con.execute(f"INSERT INTO record.{table} SELECT {listed} FROM ({_items(name)})")
    for kind, (name, key) in REDUCED_BY.items():
        con.execute(
            f"INSERT INTO record.issued_reductions SELECT number, '{kind}', item->>'$.{key}', "
            f"CAST(item->>'$.amount' AS {MONEY}) FROM ({_items(name)})"
        )
    con.execute("DROP TABLE record.bodies_anew")


def _body_row(row: DocumentRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _OF_DOCUMENT} | {"body": row.body.decode()}


def _items(name: str) -> str:
    """The objects of one list of the documents, with their places in it."""
    return (
        "SELECT * EXCLUDE (items), unnest(items) AS item, generate_subscripts(items, 1) AS place FROM ("
        "SELECT number, entity, customer, currency, "
        f"CAST(json_extract(body, '$.{name}') AS JSON[]) AS items FROM record.bodies_anew)"
    )


def _from_body(name: str, kind: str) -> str:
    if name in _OF_DOCUMENT:
        return identifier(name)
    text = f"body->>'$.{name}'"
    filled = f"coalesce({text}, '0')" if kind == MONEY else text
    return f"CAST({filled} AS {kind}) AS {identifier(name)}"


def _from_item(name: str, kind: str, table: str) -> str:
    if name == "position" and table == "issued_taxes":
        return "place AS position"
    # A line names its customer and currency too; they are those of its document.
    text = identifier(name) if name in _OF_DOCUMENT else _ELSEWHERE.get(name, f"item->>'$.{name}'")
    return f"CAST({text} AS {kind}) AS {identifier(name)}"
