"""Which version of a plan is in force: prices follow on their day, anything else waits for the next period."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from operator import attrgetter
from typing import Any, NamedTuple

from orchestration.catalog.charges import Charge
from orchestration.catalog.plans import Plan, PlanVersion

_PRICES = {"price": True, "rate": True, "fixed": True, "multiplier": True, "default": True}
_UNPRICED = {"name": True, "account": True}
_TIERS = {"__all__": {"price", "rate"}}
_CELLS = {"__all__": {"price"}}


class Follows(NamedTuple):
    """A later version that takes effect on its day; one that `cuts` changes more than prices and ends the segment."""

    version: PlanVersion
    cuts: bool


def charge_structure(charge: Charge) -> dict[str, Any]:
    """Everything of a charge but its prices and rates (and its name and account, which price nothing).

    Amounts that are due by the period or the tier are fees, not prices. Whether a matrix has a default is structure: it
    decides which events are measured.
    """
    dumped = charge.model_dump(exclude=_PRICES | _UNPRICED | {"tiers": _TIERS, "cells": _CELLS})
    return dumped | {"has_default": charge.default is not None}


def structure(version: PlanVersion) -> tuple[Any, ...]:
    """Everything of a version but its day and its prices and rates."""
    return {c.key: charge_structure(c) for c in version.charges}, version.commitment, version.cap


def version_on(plan: Plan, day: date) -> PlanVersion | None:
    """The latest version effective on a day: that of whoever begins on it."""
    base = [version for version in plan.versions if version.effective <= day]
    return max(base, key=attrgetter("effective"), default=None)


def following(plan: Plan, base: PlanVersion, until: date) -> Iterator[Follows]:
    """The versions after `base` that take effect on their own day, before `until`, ascending.

    One that changes prices and rates alone does, compared with what is in force; one that changes more does with
    `at_once`. The others wait for the next period, and so do versions built upon them.
    """
    later = [version for version in plan.versions if base.effective < version.effective < until]
    if not later:
        return
    in_force = structure(base)
    for version in sorted(later, key=attrgetter("effective")):
        changed = structure(version)
        if changed == in_force:
            yield Follows(version, cuts=False)
        elif version.at_once:
            in_force = changed
            yield Follows(version, cuts=True)
