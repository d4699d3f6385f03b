"""The audit's pricer against amounts that were worked out by hand: the worked examples of the rules among them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from price_case import CUSTOMER, Case, Use
from second_pricer import Body, Close, catalog_of, second_bodies

from orchestration.audit.charged import charged_spans
from orchestration.audit.pricing.numbers import amount_text, nearest, split, to_places
from orchestration.audit.pricing.spans import nth_start, periods_over, spans
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Adjustment, Coupon, Grant, TaxRate
from orchestration.ledger.rows import USE_LISTS
from orchestration.zones import midnight_us

D = date.fromisoformat
F = Fraction


def plan(*versions: dict[str, Any], **fields: Any) -> Plan:
    return Plan.model_validate({"key": "pro", "name": "Pro", "currency": "EUR", "versions": versions, **fields})


def version(*charges: dict[str, Any], effective: str = "2026-01-01", **fields: Any) -> dict[str, Any]:
    named = [{"key": f"c{n}", "name": f"C{n}", **charge} for n, charge in enumerate(charges)]
    return {"effective": effective, "charges": named, **fields}


def tiers(*pairs: tuple[str | None, str]) -> list[dict[str, Any]]:
    return [{"up_to": up_to, "price": price} for up_to, price in pairs]


def on(plan: str, start: str, end: str | None = None) -> Subscription:
    row = {"subscription": "sub", "customer": CUSTOMER, "plan": plan, "start": start, "end": end}
    return Subscription.model_validate(row)


def calls(*pairs: tuple[str, int]) -> tuple[Use, ...]:
    return tuple(Use("calls", D(day), Decimal(quantity)) for day, quantity in pairs)


def october(*plans: Plan, rows: tuple[Subscription, ...] = (), uses: tuple[Use, ...] = (), **terms: Any) -> Case:
    rows = rows or (on("pro", "2026-10-01", "2026-11-01"),)
    return Case({one.key: one for one in plans}, rows, D("2026-11-01"), uses, **terms)


def closed(*cases: Case) -> list[Body]:
    """The documents of closes, a month apart, of what was known at each."""
    closes = []
    for number, case in enumerate(cases):
        cut_off = D(("2026-11-01", "2026-12-01", "2027-01-01")[number])
        now_us = midnight_us("UTC", cut_off + timedelta(days=4))
        closes.append(Close(case, cut_off, catalog_of(case), now_us))
    return [body for issued, _ in second_bodies(closes) for body in issued]


def total(*cases: Case) -> list[str]:
    return [body["subtotal"] for body in closed(*cases)]


PER_CALL = {"model": "per_unit", "meter": "calls", "price": "0.10"}
STEPS = {"model": "graduated", "meter": "calls", "tiers": tiers(("1000", "0.10"), (None, "0.05"))}


def test_tiers_run_on_over_a_new_price() -> None:
    dearer = {**STEPS, "tiers": tiers(("1000", "0.12"), (None, "0.06"))}
    two = plan(version(STEPS), version(dearer, effective="2026-10-16"))
    assert total(october(two, uses=calls(("2026-10-02", 800), ("2026-10-20", 800)))) == ["140.00"]


def test_late_usage_is_billed_once_and_at_the_price_of_its_tier() -> None:
    early = october(plan(version(STEPS)), uses=calls(("2026-10-02", 950)))
    late = replace(early, uses=calls(("2026-10-02", 950), ("2026-10-03", 100)))
    first, second = closed(early, late, late)
    assert (first["subtotal"], second["subtotal"]) == ("95.00", "7.50")
    (line,) = second["lines"]
    assert line["correction"] == {
        "document": first["number"],
        "cause": "late usage",
        "before": {"amount": "95.00", "measured": "950", "quantity": "950"},
        "after": {"amount": "102.50", "measured": "1050", "quantity": "1050"},
    }


def test_one_more_unit_may_make_all_of_them_cheaper() -> None:
    volume = {"model": "volume", "meter": "calls", "tiers": tiers(("15", "10"), (None, "5"))}
    early = october(plan(version(volume)), uses=calls(("2026-10-02", 15)))
    late = replace(early, uses=calls(("2026-10-02", 16)))
    (first, note) = closed(early, late)
    assert (first["subtotal"], note["total"]) == ("150.00", "-70.00")
    assert (note["kind"], note["corrects"], note["number"]) == ("credit_note", "INV-2026-000001", "INV-CN-2026-000001")


def test_late_usage_below_a_minimum_costs_nothing_more() -> None:
    least = plan(version({"model": "per_unit", "meter": "calls", "price": "1", "minimum": "1000"}))
    early, late = (october(least, uses=calls(("2026-10-02", n))) for n in (700, 850))
    assert total(early, late) == ["1000.00"]


def test_a_fee_in_advance_comes_back_for_the_days_after_an_end() -> None:
    fee = plan(version({"model": "flat", "amount": "31.00", "due": "advance"}))
    known = october(fee, rows=(on("pro", "2026-10-01"),))
    ended = october(fee, rows=(on("pro", "2026-10-01", "2026-10-25"),))
    first, back = closed(known, ended)
    assert [line["amount"] for line in first["lines"]] == ["31.00", "31.00"], "October and November"
    assert {(line["amount"], line["correction"]["cause"]) for line in back["lines"]} == {
        ("-7.00", "ended"),
        ("-31.00", "ended"),
    }


def test_a_cap_a_commitment_and_packages() -> None:
    boxes = {"model": "package", "meter": "calls", "price": "2", "size": "10", "free": "5"}
    used = calls(("2026-10-02", 26))
    assert total(october(plan(version(boxes)), uses=used)) == ["6.00"], "21 above the free ones are 3 packages"
    assert total(october(plan(version({**boxes, "whole": True})), uses=used)) == ["4.00"]
    assert total(october(plan(version(boxes, cap="5")), uses=used)) == ["5.00"]
    assert total(october(plan(version(boxes, commitment={"amount": "31"})), uses=used)) == ["31.00"]
    half = (on("pro", "2026-10-17", "2026-11-01"),)
    one = plan(version(boxes, commitment={"amount": "31"}))
    assert total(october(one, rows=half)) == ["15.00"], "15 of 31 days"


def test_coupons_credits_and_two_taxes_in_their_order() -> None:
    def row(model: type[Any], **fields: Any) -> Any:
        return model.model_validate({"customer": CUSTOMER, **fields})

    rates = [{"category": "standard", "name": name, "percent": p} for name, p in (("state", "10"), ("city", "2.5"))]
    case = october(
        plan(version({"model": "flat", "amount": "100"})),
        coupons=(
            row(Coupon, id="a", issued="2026-02-01", percent="10"),
            row(Coupon, id="b", issued="2026-01-01", amount="20", currency="EUR"),
        ),
        grants=(
            row(Grant, id="p", kind="promotional", amount="2", currency="EUR", granted="2026-01-01"),
            row(Grant, id="q", kind="prepaid", amount="50", currency="EUR", granted="2026-01-01"),
        ),
        rates=tuple(TaxRate.model_validate(rate) for rate in rates),
    )
    (body,) = closed(case)
    assert [(use["id"], use["amount"], use["base"]) for use in body["coupons"]] == [
        ("b", "20.00", "100.00"),
        ("a", "8.00", "80.00"),
    ]
    assert [(tax["name"], tax["base"], tax["amount"]) for tax in body["taxes"]] == [
        ("city", "70.00", "1.75"),
        ("state", "70.00", "7.00"),
    ]
    assert (body["total"], body["prepaid_total"], body["amount_due"]) == ("78.75", "50.00", "28.75")


def test_an_adjustment_is_touched_by_no_coupon() -> None:
    given = Adjustment.model_validate(
        {"id": "adj", "customer": CUSTOMER, "day": "2026-10-10", "amount": "-4", "currency": "EUR", "reason": "r",
         "by": "b", "on": "2026-10-10"}
    )  # fmt: skip
    half = Coupon.model_validate({"id": "a", "customer": CUSTOMER, "issued": "2026-02-01", "percent": "50"})
    case = october(plan(version({"model": "flat", "amount": "10"})), adjustments=(given,), coupons=(half,))
    (body,) = closed(case)
    assert (body["subtotal"], body["coupon_total"], body["total"]) == ("6.00", "5.00", "1.00")


def test_boundaries_are_clamped_from_the_anchor_itself() -> None:
    anchor = D("2026-01-31")
    days = [nth_start(anchor, "month", 1, n) for n in range(-2, 5)]
    assert [f"{day:%m-%d}" for day in days] == ["11-30", "12-31", "01-31", "02-28", "03-31", "04-30", "05-31"]
    assert nth_start(D("2024-02-29"), "year", 1, 1) == D("2025-02-28")
    assert periods_over(anchor, "month", 1, D("2026-02-28"), D("2026-02-28")) == [(D("2026-02-28"), D("2026-03-31"))]
    assert periods_over(D("2026-10-05"), "week", 2, D("2026-09-30"), D("2026-10-05")) == [
        (D("2026-09-21"), D("2026-10-05")),
        (D("2026-10-05"), D("2026-10-19")),
    ]


def test_spans_are_cut_by_trials_plans_and_versions_at_once() -> None:
    later = version({**PER_CALL, "minimum": "3"}, effective="2026-10-20", at_once=True)
    pro, other = plan(version(PER_CALL), later, trial_days=5), plan(version(PER_CALL), key="other")
    rows = (on("pro", "2026-10-03", "2026-10-25"), on("other", "2026-10-25"))
    found = spans(rows, {"pro": pro, "other": other}, D("2026-11-01"))
    assert [(f"{s.start:%m-%d}", f"{s.end:%m-%d}", s.plan.key, s.trial) for s in found] == [
        ("10-03", "10-08", "pro", True),
        ("10-08", "10-20", "pro", False),
        ("10-20", "10-25", "pro", False),
        ("10-25", "11-01", "other", False),
        ("11-01", "12-01", "other", False),
    ]


def test_a_version_that_changes_more_than_prices_waits() -> None:
    waits = version({**PER_CALL, "price": "9", "minimum": "3"}, effective="2026-10-10")
    case = october(plan(version(PER_CALL), waits), rows=(on("pro", "2026-10-01"),))
    now_us = midnight_us("UTC", D("2026-11-02"))
    charged = charged_spans(catalog_of(case), now_us)
    assert [[str(price.charge.price) for price in item.terms.prices] for item in charged] == [["0.10"], ["9"]]


def test_halves() -> None:
    values = [F(5, 2), F(-5, 2), F(7, 2), F(1, 3), F(-2, 3)]
    assert [nearest(value) for value in values] == [3, -3, 4, 0, -1]
    assert [nearest(value, even=True) for value in values] == [2, -2, 4, 0, -1]


def test_places_up_and_down_mirror_each_other() -> None:
    assert [to_places(F("1.21"), 1, mode) for mode in ("up", "down", "half_up")] == [F("1.3"), F("1.2"), F("1.2")]
    assert [to_places(F("-1.21"), 1, mode) for mode in ("up", "down", "half_up")] == [F("-1.3"), F("-1.2"), F("-1.2")]
    assert to_places(F(149), -2) == 100 and to_places(F(150), -2, "half_even") == 200


def test_what_is_left_of_a_split_goes_to_where_most_is_lacking() -> None:
    assert split(100, [1, 1, 1]) == [34, 33, 33]
    assert split(-100, [1, 1, 1]) == [-34, -33, -33]
    assert split(10, [7, -2]) == [14, -4]
    assert split(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError, match="nothing to split by"):
        split(1, [1, -1])


def test_amounts_have_the_decimals_of_their_currency() -> None:
    assert [amount_text(-5, code) for code in ("JPY", "EUR", "KWD")] == ["-5", "-0.05", "-0.005"]
    assert amount_text(1230, "EUR") == "12.30"


def test_documents_name_what_was_used_as_billing_does() -> None:
    from orchestration.billing.shares import LISTS

    assert dict(LISTS) == USE_LISTS
