"""Cases of kind `commitment` in this project's words. Nothing is computed here: a true-up is a line of the plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from conformance_cases import Case, UnknownCase
from plans_world import (
    CURRENCIES,
    DOUBLE_DIGITS,
    charge,
    expected,
    fee,
    interval_of,
    lines,
    parts,
    phase,
    plan,
    shown,
    span,
    units,
    usage,
)

BEFORE = timedelta(days=1)


def true_up_of(
    case: Case,
    committed: str,
    used: list[str],
    fees: str | None = None,
    *,
    full: dict[str, str],
    billed: dict[str, str],
    currency: str = "EUR",
) -> Decimal | None:
    """The true-up of a plan with a charge for each amount used, and a fee; None where the lines reach it."""
    whole, (first, last) = span(full), span(billed)
    charges = [usage(f"usage-{n}") for n, _ in enumerate(used)] or [usage("usage")]
    charges += [] if fees is None else [fee(fees)]
    sold = plan(whole[0], interval_of(whole), *charges, commitment=committed, currency=currency)
    quantities = {f"usage-{n}": quantity for n, quantity in enumerate(used)}
    found = lines([phase("pro", first, last)], [sold], last - BEFORE, quantities)
    amounts = [line.amount.amount for line in found if line.kind == "true_up"]
    if len(amounts) > 1:
        raise UnknownCase(f"{case.id}: {len(amounts)} true-ups")
    return amounts[0] if amounts else None


def cents(amount: Decimal | None) -> str | None:
    return None if amount is None else str(int(amount.scaleb(2)))


def coefficient(case: Case) -> dict[str, Any]:
    case.known({"full_period"}, {"billed"})
    whole, (first, last) = span(case.params["full_period"]), span(case.input["billed"])
    (part,) = parts([phase("pro", first, last)], [plan(whole[0], interval_of(whole), fee("1"))], last - BEFORE)
    return {"coefficient": shown(part.fraction(charge()), expected(case, "coefficient"), DOUBLE_DIGITS)}


def prorated_minimum(case: Case) -> dict[str, Any]:
    """Of nothing used the true-up is the whole commitment."""
    case.known({"minimum_cents", "full_period"}, {"billed"})
    full, committed = case.params["full_period"], units(case.params["minimum_cents"])
    return {"commitment_cents": cents(true_up_of(case, committed, [], full=full, billed=case.input["billed"]))}


def true_up(case: Case) -> dict[str, Any]:
    case.known({"minimum_cents", "full_period"}, {"used_cents", "billed"})
    full, committed = case.params["full_period"], units(case.params["minimum_cents"])
    found = true_up_of(case, committed, [units(case.input["used_cents"])], full=full, billed=case.input["billed"])
    return {"true_up_cents": cents(found)}


def true_up_with_fees(case: Case) -> dict[str, Any]:
    case.known({"minimum_cents", "plan_amount_cents", "full_period"}, {"billed", "charges_cents"})
    full, committed = case.params["full_period"], units(case.params["minimum_cents"])
    used, fees = [units(amount) for amount in case.input["charges_cents"]], units(case.params["plan_amount_cents"])
    return {"true_up_cents": cents(true_up_of(case, committed, used, fees, full=full, billed=case.input["billed"]))}


def simple_true_up(case: Case) -> dict[str, Any]:
    """Of any period: a whole month. Without one, the case says 0."""
    case.known({"commitment", "rounding"}, {"used"})
    rounding = case.params["rounding"]
    if rounding["mode"] != "half_up" or rounding["scale"] not in CURRENCIES:
        raise UnknownCase(f"{case.id}: unknown rounding {rounding}")
    month = {"from": "2026-10-01", "to": "2026-11-01"}
    currency = CURRENCIES[rounding["scale"]]
    found = true_up_of(
        case, case.params["commitment"], [case.input["used"]], full=month, billed=month, currency=currency
    )
    return {"true_up": shown(found or Decimal(0), expected(case, "true_up"))}


MODELS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "coefficient": coefficient,
    "prorated_minimum": prorated_minimum,
    "simple_true_up": simple_true_up,
    "true_up": true_up,
    "true_up_with_fees": true_up_with_fees,
}


def compute(case: Case) -> dict[str, Any]:
    """What this project says to a case, under the case's names. Raises UnknownCase for what it can't translate."""
    if case.model not in MODELS:
        raise UnknownCase(f"{case.id}: unknown model '{case.model}' of kind {case.kind}")
    return MODELS[case.model](case)
