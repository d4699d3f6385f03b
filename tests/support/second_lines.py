"""Random charges of every measure that cases of pricing don't have: held units, windows, averages, lines by value.

Plans of two versions, contracts and trials; what was measured is made up, and both pricers get the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from price_case import CUSTOMER, Case
from price_terms import chance, price
from second_pricer import catalog_of

from orchestration.audit.charged import Charged, Quantity, charged_spans
from orchestration.audit.pricing.lines import Line
from orchestration.audit.pricing.numbers import amount_text
from orchestration.audit.pricing.priced import all_lines
from orchestration.billing.rating import Line as Rated
from orchestration.catalog import Catalog
from orchestration.catalog.meters import Condition, Meter
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Override
from orchestration.closing.rated import Quantity as Measured
from orchestration.closing.rated import rate_all
from orchestration.metering.control import charged_segments
from orchestration.money import decimal_text
from orchestration.zones import midnight_us

Fields = dict[str, Any]
START, END = date(2026, 1, 31), date(2026, 4, 1)
_ON, _OFF = Condition(field="status", op="eq", value=1), Condition(field="status", op="eq", value=0)


def _meter(key: str, aggregation: str, **fields: Any) -> Meter:
    value = {} if aggregation == "count" else {"value": "n"}
    return Meter.model_validate(
        {"key": key, "name": key, "unit": key, "event_type": "e", "aggregation": aggregation, **value, **fields}
    )


METERS = {
    meter.key: meter
    for meter in (
        _meter("seats", "sum", carry=True, allow_negative=True),
        _meter("items", "unique_count", start=_ON, stop=_OFF),
        _meter("load", "weighted_sum"),
        _meter("calls", "count", dimensions=("shop",)),
        _meter("gauge", "latest", carry=True),
        _meter("users", "unique_count"),
    )
}


def _tiers(rng: Random) -> list[Fields]:
    bounds = sorted(rng.sample(range(1, 20), rng.randrange(3)))
    return [
        {"up_to": bound, "price": price(rng), "flat_fee": price(rng) if chance(rng, 30) else "0"}
        for bound in [*map(str, bounds), None]
    ]


def _priced(rng: Random) -> Fields:
    match rng.randrange(3):
        case 0:
            return {"model": "per_unit", "price": price(rng)}
        case n:
            tiers = {"tiers": _tiers(rng), "flat_fee_at_zero": chance(rng, 30)}
            return {"model": ("graduated", "volume")[n - 1], **tiers}


def _charges(rng: Random) -> Iterator[Fields]:
    bounds = {"minimum": "5", "discount_percent": "12.5"} if chance(rng, 30) else {}
    convert = {"convert": {"divide_by": "3", "unit": "x", "rounding": rng.choice(("none", "up")), "decimals": 0}}
    each = {"of": "count", "window": "1h", "take": "each_window"}
    yield {"meter": "seats", "prorate": "days", **_priced(rng), **bounds, **(convert if chance(rng, 20) else {})}
    yield {"meter": "items", "prorate": "days", **_priced(rng), **bounds}
    yield {"meter": "load", **_priced(rng), **bounds}
    yield {"meter": "calls", "watermark": each, **_priced(rng), **(convert if chance(rng, 20) else {})}
    yield {"meter": "calls", "watermark": {**each, "take": "daily_sum"}, **_priced(rng)}
    yield {"meter": "calls", "watermark": {"of": "count", "window": "5m", "percentile": 95}, **_priced(rng), **bounds}
    yield {"meter": "calls", "line_per": "shop", "included": "3", **_priced(rng), **bounds}
    yield {"meter": "gauge", **_priced(rng)}
    take = rng.choice(("sum", "mean", "max"))
    yield {"meter": "users", "active": {"per": rng.choice(("day", "week")), "take": take}, **_priced(rng), **bounds}


def world(seed: int) -> tuple[Catalog, int]:
    """(catalog of one plan, now)."""
    rng = Random(seed)
    charges = [{"key": f"c{n}", "name": f"C{n}", **fields} for n, fields in enumerate(_charges(rng))]
    if chance(rng, 30):
        charges = [{**c, "interval": "month"} for c in charges]
    versions: list[Fields] = [{"effective": "2025-01-01", "charges": charges}]
    if chance(rng, 50):
        later = [{**c, **_repriced(rng, c)} for c in charges]
        versions.append({"effective": START + timedelta(days=rng.randrange(40)), "charges": later})
    interval = {"interval": rng.choice(("month", "quarter")), "anchor": rng.choice(("calendar", "subscription"))}
    plan = Plan.model_validate({"key": "p", "name": "P", "currency": "EUR", "versions": versions, **interval})
    start = START + timedelta(days=rng.randrange(20))
    end = END - timedelta(days=rng.randrange(20)) if chance(rng, 40) else None
    trial = start + timedelta(days=rng.randrange(1, 9)) if chance(rng, 30) else None
    phase = Subscription(subscription="sub", customer=CUSTOMER, plan="p", start=start, end=end, trial_end=trial)
    row = {"customer": CUSTOMER, "plan": "p", "charge": "c2", "contract": "K", "start": start + timedelta(days=5)}
    agreed = (Override.model_validate({**row, **_repriced(rng, charges[2])}),) if chance(rng, 30) else ()
    case = Case({"p": plan}, (phase,), END, overrides=agreed, half_even=chance(rng, 20))
    now_us = midnight_us("UTC", END - timedelta(days=rng.randrange(30)))
    return replace(catalog_of(case), meters=METERS), now_us


def _repriced(rng: Random, charge: Fields) -> Fields:
    if "price" in charge:
        return {"price": price(rng)}
    return {"tiers": [{**tier, "price": price(rng)} for tier in charge["tiers"]]}


def measured(rng: Random, item: Charged) -> list[Quantity]:
    """Anything that such a charge may be measured as."""
    charge, span = item.terms.charge, item.segment
    days = sorted(span.start + timedelta(days=rng.randrange((span.end - span.start).days)) for _ in range(4))
    if charge.meter is None or chance(rng, 10):
        return []
    if charge.meter == "seats":
        return [Quantity(day, Decimal(rng.randrange(-9, 15))) for day in sorted(set(days))]
    if charge.meter == "items":
        return [Quantity(day, Decimal(rng.randrange(1, 28)), rank=rng.randrange(1, 9)) for day in sorted(set(days))]
    if charge.meter == "load":
        return [Quantity(day, Decimal(rng.randrange(10**13))) for day in sorted(set(days))]
    if charge.line_per is not None:
        return [
            Quantity(d, Decimal(rng.randrange(9)), value=shop) for d in sorted(set(days)) for shop in ("", "x", "y")
        ]
    if charge.watermark is not None and charge.watermark.take == "each_window":
        return [Quantity(day, Decimal(n), windows=rng.randrange(1, 4)) for n, day in enumerate(days, 1)]
    if charge.meter == "gauge" or (charge.watermark is not None and charge.watermark.take == "greatest"):
        us = midnight_us("UTC", days[0]) if charge.watermark is not None else None
        return [Quantity(days[0], Decimal(rng.randrange(40)), us)]
    return [Quantity(day, Decimal(rng.randrange(30))) for day in sorted(set(days))]


def second_lines(seed: int) -> tuple[Fields, ...]:
    catalog, now_us = world(seed)
    charged, rng = charged_spans(catalog, now_us), Random(-1 - seed)
    quantities = {item.line_id: measured(rng, item) for item in charged}
    return tuple(_shown(line) for line in all_lines(catalog, charged, quantities))


def program_lines(seed: int) -> tuple[Fields, ...]:
    catalog, now_us = world(seed)
    charged, rng = charged_spans(catalog, now_us), Random(-1 - seed)
    quantities = {item.line_id: [Measured(*row) for row in measured(rng, item)] for item in charged}
    return tuple(_told(line) for line in rate_all(catalog, charged_segments(catalog, now_us), quantities))


def _shown(line: Line) -> Fields:
    amounts = {name: amount_text(minor, line.currency) for name, minor in line.bounds._asdict().items()}
    numbers = {name: decimal_text(getattr(line, name)) for name in ("measured", "quantity")}
    return {"key": tuple(line.key), "end": line.end, **amounts, **numbers, "formula": dict(line.formula)}


def _told(line: Rated) -> Fields:
    parts = {name: getattr(line, name) for name in ("gross", "discount", "excess", "top_up")}
    amounts = {name: part.text for name, part in parts.items()}
    numbers = {name: decimal_text(getattr(line, name)) for name in ("measured", "quantity")}
    return {"key": tuple(line.key), "end": line.end, **amounts, **numbers, "formula": line.formula}
