"""What a person, or a program, sees of entitlements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from orchestration.console import out
from orchestration.money import decimal_text
from orchestration.pipeline.entitledtable import four_places, status_row

if TYPE_CHECKING:
    from orchestration.pipeline.entitled import Entitled

_HEADS = ("customer", "meter", "window", "kind", "limit", "used", "%", "remaining", "gone on", "overage")


def print_entitled(now_us: int, found: Sequence[Entitled]) -> None:
    """A table, the nearest to its limit first."""
    out.print(f"as of {_time(now_us)}")
    table = Table(*_HEADS)
    for item in sorted(found, key=lambda e: -e.status.percent):
        state, row = item.status, item.entitlement
        numbers = (decimal_text(state.limit), decimal_text(state.used), str(state.percent))
        over = ", ".join(f"{four_places(amount)} {currency}" for currency, amount in state.overage.items())
        window = f"{state.window.start} - {state.window.end - timedelta(days=1)}"
        cells = (item.customer, row.meter, window, row.kind, *numbers, decimal_text(state.remaining), _gone(item), over)
        table.add_row(*map(Text, cells))
    out.print(table)


def _gone(item: Entitled) -> str:
    state = item.status
    if state.reached is not None:
        return f"{state.reached} (reached)"
    return f"{state.forecast} (forecast)" if state.forecast is not None else ""


def entitled_json(now_us: int, found: Sequence[Entitled]) -> str:
    """Every status; numbers as text, days in the customer's zone."""
    rows = [status_row(item) for item in found]
    return json.dumps({"as_of": _time(now_us), "entitlements": rows}, indent=2, ensure_ascii=False)


def _time(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")
