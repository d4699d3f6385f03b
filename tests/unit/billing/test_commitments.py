"""Caps and commitments: what a plan adds to the lines of its charges, once for each scope, whatever cuts it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from billing_make import METERS, D, charge, phase, segment, used

from orchestration.billing.charges import Slice
from orchestration.billing.commitments import plan_lines
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import charge_segments, charge_terms, segments
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan

FEE = charge("flat", key="base", amount="31.00")


def version(effective: str, *charges: Any, **fields: Any) -> dict[str, Any]:
    return {"effective": effective, "charges": charges, **fields}


def sold(*versions: dict[str, Any], key: str = "pro", **fields: Any) -> Plan:
    return Plan.model_validate({"key": key, "name": key, "currency": "EUR", "versions": versions} | fields)


def committed(amount: str, *charges: Any, cap: str | None = None, **fields: Any) -> Plan:
    commitment = {"amount": amount} | {k: fields.pop(k) for k in ("every", "tax_category") if k in fields}
    if "of" in fields:
        commitment["interval"] = fields.pop("of")
    return sold(version("2020-01-01", *(charges or (charge(),)), commitment=commitment, cap=cap), **fields)


def row(start: str, end: str | None = None, plan: str = "pro", **fields: Any) -> Subscription:
    return phase(start, end, plan).model_copy(update=fields)


def lines(
    plans: list[Plan], rows: list[Subscription], through: str, calls: list[Slice] | None = None
) -> tuple[list[Line], list[Line]]:
    """(the charges' lines, the plans' lines); usage of one unit is 1.00."""
    by_key, last = {p.key: p for p in plans}, D(through)
    parts = segments(rows, by_key, last)
    found = []
    for part in parts:
        plan = by_key[part.plan]
        in_force = next(v for v in plan.versions if v.effective == part.version)
        for charged in in_force.charges:
            for own in charge_segments(part, charged, last):
                meter = METERS[charged.meter] if charged.meter else None
                slices = [s for s in calls or [] if own.start <= s.day < own.end] if meter else []
                found.append(rate(charge_terms(plan, own, charged.key), own, slices, meter))
    ends = [r.end for r in rows]
    return found, plan_lines(by_key, parts, found, None if None in ends else max(e for e in ends if e))


def told(found: list[Line]) -> list[tuple[str, str, str, str]]:
    return [(x.kind, str(x.start), str(x.period_end), x.amount.text) for x in found]


def test_usage_of_700_and_a_commitment_of_1000_make_a_true_up_of_300_and_late_150_change_no_sum() -> None:
    plan = committed("1000")
    charged, extra = lines([plan], [row("2026-10-01")], "2026-10-31", used(("2026-10-07", 700)))
    assert told(extra) == [("true_up", "2026-10-01", "2026-11-01", "300.00")]
    late, less = lines([plan], [row("2026-10-01")], "2026-10-31", used(("2026-10-07", 700), ("2026-10-09", 150)))
    assert told(less) == [("true_up", "2026-10-01", "2026-11-01", "150.00")]
    assert late[0].amount + less[0].amount == charged[0].amount + extra[0].amount
    assert less[0].key == extra[0].key


@pytest.mark.parametrize(("calls", "expected"), [(999, ["1.00"]), (1000, []), (1001, []), (0, ["1000.00"])])
def test_a_true_up_is_there_only_where_the_lines_are_below_the_commitment(calls: int, expected: list[str]) -> None:
    _, extra = lines([committed("1000")], [row("2026-10-01")], "2026-10-31", used(("2026-10-07", calls)))
    assert [x.amount.text for x in extra] == expected


def test_the_line_of_a_true_up_holds_its_formula_its_category_and_its_days() -> None:
    plan = committed("100.00", FEE, charge(), tax_category="reduced")
    _, (line,) = lines([plan], [row("2026-10-11", "2026-10-26")], "2026-10-31", used(("2026-10-12", 5)))
    assert line.formula == {
        "model": "commitment",
        "commitment": "100",
        "period": ["2026-10-01", "2026-11-01"],
        "lines": "20.00",
        "proration": "15/31",
        "details": [],
        "exact": "880/31",
    }
    assert (line.amount.text, line.tax_category, line.due, line.meter) == ("28.39", "reduced", "arrears", None)
    assert (str(line.start), str(line.end), str(line.period_end)) == ("2026-10-11", "2026-10-26", "2026-10-26")
    assert line.amount == line.gross and not line.discount and not line.excess and not line.top_up
    assert (line.charge, line.measured, line.quantity, line.unit) == ("true_up", Decimal(1), Decimal(1), "period")


def test_C8_a_commitment_counts_the_days_of_its_own_period_and_not_of_the_one_before() -> None:
    rows = [row("2026-02-15", "2026-03-15")]
    _, extra = lines([committed("1000")], rows, "2026-12-31")
    assert told(extra) == [
        ("true_up", "2026-02-15", "2026-03-01", "500.00"),
        ("true_up", "2026-03-01", "2026-03-15", "451.61"),
    ]


def test_C9_an_annual_commitment_on_a_monthly_plan_is_topped_up_once_at_its_own_end() -> None:
    plan = committed("1200.00", of="year")
    calls = used(("2026-02-10", 700), ("2026-11-10", 100))
    _, extra = lines([plan], [row("2026-01-01")], "2026-12-31", calls)
    assert told(extra) == [("true_up", "2026-01-01", "2027-01-01", "400.00")]
    _, early = lines([plan], [row("2026-01-01", "2026-07-01")], "2026-12-31", calls)
    assert told(early) == [], "181 of 365 days are 595.07, and 700 were used"
    _, short = lines([plan], [row("2026-01-01", "2026-07-01")], "2026-12-31", used(("2026-02-10", 500)))
    assert told(short) == [("true_up", "2026-01-01", "2026-07-01", "95.07")]


def test_C9_charges_of_several_lines_are_topped_up_once_together() -> None:
    charges = (
        FEE,
        charge(),
        charge(key="weekly", interval="month"),
        charge("graduated", key="t", tiers=({"price": "1"},)),
    )
    plan = committed("1000", *charges)
    _, extra = lines([plan], [row("2026-10-01")], "2026-10-31", used(("2026-10-01", 100)))
    assert told(extra) == [("true_up", "2026-10-01", "2026-11-01", "669.00")]


def test_C9_a_price_version_and_one_that_waits_cut_no_commitment() -> None:
    year = {"commitment": {"amount": "365.00", "interval": "year"}}
    plan = sold(
        version("2020-01-01", charge(), **year),
        version("2026-03-10", charge(price="2"), **year),
        version("2026-05-10", charge(price="2", included="1"), **year),
    )
    _, extra = lines([plan], [row("2026-01-01")], "2026-12-31")
    assert told(extra) == [("true_up", "2026-01-01", "2027-01-01", "365.00")]


def test_another_commitment_is_a_scope_of_its_own_from_the_period_on_in_which_it_is_in_force() -> None:
    plan = sold(
        version("2020-01-01", charge(), commitment={"amount": "365.00", "interval": "year"}),
        version("2026-06-10", charge(), commitment={"amount": "730.00", "interval": "year"}),
    )
    _, extra = lines([plan], [row("2026-01-01")], "2026-12-31", used(("2026-06-30", 100), ("2026-07-01", 10)))
    assert told(extra) == [
        ("true_up", "2026-01-01", "2027-01-01", "81.00"),
        ("true_up", "2026-07-01", "2027-01-01", "358.00"),
    ]


def test_a_version_at_once_and_a_change_of_plan_cut_the_commitment_by_days() -> None:
    at_once = sold(
        version("2020-01-01", charge(), commitment={"amount": "310"}),
        version("2026-10-11", charge(included="1"), commitment={"amount": "310"}, at_once=True),
    )
    other = committed("62", key="max")
    expected = [("true_up", "2026-10-01", "2026-11-01", "60.00")]
    calls = used(("2026-10-05", 40), ("2026-10-20", 1000))
    assert told(lines([at_once], [row("2026-10-01")], "2026-10-31", calls)[1]) == expected
    rows = [row("2026-10-01", "2026-10-11"), row("2026-10-11", None, "max")]
    assert told(lines([committed("310"), other], rows, "2026-10-31", calls)[1]) == expected


def test_the_true_up_of_a_plan_that_was_left_waits_for_the_end_of_its_period_or_of_the_subscription() -> None:
    year, other = committed("365", of="year"), sold(version("2020-01-01", charge()), key="max")
    rows = [row("2026-01-01", "2026-03-11"), row("2026-03-11", None, "max")]
    assert told(lines([year, other], rows, "2026-05-31")[1]) == [("true_up", "2026-01-01", "2027-01-01", "69.00")]
    rows[1] = rows[1].model_copy(update={"end": D("2026-05-11")})
    assert told(lines([year, other], rows, "2026-05-31")[1]) == [("true_up", "2026-01-01", "2026-05-11", "69.00")]


def test_A19_a_trial_uses_up_no_commitment_and_is_no_part_of_its_days() -> None:
    plan = committed("310", FEE, charge(), trial_days=10)
    calls = used(("2026-10-05", 1000), ("2026-10-15", 50))
    _, extra = lines([plan], [row("2026-10-01")], "2026-10-31", calls)
    assert told(extra) == [("true_up", "2026-10-11", "2026-11-01", "139.00")]
    _, extra = lines([plan], [row("2026-10-01", "2026-10-09")], "2026-10-31", calls)
    assert told(extra) == []


def test_a_pause_is_no_day_of_the_commitment() -> None:
    rows = [row("2026-10-01", "2026-10-11"), row("2026-10-22")]
    assert told(lines([committed("310")], rows, "2026-10-31", used(("2026-10-05", 500)))[1]) == [
        ("true_up", "2026-10-22", "2026-11-01", "100.00")
    ]


@pytest.mark.parametrize(("calls", "expected"), [(68, []), (69, []), (70, ["-1.00"]), (500, ["-431.00"])])
def test_C6_the_excess_over_a_cap_is_one_negative_line(calls: int, expected: list[str]) -> None:
    plan = sold(version("2020-01-01", FEE, charge(), cap="100.00"))
    charged, extra = lines([plan], [row("2026-10-01")], "2026-10-31", used(("2026-10-07", calls)))
    assert [x.amount.text for x in extra] == expected
    assert sum((x.amount.amount for x in [*charged, *extra]), Decimal(0)) == min(31 + calls, 100)
    assert [x.key.charge for x in extra] == ["cap"] * len(expected)


def test_a_cap_is_of_a_period_whole_over_a_trial_and_a_pause_and_each_plan_has_its_own() -> None:
    plan = sold(version("2020-01-01", charge(), cap="100"), trial_days=5)
    calls = used(("2026-10-02", 5000), ("2026-10-10", 80), ("2026-10-25", 80))
    rows = [row("2026-10-01", "2026-10-15"), row("2026-10-22")]
    _, (line,) = lines([plan], rows, "2026-10-31", calls)
    assert (line.amount.text, str(line.start), str(line.end)) == ("-60.00", "2026-10-01", "2026-11-01")
    assert line.formula == {
        "model": "cap", "cap": "100", "lines": "160.00", "proration": "1", "details": [], "exact": "-60",
    }  # fmt: skip
    other = sold(version("2020-01-01", charge(), cap="70"), key="max")
    rows = [row("2026-10-01", "2026-10-22"), row("2026-10-22", None, "max")]
    assert told(lines([plan, other], rows, "2026-10-31", calls)[1]) == [("cap", "2026-10-22", "2026-11-01", "-10.00")]


def test_what_a_cap_takes_away_counts_for_no_commitment() -> None:
    plan = committed("100", cap="150", of="quarter", anchor="2026-10-01")
    _, extra = lines([plan], [row("2026-10-01", "2026-11-01")], "2026-10-31", used(("2026-10-07", 500)))
    assert told(extra) == [("cap", "2026-10-01", "2026-11-01", "-350.00")]
    year = committed("1000", cap="150", of="year", trial_days=3)
    _, extra = lines([year], [row("2026-10-01", "2026-12-01")], "2026-12-31", used(("2026-10-07", 500)))
    assert told(extra) == [
        ("cap", "2026-10-01", "2026-11-01", "-350.00"),
        ("true_up", "2026-10-04", "2026-12-01", "8.90"),
    ]


def test_a_monthly_charge_on_an_annual_plan_counts_for_the_annual_commitment() -> None:
    plan = committed("1000", charge(interval="month"), interval="year")
    calls = used(*((f"2026-{month:02}-10", 50) for month in range(1, 13)))
    charged, extra = lines([plan], [row("2026-01-01")], "2026-12-31", calls)
    assert len(charged) == 12
    assert told(extra) == [("true_up", "2026-01-01", "2027-01-01", "400.00")]


def test_every_day_of_a_year_of_changes_pays_its_share_of_the_commitment_once() -> None:
    plans = [committed("365.00", of="year", key=key) for key in ("pro", "max")]
    for number in range(1, 365, 7):
        cut = D("2026-01-01") + timedelta(days=number)
        rows = [row("2026-01-01", str(cut)), row(str(cut), None, "max")]
        _, extra = lines(plans, rows, "2026-12-31")
        assert [x.amount.text for x in extra] == [f"{number}.00", f"{365 - number}.00"]


def test_a_line_of_no_segment_is_refused_and_a_plan_without_either_adds_nothing() -> None:
    plan = committed("10")
    charged, _ = lines([plan], [row("2026-10-01")], "2026-10-31")
    with pytest.raises(ValueError, match="in no segment"):
        plan_lines({"pro": plan}, segments([row("2026-11-01")], {"pro": plan}, D("2026-11-30")), charged, None)
    plain = sold(version("2020-01-01", charge()))
    assert lines([plain], [row("2026-10-01")], "2026-10-31", used(("2026-10-02", 5)))[1] == []


@pytest.mark.parametrize(("rounding", "expected"), [("half_away", "0.05"), ("half_even", "0.04")])
def test_a_true_up_is_rounded_as_its_sellers_money_is(rounding: Any, expected: str) -> None:
    charged = version("2020-01-01", charge(), commitment={"amount": "0.09"})
    plan = sold(charged, interval="day", every=30, anchor="2026-10-01")
    parts = segments([row("2026-10-01", "2026-10-16")], {"pro": plan}, D("2026-10-15"))
    (line,) = plan_lines({"pro": plan}, parts, [], D("2026-10-16"), lambda _: rounding)
    assert (line.amount.text, line.formula["exact"]) == (expected, "0.045")


def test_what_a_cap_takes_away_counts_in_the_quarter_in_which_it_ends_and_in_no_other() -> None:
    plan = committed("600", cap="150", of="quarter", anchor="2026-10-01")
    calls = used(*((f"2026-{month}-07", 500) for month in (10, 11, 12)), *((f"2027-0{n}-07", 500) for n in (1, 2, 3)))
    _, extra = lines([plan], [row("2026-10-01", "2027-04-01")], "2027-03-31", calls)
    assert [told([x])[0] for x in extra if x.kind == "true_up"] == [
        ("true_up", "2026-10-01", "2027-01-01", "150.00"),
        ("true_up", "2027-01-01", "2027-04-01", "150.00"),
    ]


def test_a_line_over_the_end_of_a_commitments_period_counts_where_it_begins() -> None:
    plan = committed("1000", of="quarter", every=1, anchor="2026-10-01")
    two_months = plan.model_copy(update={"every": 2})
    calls = used(("2026-11-30", 100), ("2027-01-15", 400))
    _, extra = lines([two_months], [row("2026-10-01", "2027-04-01")], "2027-03-31", calls)
    # The 400.00 of December and January are of the quarter that December is in.
    assert told(extra) == [
        ("true_up", "2026-10-01", "2027-01-01", "500.00"),
        ("true_up", "2027-01-01", "2027-04-01", "1000.00"),
    ]


def test_a_segment_that_names_no_version_has_the_one_of_its_first_day() -> None:
    plan = sold(version("2026-01-01", charge()), version("2026-10-01", charge(), commitment={"amount": "100.00"}))
    (line,) = plan_lines({"pro": plan}, [segment()], [], None)
    assert line.amount.text == "100.00"
    early = sold(version("2026-10-02", charge(), cap="1"))
    with pytest.raises(ValueError, match="plan 'pro' has no version in force on 2026-10-01"):
        plan_lines({"pro": early}, [segment()], [], None)


def test_the_line_of_a_cap_has_the_category_of_its_first_line() -> None:
    fee = charge("flat", key="base", amount="31.00", tax_category="reduced")
    _, (line,) = lines([sold(version("2020-01-01", fee, charge(), cap="30"))], [row("2026-10-01")], "2026-10-31")
    assert (line.amount.text, line.tax_category) == ("-1.00", "reduced")
