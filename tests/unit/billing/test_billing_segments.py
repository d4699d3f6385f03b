from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from billing_make import TIERS, D, charge, phase, plan, segment
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.billing.segments import Segment, charge_prices, segments, versions_in
from orchestration.catalog.plans import Plan

PRO = plan(("2020-01-01", [charge()]))
MAX = plan(("2020-01-01", [charge(price="2")]), key="max")
PLANS = {"pro": PRO, "max": MAX}


def spans(found: list[Segment]) -> list[tuple[str, str, str]]:
    return [(s.plan, s.start.isoformat(), s.end.isoformat()) for s in found]


def test_start_and_end_between_boundaries_make_stubs_of_the_full_period() -> None:
    found = segments([phase("2026-01-20", "2026-03-10")], PLANS, D("2026-12-31"))
    assert spans(found) == [
        ("pro", "2026-01-20", "2026-02-01"),
        ("pro", "2026-02-01", "2026-03-01"),
        ("pro", "2026-03-01", "2026-03-10"),
    ]
    assert [(s.period_start.isoformat(), s.period_end.isoformat()) for s in found] == [
        ("2026-01-01", "2026-02-01"),
        ("2026-02-01", "2026-03-01"),
        ("2026-03-01", "2026-04-01"),
    ]
    assert [(s.days, s.period_days) for s in found] == [(12, 31), (28, 28), (9, 31)]


def test_the_day_of_a_plan_change_belongs_to_the_new_plan() -> None:
    found = segments([phase("2026-10-16", None, "max"), phase("2026-10-01", "2026-10-16")], PLANS, D("2026-10-31"))
    assert spans(found) == [("pro", "2026-10-01", "2026-10-16"), ("max", "2026-10-16", "2026-11-01")]
    assert found[0].days + found[1].days == found[0].period_days == found[1].period_days == 31


def test_the_period_that_begins_on_the_day_itself_is_there_and_a_later_phase_is_not() -> None:
    rows = [phase("2026-09-01", "2026-10-16"), phase("2026-10-16", None, "max")]
    assert spans(segments(rows, PLANS, D("2026-10-01")))[-1] == ("pro", "2026-10-01", "2026-10-16")
    assert spans(segments(rows, PLANS, D("2026-09-30")))[-1] == ("pro", "2026-09-01", "2026-10-01")
    assert spans(segments(rows, PLANS, D("2026-10-16")))[-1] == ("max", "2026-10-16", "2026-11-01")
    assert segments(rows, PLANS, D("2026-08-31")) == []
    assert segments([], PLANS, D("2026-08-31")) == []


def test_a_row_that_continues_the_same_plan_cuts_nothing() -> None:
    one = segments([phase("2026-10-01")], PLANS, D("2026-12-01"))
    two = segments([phase("2026-10-01", "2026-10-16"), phase("2026-10-16")], PLANS, D("2026-12-01"))
    assert one == two


def test_a_pause_bills_no_day_of_its_own() -> None:
    found = segments([phase("2026-10-01", "2026-10-11"), phase("2026-12-21")], PLANS, D("2027-01-01"))
    assert spans(found) == [
        ("pro", "2026-10-01", "2026-10-11"),
        ("pro", "2026-12-21", "2027-01-01"),
        ("pro", "2027-01-01", "2027-02-01"),
    ]


def test_a_change_of_plan_keeps_the_anchor_of_the_first_start() -> None:
    plans = {key: plan(("2020-01-01", [charge()]), key=key, anchor="subscription") for key in ("pro", "max")}
    found = segments([phase("2026-01-31", "2026-03-10"), phase("2026-03-10", None, "max")], plans, D("2026-04-30"))
    assert spans(found) == [
        ("pro", "2026-01-31", "2026-02-28"),
        ("pro", "2026-02-28", "2026-03-10"),
        ("max", "2026-03-10", "2026-03-31"),
        ("max", "2026-03-31", "2026-04-30"),
        ("max", "2026-04-30", "2026-05-31"),
    ]


def test_a_subscription_that_ends_on_the_day_it_starts_has_no_segment() -> None:
    assert segments([phase("2026-10-05", "2026-10-05")], PLANS, D("2026-12-31")) == []


def test_C14_nothing_is_billed_in_advance_after_the_end() -> None:
    found = segments([phase("2026-09-01", "2026-10-25")], PLANS, D("2027-12-31"))
    assert max(s.end for s in found) == D("2026-10-25")
    assert spans(segments([phase("2026-09-01", "2026-11-01")], PLANS, D("2026-12-31")))[-1][2] == "2026-11-01"


def test_phases_that_overlap_or_are_of_two_subscriptions_are_refused() -> None:
    with pytest.raises(ValueError, match="two phases"):
        segments([phase("2026-01-01"), phase("2026-02-01", None, "max")], PLANS, D("2026-12-31"))
    with pytest.raises(ValueError, match="more than one subscription"):
        segments([phase("2026-01-01", "2026-02-01"), phase("2026-03-01", subscription="other")], PLANS, D("2026-12-31"))


