"""Metadata of assets: counts, money by currency, small tables as Markdown that no customer's text can break out of."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
import duckdb

from orchestration.money import Money
from orchestration.sqltext import identifier

UNCHANGED = {"status": "unchanged: the published generation knows all that the ledger and the catalog hold"}
NOT_WATCHED = {"status": "not built: the catalog does not ask for it (monitoring.yaml, entitlements.yaml)"}
_LAST_DAYS = "local_day > (SELECT max(local_day) - 7 FROM marts.api_consistency)"
_FIGURES = {
    "api_consistency": (
        "unusual_last_7_days",
        f"SELECT count(*) FROM marts.api_consistency WHERE unusual AND {_LAST_DAYS}",
    ),
    "api_breaks": ("breaks", "SELECT count(*) FROM marts.api_breaks"),
    "integration_health": (
        "struggling_last_7_days",
        "SELECT count(DISTINCT (customer, client)) FROM marts.integration_health "
        "WHERE struggling AND local_day > (SELECT max(local_day) - 7 FROM marts.integration_health)",
    ),
    "entitlement_status": ("reached", "SELECT count(*) FROM marts.entitlement_status WHERE len(alerts) > 0"),
}
"""What is plotted of a table from build to build, beside its rows."""
PREVIEW_ROWS = 10
HIDDEN = ("credential", "value_key", "raw_hex", "value_before", "value_after")
_CELL = 80
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]!|~:@"})


def cell(value: object) -> str:
    """One value as text of a Markdown table: on one line, not too long, and never read as Markdown, HTML or a link."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str("" if value is None else value)).split())
    shown = text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
    return html.escape(shown.translate(_MARKDOWN), quote=False).replace("www.", "www\\.")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """Rows as a Markdown table."""
    lines = ["| " + " | ".join(cell(c) for c in columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def counts(columns: Sequence[str], found: Mapping[str, int]) -> dg.MarkdownMetadataValue:
    """A mapping of names to counts, as a table."""
    return table(columns, sorted(found.items()))


def money(amounts: Iterable[Money]) -> dg.MarkdownMetadataValue:
    """Amounts summed by currency, as a table."""
    sums: dict[str, Money] = {}
    for amount in amounts:
        sums[amount.currency] = sums.get(amount.currency, Money.zero(amount.currency)) + amount
    return table(["currency", "total"], [(currency, sums[currency].text) for currency in sorted(sums)])


def preview(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> dg.MarkdownMetadataValue:
    """The first rows of a table. Credentials, users and raw lines stay in the warehouse: metadata is kept for ever."""
    found = con.execute(f"SELECT * FROM {identifier(schema)}.{identifier(name)} LIMIT {PREVIEW_ROWS}")
    columns = [column[0] for column in found.description]
    hidden = [column in HIDDEN for column in columns]
    rows = found.fetchall()
    return table(columns, [["(hidden)" if h else v for h, v in zip(hidden, row, strict=True)] for row in rows])


def row_count(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> int:
    """Number of rows of a table."""
    row = con.execute(f"SELECT count(*) FROM {identifier(schema)}.{identifier(name)}").fetchone()
    return int(row[0]) if row else 0


def figures(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, int]:
    """What is plotted of a table of the schema `marts` beside its number of rows."""
    if name not in _FIGURES:
        return {}
    label, query = _FIGURES[name]
    row = con.execute(query).fetchone()
    return {label: int(row[0]) if row else 0}
