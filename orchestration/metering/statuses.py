"""Which statuses a meter takes, read off its filter in Python: what the charged requests are checked against.

It judges the filter's tree by itself, not by the SQL that the meter is compiled to, so that a check that compares the
two can find a fault of either.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from orchestration.catalog import Catalog
from orchestration.catalog.fields import NUMBER
from orchestration.catalog.meters import All, AnyOf, Condition, Filter, Not, filter_conditions, filter_fields

METER_STATUSES = {"meter": "VARCHAR", "event_type": "VARCHAR", "from_status": "INTEGER", "to_status": "INTEGER"}
_BEYOND = 10**9
"""No status has more than nine digits."""


def status_rows(catalog: Catalog) -> Iterator[dict[str, Any]]:
    """Half-open intervals of the statuses that a meter takes.

    Of the meters that count events, those whose filter looks at the status alone and asks for one.
    """
    for key in sorted(catalog.meters):
        meter = catalog.meters[key]
        node = meter.filter
        if meter.aggregation != "count" or filter_fields(node) != {"status"} or takes(node, None):
            continue
        bounds = _bounds(node)
        for start, end in zip(bounds, [*bounds[1:], _BEYOND], strict=True):
            if takes(node, start):
                yield {"meter": key, "event_type": meter.event_type, "from_status": start, "to_status": end}


def _bounds(node: Filter | None) -> list[int]:
    """The statuses at which the filter can change its mind, ascending from 0."""
    bounds = {0}
    for condition in filter_conditions(node):
        for value in condition.value if isinstance(condition.value, tuple) else (condition.value,):
            if NUMBER.fullmatch(str(value)):
                below = Decimal(str(value)).__floor__()
                bounds |= {bound for bound in (below, below + 1) if 0 <= bound < _BEYOND}
    return sorted(bounds)


def takes(node: Filter | None, status: int | None) -> bool:
    """Whether a filter over nothing but the status takes an event; a comparison with a missing status is false."""
    if node is None:
        return True
    if isinstance(node, All):
        return all(takes(child, status) for child in node.all)
    if isinstance(node, AnyOf):
        return any(takes(child, status) for child in node.any)
    if isinstance(node, Not):
        return not takes(node.not_, status)
    return status is not None and _fits(node, status)


def _fits(condition: Condition, status: int) -> bool:
    if condition.op == "exists":
        return True
    if isinstance(condition.value, tuple):
        return any(_equals(status, value) for value in condition.value) == (condition.op == "in")
    assert condition.value is not None
    if condition.op in ("eq", "ne"):
        return _equals(status, condition.value) == (condition.op == "eq")
    number = Decimal(str(condition.value))
    return {
        "lt": status < number,
        "le": status <= number,
        "gt": status > number,
        "ge": status >= number,
    }[condition.op]


def _equals(status: int, value: str | int) -> bool:
    """Text is compared as text."""
    return status == value if isinstance(value, int) else str(status) == value
