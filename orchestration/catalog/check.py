"""Checks between the objects of a catalog: references, overlaps, prices. Each returns problems with file and line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise

from orchestration.catalog.charges import Charge
from orchestration.catalog.fields import Model
from orchestration.catalog.measurable import charge_faults
from orchestration.catalog.meters import EVENT_FIELDS, Meter, meter_fields
from orchestration.catalog.models import Credential, Customer, Settings, Subscription
from orchestration.catalog.moves import check_rows
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Plan
from orchestration.catalog.sources import Source
from orchestration.catalog.termcheck import Terms, check_terms
from orchestration.errors import Problem
from orchestration.money import CURRENCIES

_FOREVER = date.max
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


def cross_check(
    settings: Settings,
    sources: Sequence[Source],
    meters: Sequence[Meter],
    plans: Sequence[Plan],
    customers: Sequence[Customer],
    credentials: Sequence[Credential],
    subscriptions: Sequence[Subscription],
    places: Places,
    terms: Terms | None = None,
) -> list[Problem]:
    """All problems between objects that are valid each by itself."""
    by_plan = {p.key: p for p in plans}
    return [
        *_entities(settings, places),
        *_unique(sources, "name", "source", places),
        *_unique(meters, "key", "meter", places),
        *_unique(plans, "key", "plan", places),
        *check_rows(customers, places),
        *_meter_fields(meters, sources, places),
        *_plans(plans, {m.key: m for m in meters}, places),
        *_customers(customers, {e.key for e in settings.entities}, places),
        *_credentials(credentials, {c.customer for c in customers}, {s.name for s in sources}, places),
        *_subscriptions(subscriptions, {c.customer for c in customers}, by_plan, places),
        *_phases(subscriptions, by_plan, places),
        *_same_meter_twice(subscriptions, by_plan, places),
        *check_terms(terms or Terms(), {e.key for e in settings.entities}, plans, customers, subscriptions, places),
    ]


def _unique(items: Sequence[Model], field: str, kind: str, places: Places) -> Iterable[Problem]:
    seen: dict[str, Model] = {}
    for item in items:
        key = getattr(item, field)
        if key in seen:
            message = f"{kind} '{key}' is also defined at {places.of(seen[key])}"
            yield Problem("duplicate", message, places.of(item))
        seen.setdefault(key, item)


def _entities(settings: Settings, places: Places) -> Iterable[Problem]:
    """Two sellers of one key would be one; of one series, they would number their documents in turns."""
    for index, entity in enumerate(settings.entities):
        for other in settings.entities[:index]:
            for field in ("key", "series"):
                if getattr(entity, field) == getattr(other, field):
                    message = f"{field} '{getattr(entity, field)}' is that of another entity too"
                    yield Problem("duplicate", message, places.of(settings, "entities", index, field))


def _meter_fields(meters: Sequence[Meter], sources: Sequence[Source], places: Places) -> Iterable[Problem]:
    """A meter that reads a property which no source declares would find every event unmeasured."""
    known = EVENT_FIELDS | {name for source in sources for name in source.properties}
    for meter in meters:
        read = meter_fields(meter)
        for name in sorted(read - known):
            message = f"meter '{meter.key}' reads '{name}', which no source declares as a property"
            yield Problem("unknown_field", message, places.of(meter))


def _plans(plans: Sequence[Plan], meters: dict[str, Meter], places: Places) -> Iterable[Problem]:
    for plan in plans:
        for before, after in pairwise(plan.versions):
            if after.effective <= before.effective:
                index = plan.versions.index(after)
                message = f"plan '{plan.key}': versions are written in the order of their dates, each date once"
                yield Problem("version_order", message, places.of(plan, "versions", index, "effective"))
        for v_index, version in enumerate(plan.versions):
            keys = [c.key for c in version.charges]
            for c_index, charge in enumerate(version.charges):
                where = places.of(plan, "versions", v_index, "charges", c_index)
                if keys.index(charge.key) != c_index:
                    yield Problem("duplicate", f"plan '{plan.key}': charge '{charge.key}' is written twice", where)
                yield from _metered(plan, charge, meters, where)
                if charge.model == "flat" and charge.amount is not None:
                    decimals = -int(charge.amount.as_tuple().exponent)
                    if decimals > CURRENCIES[plan.currency]:
                        message = (
                            f"plan '{plan.key}': fee {charge.amount} has more decimals than {plan.currency} "
                            f"({CURRENCIES[plan.currency]})"
                        )
                        yield Problem("too_many_decimals", message, where)


def _metered(plan: Plan, charge: Charge, meters: dict[str, Meter], where: str) -> Iterable[Problem]:
    place = f"plan '{plan.key}', charge '{charge.key}'"
    if charge.meter is not None and charge.meter not in meters:
        known = ", ".join(sorted(meters)) or "none"
        yield Problem("unknown_meter", f"{place}: unknown meter '{charge.meter}' (known: {known})", where)
        return
    meter = None if charge.meter is None else meters[charge.meter]
    for code, fault in charge_faults(charge, meter):
        yield Problem(code, f"{place}: {fault}", where)


def _customers(customers: Sequence[Customer], entities: set[str], places: Places) -> Iterable[Problem]:
    for customer in customers:
        if customer.entity not in entities:
            message = f"customer '{customer.customer}' is sold to by unknown entity '{customer.entity}'"
            yield Problem("unknown_entity", message, places.of(customer))


def _credentials(
    credentials: Sequence[Credential], customers: set[str], sources: set[str], places: Places
) -> Iterable[Problem]:
    by_key: dict[str, list[Credential]] = defaultdict(list)
    for credential in credentials:
        where = places.of(credential)
        if credential.customer not in customers:
            message = f"credential '{credential.credential}' names unknown customer '{credential.customer}'"
            yield Problem("unknown_customer", message, where)
        if credential.source is not None and credential.source not in sources:
            message = f"credential '{credential.credential}' names unknown source '{credential.source}'"
            yield Problem("unknown_source", message, where)
        start, end = credential.valid_from or _BEGINNING, credential.valid_to or _END
        if end <= start:
            yield Problem("empty_interval", f"credential '{credential.credential}' ends before it starts", where)
        for other in by_key[credential.credential]:
            apart = credential.source is not None and other.source is not None and credential.source != other.source
            if not apart and start < (other.valid_to or _END) and (other.valid_from or _BEGINNING) < end:
                message = f"credential '{credential.credential}' overlaps with {places.of(other)}"
                yield Problem("overlap", message, where)
        by_key[credential.credential].append(credential)


def _subscriptions(
    subscriptions: Sequence[Subscription], customers: set[str], plans: dict[str, Plan], places: Places
) -> Iterable[Problem]:
    for row in subscriptions:
        where = places.of(row)
        if row.customer not in customers:
            message = f"subscription '{row.subscription}' names unknown customer '{row.customer}'"
            yield Problem("unknown_customer", message, where)
        plan = plans.get(row.plan)
        if plan is None:
            yield Problem("unknown_plan", f"subscription '{row.subscription}' names unknown plan '{row.plan}'", where)
        elif row.start < plan.versions[0].effective:
            message = (
                f"subscription '{row.subscription}' starts on {row.start}, but plan '{plan.key}' has no price before "
                f"{plan.versions[0].effective} (missing price)"
            )
            yield Problem("missing_price", message, where)
        if row.end is not None and row.end <= row.start:
            yield Problem("empty_interval", f"subscription '{row.subscription}' ends before it starts", where)


def _phases(subscriptions: Sequence[Subscription], plans: dict[str, Plan], places: Places) -> Iterable[Problem]:
    """The phases of one subscription follow each other, are of one customer and currency, and count from one anchor."""
    by_key: dict[str, list[Subscription]] = defaultdict(list)
    for row in subscriptions:
        by_key[row.subscription].append(row)
    for key, rows in by_key.items():
        rows.sort(key=lambda r: r.start)
        for before, after in pairwise(rows):
            where = places.of(after)
            if before.end is None or before.end > after.start:
                message = f"subscription '{key}' overlaps with its phase at {places.of(before)}"
                yield Problem("overlap", message, where)
            if before.customer != after.customer or before.stacking != after.stacking:
                message = f"subscription '{key}' changes its customer or 'stacking' between phases"
                yield Problem("phase_differs", message, where)
            a, b = plans.get(before.plan), plans.get(after.plan)
            if a and b and a.currency != b.currency:
                message = f"subscription '{key}' changes its currency: end it and start another"
                yield Problem("phase_differs", message, where)
            if a and b and a.anchor != b.anchor and not after.restart:
                message = (
                    f"subscription '{key}' keeps the anchor '{a.anchor}', but plan '{b.key}' counts from '{b.anchor}'; "
                    "say 'restart: true' to count anew, or end it and start another"
                )
                yield Problem("phase_differs", message, where)


def _same_meter_twice(
    subscriptions: Sequence[Subscription], plans: dict[str, Plan], places: Places
) -> Iterable[Problem]:
    """Two subscriptions of a customer that price one meter on one day bill it twice, unless one says `stacking`."""
    by_customer: dict[str, list[Subscription]] = defaultdict(list)
    for row in subscriptions:
        by_customer[row.customer].append(row)
    for rows in by_customer.values():
        rows.sort(key=lambda r: (r.start, r.subscription))
        for index, row in enumerate(rows):
            for other in rows[:index]:
                if row.subscription == other.subscription or row.stacking or other.stacking:
                    continue
                shared = _meters_of(plans.get(row.plan)) & _meters_of(plans.get(other.plan))
                if shared and row.start < (other.end or _FOREVER) and other.start < (row.end or _FOREVER):
                    message = (
                        f"subscriptions '{row.subscription}' and '{other.subscription}' of customer '{row.customer}' "
                        f"both price {', '.join(sorted(shared))} on the same days; one must say stacking"
                    )
                    yield Problem("overlap", message, places.of(row))


def _meters_of(plan: Plan | None) -> set[str]:
    if plan is None:
        return set()
    return {c.meter for version in plan.versions for c in version.charges if c.meter is not None}
