"""What an override may replace of a charge: its prices, never its structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestration.catalog.charges import OPTIONS, Charge
from orchestration.catalog.terms import Override

ONE_PRICE = ("amount", "price", "rate", "fixed", "default", "multiplier")
"""Fields of an override that each replace the charge's of the same name."""


def override_faults(charge: Charge, override: Override) -> Iterator[str]:
    """What of an override doesn't fit the charge: prices alone are replaced, never bounds, sizes or a tier's fee."""
    must, may = OPTIONS[charge.model]
    given = [name for name in (*ONE_PRICE, "tiers", "cells") if getattr(override, name) not in (None, ())]
    if not given:
        yield f"it names no price; model '{charge.model}' has {', '.join(sorted((must | may) & _replaceable()))}"
    for name in given:
        if name not in must | may:
            yield f"model '{charge.model}' has no {name} to replace"
    if override.default is not None and charge.model == "matrix" and charge.default is None:
        yield "the charge has no default, so what no cell names is unmeasured"
    if override.tiers and charge.tiers:
        yield from _tier_faults(charge, override)
    known = {cell_key(cell.match) for cell in charge.cells}
    seen: set[tuple[tuple[str, str], ...]] = set()
    for cell in override.cells if charge.cells else ():
        key = cell_key(cell.match)
        if key not in known:
            yield f"the charge has no cell {dict(cell.match)}"
        if key in seen:
            yield f"cell {dict(cell.match)} has two prices"
        seen.add(key)


def _replaceable() -> set[str]:
    return {*ONE_PRICE, "tiers", "cells"}


def _tier_faults(charge: Charge, override: Override) -> Iterator[str]:
    if len(charge.tiers) != len(override.tiers):
        yield f"it has {len(override.tiers)} tiers, the charge has {len(charge.tiers)}"
        return
    wanted, other = ("rate", "price") if charge.model == "graduated_percentage" else ("price", "rate")
    for number, (tier, new) in enumerate(zip(charge.tiers, override.tiers, strict=True), 1):
        if getattr(new, wanted) is None or getattr(new, other) is not None:
            yield f"tier {number}: in model '{charge.model}' a tier has a {wanted} and no {other}"
        if new.up_to != tier.up_to:
            yield f"tier {number}: up_to {new.up_to or 'none'} is not the charge's {tier.up_to or 'none'}"
        for name in ("flat_fee", "block"):
            if name in new.model_fields_set and getattr(new, name) != getattr(tier, name):
                yield f"tier {number}: {name} is no price, it stays {getattr(tier, name) or 'out'}"


def cell_key(match: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """A cell of a matrix by what it matches, in whatever order that is written."""
    return tuple(sorted(match.items()))
