"""What finance takes along as CSV: accrued and deferred revenue by day of service, and leaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from orchestration.exports.safecsv import render

POSITIONS = {
    "entity": "text",
    "account": "text",
    "currency": "text",
    "day": "text",
    "customer": "text",
    "accrued": "number",
    "deferred": "number",
}
LEAKS = {
    "kind": "text",
    "what": "text",
    "customer": "text",
    "meter": "text",
    "day": "text",
    "age_days": "number",
    "age": "text",
    "occurrences": "number",
    "counted": "text",
    "quantity": "number",
    "currency": "text",
    "list_price": "number",
    "value": "number",
    "valued_at": "text",
    "no_value": "text",
}


def positions_csv(rows: Iterable[Sequence[Any]]) -> bytes:
    """The whole file, with a row for each day of service and customer that has something."""
    return render(POSITIONS, map(_cells, rows))


def leaks_csv(rows: Iterable[Sequence[Any]]) -> bytes:
    """The whole file; what can't be known is an empty cell."""
    return render(LEAKS, map(_cells, rows))


def _cells(row: Sequence[Any]) -> list[str | None]:
    return [None if value is None else f"{value}" for value in row]
