"""Price plans of cases in the catalog's words: names, and units of rates (percent to fraction)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from conformance_cases import Case, UnknownCase

from orchestration.billing.charges import Slice
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import ChargeTerms, PriceFrom, Segment
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.money import CURRENCIES

START, END = date(2026, 10, 1), date(2026, 11, 1)
METER = Meter(key="units", name="Units", event_type="use", aggregation="sum", value="value", allow_negative=True)
Fields = dict[str, Any]


def text(number: Decimal) -> str:
    return f"{number:f}"


def fraction_of(percent: str) -> str:
    return text(Decimal(percent).scaleb(-2))


def refuse_others(case: Case, params: Fields, *known: str) -> None:
    """Raises UnknownCase for a switch of a price plan that no field here stands for."""
    for name in params.keys() - {*known, "rounding"}:
        raise UnknownCase(f"{case.id}: unknown params '{name}' of {case.kind} {case.model}")


def given(fields: Fields) -> Fields:
    """Without the options that a case leaves open."""
    return {name: value for name, value in fields.items() if value is not None}


def tiers_of(case: Case, params: Fields, greatest: Decimal | None, price: str = "unit_price") -> list[Fields]:
    """The catalog's last tier is open: a bounded one may be, as long as no quantity goes beyond it."""
    rows = []
    for tier in params["tiers"]:
        for name in tier.keys() - {"up_to", "flat_fee", price}:
            raise UnknownCase(f"{case.id}: unknown part of a tier '{name}'")
        each = {"rate": fraction_of(tier[price])} if price == "rate_percent" else {"price": tier[price]}
        rows.append(given({"up_to": tier["up_to"], "flat_fee": tier.get("flat_fee", "0"), **each}))
    bound = rows[-1].pop("up_to", None)
    if bound is not None and (greatest is None or greatest > Decimal(bound)):
        raise UnknownCase(f"{case.id}: a quantity beyond the last tier, which has no price")
    return rows


def at_zero(case: Case, params: Fields, default: bool) -> bool:
    stated = params.get("flat_fee_at_zero", default)
    if not isinstance(stated, bool):
        raise UnknownCase(f"{case.id}: unknown value {stated!r} of switch 'flat_fee_at_zero'")
    return stated


def per_unit(case: Case, params: Fields, greatest: Decimal | None) -> Fields:
    refuse_others(case, params, "unit_price", "flat_fee_at_zero")
    return {"price": params["unit_price"]}


def tiered(case: Case, params: Fields, greatest: Decimal | None) -> Fields:
    """Without a word about it, the first tier's flat fee is due without usage: so the cases of lines say in notes."""
    refuse_others(case, params, "tiers", "flat_fee_at_zero")
    return {"tiers": tiers_of(case, params, greatest), "flat_fee_at_zero": at_zero(case, params, True)}


def graduated_percentage(case: Case, params: Fields, greatest: Decimal | None) -> Fields:
    refuse_others(case, params, "tiers", "flat_fee_at_zero")
    tiers = tiers_of(case, params, greatest, "rate_percent")
    return {"tiers": tiers, "flat_fee_at_zero": at_zero(case, params, True)}


def package(case: Case, params: Fields, greatest: Decimal | None) -> Fields:
    refuse_others(case, params, "package_size", "package_price", "free_units")
    fields = {"size": params["package_size"], "price": params["package_price"], "free": params.get("free_units")}
    counted = params.get("rounding", "up")
    if isinstance(counted, str):
        if counted not in ("up", "down"):
            raise UnknownCase(f"{case.id}: unknown value {counted!r} of switch 'rounding'")
        fields["whole"] = True if counted == "down" else None
    return given(fields)


def percentage(case: Case, params: Fields, greatest: Decimal | None) -> Fields:
    names = {
        "fixed_per_tx": "fixed",
        "free_tx": "free_events",
        "free_amount": "free_amount",
        "min_per_tx": "min_per_event",
        "max_per_tx": "max_per_event",
    }
    refuse_others(case, params, "rate_percent", *names)
    fields = given({ours: params.get(theirs) for theirs, ours in names.items()})
    if "free_events" in fields:
        fields["free_events"] = int(fields["free_events"])
    return {"rate": fraction_of(params["rate_percent"]), **fields}


def dynamic(case: Case, params: Fields, greatest: Decimal | None) -> Fields:
    refuse_others(case, params, "multiplier")
    return {"multiplier": params["multiplier"]}


def matrix(case: Case, params: Fields, greatest: Decimal | None) -> Fields:
    refuse_others(case, params, "dimension", "unit_prices", "default_unit_price")
    name = params["dimension"]
    cells = [{"match": {name: value}, "price": price} for value, price in params["unit_prices"].items()]
    return given({"cells": cells, "default": params.get("default_unit_price")})


def flat(case: Case, params: Fields, greatest: Decimal | None) -> Fields:
    refuse_others(case, params, "amount", "payment_term")
    due = case.choice("payment_term", {"in_arrears": "arrears", "in_advance": "advance"})
    return {"amount": params["amount"], "due": due}


PLANS: dict[str, Callable[[Case, Fields, Decimal | None], Fields]] = {
    "dynamic": dynamic,
    "flat": flat,
    "graduated": tiered,
    "graduated_percentage": graduated_percentage,
    "matrix": matrix,
    "package": package,
    "per_unit": per_unit,
    "percentage": percentage,
    "volume": tiered,
}


def fields_of(case: Case, model: str, params: Fields, greatest: Decimal | None = None) -> Fields:
    """A charge's model and options. `greatest` is the greatest quantity that it will price."""
    if model not in PLANS:
        raise UnknownCase(f"{case.id}: unknown model '{model}' of {case.kind} {case.model}")
    refuse_other_rounding(case)
    fields = {"model": model, **PLANS[model](case, params, greatest)}
    return fields if model == "flat" else {"meter": METER.key, **fields}


def refuse_other_rounding(case: Case) -> None:
    """Money is rounded to its minor unit, half away from zero."""
    rounding = case.params.get("rounding")
    if isinstance(rounding, dict):
        at = rounding.get("at", "detailed_line")
        if (rounding["scale"], rounding["mode"], at) != (str(CURRENCIES[case.currency]), "half_up", "detailed_line"):
            raise UnknownCase(f"{case.id}: unknown value {rounding} of switch 'rounding'")


def terms_of(fields: Fields, start: date = START) -> ChargeTerms:
    charge = Charge.model_validate({"key": "usage", "name": "Case", **fields})
    return ChargeTerms(charge, (PriceFrom(start, start, charge),))


def segment(case: Case, start: date = START, end: date = END, period_days: int | None = None) -> Segment:
    """A segment of a period that ends with it; the whole period without `period_days`."""
    first = start if period_days is None else end - timedelta(days=period_days)
    if first > start:
        raise UnknownCase(f"{case.id}: a segment longer than its period of {period_days} days")
    return Segment("case", "case", "case", case.currency, first, end, start, end)


def line_of(case: Case, fields: Fields, slices: list[Slice], value: str = "") -> Line:
    meter = None if fields["model"] == "flat" else METER
    return rate(terms_of(fields), segment(case), slices if meter else [], meter, value=value)


def used(quantity: str) -> list[Slice]:
    return [Slice(START, Decimal(quantity))]
