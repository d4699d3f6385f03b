"""What a person sees of revenue at a cut-off and of leaks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from orchestration.billing.ages import AGES
from orchestration.console import money_text, out

if TYPE_CHECKING:
    from orchestration.pipeline.positions import Leak, Position


def print_positions(rows: Sequence[Position], cut_off: date, *, as_json: bool = False) -> None:
    """A row for each seller, account and currency."""
    if as_json:
        _print_json([{k: v for k, v in row._asdict().items() if k not in ("day", "customer")} for row in rows])
        return
    table = Table("seller", "account", "", "accrued", "deferred", title=f"Revenue at {cut_off}", title_justify="left")
    for column in table.columns[3:]:
        column.justify = "right"
    for row in rows:
        amounts = (money_text(amount, row.currency) for amount in (row.accrued, row.deferred))
        table.add_row(Text(row.entity), Text(row.account), row.currency, *amounts)
    out.print(table if rows else f"nothing is accrued or deferred at {cut_off}")


def print_leaks(rows: Sequence[Leak], *, as_json: bool = False) -> None:
    """Sums by kind, age and currency; rows without a value are counted beside them, by the reason."""
    if as_json:
        _print_json([row._asdict() for row in rows])
        return
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    counts: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for row in rows:
        said = row.no_value or ""
        counts[row.kind, f"{row.currency or ''}", said, row.counted] += row.occurrences
        if row.value is not None:
            sums[row.kind, f"{row.currency}", row.age] += row.value
    table = Table("kind", "count", "", *(f"{age} days" for age in AGES), "no value, as", title="Leaks")
    table.title_justify = "left"
    for (kind, currency, said, counted), count in sorted(counts.items()):
        values = (money_text(sums[kind, currency, age], currency) if currency else "" for age in AGES)
        table.add_row(kind, f"{count:,} {counted}", currency, *values, Text(said))
    out.print(table if rows else "nothing leaks")


def _print_json(rows: Sequence[dict[str, Any]]) -> None:
    out.print(json.dumps(rows, indent=2, ensure_ascii=False, default=str), markup=False, emoji=False)
