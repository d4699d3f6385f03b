"""Random charges, plans and terms for cases of pricing: small numbers, so that a walk by units is short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from price_case import CUSTOMER, DECIMALS

from orchestration.catalog.charges import Charge
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Adjustment, Coupon, Exemption, Grant, Override, TaxRate

Fields = dict[str, Any]
METERS_OF = {
    "per_unit": ("calls", "units", "users", "peak"),
    "graduated": ("calls", "units", "users", "peak"),
    "volume": ("calls", "units", "users", "peak"),
    "package": ("calls", "units", "users", "peak"),
    "percentage": ("money",),
    "graduated_percentage": ("money",),
    "matrix": ("zones",),
    "dynamic": ("money",),
}
MODELS = ("flat", *METERS_OF)
REGIONS = ("eu", "us", "ap")
LONG_AGO = date(2020, 1, 1)
ONE_DAY = timedelta(days=1)


def chance(rng: Random, percent: int) -> bool:
    return rng.randrange(100) < percent


def price(rng: Random) -> str:
    """Of all lengths that a price may have, with zeros and halves of cents among them."""
    match rng.randrange(8):
        case 0:
            return rng.choice(("0", "0.005", "0.01", "1", "0.0049", "10"))
        case 1:
            return f"0.{rng.randrange(10**12):012d}"
        case 2 | 3:
            return f"{rng.randrange(1000)}.{rng.randrange(1000):03d}"
        case _:
            return f"{rng.randrange(20)}.{rng.randrange(100):02d}"


def money(rng: Random, currency: str, most: int) -> str:
    """An amount up to `most` at the minor unit of a currency."""
    minor = rng.randrange(most * 10 ** DECIMALS[currency])
    return f"{Decimal(minor).scaleb(-DECIMALS[currency]):f}"


def _bounds(rng: Random, most: int) -> list[str]:
    found = sorted(rng.sample(range(1, 40), rng.randrange(most + 1)))
    return [f"{n}.5" if chance(rng, 15) else str(n) for n in found]


def _tiers(rng: Random, model: str) -> list[Fields]:
    bounds = [*_bounds(rng, 3), None]
    tiers: list[Fields] = []
    for bound in bounds:
        tier: Fields = {"up_to": bound}
        if model == "graduated_percentage":
            tier["rate"] = f"0.{rng.randrange(1000):03d}"
        else:
            tier["price"] = price(rng)
        if chance(rng, 30):
            tier["flat_fee"] = price(rng)
        if model == "graduated" and chance(rng, 20):
            tier["block"] = rng.choice(("2", "3", "5", "2.5"))
        tiers.append(tier)
    return tiers


def _of_model(rng: Random, model: str) -> Fields:
    match model:
        case "flat":
            return {"amount": price(rng), "due": rng.choice(("arrears", "advance"))}
        case "per_unit":
            return {"price": price(rng)}
        case "graduated" | "volume" | "graduated_percentage":
            return {"tiers": _tiers(rng, model), "flat_fee_at_zero": chance(rng, 25)}
        case "package":
            free = {"free": str(rng.randrange(1, 12))} if chance(rng, 40) else {}
            size = rng.choice(("1", "2", "5", "10", "2.5"))
            return {"price": price(rng), "size": size, "whole": chance(rng, 25), **free}
        case "percentage":
            return _percentage(rng)
        case "matrix":
            return _matrix(rng)
        case _:
            return {"multiplier": rng.choice(("1", "1.2", "0.5", "0"))} if chance(rng, 60) else {}


def _percentage(rng: Random) -> Fields:
    found: Fields = {"rate": f"0.{rng.randrange(1, 200):03d}"}
    if chance(rng, 50):
        found["fixed"] = f"0.{rng.randrange(100):02d}"
    if chance(rng, 35):
        found["free_events"] = rng.randrange(1, 6)
    if chance(rng, 35):
        found["free_amount"] = str(rng.randrange(1, 60))
    if chance(rng, 35):
        found["min_per_event"] = f"0.{rng.randrange(1, 100):02d}"
    if chance(rng, 35):
        found["max_per_event"] = f"{rng.randrange(1, 5)}.{rng.randrange(100):02d}"
    return found


def _matrix(rng: Random) -> Fields:
    cells: list[Fields] = []
    for region in rng.sample(REGIONS[:2], rng.randrange(1, 3)):
        for tier in ("gold", "free"):
            cells.append({"match": {"region": region, "tier": tier}, "price": price(rng)})
    return {"cells": cells, "default": price(rng)}


def charge_fields(rng: Random, key: str, model: str, currency: str) -> Fields:
    """A charge as a catalog states it."""
    found: Fields = {"key": key, "name": key, "model": model, **_of_model(rng, model)}
    if model != "flat":
        found["meter"] = rng.choice(METERS_OF[model])
    if model not in ("flat", "percentage", "dynamic") and chance(rng, 30):
        found["included"] = str(rng.randrange(1, 20))
    if model in ("per_unit", "graduated", "volume", "package") and chance(rng, 20):
        rounding = rng.choice(("none", "up", "down", "half_up", "half_even"))
        found["convert"] = {"divide_by": rng.choice(("2", "3", "10", "0.5")), "unit": "x", "rounding": rounding}
    if chance(rng, 30):
        found["discount_percent"] = rng.choice(("10", "12.5", "33.3", "50", "100", "5"))
    if chance(rng, 25):
        found["minimum"] = money(rng, currency, 60)
    if chance(rng, 25):
        least = int(Decimal(found.get("minimum", "0"))) + 1
        found["maximum"] = str(least + rng.randrange(60))
    if found.get("meter") in (None, "calls", "units") and chance(rng, 10):
        found["days"] = 30
    bounded = {"minimum", "maximum", "included"} & found.keys()
    if not bounded and found.get("meter") in (None, "peak") and chance(rng, 20):
        found["prorated"] = False
    if chance(rng, 20):
        found["tax_category"] = "reduced"
    return found


def repriced(rng: Random, fields: Fields) -> Fields:
    """The charge with other prices and rates, and nothing else changed."""
    found = dict(fields)
    if "price" in fields:
        found["price"] = price(rng)
    if "rate" in fields:
        found["rate"] = f"0.{rng.randrange(1, 200):03d}"
    if "cells" in fields:
        found |= {"cells": [{**cell, "price": price(rng)} for cell in fields["cells"]], "default": price(rng)}
    if "tiers" in fields:
        found["tiers"] = [
            {**tier, **({"rate": f"0.{rng.randrange(1000):03d}"} if "rate" in tier else {"price": price(rng)})}
            for tier in fields["tiers"]
        ]
    return found


def restructured(rng: Random, fields: Fields, currency: str) -> Fields:
    """The charge with another fee, minimum or allowance."""
    if fields["model"] == "flat":
        return {**fields, "amount": str(Decimal(fields["amount"]) + 1)}
    found = repriced(rng, fields)
    if "maximum" in fields or chance(rng, 50):
        found["discount_percent"] = str(Decimal(fields.get("discount_percent", "0")) / 2 + 1)
    else:
        found["minimum"] = str(Decimal(fields.get("minimum", "0")) + 1 + rng.randrange(20))
    return found


def plan(rng: Random, key: str, currency: str, frame: Mapping[str, Any], cuts: Sequence[date]) -> Plan:
    """A plan; `cuts` are days on which a version may take effect."""
    names = ("a", "b") if key == "first" else ("c", "d")
    names = names[: 1 if chance(rng, 45) else 2]
    fields = [charge_fields(rng, name, rng.choice(MODELS), currency) for name in names]
    extra = _extras(rng, currency)
    own = chance(rng, 20) and "commitment" in extra and (frame["interval"], frame["every"]) == ("month", 1)
    if own:
        # Of whole periods of the plan: what a commitment makes of a line that it cuts isn't said.
        extra["commitment"]["interval"] = "quarter"
    if frame["interval"] in ("quarter", "year") and chance(rng, 50):
        fields[0]["interval"] = "month"
    if "cap" in extra:
        # What category a cap's line has is not said: so all lines of its plan have one.
        fields = [{**f, "tax_category": "standard"} for f in fields]
    versions: list[Fields] = [{"effective": LONG_AGO, "charges": fields, **extra}]
    if cuts and chance(rng, 40):
        versions.append({"effective": cuts[0], "charges": [repriced(rng, f) for f in fields], **extra})
    elif cuts and not own and "interval" not in fields[0] and chance(rng, 25):
        other = [restructured(rng, f, currency) for f in fields]
        versions.append(
            {"effective": cuts[0], "charges": other, "at_once": "cap" not in extra and chance(rng, 50), **extra}
        )
    if len(versions) == 2 and len(cuts) > 1 and cuts[1] > cuts[0] and chance(rng, 30):
        again = [repriced(rng, f) for f in versions[1]["charges"]]
        versions.append({"effective": cuts[1], "charges": again, **extra})
    trial = rng.randrange(1, 20) if chance(rng, 25) else 0
    return Plan.model_validate(
        {"key": key, "name": key, "currency": currency, "trial_days": trial, "versions": versions, **frame}
    )


def _extras(rng: Random, currency: str) -> Fields:
    found: Fields = {}
    if chance(rng, 30):
        found["commitment"] = {"amount": money(rng, currency, 150), "tax_category": rng.choice(("standard", "reduced"))}
    if chance(rng, 15):
        least = int(Decimal(found["commitment"]["amount"])) + 1 if "commitment" in found else 1
        found["cap"] = str(least + rng.randrange(60))
    return found


def overrides(rng: Random, plans: Iterable[Plan], days: Sequence[date]) -> tuple[Override, ...]:
    """What a contract says of the prices of one charge, from a day to a day or for good; fees stay as they are."""
    plan_of = rng.choice(list(plans))
    charge = rng.choice(plan_of.versions[0].charges)
    if charge.model in ("flat", "dynamic") or not days or not chance(rng, 20):
        return ()
    names = ("price", "rate", "tiers", "cells", "default")
    prices = repriced(rng, charge.model_dump(include=set(names), exclude_none=True, exclude_defaults=True))
    row = {"customer": CUSTOMER, "plan": plan_of.key, "charge": charge.key, "contract": "C-1", "start": days[0]}
    end = days[1] if len(days) > 1 and days[1] > days[0] and chance(rng, 60) else None
    return (Override.model_validate({**row, "end": end, **prices}),)


def coupons(rng: Random, currency: str, keys: Sequence[str]) -> tuple[Coupon, ...]:
    found = []
    for n in rng.sample(range(4), rng.choice((0, 0, 1, 1, 2, 3))):
        issued = LONG_AGO + timedelta(days=rng.randrange(3))
        fields: Fields = {"id": f"coupon-{n}", "customer": CUSTOMER, "issued": issued}
        if chance(rng, 50):
            fields["percent"] = rng.choice(("10", "25", "12.5", "33.3", "100"))
        else:
            fields |= {"amount": money(rng, currency, 40), "currency": currency if chance(rng, 85) else "USD"}
        if chance(rng, 30):
            fields["applies_to"] = (rng.choice(keys),)
        fields["lasts"] = rng.choice(("once", "forever", 3))
        found.append(Coupon.model_validate(fields))
    return tuple(found)


def grants(rng: Random, currency: str, start: date, cut_off: date) -> tuple[Grant, ...]:
    found = []
    for n in rng.sample(range(4), rng.choice((0, 0, 1, 1, 2, 3))):
        before = start - timedelta(days=rng.randrange(1, 60))
        fields: Fields = {
            "id": f"credit-{n}",
            "customer": CUSTOMER,
            "kind": rng.choice(("promotional", "prepaid")),
            "amount": money(rng, currency, 50),
            "currency": currency if chance(rng, 90) else "USD",
            "granted": before if chance(rng, 90) else cut_off + timedelta(days=1),
            "priority": rng.randrange(2),
        }
        if chance(rng, 40):
            fields["expires"] = rng.choice((before, cut_off - ONE_DAY, cut_off, cut_off + ONE_DAY))
        found.append(Grant.model_validate(fields))
    return tuple(found)


def adjustments(rng: Random, currency: str, cut_off: date) -> tuple[Adjustment, ...]:
    if not chance(rng, 12):
        return ()
    day = cut_off - timedelta(days=rng.randrange(1, 9))
    amount = rng.choice(("", "-")) + money(rng, currency, 20)
    row = {"id": "adjusted", "customer": CUSTOMER, "day": day, "amount": amount, "currency": currency}
    return (Adjustment.model_validate({**row, "reason": "as agreed", "by": "them", "on": day}),)


def taxes(rng: Random, day: date) -> tuple[tuple[TaxRate, ...], tuple[Exemption, ...]]:
    """Rates of both categories for every day: one, one that changes on a day, or two at a time."""
    rates: list[Fields] = []
    for category in ("standard", "reduced"):
        percent = rng.choice(("20", "19", "7.7", "5.5", "0", "8.875"))
        match rng.randrange(4):
            case 0:
                rates.append({"category": category, "name": "old", "percent": percent, "end": day})
                rates.append({"category": category, "name": "new", "percent": "21", "start": day})
            case 1:
                rates.append({"category": category, "name": "state", "percent": percent})
                rates.append({"category": category, "name": "city", "percent": "2.125"})
            case _:
                rates.append({"category": category, "name": "vat", "percent": percent})
    exempt: list[Fields] = []
    if chance(rng, 10):
        exempt.append({"customer": CUSTOMER, "category": rng.choice((None, "reduced")), "reason": "a charity"})
    return (
        tuple(TaxRate.model_validate(rate) for rate in rates),
        tuple(Exemption.model_validate(row) for row in exempt),
    )


def charge_at(charge: Charge, **update: Any) -> Charge:
    """The charge with other bounds, checked again."""
    return Charge.model_validate({**charge.model_dump(), **update})
