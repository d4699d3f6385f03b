"""The segments of every plan and of every charge in them, as they lie in the zones of their customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from orchestration.billing.segments import ChargeTerms, Segment, charge_prices, charge_segments, charge_terms, segments
from orchestration.catalog import Catalog
from orchestration.catalog.models import Subscription
from orchestration.catalog.terms import Override
from orchestration.metering.measures import known_day

Contracts = Mapping[tuple[str, str], Sequence[Override]]


def contracts_of(overrides: Sequence[Override]) -> Contracts:
    """Overrides by customer and plan."""
    found: dict[tuple[str, str], list[Override]] = defaultdict(list)
    for row in overrides:
        found[row.customer, row.plan].append(row)
    return found


def charges_in(
    catalog: Catalog, part: Segment, known: date, overrides: Contracts
) -> Iterator[tuple[Segment, ChargeTerms]]:
    """Every charge of a plan's segment, by the periods of its own interval that have begun before `known`."""
    plan, through = catalog.plans[part.plan], known - timedelta(days=1)
    own_prices = overrides.get((part.customer, part.plan), ())
    for terms in charge_prices(plan, part, own_prices):
        if terms.charge.interval is None:
            yield part, terms
            continue
        for own in charge_segments(part, terms.charge, through):
            yield own, charge_terms(plan, own, terms.charge.key, own_prices)


def plan_segments(catalog: Catalog, until_us: int) -> Iterator[tuple[Segment, date]]:
    """The segments of plans that have begun by an instant in their customer's zone, by subscription, ascending, each
    with the day after that instant's."""
    by_key: dict[str, list[Subscription]] = defaultdict(list)
    for row in catalog.subscriptions:
        by_key[row.subscription].append(row)
    for key in sorted(by_key):
        phases = by_key[key]
        known = known_day(catalog.customers[phases[0].customer].zone, until_us)
        for segment in segments(phases, catalog.plans, known - timedelta(days=1)):
            yield segment, known
