"""Small builders, so that a test shows only what it is about."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from orchestration.billing.charges import Slice
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import ChargeTerms, PriceFrom, Segment, charge_prices, segments
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Customer, Entity, Subscription
from orchestration.catalog.plans import Plan

D = date.fromisoformat
OCTOBER = (D("2026-10-01"), D("2026-11-01"))
METERS = {
    "calls": Meter(key="calls", name="Calls", unit="call", event_type="request", aggregation="count"),
    "tokens": Meter(key="tokens", name="Tokens", unit="token", event_type="llm", aggregation="sum", value="tokens"),
    "users": Meter(key="users", name="Users", unit="user", event_type="request", aggregation="unique_count", value="u"),
    "stored": Meter(key="stored", name="Stored", unit="GB", event_type="storage", aggregation="max", value="gb"),
}
TIERS = ({"up_to": "1000", "price": "0.10"}, {"price": "0.05"})


def charge(model: str = "per_unit", **fields: Any) -> Charge:
    if model != "flat":
        fields.setdefault("meter", "calls")
    if model == "per_unit":
        fields.setdefault("price", "1")
    fields.setdefault("key", "usage")
    return Charge.model_validate({"name": "A charge", "model": model, **fields})


def plan(*versions: tuple[str, list[Charge]], key: str = "pro", **fields: Any) -> Plan:
    rows = [{"effective": day, "charges": charges} for day, charges in versions]
    return Plan.model_validate({"key": key, "name": key, "currency": "EUR", "versions": rows, **fields})


def phase(start: str, end: str | None = None, plan: str = "pro", subscription: str = "sub-1") -> Subscription:
    return Subscription(
        subscription=subscription, customer="acme", plan=plan, start=D(start), end=None if end is None else D(end)
    )


def segment(
    start: str = "2026-10-01",
    end: str = "2026-11-01",
    period: tuple[str, str] = ("2026-10-01", "2026-11-01"),
    currency: str = "EUR",
    plan: str = "pro",
) -> Segment:
    return Segment("sub-1", "acme", plan, currency, D(period[0]), D(period[1]), D(start), D(end))


def terms(first: Charge, *later: tuple[str, Charge], start: str = "2026-10-01") -> ChargeTerms:
    """Terms of a charge whose first prices are in force at `start`, and later ones from the days given."""
    rest = [PriceFrom(D(day), D(day), priced) for day, priced in later]
    return ChargeTerms(first, (PriceFrom(D(start), D("2026-01-01"), first), *rest))


def used(*days: tuple[str, str | int]) -> list[Slice]:
    return [Slice(D(day), Decimal(quantity)) for day, quantity in days]


def rated(
    plans: list[Plan], phases: list[Subscription], through: str, usage: dict[str, list[Slice]] | None = None
) -> list[Line]:
    """Every line of a subscription whose segments have begun by `through`; `usage` by meter."""
    by_key = {p.key: p for p in plans}
    lines = []
    for part in segments(phases, by_key, D(through)):
        for priced in charge_prices(by_key[part.plan], part):
            meter = METERS[priced.charge.meter] if priced.charge.meter else None
            slices = [s for s in (usage or {}).get(priced.charge.meter or "", []) if part.start <= s.day < part.end]
            lines.append(rate(priced, part, slices, meter))
    return lines


ENTITY = Entity(key="main", name="Seller Ltd", address="1 Road", tax_id="GB1", zone="Europe/London")
CUSTOMER = Customer(
    customer="acme",
    name="Acme",
    address="2 Street",
    country="FR",
    tax_id="FR2",
    zone="Europe/Paris",
    entity="main",
)
