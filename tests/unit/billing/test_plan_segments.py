"""Trials, restarts, stated anchors, versions at once, a charge's own interval, months of 30 days, contracts' prices."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from billing_make import METERS, TIERS, D, charge, phase, plan, rated, segment, used

from orchestration.billing.rating import rate
from orchestration.billing.segments import Segment, charge_prices, charge_segments, charge_terms, segments, versions_in
from orchestration.catalog.models import Subscription
from orchestration.catalog.phases import phases_of
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Override

FEE = charge("flat", key="base", amount="31.00")


def spans(found: list[Segment]) -> list[tuple[str, str, str]]:
    return [(s.plan, s.start.isoformat(), s.end.isoformat()) for s in found]


def full(found: list[Segment]) -> list[tuple[str, str]]:
    return [(s.period_start.isoformat(), s.period_end.isoformat()) for s in found]


def row(start: str, end: str | None = None, plan: str = "pro", **fields: Any) -> Subscription:
    return phase(start, end, plan).model_copy(update=fields)


def test_A19_a_trial_is_a_segment_priced_0_and_the_fee_is_for_the_days_after_it() -> None:
    trial = plan(("2026-01-01", [FEE, charge(), charge("graduated", key="tiered", tiers=TIERS)]), trial_days=10)
    usage = used(("2026-10-03", 500), ("2026-10-20", 700))
    lines = rated([trial], [phase("2026-10-01")], "2026-10-31", {"calls": usage})
    assert [(x.charge, str(x.start), str(x.end), x.trial, x.amount.text) for x in lines] == [
        ("base", "2026-10-01", "2026-10-11", True, "0.00"),
        ("usage", "2026-10-01", "2026-10-11", True, "0.00"),
        ("tiered", "2026-10-01", "2026-10-11", True, "0.00"),
        ("base", "2026-10-11", "2026-11-01", False, "21.00"),
        ("usage", "2026-10-11", "2026-11-01", False, "700.00"),
        ("tiered", "2026-10-11", "2026-11-01", False, "70.00"),
    ]
    assert [str(x.measured) for x in lines[1:3]] == ["500", "500"]


def test_a_trial_is_of_the_first_phase_unless_a_phase_says_its_end() -> None:
    plans = {key: plan(("2020-01-01", [charge()]), key=key, trial_days=10) for key in ("pro", "max")}
    rows = [row("2026-10-01", "2026-10-06"), row("2026-10-06", "2026-12-01", "max"), row("2026-12-01")]
    found = segments(rows, plans, D("2026-12-31"))
    assert [(s.start.day, s.trial) for s in found] == [(1, True), (6, False), (1, False), (1, False)]
    rows[1] = rows[1].model_copy(update={"trial_end": D("2026-11-05")})
    again = [(s.start.isoformat(), s.trial) for s in segments(rows, plans, D("2026-12-31"))]
    assert again == [
        ("2026-10-01", True),
        ("2026-10-06", True),
        ("2026-11-01", True),
        ("2026-11-05", False),
        ("2026-12-01", False),
    ]
    rows[0] = rows[0].model_copy(update={"trial_end": D("2026-10-03")})
    assert [(s.start.day, s.trial) for s in segments(rows, plans, D("2026-10-05"))] == [(1, True), (3, False)]


def test_a_trial_that_ends_on_an_edge_cuts_nothing() -> None:
    plans = {"pro": plan(("2020-01-01", [charge()]))}
    rows = [row("2026-10-01", "2026-12-01", trial_end=D("2026-11-01"))]
    assert [(s.start.isoformat(), s.trial) for s in segments(rows, plans, D("2026-12-31"))] == [
        ("2026-10-01", True),
        ("2026-11-01", False),
    ]
    whole = [row("2026-10-01", "2026-11-15", trial_end=D("2026-11-15"))]
    assert all(s.trial for s in segments(whole, plans, D("2026-12-31")))


def test_the_segment_after_a_trial_that_has_not_ended_is_not_there_yet() -> None:
    plans = {"pro": plan(("2020-01-01", [charge()]), trial_days=10)}
    assert spans(segments([phase("2026-10-01")], plans, D("2026-10-10"))) == [("pro", "2026-10-01", "2026-10-11")]
    assert len(segments([phase("2026-10-01")], plans, D("2026-10-11"))) == 2


def test_a_trial_of_rows_that_continue_one_another_goes_on() -> None:
    plans = {"pro": plan(("2020-01-01", [charge()]), trial_days=10)}
    rows = [phase("2026-10-01", "2026-10-04"), phase("2026-10-04")]
    assert segments(rows, plans, D("2026-10-31")) == segments([phase("2026-10-01")], plans, D("2026-10-31"))


def test_a_restart_counts_periods_anew_and_what_ran_ends_as_a_stub() -> None:
    plans = {key: plan(("2020-01-01", [charge()]), key=key, anchor="subscription") for key in ("pro", "max")}
    rows = [row("2026-01-31", "2026-03-10"), row("2026-03-10", None, "max", restart=True)]
    found = segments(rows, plans, D("2026-05-01"))
    assert spans(found)[1:] == [
        ("pro", "2026-02-28", "2026-03-10"),
        ("max", "2026-03-10", "2026-04-10"),
        ("max", "2026-04-10", "2026-05-10"),
    ]
    assert full(found)[1:3] == [("2026-02-28", "2026-03-31"), ("2026-03-10", "2026-04-10")]
    same = segments([rows[0], rows[1].model_copy(update={"plan": "pro"})], plans, D("2026-05-01"))
    assert full(same) == full(found)


def test_a_restart_may_change_the_interval_and_a_later_change_keeps_the_new_anchor() -> None:
    plans = {
        "pro": plan(("2020-01-01", [charge()])),
        "max": plan(("2020-01-01", [charge()]), key="max", anchor="subscription", interval="year"),
        "top": plan(("2020-01-01", [charge()]), key="top", anchor="subscription", interval="quarter"),
    }
    rows = [row("2026-01-20", "2026-03-10"), row("2026-03-10", "2027-05-20", "max", restart=True)]
    found = segments([*rows, row("2027-05-20", None, "top")], plans, D("2027-06-30"))
    assert list(zip(spans(found), full(found), strict=True))[2:] == [
        (("pro", "2026-03-01", "2026-03-10"), ("2026-03-01", "2026-04-01")),
        (("max", "2026-03-10", "2027-03-10"), ("2026-03-10", "2027-03-10")),
        (("max", "2027-03-10", "2027-05-20"), ("2027-03-10", "2028-03-10")),
        (("top", "2027-05-20", "2027-06-10"), ("2027-03-10", "2027-06-10")),
        (("top", "2027-06-10", "2027-09-10"), ("2027-06-10", "2027-09-10")),
    ]


def test_periods_of_a_stated_date_lie_on_both_sides_of_it() -> None:
    plans = {"pro": plan(("2020-01-01", [charge()]), anchor="2026-03-31")}
    found = segments([phase("2026-01-15", "2026-05-15")], plans, D("2026-12-31"))
    assert full(found) == [
        ("2025-12-31", "2026-01-31"),
        ("2026-01-31", "2026-02-28"),
        ("2026-02-28", "2026-03-31"),
        ("2026-03-31", "2026-04-30"),
        ("2026-04-30", "2026-05-31"),
    ]
    assert (found[0].start, found[-1].end) == (D("2026-01-15"), D("2026-05-15"))
    assert found[0].fraction(charge()) == Fraction(16, 31)


MORE = charge("graduated", tiers=({"up_to": "2000", "price": "0.12"}, {"price": "0.06"}))
LESS = charge("graduated", tiers=TIERS)


def version(day: str, *charges: Any, **fields: Any) -> dict[str, Any]:
    return {"effective": day, "charges": charges, **fields}


def versioned(*versions: dict[str, Any], **fields: Any) -> Plan:
    return Plan.model_validate({"key": "pro", "name": "Pro", "currency": "EUR", "versions": versions, **fields})


def test_a_version_at_once_cuts_the_period_and_one_that_waits_does_not() -> None:
    for at_once, expected in ((True, ["10-01 01-01", "10-16 10-16"]), (False, ["10-01 01-01"])):
        priced = versioned(version("2026-01-01", LESS), version("2026-10-16", MORE, at_once=at_once))
        found = segments([phase("2026-10-01")], {"pro": priced}, D("2026-10-31"))
        assert [f"{s.start:%m-%d} {s.version:%m-%d}" for s in found] == expected
        assert [versions_in(priced, s)[0][1].effective for s in found] == [s.version for s in found]


def test_a_version_of_prices_alone_never_cuts_even_at_once() -> None:
    cheaper = charge("graduated", tiers=({"up_to": "1000", "price": "0.01"}, {"price": "0.02"}))
    priced = versioned(version("2026-01-01", LESS), version("2026-10-16", cheaper, at_once=True))
    (one,) = segments([phase("2026-10-01")], {"pro": priced}, D("2026-10-31"))
    assert [str(p.from_day) for p in charge_prices(priced, one)[0].prices] == ["2026-10-01", "2026-10-16"]


def test_a_version_that_waits_is_not_let_in_by_the_end_of_a_trial() -> None:
    priced = versioned(version("2026-01-01", LESS), version("2026-10-05", MORE), trial_days=10)
    found = segments([phase("2026-10-01")], {"pro": priced}, D("2026-11-01"))
    assert [(f"{s.start:%m-%d}", str(versions_in(priced, s)[0][1].effective)) for s in found] == [
        ("10-01", "2026-01-01"),
        ("10-11", "2026-01-01"),
        ("11-01", "2026-10-05"),
    ]


def test_prices_of_a_version_in_a_trial_are_in_force_after_it() -> None:
    cheaper = charge("graduated", tiers=({"up_to": "1000", "price": "0.01"}, {"price": "0.02"}))
    priced = versioned(version("2026-01-01", LESS), version("2026-10-05", cheaper), trial_days=10)
    found = segments([phase("2026-10-01")], {"pro": priced}, D("2026-10-31"))
    prices = [[(str(p.from_day), str(p.version)) for p in charge_prices(priced, s)[0].prices] for s in found]
    assert prices == [[("2026-10-01", "2026-01-01"), ("2026-10-05", "2026-10-05")], [("2026-10-11", "2026-10-05")]]


@pytest.mark.parametrize(
    "other",
    [{"cap": "10"}, {"commitment": {"amount": "10"}}, {"charges": [LESS, FEE]}],
    ids=["cap", "commitment", "charge"],
)
def test_a_version_of_another_cap_or_commitment_waits(other: dict[str, Any]) -> None:
    priced = versioned(version("2026-01-01", LESS), version("2026-10-16", LESS) | other)
    assert [v.effective for _, v in versions_in(priced, segment())] == [D("2026-01-01")]


RATES = {
    "percentage": ({"rate": "0.02", "fixed": "0.30"}, {"rate": "0.03", "fixed": "0.20"}, {"free_amount": "5"}),
    "graduated_percentage": (
        {"tiers": ({"up_to": "10", "rate": "0.02"}, {"rate": "0.01"})},
        {"tiers": ({"up_to": "10", "rate": "0.03"}, {"rate": "0.02"})},
        {"tiers": ({"up_to": "11", "rate": "0.02"}, {"rate": "0.01"})},
    ),
    "matrix": (
        {"cells": ({"match": {"region": "eu"}, "price": "1"},), "default": "2"},
        {"cells": ({"match": {"region": "eu"}, "price": "3"},), "default": "4"},
        {"cells": ({"match": {"region": "us"}, "price": "1"},), "default": "2"},
    ),
    "dynamic": ({"multiplier": "1"}, {"multiplier": "1.2"}, {"included": "5"}),
    "package": ({"price": "1", "size": "10"}, {"price": "2", "size": "10"}, {"price": "1", "size": "11"}),
}


@pytest.mark.parametrize("model", sorted(RATES))
def test_C13_rates_and_prices_of_every_model_follow_on_their_day_and_structure_waits(model: str) -> None:
    first, prices, structure = RATES[model]
    for change, from_days in ((prices, 2), (first | structure, 1)):
        priced = versioned(
            version("2026-01-01", charge(model, **first)), version("2026-10-16", charge(model, **change))
        )
        assert len(charge_prices(priced, segment())[0].prices) == from_days


def test_a_matrix_that_loses_its_default_waits_since_it_measures_otherwise() -> None:
    cells = ({"match": {"region": "eu"}, "price": "1"},)
    with_default = charge("matrix", cells=cells, default="2")
    priced = versioned(version("2026-01-01", with_default), version("2026-10-16", charge("matrix", cells=cells)))
    assert len(charge_prices(priced, segment())[0].prices) == 1


# A charge's own interval


def test_an_annual_plan_with_monthly_usage_has_monthly_lines_and_one_fee() -> None:
    monthly = charge("graduated", tiers=TIERS, interval="month")
    yearly = plan(("2020-01-01", [FEE, monthly]), anchor="subscription", interval="year")
    plans, usage = {"pro": yearly}, used(("2026-02-28", 900), ("2026-03-30", 900))
    (year,) = segments([phase("2026-01-31")], plans, D("2026-04-10"))
    terms = charge_prices(yearly, year)[1]
    months = list(charge_segments(year, monthly, D("2026-04-10")))
    assert full(months) == [("2026-01-31", "2026-02-28"), ("2026-02-28", "2026-03-31"), ("2026-03-31", "2026-04-30")]
    lines = [
        rate(terms, s, [u for u in usage if s.start <= u.day < s.end], METERS["calls"]).amount.text for s in months
    ]
    assert lines == ["0.00", "140.00", "0.00"]
    assert list(charge_segments(year, FEE, D("2026-04-10"))) == [year]


def test_a_charges_own_periods_are_cut_where_its_plans_segment_is() -> None:
    own = charge("flat", key="base", amount="31.00", interval="month")
    yearly = plan(("2020-01-01", [own]), interval="year", trial_days=20)
    found = segments([phase("2026-01-10", "2026-03-15")], {"pro": yearly}, D("2026-12-31"))
    parts = [s for part in found for s in charge_segments(part, own, D("2026-12-31"))]
    assert [(*span[1:], s.trial) for span, s in zip(spans(parts), parts, strict=True)] == [
        ("2026-01-10", "2026-01-30", True),
        ("2026-01-30", "2026-02-01", False),
        ("2026-02-01", "2026-03-01", False),
        ("2026-03-01", "2026-03-15", False),
    ]
    assert [s.fraction(own) for s in parts] == [Fraction(20, 31), Fraction(2, 31), 1, Fraction(14, 31)]
    assert len({s.start for s in parts}) == len(parts)


def test_own_periods_tile_their_plans_period_for_every_anchor_of_four_years() -> None:
    own = charge("flat", key="base", amount="1", interval="month")
    for number in range(4 * 366):
        anchor = date(2023, 1, 1) + timedelta(days=number)
        quarterly = plan(("2020-01-01", [own]), anchor=anchor.isoformat(), interval="quarter")
        (part,) = segments([row(str(anchor), None)], {"pro": quarterly}, anchor)
        months = list(charge_segments(part, own, date.max))
        assert len(months) == 3
        assert (months[0].start, months[-1].end) == (part.start, part.end)
        assert all(a.end == b.start for a, b in pairwise(months))
        assert all((s.start, s.end) == (s.period_start, s.period_end) for s in months)


def test_a_version_for_the_next_period_waits_for_the_plans_and_not_the_charges() -> None:
    small, large = (charge("package", price="1", size=size, interval="month") for size in ("10", "20"))
    yearly = plan(("2026-01-01", [small]), ("2026-03-10", [large]), interval="year")
    (year,) = segments([phase("2026-01-01")], {"pro": yearly}, D("2026-12-31"))
    for month in charge_segments(year, small, D("2026-12-31")):
        assert charge_terms(yearly, month, "usage").charge.size == 10


# Proration


def test_C7_the_segments_of_one_period_sum_to_1_of_the_whole_period_by_days_and_by_months_of_30() -> None:
    plans = {key: plan(("2020-01-01", [FEE]), key=key, anchor="2026-01-31") for key in ("pro", "max")}
    for days in (None, 30):
        charged = charge("flat", key="base", amount="1", days=days)
        for number in range(1, 90):
            cut = D("2026-01-31") + timedelta(days=number)
            rows = [phase("2026-01-31", str(cut)), phase(str(cut), "2026-04-30", "max")]
            found = segments(rows, plans, D("2026-12-31"))
            for start in {s.period_start for s in found}:
                assert sum(s.fraction(charged) for s in found if s.period_start == start) == 1


def test_B11_days_are_counted_by_dates_in_months_of_23_and_25_hour_days() -> None:
    """2026-03-29 has 23 hours in Paris and 2026-10-25 has 25: a stub costs its dates."""
    for month, end in (("2026-03", "2026-04-01"), ("2026-10", "2026-11-01")):
        stub = segment(f"{month}-16", end, (f"{month}-01", end))
        line = rate(charge_prices(plan(("2026-01-01", [FEE])), stub)[0], stub)
        assert line.amount.text == "16.00"


def test_C8_a_fee_and_its_stub_count_the_days_of_their_own_month() -> None:
    fee = plan(("2026-01-01", [charge("flat", key="base", amount="1000.00")]))
    lines = rated([fee], [phase("2026-02-15", "2026-03-15")], "2026-12-31")
    assert [x.amount.text for x in lines] == ["500.00", "451.61"]
    assert [x.formula["proration"] for x in lines] == ["14/28", "14/31"]


def test_thirty_day_months_count_what_the_calendar_lacks() -> None:
    fixed = charge("flat", key="base", amount="30.00", days=30)
    for start, end, period, share in (
        ("2026-02-16", "2026-03-01", ("2026-02-01", "2026-03-01"), Fraction(15, 30)),
        ("2026-10-16", "2026-11-01", ("2026-10-01", "2026-11-01"), Fraction(15, 30)),
        ("2026-10-31", "2026-11-01", ("2026-10-01", "2026-11-01"), Fraction(1, 30)),
        ("2026-10-01", "2026-10-16", ("2026-10-01", "2027-01-01"), Fraction(15, 90)),
    ):
        assert segment(start, end, period).fraction(fixed) == share
    stub = segment("2026-02-16", "2026-03-01", ("2026-02-01", "2026-03-01"))
    assert rate(charge_prices(plan(("2026-01-01", [fixed])), stub)[0], stub).amount.text == "15.00"


def test_a_fee_of_31_for_october_that_ends_on_the_25th_is_24_and_7_come_back() -> None:
    fee = plan(("2026-01-01", [charge("flat", key="base", amount="31.00", due="advance")]))
    (whole,) = rated([fee], [phase("2026-10-01")], "2026-10-01")
    (ended,) = rated([fee], [phase("2026-10-01", "2026-10-25")], "2026-10-31")
    assert (whole.amount - ended.amount).text == "7.00"
    assert whole.key == ended.key


def test_A17_usage_of_a_period_is_that_of_its_segments_once_whatever_cuts_it() -> None:
    cutting = {
        "trial": ([row("2026-10-01", trial_end=D("2026-10-16"))], [plan(("2020-01-01", [charge()]))]),
        "change": (
            [row("2026-10-01", "2026-10-16"), row("2026-10-16", None, "max")],
            [plan(("2020-01-01", [charge()]), key=key) for key in ("pro", "max")],
        ),
        "at once": (
            [row("2026-10-01")],
            [versioned(version("2020-01-01", charge()), version("2026-10-16", charge(included="1"), at_once=True))],
        ),
        "restart": (
            [row("2026-10-01", "2026-10-16"), row("2026-10-16", restart=True)],
            [plan(("2020-01-01", [charge()]), anchor="subscription")],
        ),
    }
    usage = {"calls": used(*((f"2026-10-{day:02}", day) for day in range(1, 32)))}
    for name, (rows, plans) in cutting.items():
        lines = rated(plans, rows, "2026-10-31", usage)
        assert [int(line.measured) for line in lines] == [120, 376], name
        assert len({line.key for line in lines}) == 2


# Overrides


def override(start: str, end: str | None = None, **fields: Any) -> Override:
    base = {"customer": "acme", "plan": "pro", "charge": "usage", "start": start, "end": end, "contract": "C-1"}
    return Override.model_validate(base | fields)


def test_a_contracts_price_is_in_force_from_its_day_to_its_day_and_names_the_contract() -> None:
    priced = plan(("2026-01-01", [charge()]), ("2026-10-20", [charge(price="3")]))
    agreed = override("2026-10-10", "2026-10-25", price="0.50")
    (terms,) = charge_prices(priced, segment(), [agreed])
    assert [(f"{p.from_day:%d}", f"{p.version:%m-%d}", str(p.charge.price), p.contract) for p in terms.prices] == [
        ("01", "01-01", "1", ""),
        ("10", "01-01", "0.50", "C-1"),
        ("20", "10-20", "0.50", "C-1"),
        ("25", "10-20", "3", ""),
    ]
    usage = used(("2026-10-09", 1), ("2026-10-10", 10), ("2026-10-24", 100), ("2026-10-25", 1000))
    assert rate(terms, segment(), usage, METERS["calls"]).amount.text == "3056.00"


def test_a_contract_of_another_customer_plan_or_charge_changes_nothing() -> None:
    priced = plan(("2026-01-01", [charge()]))
    for other in ({"customer": "beta"}, {"plan": "max"}, {"charge": "base"}):
        (terms,) = charge_prices(priced, segment(), [override("2026-01-01", price="9", **other)])
        assert [(str(p.charge.price), p.contract) for p in terms.prices] == [("1", "")]


def test_the_fee_of_a_contract_is_that_of_the_segments_first_day() -> None:
    priced = plan(("2026-01-01", [charge("flat", amount="31.00")]))
    for agreed, fee in (
        (override("2026-10-01", amount="10.00"), "10.00"),
        (override("2026-10-02", amount="10.00"), "31.00"),
        (override("2026-01-01", "2026-10-02", amount="10.00"), "10.00"),
        (override("2026-01-01", "2026-10-01", amount="10.00"), "31.00"),
    ):
        (terms,) = charge_prices(priced, segment(), [agreed])
        assert rate(terms, segment()).amount.text == fee
        assert terms.prices[0].contract == ("C-1" if fee == "10.00" else "")


def test_a_contract_replaces_prices_of_tiers_and_cells_and_nothing_else() -> None:
    tiers = ({"up_to": "10", "price": "1", "flat_fee": "5", "block": "2"}, {"price": "0.5"})
    priced = plan(("2026-01-01", [charge("graduated", tiers=tiers)]))
    agreed = override("2026-01-01", tiers=({"up_to": "10", "price": "0.9"}, {"price": "0.4"}))
    (terms,) = charge_prices(priced, segment(), [agreed])
    assert [tier.model_dump(mode="json") for tier in terms.charge.tiers] == [
        {"up_to": "10", "price": "0.9", "rate": None, "flat_fee": "5", "block": "2"},
        {"up_to": None, "price": "0.4", "rate": None, "flat_fee": "0", "block": None},
    ]
    cells = (
        {"match": {"region": "eu", "size": "l"}, "price": "1"},
        {"match": {"region": "us", "size": "l"}, "price": "2"},
    )
    matrix = plan(("2026-01-01", [charge("matrix", cells=cells, default="3")]))
    agreed = override("2026-01-01", cells=({"match": {"size": "l", "region": "eu"}, "price": "0.7"},), default="2.5")
    (terms,) = charge_prices(matrix, segment(), [agreed])
    assert [str(cell.price) for cell in terms.charge.cells] == ["0.7", "2"]
    assert str(terms.charge.default) == "2.5"


def test_a_contract_of_another_shape_is_refused_and_never_priced() -> None:
    priced = plan(("2026-01-01", [charge("graduated", tiers=TIERS)]))
    for fields in (
        {"price": "1"},
        {"tiers": ({"price": "1"},)},
        {"tiers": ({"up_to": "9", "price": "1"}, {"price": "1"})},
    ):
        with pytest.raises(ValueError, match="contract 'C-1'"):
            charge_prices(priced, segment(), [override("2026-01-01", **fields)])


def test_phases_know_their_anchor_and_the_end_of_their_trial() -> None:
    plans = {"pro": plan(("2020-01-01", [charge()]), trial_days=5, anchor="subscription")}
    rows = [phase("2026-03-05", "2026-04-05"), row("2026-04-05", restart=True)]
    assert [(str(p.anchor), str(p.trial_end)) for p in phases_of(rows, plans)] == [
        ("2026-03-05", "2026-03-10"),
        ("2026-04-05", "2026-04-05"),
    ]
