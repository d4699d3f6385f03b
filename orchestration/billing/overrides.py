"""Overrides: the prices that one customer agreed for one charge, from a day to a day, in the charge's own structure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from orchestration.catalog.charges import Charge
from orchestration.catalog.overriding import ONE_PRICE, cell_key, override_faults
from orchestration.catalog.terms import Override


def override_on(overrides: Iterable[Override], day: date) -> Override | None:
    """The one in force on a day; there is at most one for each charge of a customer."""
    return next((o for o in overrides if o.start <= day and (o.end is None or day < o.end)), None)


def overridden(charge: Charge, override: Override | None) -> Charge:
    """The charge at the customer's prices. Tiers and cells keep all that is no price; cells not named keep theirs too.

    Raises ValueError for an override of another shape, with what is wrong.
    """
    if override is None:
        return charge
    for fault in override_faults(charge, override):
        raise ValueError(f"charge '{charge.key}', contract '{override.contract}': {fault}")
    changes: dict[str, Any] = {name: v for name in ONE_PRICE if (v := getattr(override, name)) is not None}
    if override.tiers:
        changes["tiers"] = tuple(
            tier.model_copy(update={"price": new.price, "rate": new.rate})
            for tier, new in zip(charge.tiers, override.tiers, strict=True)
        )
    if override.cells:
        prices = {cell_key(cell.match): cell.price for cell in override.cells}
        changes["cells"] = tuple(
            cell.model_copy(update={"price": prices.get(cell_key(cell.match), cell.price)}) for cell in charge.cells
        )
    return charge.model_copy(update=changes)
