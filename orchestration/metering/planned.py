"""The segments of every plan and of every charge in them, as they lie in the zones of their customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from orchestration.billing.segments import ChargeTerms, Segment, charge_prices, charge_segments, charge_terms, segments
from orchestration.catalog import Catalog
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Override
from orchestration.metering.measures import known_day

Contracts = Mapping[tuple[str, str], Sequence[Override]]


def contracts_of(overrides: Sequence[Override]) -> Contracts:
    """Overrides by customer and plan."""
    found: dict[tuple[str, str], list[Override]] = defaultdict(list)
    for row in overrides:
        found[row.customer, row.plan].append(row)
    return found


class ChargesIn:
    """The charges in segments of plans under one catalog. Segments of the same days share their terms, where no
    contract of a customer has other prices."""

    def __init__(self, catalog: Catalog) -> None:
        self._plans = catalog.plans
        self._contracts = contracts_of(catalog.overrides)
        self._known: dict[tuple[str, date, date, date | None], list[ChargeTerms]] = {}

    def of(self, part: Segment, known: date) -> Iterator[tuple[Segment, ChargeTerms]]:
        """Every charge of a plan's segment, by the periods of its own interval that have begun before `known`."""
        plan, own_prices = self._plans[part.plan], self._contracts.get((part.customer, part.plan), ())
        for terms in charge_prices(plan, part, own_prices) if own_prices else self._without_contract(plan, part):
            if terms.charge.interval is None:
                yield part, terms
                continue
            for own in charge_segments(part, terms.charge, known - timedelta(days=1)):
                yield own, charge_terms(plan, own, terms.charge.key, own_prices)

    def _without_contract(self, plan: Plan, part: Segment) -> Sequence[ChargeTerms]:
        days = part.plan, part.start, part.end, part.version
        if days not in self._known:
            self._known[days] = charge_prices(plan, part)
        return self._known[days]


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