@settings(max_examples=150, deadline=None)
@given(
    start=st.dates(date(2023, 1, 1), date(2026, 12, 31)),
    cuts=st.lists(st.integers(1, 500), max_size=4, unique=True),
    anchor=st.sampled_from(["calendar", "subscription"]),
    interval=st.sampled_from(["day", "week", "month", "quarter", "year"]),
    every=st.integers(1, 5),
)
def test_B5_C7_active_parts_tile_and_shares_of_a_period_never_exceed_one(
    start: date, cuts: list[int], anchor: str, interval: str, every: int
) -> None:
    plans: dict[str, Plan] = {
        key: plan(("2020-01-01", [charge()]), key=key, anchor=anchor, interval=interval, every=every)
        for key in ("pro", "max")
    }
    days = [start, *(start + timedelta(days=n) for n in sorted(cuts)), start + timedelta(days=600)]
    rows = [phase(str(a), str(b), "pro" if n % 2 else "max") for n, (a, b) in enumerate(pairwise(days))]
    found = segments(rows, plans, days[-1])
    assert (found[0].start, found[-1].end) == (start, days[-1])
    assert all(a.end == b.start for a, b in pairwise(found))
    for period in {(s.period_start, s.period_end) for s in found}:
        parts = [s for s in found if (s.period_start, s.period_end) == period]
        assert all(period[0] <= s.start < s.end <= period[1] for s in parts)
        whole = start <= period[0] and period[1] <= days[-1]
        total = sum(s.days for s in parts)
        assert total == parts[0].period_days if whole else total < parts[0].period_days


def graduated(first: str, second: str, **fields: object) -> list:
    return [charge("graduated", tiers=({"up_to": "1000", "price": first}, {"price": second}), **fields)]


def test_C13_a_version_of_prices_alone_takes_effect_on_its_day() -> None:
    priced = plan(("2026-01-01", graduated("0.10", "0.05")), ("2026-10-16", graduated("0.12", "0.06", name="Renamed")))
    assert [(d.isoformat(), v.effective.isoformat()) for d, v in versions_in(priced, segment())] == [
        ("2026-10-01", "2026-01-01"),
        ("2026-10-16", "2026-10-16"),
    ]
    (one,) = charge_prices(priced, segment())
    assert [(str(p.from_day), str(p.version), str(p.charge.tiers[0].price)) for p in one.prices] == [
        ("2026-10-01", "2026-01-01", "0.10"),
        ("2026-10-16", "2026-10-16", "0.12"),
    ]
    assert one.charge.name == "A charge"
    assert one.price_on(D("2026-10-15")).version == D("2026-01-01")
    assert one.price_on(D("2026-10-16")).version == D("2026-10-16")
    with pytest.raises(ValueError, match="no price on 2026-09-30"):
        one.price_on(D("2026-09-30"))


@pytest.mark.parametrize(
    "changed",
    [
        [charge("graduated", tiers=({"up_to": "2000", "price": "0.12"}, {"price": "0.06"}))],
        [charge("graduated", tiers=({"up_to": "1000", "price": "0.12", "flat_fee": "1"}, {"price": "0.06"}))],
        [charge("graduated", tiers=({"price": "0.12"},))],
        graduated("0.12", "0.06", flat_fee_at_zero=True),
        graduated("0.12", "0.06", meter="tokens"),
        graduated("0.12", "0.06", convert={"divide_by": "2", "unit": "pair"}),
        graduated("0.12", "0.06", watermark={"of": "count"}),
        graduated("0.12", "0.06", prorated=False),
        [charge(price="0.12")],
        [*graduated("0.12", "0.06"), charge("flat", key="base", amount="5")],
        [charge("graduated", key="other", tiers=TIERS)],
    ],
    ids=["bound", "tier fee", "tiers", "at zero", "meter", "convert", "watermark", "prorated", "model", "more", "key"],
)
def test_a_version_of_more_than_prices_waits_whole_for_the_next_period(changed: list) -> None:
    priced = plan(("2026-01-01", graduated("0.10", "0.05")), ("2026-10-16", changed))
    assert [v.effective for _, v in versions_in(priced, segment())] == [D("2026-01-01")]
    november = segment("2026-11-01", "2026-12-01", ("2026-11-01", "2026-12-01"))
    assert [(d, v.effective) for d, v in versions_in(priced, november)] == [(D("2026-11-01"), D("2026-10-16"))]


def test_a_changed_fee_waits_for_the_next_period() -> None:
    priced = plan(
        ("2026-01-01", [charge("flat", key="base", amount="30"), charge()]),
        ("2026-10-16", [charge("flat", key="base", amount="40"), charge(price="9")]),
    )
    assert [len(one.prices) for one in charge_prices(priced, segment())] == [1, 1]


def test_prices_built_on_a_version_that_waits_wait_with_it() -> None:
    priced = plan(
        ("2026-01-01", graduated("0.10", "0.05")),
        ("2026-10-10", graduated("0.10", "0.05", flat_fee_at_zero=True)),
        ("2026-10-20", graduated("0.20", "0.15", flat_fee_at_zero=True)),
        ("2026-10-25", graduated("0.30", "0.25")),
    )
    assert [v.effective for _, v in versions_in(priced, segment())] == [D("2026-01-01"), D("2026-10-25")]


def test_a_version_effective_on_the_edges_of_a_segment() -> None:
    priced = plan(("2026-01-01", [charge()]), ("2026-10-01", [charge(price="2")]), ("2026-11-01", [charge(price="3")]))
    assert [(d, v.effective) for d, v in versions_in(priced, segment())] == [(D("2026-10-01"), D("2026-10-01"))]


def test_one_who_joins_after_a_version_gets_that_version() -> None:
    priced = plan(("2026-01-01", [charge()]), ("2026-10-10", graduated("0.10", "0.05")))
    assert [v.effective for _, v in versions_in(priced, segment("2026-10-16"))] == [D("2026-10-10")]


def test_a_segment_before_every_version_is_refused() -> None:
    with pytest.raises(ValueError, match="no version in force on 2026-10-01"):
        versions_in(plan(("2026-10-02", [charge()])), segment())
