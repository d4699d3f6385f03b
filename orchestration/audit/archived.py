"""The prices of a document as the catalog had them that was archived when it was issued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.audit.known import Known


def prices(known: Known) -> dict[str, Any]:
    """By line the archived charge in each version, or contract, that priced it, and the meters that were measured."""
    lines, meters = {}, {}
    for line in known.body["lines"]:
        item = known.charge_of(line)
        if item is None:
            continue
        lines[line["position"]] = [
            {
                "from": price.from_day.isoformat(),
                "version": price.version.isoformat(),
                "contract": price.contract,
                "charge": as_text(price.charge.model_dump(mode="json")),
            }
            for price in item.terms.prices
        ]
        if item.terms.charge.meter is not None:
            meter = known.catalog.meters[item.terms.charge.meter]
            meters[meter.key] = as_text(meter.model_dump(mode="json", by_alias=True))
    return {"lines": lines, "meters": meters}


def as_text(value: Any) -> Any:
    """The same with every number as text, and without what is not stated."""
    if isinstance(value, Mapping):
        return {key: as_text(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [as_text(item) for item in value]
    return value if isinstance(value, str | bool) else str(value)
