"""Cases of kind `proration` in this project's words. Nothing is computed here: fees are lines of a subscription."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from conformance_cases import Case, UnknownCase
from plans_world import (
    CURRENCIES,
    DOUBLE_DIGITS,
    anchor_on,
    charge,
    day,
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

from orchestration.billing.rating import QUANTITY_DECIMALS, Line
from orchestration.billing.segments import Segment
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan
from orchestration.money import round_fraction
from orchestration.periods import Interval

BEFORE = timedelta(days=1)


def currency(case: Case) -> str:
    rounding = case.params["rounding"]
    if rounding["mode"] != "half_up" or rounding["scale"] not in CURRENCIES:
        raise UnknownCase(f"{case.id}: unknown rounding {rounding}")
    return CURRENCIES[rounding["scale"]]


def total(found: list[Line]) -> Decimal:
    return sum((line.amount.amount for line in found), Decimal(0))


def recurring_fee_days(case: Case) -> dict[str, Any]:
    case.known({"plan_amount_cents", "full_period", "trial_days"}, {"subscription_start", "billed"})
    full, (first, last) = span(case.params["full_period"]), span(case.input["billed"])
    trial = int(case.params["trial_days"])
    sold = plan(full[0], interval_of(full), fee(units(case.params["plan_amount_cents"])), trial_days=trial)
    rows = [phase("pro", day(case.input["subscription_start"]), last)]
    found = [line for line in lines(rows, [sold], last - BEFORE) if line.period_start == full[0]]
    if any(line.start < first and line.amount.minor for line in found):
        raise UnknownCase(f"{case.id}: a fee before the days that are billed")
    exact = sum((Fraction(line.formula["exact"]) * 100 for line in found), Fraction(0))
    return {
        "amount_cents": str(sum(line.amount.minor for line in found)),
        "precise_cents": shown(exact, expected(case, "precise_cents"), DOUBLE_DIGITS),
    }


def duration(case: Case) -> dict[str, Any]:
    case.known({"amount", "enabled", "rounding"}, {"service_period", "full_period"})
    full, (first, last) = span(case.input["full_period"]), span(case.input["service_period"])
    charged = fee(case.params["amount"], prorated=case.choice("enabled", {True: True, False: False}))
    sold = plan(full[0], interval_of(full), charged, currency=currency(case))
    of_any = lines([phase("pro", first, last)], [sold], last - BEFORE)
    found = [line for line in of_any if line.period_start == full[0]]
    return {"amount": shown(total(found), expected(case, "amount"))}


Sold = tuple[str, str] | None
"""A price, and how many units are held at it."""


def changed(case: Case, full: tuple[date, date], on: date, old: Sold, new: Sold) -> tuple[Decimal, Decimal, Decimal]:
    """(what the old plan gives back, what the new one costs, both) of a change: lines before, and lines after."""
    held = {key: sold for key, sold in {"old": old, "new": new}.items() if sold is not None}
    plans = [
        plan(full[0], interval_of(full), usage(key, price, "seats"), key=key, currency=currency(case))
        for key, (price, _) in held.items()
    ]
    seats = {key: quantity for key, (_, quantity) in held.items()}
    before: list[Subscription] = [] if old is None else [phase("old", full[0])]
    after = [] if old is None or on == full[0] else [phase("old", full[0], on)]
    after += [] if new is None else [phase("new", on)]
    was, now = (lines(rows, plans, full[1] - BEFORE, seats) if rows else [] for rows in (before, after))
    back = total([line for line in now if line.plan == "old"]) - total(was)
    return back, total([line for line in now if line.plan == "new"]), total(now) - total(was)


def plan_change(case: Case) -> dict[str, Any]:
    """A full period given with its last day; what was paid is the fee of the old plan."""
    case.known({"basis", "rounding", "old", "new", "paid"}, {"change_date", "period"})
    case.choice("basis", {"days_end_inclusive": "local days"})
    old, new = (sold(case, name) for name in ("old", "new"))
    if case.params["paid"] is not None and (
        old is None or Decimal(case.params["paid"]) != Decimal(old[0]) * int(old[1])
    ):
        raise UnknownCase(f"{case.id}: paid {case.params['paid']}, not the old plan's price")
    full = day(case.input["period"]["from"]), day(case.input["period"]["to_inclusive"]) + BEFORE
    credit, cost, net = changed(case, full, day(case.input["change_date"]), old, new)
    found = {"credit": credit, "charge": cost, "net": net}
    return {name: shown(value, expected(case, name)) for name, value in found.items()}


def sold(case: Case, name: str) -> Sold:
    given = case.params[name]
    return None if given is None else (given["unit_price"], given["quantity"])


def item_change(case: Case) -> dict[str, Any]:
    """By days here, to the same cent. What was billed for other items limits nothing: a difference is by line."""
    case.known({"price", "action", "rounding", "billed"}, {"effective", "period"})
    fees, billed = case.params["price"], case.params["billed"]
    if billed is not None and Decimal(billed[0]) < Decimal(fees):
        raise UnknownCase(f"{case.id}: billed {billed}, less than the fee")
    full, on = span(case.input["period"]), day(case.input["effective"])
    old, new = case.choice("action", {"add": (None, (fees, "1")), "remove": ((fees, "1"), None)})
    credit, cost, _ = changed(case, full, on, old, new)
    return {"amount": shown(cost if old is None else -credit, expected(case, "amount"))}


def shares(found: list[Segment], **fields: Any) -> Decimal:
    """Of each segment its share of the full period, as a line shows a quantity: with 9 decimals."""
    return sum((round_fraction(part.fraction(charge(**fields)), QUANTITY_DECIMALS) for part in found), Decimal(0))


def billing_cycles(case: Case) -> dict[str, Any]:
    """Periods that have begun by the target; the billing day is counted from the month in which it begins."""
    case.known({"unit", "count", "billing_day"}, {"start", "end", "target"})
    case.choice("unit", {"month": "month"})
    start, target = day(case.input["start"]), day(case.input["target"])
    end = None if case.input["end"] is None else day(case.input["end"])
    anchor = anchor_on(start, int(case.params["count"]), int(case.params["billing_day"]))
    cycles = shares(parts([phase("pro", start, end)], [by_months(case, anchor)], target))
    return {"cycles": shown(cycles, expected(case, "cycles"))}


def by_months(case: Case, anchor: date) -> Plan:
    return plan(anchor, Interval("month", int(case.params["count"])), fee("1"))


def ratio(case: Case, anchor: str) -> dict[str, Any]:
    """A stub before the day that periods are counted from, or after it."""
    case.known({"unit", "count", "days"}, {"from", "to"})
    case.choice("unit", {"month": "month"})
    days = case.choice("days", {"actual": None, "fixed_30": 30})
    start, end = day(case.input["from"]), day(case.input["to"])
    found = parts([phase("pro", start, end)], [by_months(case, day(case.input[anchor]))], end - BEFORE)
    return {"ratio": shown(shares(found, days=days), expected(case, "ratio"))}


MODELS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "billing_cycles_in_advance": billing_cycles,
    "duration": duration,
    "item_change_seconds": item_change,
    "leading_ratio": lambda case: ratio(case, "to"),
    "plan_change": plan_change,
    "recurring_fee_days": recurring_fee_days,
    "trailing_ratio": lambda case: ratio(case, "from"),
}


def compute(case: Case) -> dict[str, Any]:
    """What this project says to a case, under the case's names. Raises UnknownCase for what it can't translate."""
    if case.model not in MODELS:
        raise UnknownCase(f"{case.id}: unknown model '{case.model}' of kind {case.kind}")
    return MODELS[case.model](case)
