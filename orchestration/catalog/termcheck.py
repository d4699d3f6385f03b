"""Checks of what customers agreed beside their plans, and of taxes: each problem with file and line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from orchestration.catalog.fields import Model
from orchestration.catalog.models import Customer, Subscription
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Adjustment, Coupon, Exemption, Grant, Refund, Release, Taxes, TaxRate
from orchestration.errors import Problem
from orchestration.money import CURRENCIES


@dataclass(frozen=True, slots=True)
class Terms:
    """Coupons, credits, adjustments, refunds, releases and taxes of a catalog; `taxes` is None without `taxes.yaml`."""

    coupons: Sequence[Coupon] = ()
    grants: Sequence[Grant] = ()
    adjustments: Sequence[Adjustment] = ()
    refunds: Sequence[Refund] = ()
    releases: Sequence[Release] = ()
    taxes: Taxes | None = None


@dataclass(frozen=True, slots=True)
class _Sold:
    """What terms may name: customers, and by customer the plans that it is or was on."""

    customers: Mapping[str, Customer]
    plans: Mapping[str, Sequence[Plan]]
    entities: Collection[str]
    places: Places

    def charges(self, customer: str) -> set[str]:
        return {c.key for plan in self.plans.get(customer, ()) for v in plan.versions for c in v.charges}

    def currencies(self, customer: str) -> set[str]:
        return {plan.currency for plan in self.plans.get(customer, ())}


def check_terms(
    terms: Terms,
    entities: Collection[str],
    plans: Iterable[Plan],
    customers: Iterable[Customer],
    subscriptions: Iterable[Subscription],
    places: Places,
) -> list[Problem]:
    """All problems of terms that are valid each by itself."""
    by_key, found = {plan.key: plan for plan in plans}, dict[str, list[Plan]]()
    for row in subscriptions:
        if row.plan in by_key:
            found.setdefault(row.customer, []).append(by_key[row.plan])
    sold = _Sold({c.customer: c for c in customers}, found, entities, places)
    rows: list[Coupon | Grant | Adjustment] = [*terms.coupons, *terms.grants, *terms.adjustments]
    return [
        *_unique(terms.coupons, "coupon", places),
        *_unique(terms.grants, "credit", places),
        *_unique(terms.adjustments, "adjustment", places),
        *(problem for row in rows for problem in _row(row, sold)),
        *_refunds(terms.refunds, places),
        *_releases(terms.releases, sold),
        *(_taxes(terms.taxes, terms.adjustments, sold) if terms.taxes is not None else ()),
    ]


def _named(row: Coupon | Grant | Adjustment) -> str:
    kind = "coupon" if isinstance(row, Coupon) else "credit" if isinstance(row, Grant) else "adjustment"
    return f"{kind} '{row.id}'"


def _unique(rows: Sequence[Coupon | Grant | Adjustment], kind: str, places: Places) -> Iterator[Problem]:
    """What documents have used is known by its id, so an id is never given twice."""
    seen: dict[str, Model] = {}
    for row in rows:
        if row.id in seen:
            message = f"{kind} '{row.id}' is also defined at {places.of(seen[row.id])}"
            yield Problem("duplicate", message, places.of(row, "id"))
        seen.setdefault(row.id, row)


def _row(row: Coupon | Grant | Adjustment, sold: _Sold) -> Iterator[Problem]:
    name, places = _named(row), sold.places
    if row.customer not in sold.customers:
        message = f"{name} names unknown customer '{row.customer}'"
        yield Problem("unknown_customer", message, places.of(row, "customer"))
        return
    if row.amount is not None and row.currency is not None:
        yield from _amount(row, Decimal(row.amount), row.currency, sold)
    if isinstance(row, Adjustment):
        return
    known = sold.charges(row.customer)
    for key in row.applies_to:
        if known and key not in known:
            message = f"{name} applies to '{key}', which is no charge of a plan of '{row.customer}'"
            yield Problem("unknown_charge", message, places.of(row, "applies_to"))
    begin, end = (row.issued, row.until) if isinstance(row, Coupon) else (row.granted, row.expires)
    if end is not None and end <= begin:
        yield Problem("empty_interval", f"{name} ends on {end}, before it is valid on {begin}", places.of(row))


def _amount(row: Coupon | Grant | Adjustment, amount: Decimal, currency: str, sold: _Sold) -> Iterator[Problem]:
    name, where = _named(row), sold.places.of(row, "amount")
    if -int(amount.as_tuple().exponent) > CURRENCIES[currency]:
        message = f"{name}: {amount} has more decimals than {currency} ({CURRENCIES[currency]})"
        yield Problem("too_many_decimals", message, where)
    billed = sold.currencies(row.customer)
    if billed and currency not in billed and not isinstance(row, Adjustment):
        message = f"{name} is in {currency}, but '{row.customer}' is billed in {', '.join(sorted(billed))}"
        yield Problem("currency_mismatch", message, sold.places.of(row, "currency"))


def _releases(rows: Sequence[Release], sold: _Sold) -> Iterator[Problem]:
    seen: dict[tuple[str, date], Release] = {}
    for row in rows:
        if row.customer not in sold.customers:
            yield Problem("unknown_customer", f"a release names unknown customer '{row.customer}'", sold.places.of(row))
        first = seen.setdefault((row.customer, row.cut_off), row)
        if first is not row:
            message = f"'{row.customer}' at cut-off {row.cut_off} is also released at {sold.places.of(first)}"
            yield Problem("duplicate", message, sold.places.of(row))


def _refunds(rows: Sequence[Refund], places: Places) -> Iterator[Problem]:
    seen: dict[str, Refund] = {}
    for row in rows:
        if row.document in seen:
            message = f"the refund of '{row.document}' is also written at {places.of(seen[row.document])}"
            yield Problem("duplicate", message, places.of(row))
        seen.setdefault(row.document, row)


def _taxes(taxes: Taxes, adjustments: Sequence[Adjustment], sold: _Sold) -> Iterator[Problem]:
    places = sold.places
    for index, rate in enumerate(taxes.rates):
        where = places.of(taxes, "rates", index)
        if rate.entity is not None and rate.entity not in sold.entities:
            yield Problem("unknown_entity", f"rate '{rate.name}' names unknown entity '{rate.entity}'", where)
        yield from _interval(rate, f"rate '{rate.name}' of '{rate.category}'", where)
        for before, other in enumerate(taxes.rates[:index]):
            if (rate.category, rate.name) == (other.category, other.name) and _meet(rate, other):
                message = f"rate '{rate.name}' of '{rate.category}' overlaps with {places.of(taxes, 'rates', before)}"
                yield Problem("overlap", message, where)
    for index, row in enumerate(taxes.exemptions):
        where = places.of(taxes, "exemptions", index)
        yield from _interval(row, f"exemption of '{row.customer}'", where)
        if row.customer not in sold.customers:
            yield Problem("unknown_customer", f"an exemption names unknown customer '{row.customer}'", where)
        for before, earlier in enumerate(taxes.exemptions[:index]):
            same = row.category is None or earlier.category is None or row.category == earlier.category
            if row.customer == earlier.customer and same and _days_meet(row, earlier):
                there = places.of(taxes, "exemptions", before)
                yield Problem("overlap", f"exemption of '{row.customer}' overlaps with {there}", where)
    yield from _without_rate(taxes, adjustments, sold)


def _interval(row: TaxRate | Exemption, name: str, where: str) -> Iterator[Problem]:
    if row.start is not None and row.end is not None and row.end <= row.start:
        yield Problem("empty_interval", f"{name} ends on {row.end}, and starts on {row.start}", where)


def _days_meet(a: TaxRate | Exemption, b: TaxRate | Exemption) -> bool:
    return (a.start or date.min) < (b.end or date.max) and (b.start or date.min) < (a.end or date.max)


def _meet(a: TaxRate, b: TaxRate) -> bool:
    """Whether two rates hold for one buyer of one seller on one day."""
    sellers = a.entity is None or b.entity is None or a.entity == b.entity
    buyers = not a.countries or not b.countries or bool(set(a.countries) & set(b.countries))
    return sellers and buyers and _days_meet(a, b)


def _without_rate(taxes: Taxes, adjustments: Sequence[Adjustment], sold: _Sold) -> Iterator[Problem]:
    """Categories that are sold to a buyer for whom they have no rate on any day, and no exemption."""
    told: set[tuple[str, str, str]] = set()
    for key, customer in sold.customers.items():
        used: dict[str, str] = {}
        for plan in sold.plans.get(key, ()):
            for category, *place in _categories(plan):
                used.setdefault(category, sold.places.of(plan, *place))
        for row in adjustments:
            if row.customer == key:
                used.setdefault(row.tax_category, sold.places.of(row))
        for category, where in used.items():
            buyer = category, customer.entity, customer.country
            exempt = any(x.customer == key and x.category in (None, category) for x in taxes.exemptions)
            if exempt or buyer in told or any(rate.holds_for(*buyer) for rate in taxes.rates):
                continue
            told.add(buyer)
            message = f"tax category '{category}' has no rate for buyers in {customer.country}, as '{key}' is"
            yield Problem("missing_rate", message, where)


def _categories(plan: Plan) -> Iterator[tuple[str, str | int, str | int, str | int, str | int] | tuple[str, str, int]]:
    """Tax categories of a plan, each with the place where it is used."""
    for number, version in enumerate(plan.versions):
        for index, charge in enumerate(version.charges):
            yield charge.tax_category, "versions", number, "charges", index
        if version.commitment is not None:
            yield version.commitment.tax_category, "versions", number
