"""What a person, or a program, sees of entitlements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from orchestration.console import out
from orchestration.money import decimal_text

if TYPE_CHECKING:
    from fractions import Fraction

    from orchestration.pipeline.entitled import Entitled

_HEADS = ("customer", "meter", "window", "kind", "limit", "used", "%", "remaining", "gone on", "overage")


def print_entitled(now_us: int, found: Sequence[Entitled]) -> None:
    """A table, the nearest to its limit first."""
    out.print(f"as of {_time(now_us)}")
    table = Table(*_HEADS)
    for item in sorted(found, key=lambda e: -e.status.percent):
        state, row = item.status, item.entitlement
        numbers = (decimal_text(state.limit), decimal_text(state.used), str(state.percent))
        over = ", ".join(f"{amount} {currency}" for currency, amount in _amounts(state.overage).items())
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
    rows = [
        {
            "customer": item.customer,
            "subscription": item.subscription,
            "plan": item.entitlement.plan,
            "meter": item.entitlement.meter,
            "per": item.entitlement.per,
            "kind": item.entitlement.kind,
            "window_start": item.status.window.start.isoformat(),
            "window_end": item.status.window.end.isoformat(),
            "limit": decimal_text(item.status.limit),
            "used": decimal_text(item.status.used),
            "remaining": decimal_text(item.status.remaining),
            "percent": item.status.percent,
            "alerts": list(item.status.alerts),
            "reached": None if item.status.reached is None else item.status.reached.isoformat(),
            "forecast": None if item.status.forecast is None else item.status.forecast.isoformat(),
            "over": decimal_text(item.status.over),
            "overage": _amounts(item.status.overage),
        }
        for item in found
    ]
    return json.dumps({"as_of": _time(now_us), "entitlements": rows}, indent=2, ensure_ascii=False)


def _amounts(overage: Mapping[str, Fraction]) -> dict[str, str]:
    """To four places, as of a share of lines that are rounded as wholes."""
    scaled = {currency: round(amount * 10_000) for currency, amount in overage.items()}
    return {currency: f"{n // 10_000}.{n % 10_000:04}" for currency, n in scaled.items()}


def _time(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")
