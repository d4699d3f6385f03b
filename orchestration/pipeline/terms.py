"""What lines are rated by, as text: groups of charges that are rated together, and the digest of their terms.

Everything that `rate_all` looks at besides the measured quantities is in a group's digest, so that lines of equal
digests and quantities are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from orchestration.billing.segments import ChargeTerms, Segment
from orchestration.catalog import Catalog
from orchestration.catalog.fields import Model
from orchestration.closing.rated import Rater
from orchestration.metering.control import ChargedSegment

Groups = dict[str, list[ChargedSegment]]
"""By name: charges whose lines depend on each other, in their total order."""

_NOT_TERMS = frozenset({"known", "active_from"})
"""How far time has come decides what is measured, and nothing that is rated."""


def bounded_plans(catalog: Catalog) -> frozenset[str]:
    """Plans that add lines to those of their charges: a version of theirs has a cap or a commitment."""
    return frozenset(
        key
        for key, plan in catalog.plans.items()
        if any(version.cap is not None or version.commitment is not None for version in plan.versions)
    )


def groups_of(catalog: Catalog, charged: Sequence[ChargedSegment]) -> Groups:
    """The charges of one period of a subscription; those of a whole subscription, if it is or was on a plan with a cap
    or a commitment: these hold over periods, and go on from segment to segment."""
    bounded = bounded_plans(catalog)
    wide = {item.segment.subscription for item in charged if item.segment.plan in bounded}
    found: Groups = {}
    for item in charged:
        segment = item.segment
        period = "" if segment.subscription in wide else f"/{segment.period_start}"
        found.setdefault(f"{segment.subscription}{period}", []).append(item)
    return found


def has_ended(items: Sequence[ChargedSegment]) -> bool:
    """Whether time can no longer change what the lines are rated by: all periods of a group have ended."""
    return all(item.segment.period_end < item.known for item in items)


@cache
def _names(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass that are terms."""
    return tuple(field.name for field in fields(kind) if field.name not in _NOT_TERMS)


class Digests:
    """Digests of the terms under one catalog; what many groups share is made into text once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._rater = Rater.of(catalog)
        self._bounded = bounded_plans(catalog)
        self._known: dict[int, tuple[object, str]] = {}
        self._last: tuple[Segment | None, str] = None, ""
        self._ways: dict[type, Callable[[Any], str]] = {ChargeTerms: self._terms, Segment: self._segment}

    def of(self, items: Sequence[ChargedSegment]) -> str:
        """Hex SHA-256 over the terms of a group: of each charge with its meter and how its seller rounds, and of plans
        with a cap or a commitment all that they say, with the end of the subscription."""
        texts: list[str] = []
        for item in items:
            meter = item.terms.charge.meter
            measured = "" if meter is None else self._text(self._catalog.meters[meter])
            texts += [
                self._text(item),
                measured,
                self._rater.rounding(item.segment.customer, item.segment.period_start),
            ]
        for plan in sorted({item.segment.plan for item in items} & self._bounded):
            texts.append(self._text(self._catalog.plans[plan]))
        for subscription in sorted({i.segment.subscription for i in items if i.segment.plan in self._bounded}):
            texts.append(f"{subscription} {self._rater.ends.get(subscription)}")
        return sha256("\n".join(texts).encode()).hexdigest()

    def _text(self, value: Any) -> str:
        kind = type(value)
        if kind not in self._ways:
            self._ways[kind] = self._way(kind)
        return self._ways[kind](value)

    def _way(self, kind: type) -> Callable[[Any], str]:
        """How values of a type are made into text."""
        if issubclass(kind, Model):
            return lambda model: self._once(model, model.model_dump_json)
        if kind is tuple:
            return lambda values: f"({','.join(map(self._text, values))})"
        return self._fields if is_dataclass(kind) else repr

    def _fields(self, value: Any) -> str:
        kind: type = type(value)
        return f"{{{','.join([self._text(getattr(value, name)) for name in _names(kind)])}}}"

    def _terms(self, terms: ChargeTerms) -> str:
        # Their own digest: as many terms may be kept as there are customers with a contract.
        return self._once(terms, lambda: sha256(self._fields(terms).encode()).hexdigest())

    def _segment(self, segment: Segment) -> str:
        # The charges of a segment come one after the other.
        if self._last[0] is not segment:
            self._last = segment, self._fields(segment)
        return self._last[1]

    def _once(self, value: object, text: Callable[[], str]) -> str:
        # The object is kept beside its text: its id belongs to it as long as it is.
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = (value, text())
        return found[1]
