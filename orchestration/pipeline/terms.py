"""What lines are rated by, as text: groups of charges that are rated together, and the digest of their terms.

Everything that `rate_all` looks at besides the measured quantities is in a group's digest, so that lines of equal
digests and quantities are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

from orchestration.catalog import Catalog
from orchestration.catalog.fields import Model
from orchestration.catalog.plans import Plan
from orchestration.metering.control import ChargedSegment

Groups = dict[str, list[ChargedSegment]]
"""By name: charges whose lines depend on each other, in their total order."""

_NOT_TERMS = frozenset({"known", "active_from"})
"""How far time has come decides what is measured, and nothing that is rated."""


def groups_of(catalog: Catalog, charged: Iterable[ChargedSegment]) -> Groups:
    """The charges of one period of a subscription are rated together, as its lines may share a cap or a commitment.

    Where a plan has one, and intervals beside its own, a period isn't enough: the whole subscription is.
    """
    wide = {key for key, plan in catalog.plans.items() if _spans_periods(plan)}
    found: Groups = {}
    for item in charged:
        segment = item.segment
        period = "" if segment.plan in wide else f"/{segment.period_start}"
        found.setdefault(f"{segment.subscription}{period}", []).append(item)
    return found


def _spans_periods(plan: Plan) -> bool:
    bound = any(version.cap is not None or version.commitment is not None for version in plan.versions)
    return bound and any(
        (version.commitment is not None and version.commitment.interval is not None)
        or any(charge.interval is not None for charge in version.charges)
        for version in plan.versions
    )


def has_ended(items: Sequence[ChargedSegment]) -> bool:
    """Whether time can no longer change what the lines are rated by: all periods of a group have ended."""
    return all(item.segment.period_end < item.known for item in items)


class Digests:
    """Digests of the terms under one catalog; what many groups share is made into text once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[int, tuple[object, str]] = {}
        self._names: dict[type, tuple[str, ...]] = {}

    def of(self, items: Sequence[ChargedSegment]) -> str:
        """Hex SHA-256 over the terms of a group, its meters and what bounds its plans."""
        texts = [self._text(item) for item in items]
        for item in items:
            meter = item.terms.charge.meter
            if meter is not None:
                texts.append(self._text(self._catalog.meters[meter]))
        for plan in sorted({item.segment.plan for item in items}):
            bounds = [(v.effective, v.at_once, v.cap, v.commitment) for v in self._catalog.plans[plan].versions]
            if any(cap is not None or commitment is not None for *_, cap, commitment in bounds):
                texts.append(repr(bounds))
        return sha256("\n".join(texts).encode()).hexdigest()

    def _text(self, value: Any) -> str:
        if isinstance(value, Model):
            return self._once(value)
        if isinstance(value, tuple):
            return f"({','.join(map(self._text, value))})"
        kind = type(value)
        if kind not in self._names:
            found = fields(value) if is_dataclass(value) else ()
            self._names[kind] = tuple(field.name for field in found if field.name not in _NOT_TERMS)
        names = self._names[kind]
        return f"{{{','.join([self._text(getattr(value, name)) for name in names])}}}" if names else repr(value)

    def _once(self, model: Model) -> str:
        # The object is kept beside its text: its id belongs to it as long as it is.
        found = self._known.get(id(model))
        if found is None:
            found = self._known[id(model)] = (model, model.model_dump_json())
        return found[1]
