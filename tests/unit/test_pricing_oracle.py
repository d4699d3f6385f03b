"""The second computation of prices beside answers worked out by hand: semantics.md, section 8, and one a rule."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from oracle_documents import rounded, split
from oracle_pricing import all_rows, answer
from price_case import CUSTOMER, Case, Row, Use
from price_cases import case_of

from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Coupon, Grant, Override, TaxRate

D = date.fromisoformat
TIERS = [{"up_to": "1000", "price": "0.10"}, {"price": "0.05"}]
VOLUME = {"model": "volume", "meter": "calls", "tiers": [{"up_to": "15", "price": "10"}, {"price": "5"}]}
CALLS = {"model": "per_unit", "meter": "calls", "price": "1"}
FEES = [{"up_to": "5", "price": "1", "flat_fee": "2"}, {"price": "1", "flat_fee": "3"}]
BLOCKS = [{"up_to": "5", "price": "1", "block": "2"}, {"price": "10"}]
RATES = [{"up_to": "100", "rate": "0.1"}, {"rate": "0.01"}]
BY_TEN = {"divide_by": "10", "unit": "x", "rounding": "up"}
PACKAGES = {"model": "package", "meter": "calls", "price": "3", "size": "10", "free": "5"}


def tiers(table: list[dict[str, str]], **fields: Any) -> dict[str, Any]:
    return {"model": "graduated", "meter": "calls", "tiers": table, **fields}


def version(*charges: dict[str, Any], since: str = "2026-01-01", **fields: Any) -> dict[str, Any]:
    named = [{"key": f"usage{n}" if n else "usage", "name": "Usage", **charge} for n, charge in enumerate(charges)]
    return {"effective": since, "charges": named, **fields}


def plan(*versions: dict[str, Any], key: str = "pro", currency: str = "EUR", **fields: Any) -> Plan:
    return Plan.model_validate({"key": key, "name": key, "currency": currency, "versions": versions, **fields})


def on(key: str, start: str, end: str | None = None, **fields: Any) -> Subscription:
    row = {"subscription": "sub", "customer": CUSTOMER, "plan": key, "start": start, "end": end}
    return Subscription.model_validate({**row, **fields})


def used(*uses: tuple[str, str | int], meter: str = "calls") -> tuple[Use, ...]:
    return tuple(Use(meter, D(day), Decimal(quantity)) for day, quantity in uses)


def case(*plans: Plan, rows: tuple[Subscription, ...] = (), uses: tuple[Use, ...] = (), **fields: Any) -> Case:
    fields.setdefault("cut_off", D("2026-11-01"))
    return Case({p.key: p for p in plans}, rows or (on("pro", "2026-10-01"),), uses=uses, **fields)


def row(asked: Case) -> Row:
    (only,) = all_rows(asked)[:1]
    return only


def gross(charge: dict[str, Any], quantity: str | int, day: str = "2026-10-05") -> int:
    uses = used((day, quantity), meter=charge.get("meter", "calls"))
    return row(case(plan(version(charge)), uses=uses)).gross


def test_late_usage_over_a_tier_costs_its_tier() -> None:
    charge = {"model": "graduated", "meter": "calls", "tiers": TIERS}
    assert (gross(charge, 950), gross(charge, 1050)) == (9500, 10250)


def test_a_unit_more_may_cost_less_in_volume() -> None:
    assert (gross(VOLUME, 15), gross(VOLUME, 16), gross(VOLUME, "15.5")) == (15000, 8000, 7750)


def test_a_commitment_is_topped_up() -> None:
    pro = plan(version(CALLS, commitment={"amount": "1000"}))
    for quantity, missing in ((700, [30000]), (850, [15000]), (1000, []), (1001, [])):
        found = answer(case(pro, uses=used(("2026-10-05", quantity))))
        assert [r.amount for r in found.rows if r.kind == "true_up"] == missing


def test_a_fee_is_that_of_the_active_days() -> None:
    pro = plan(version({"model": "flat", "amount": "31.00", "due": "advance"}))
    whole = all_rows(case(pro))
    assert [r.amount for r in whole] == [3100, 3100], "October, and November that begins at the cut-off"
    assert row(case(pro, rows=(on("pro", "2026-10-01", "2026-10-25"),))).amount == 2400


def test_a_mark_of_half_a_period_costs_half() -> None:
    charge = {"model": "per_unit", "meter": "peak", "price": "1.00"}
    halves = (on("pro", "2026-01-01", "2026-09-16"), on("max", "2026-09-16"))
    uses = used(("2026-09-01", 100), ("2026-09-16", 100), meter="peak")
    asked = case(
        plan(version(charge)), plan(version(charge), key="max"), rows=halves, uses=uses, cut_off=D("2026-10-01")
    )
    assert [r.amount for r in all_rows(asked) if r.period_start == D("2026-09-01")] == [5000, 5000]


def test_positions_run_on_over_a_version_of_prices() -> None:
    later = [{**TIERS[0], "price": "0.12"}, {**TIERS[1], "price": "0.06"}]
    charge = {"model": "graduated", "meter": "calls"}
    pro = plan(version({**charge, "tiers": TIERS}), version({**charge, "tiers": later}, since="2026-10-16"))
    assert row(case(pro, uses=used(("2026-10-03", 800), ("2026-10-16", 800)))).amount == 14000
    more = version({**charge, "tiers": TIERS, "included": "5"}, since="2026-10-16")
    other = plan(version({**charge, "tiers": TIERS}), more)
    assert row(case(other, uses=used(("2026-10-03", 800), ("2026-10-16", 800)))).amount == 13000


def test_a_version_at_once_cuts_the_period() -> None:
    charge = {"model": "graduated", "meter": "calls", "tiers": TIERS}
    cutting = version({**charge, "included": "10"}, since="2026-10-16", at_once=True)
    found = all_rows(case(plan(version(charge), cutting), uses=used(("2026-10-03", 800), ("2026-10-16", 800))))
    assert [r.amount for r in found][:2] == [8000, 7948], "10 x 16/31 are included, the tiers begin anew"


def test_five_hundred_cells_of_a_fraction_are_one_line() -> None:
    zones = {"model": "matrix", "meter": "zones", "cells": [{"match": {"region": "eu"}, "price": "0.004"}]}
    uses = tuple(Use("zones", D("2026-10-05"), Decimal(1), 0, '{"region": "eu"}') for _ in range(500))
    assert row(case(plan(version(zones)), uses=uses)).amount == 200


def test_a_promotional_credit_comes_before_tax() -> None:
    credit = Grant.model_validate({
        "id": "gift", "customer": CUSTOMER, "kind": "promotional", "amount": "100", "currency": "EUR",
        "granted": "2026-01-01",
    })  # fmt: skip
    vat = TaxRate.model_validate({"category": "standard", "name": "VAT", "percent": "20"})
    asked = case(plan(version(CALLS)), uses=used(("2026-10-05", 100)), rates=(vat,))
    assert answer(asked).due == 12000
    with_credit = Case(**{**asked.__dict__, "grants": (credit,)})
    assert (answer(with_credit).due, answer(with_credit).subtotal) == (0, 10000)


@pytest.mark.parametrize(
    ("charge", "quantity", "expected"),
    [
        (tiers(FEES), "5", 700),
        (tiers(FEES, meter="units"), "5.001", 1000),
        (tiers([{"price": "1", "flat_fee": "2"}]), 0, 0),
        (tiers([{"price": "1", "flat_fee": "2"}], flat_fee_at_zero=True), 0, 200),
        (tiers(BLOCKS), 4, 200),
        (tiers(BLOCKS), 5, 300),
        (tiers(BLOCKS), 6, 1300),
        (PACKAGES, 5, 0),
        (PACKAGES, 15, 300),
        (PACKAGES, 16, 600),
        ({**PACKAGES, "whole": True}, 24, 300),
        ({**CALLS, "meter": "units"}, "-3", -300),
        (tiers([{"price": "1"}], meter="units"), "-3", 0),
        (tiers(RATES, model="graduated_percentage", meter="money"), 200, 1100),
        ({"model": "dynamic", "meter": "money", "multiplier": "1.2"}, "-10", -1200),
        ({**CALLS, "included": "10"}, 12, 200),
        ({**CALLS, "included": "1", "convert": BY_TEN}, 11, 100),
    ],
)
def test_what_a_model_says_of_a_quantity(charge: dict[str, Any], quantity: str | int, expected: int) -> None:
    assert gross(charge, quantity) == expected


@pytest.mark.parametrize(
    ("fields", "values", "expected"),
    [
        ({"rate": "0.1", "fixed": "0.5"}, ("10", "0"), 200),
        ({"rate": "0.1", "fixed": "0.5", "free_events": 1}, ("10", "10"), 150),
        ({"rate": "0.1", "fixed": "0.5", "free_amount": "15"}, ("10", "10"), 100),
        ({"rate": "0.1", "fixed": "0.5", "free_amount": "15", "free_events": 1}, ("10", "10"), 150),
        ({"rate": "0.1", "min_per_event": "2", "free_amount": "10"}, ("10", "5"), 200),
        ({"rate": "0.1", "max_per_event": "0.7"}, ("10", "5"), 120),
    ],
)
def test_what_events_pay_by_percentage(fields: dict[str, Any], values: tuple[str, ...], expected: int) -> None:
    charge = {"model": "percentage", "meter": "money", **fields}
    uses = used(*(("2026-10-05", value) for value in values), meter="money")
    assert row(case(plan(version(charge)), uses=uses)).gross == expected


def test_discount_then_maximum_then_minimum() -> None:
    charge = {**CALLS, "discount_percent": "10", "maximum": "80", "minimum": "50"}

    def bounds(quantity: int, start: str = "2026-10-01") -> tuple[int, int, int, int, int]:
        asked = case(plan(version(charge)), rows=(on("pro", start),), uses=used(("2026-10-20", quantity)))
        found = row(asked)
        return found.gross, found.discount, found.excess, found.top_up, found.amount

    assert bounds(100) == (10000, 1000, 1000, 0, 8000)
    assert bounds(10) == (1000, 100, 0, 4100, 5000)
    assert bounds(80) == (8000, 800, 0, 0, 7200)
    assert bounds(10, "2026-10-16") == (1000, 100, 0, 1681, 2581), "50.00 x 16/31 = 25.806..."


def test_a_trial_is_shown_at_zero_and_uses_nothing_up() -> None:
    fee = {"model": "flat", "amount": "31"}
    pro = plan(version({**CALLS, "included": "31"}, fee), trial_days=10)
    found = all_rows(case(pro, uses=used(("2026-10-10", 500), ("2026-10-11", 22))))
    mine = [(r.charge, r.trial, r.amount) for r in found if r.period_start == D("2026-10-01")]
    assert mine == [("usage", True, 0), ("usage", False, 100), ("usage1", True, 0), ("usage1", False, 2100)]


def test_a_contract_replaces_prices_for_its_days() -> None:
    agreed = Override.model_validate({
        "customer": CUSTOMER, "plan": "pro", "charge": "usage", "start": "2026-10-10", "end": "2026-10-20",
        "contract": "C-1", "price": "0.5",
    })  # fmt: skip
    asked = case(
        plan(version(CALLS)), uses=used(("2026-10-09", 1), ("2026-10-10", 1), ("2026-10-20", 1)), overrides=(agreed,)
    )
    assert row(asked).gross == 250


def test_months_of_thirty_days() -> None:
    fee = {"model": "flat", "amount": "30", "days": 30}
    for start, amount in (("2026-10-01", 3000), ("2026-10-02", 2900), ("2026-02-15", 1600), ("2026-10-30", 100)):
        month = case(plan(version(fee)), rows=(on("pro", start),), cut_off=D("2026-11-01"))
        assert row(month).amount == amount


def test_reductions_in_their_order_and_tax_on_what_is_left() -> None:
    def coupon(id: str, issued: str, **fields: Any) -> Coupon:
        return Coupon.model_validate({"id": id, "customer": CUSTOMER, "issued": issued, **fields})

    rates = tuple(
        TaxRate.model_validate({"category": "standard", "name": name, "percent": percent})
        for name, percent in (("state", "10"), ("city", "2.5"))
    )
    terms = (
        coupon("a", "2026-02-01", percent="10"),
        coupon("b", "2026-01-01", amount="20", currency="EUR"),
        coupon("c", "2026-01-01", amount="5", currency="USD"),
        coupon("d", "2026-03-01", percent="50", applies_to=["usage1"]),
    )
    pro = plan(version(CALLS, {**CALLS, "price": "0.5"}))
    found = answer(case(pro, uses=used(("2026-10-05", 100)), coupons=terms, rates=rates))
    assert found.subtotal == 15000
    assert found.reductions == {"b": 2000, "a": 1300, "d": 1950}
    assert found.left == (7800, 1950)
    assert found.taxes == {("standard", "state 10"): 975, ("standard", "city 2.5"): 244}
    assert found.total == found.due == 9750 + 975 + 244


def test_prepaid_credit_pays_the_total_by_priority_expiry_grant_and_id() -> None:
    def grant(id: str, **fields: Any) -> Grant:
        known = {"customer": CUSTOMER, "kind": "prepaid", "currency": "EUR", "granted": "2026-01-01", "amount": "40"}
        return Grant.model_validate({"id": id, **known, **fields})

    terms = (
        grant("a", priority=1),
        grant("b", expires="2027-01-01"),
        grant("c", expires="2026-12-01"),
        grant("gone", expires="2026-10-31"),
        grant("to-come", granted="2026-11-01"),
    )
    found = answer(case(plan(version(CALLS)), uses=used(("2026-10-05", 100)), grants=terms))
    assert (found.prepaid, found.due) == ({"c": 4000, "b": 4000, "a": 2000}, 0)


def test_a_cap_is_one_negative_line_of_the_plan_and_period() -> None:
    pro = plan(version(CALLS, {"model": "flat", "amount": "50"}, cap="120"))
    found = answer(case(pro, uses=used(("2026-10-05", 100))))
    assert [(r.kind, r.amount) for r in found.rows] == [("cap", -3000), ("usage", 10000), ("fee", 5000)]
    assert found.subtotal == 12000


def test_halves_and_splits() -> None:
    halves = [Fraction(n, 2) for n in (-3, -1, 1, 3, 5)]
    assert [rounded(half, False) for half in halves] == [-2, -1, 1, 2, 3]
    assert [rounded(half, True) for half in halves] == [-2, 0, 0, 2, 2]
    assert split(100, [1, 1, 1]) == [34, 33, 33]
    assert split(5, [1, 3, 3, 3]) == [1, 2, 1, 1]


def test_a_seed_makes_the_same_case_and_answer_again() -> None:
    assert [answer(case_of(seed)) for seed in range(40)] == [answer(case_of(seed)) for seed in range(40)]
