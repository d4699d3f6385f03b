"""Lines over their days: exact to the last unit, each unit on the day that used it at the price it has."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest
from billing_make import METERS, TIERS, charge, segment, terms, used

from orchestration.billing.charges import Slice, by_day
from orchestration.billing.daily import by_days, minor_texts
from orchestration.billing.rating import rate
from orchestration.billing.segments import ChargeTerms
from orchestration.catalog.meters import Meter
from orchestration.money import Money

OCTOBER = date(2026, 10, 1)


def days_of(line, slices) -> dict[int, int]:
    parts = by_days(line, slices)
    return {(OCTOBER + timedelta(days=n)).day: part for n, part in enumerate(parts) if part}


def test_a_fee_is_spread_evenly_and_the_cents_left_go_to_the_earliest_days() -> None:
    line = rate(terms(charge("flat", amount="1.00")), segment())
    parts = by_days(line, [])
    assert (len(parts), sum(parts), parts) == (31, 100, [4] * 7 + [3] * 24)


def test_units_go_to_their_days_at_the_price_of_their_tier() -> None:
    slices = used(("2026-10-02", 900), ("2026-10-05", 200), ("2026-10-09", 100))
    line = rate(terms(charge("graduated", tiers=TIERS)), segment(), slices, METERS["calls"])
    assert line.amount.text == "110.00"
    assert days_of(line, slices) == {2: 90_00, 5: 15_00, 9: 5_00}


def test_units_go_to_their_days_at_the_price_of_their_version() -> None:
    slices = used(("2026-10-02", 100), ("2026-10-20", 100))
    first, later = charge(price="0.10"), charge(price="0.30")
    line = rate(terms(first, ("2026-10-16", later)), segment(), slices, METERS["calls"])
    assert days_of(line, slices) == {2: 10_00, 20: 30_00}


SHOPS = [{"match": {"shop": "x"}, "price": "1"}, {"match": {"shop": "y"}, "price": "100"}]


def test_units_of_a_matrix_go_to_their_days_at_the_price_of_their_cell() -> None:
    x, y = ('{"shop":"x"}', '{"shop":"y"}')
    slices = [
        Slice(date(2026, 10, 2), Decimal(10), cell=y),
        Slice(date(2026, 10, 3), Decimal(10), cell=x),
        Slice(date(2026, 10, 3), Decimal(1), cell=y),
    ]
    priced = terms(charge("matrix", cells=SHOPS))
    line = rate(priced, segment(), slices, METERS["calls"])
    assert line.amount.text == "1110.00"
    parts = by_days(line, slices, priced)
    assert (parts[1], parts[2], sum(parts)) == (1000_00, 110_00, 1110_00)


def test_fees_of_events_go_to_the_days_of_the_events() -> None:
    slices = [
        Slice(date(2026, 10, 2), Decimal(100), events=1),
        Slice(date(2026, 10, 5), Decimal(0), events=3, part="at_min"),
        Slice(date(2026, 10, 9), Decimal(50), events=1, part="free"),
    ]
    priced = terms(charge("percentage", meter="tokens", rate="0.01", fixed="0.3", min_per_event="0.5"))
    line = rate(priced, segment(), slices, METERS["tokens"])
    assert line.amount.text == "2.80"
    parts = by_days(line, slices, priced)
    assert (parts[1], parts[4], parts[8], sum(parts)) == (130, 150, 0, 280)


SEATS = Meter(key="seats", name="Seats", unit="seat", event_type="seat", aggregation="sum", value="n", carry=True)
NOVEMBER = segment("2026-11-01", "2026-12-01", ("2026-11-01", "2026-12-01"))


def test_seats_go_to_each_day_by_how_many_there_were() -> None:
    changes = used(("2026-11-01", 10), ("2026-11-16", -4))
    line = rate(terms(charge(meter="seats", prorate="days", price="30"), start="2026-11-01"), NOVEMBER, changes, SEATS)
    assert line.amount.text == "240.00"
    assert by_days(line, changes) == [1000] * 15 + [600] * 15


def test_items_are_spread_evenly() -> None:
    named = {"key": "i", "name": "I", "event_type": "e", "aggregation": "unique_count", "value": "v"}
    items = Meter.model_validate(
        named | {name: {"field": "do", "op": "eq", "value": name} for name in ("start", "stop")}
    )
    slices = [Slice(date(2026, 11, 10), Decimal(30), rank=1)]
    priced = terms(charge(meter="i", prorate="days", price="3"), start="2026-11-01")
    line = rate(priced, NOVEMBER, slices, items, divisor=30)
    assert line.amount.text == "3.00"
    assert by_days(line, slices) == [10] * 30


def test_windows_weigh_as_often_as_they_are() -> None:
    slices = [Slice(date(2026, 10, 2), Decimal(12), windows=2), Slice(date(2026, 10, 3), Decimal(4), windows=3)]
    mark = {"of": "count", "take": "each_window"}
    for fields in ({"price": "1"}, {"model": "dynamic"}):
        priced = terms(charge(watermark=mark, **fields))
        line = rate(priced, segment(), slices, METERS["calls"])
        assert line.amount.text == "36.00"
        assert [n for n in by_days(line, slices, priced) if n] == [24_00, 12_00]


def test_what_was_measured_before_the_line_counts_on_its_first_day() -> None:
    cells = charge("matrix", cells=SHOPS)
    half = segment("2026-10-16")
    early = [Slice(date(2026, 10, 2), Decimal(1), cell='{"shop":"x"}')]
    inside = [Slice(date(2026, 10, 17), Decimal(2), cell='{"shop":"x"}')]
    for priced in (terms(charge(), start="2026-10-16"), terms(cells, start="2026-10-16")):
        line = replace(rate(priced, half, inside, METERS["calls"]), amount=Money.of(3, "EUR"))
        known = ChargeTerms(priced.charge, (replace(priced.prices[0], from_day=OCTOBER),))
        assert by_days(line, [*early, *inside], known)[:3] == [100, 200, 0]


def test_converted_units_go_to_their_days_at_the_price_of_their_tier() -> None:
    slices = used(("2026-10-02", 9000), ("2026-10-05", 2000), ("2026-10-09", 1000))
    tens = {"divide_by": "10", "unit": "ten"}
    line = rate(terms(charge("graduated", tiers=TIERS, convert=tens)), segment(), slices, METERS["calls"])
    assert days_of(line, slices) == {2: 90_00, 5: 15_00, 9: 5_00}


def test_usage_that_was_taken_back_takes_from_the_day_that_took_it() -> None:
    back = used(("2026-10-02", 1100), ("2026-10-05", -200))
    line = rate(terms(charge("graduated", tiers=TIERS)), segment(), back, METERS["calls"])
    assert days_of(line, back) == {2: 110_00, 5: -20_00}
    prices = (charge(), ("2026-10-10", charge(price="2")), ("2026-10-20", charge(price="3")))
    below = used(("2026-10-02", 10), ("2026-10-12", 5), ("2026-10-22", -20))
    line = rate(terms(*prices), segment(), below, METERS["calls"])
    assert line.amount.text == "-40.00"
    assert days_of(line, below) == {2: 80_00, 12: 40_00, 22: -160_00}


def test_units_of_the_last_day_and_of_fees_are_weighed_as_all_others() -> None:
    slices = used(("2026-10-30", 900), ("2026-10-31", 200))
    line = rate(terms(charge("graduated", tiers=TIERS)), segment(), slices, METERS["calls"])
    assert days_of(line, slices) == {30: 90_00, 31: 15_00}
    # 10 at 1, 10 at 2 and a fee of 6 that goes with them: 36.00 as 1 to 2.
    fee = ({"up_to": "10", "price": "1", "flat_fee": "6"}, {"price": "2"})
    slices = used(("2026-10-02", 10), ("2026-10-05", 10))
    line = rate(terms(charge("graduated", tiers=fee)), segment(), slices, METERS["calls"])
    assert days_of(line, slices) == {2: 12_00, 5: 24_00}


def test_the_smallest_quantities_are_weighed_exactly() -> None:
    tiny = used(("2026-10-02", "0.000000002"))
    line = rate(terms(charge(price="1000000000")), segment(), tiny, METERS["calls"])
    assert days_of(line, tiny) == {2: 2_00}
    changes = used(("2026-11-01", "0.000000020"), ("2026-11-16", "-0.000000010"))
    dear = terms(charge(meter="seats", prorate="days", price="3000000000"), start="2026-11-01")
    line = rate(dear, NOVEMBER, changes, SEATS)
    assert by_days(line, changes) == [200] * 15 + [100] * 15


def test_a_line_of_no_days_has_no_days() -> None:
    line = rate(terms(charge("flat", amount="1.00")), segment())
    assert by_days(replace(line, end=line.start), []) == []


def test_a_line_that_no_day_explains_is_spread_evenly() -> None:
    tiers = [{"up_to": "10", "price": "0"}, {"price": "0", "flat_fee": "0"}]
    fee = rate(
        terms(charge("graduated", tiers=[{"price": "0", "flat_fee": "3.10"}], flat_fee_at_zero=True)),
        segment(),
        (),
        METERS["calls"],
    )
    nothing = rate(terms(charge("graduated", tiers=tiers)), segment(), used(("2026-10-02", 5)), METERS["calls"])
    assert by_days(fee, []) == [10] * 31
    assert by_days(nothing, []) == []


@pytest.mark.parametrize("seed", range(100))
def test_days_sum_to_the_line_whatever_was_used(seed: int) -> None:
    dice = Random(seed)
    slices = used(*((f"2026-10-{n:02d}", Decimal(dice.randrange(-50, 900)).scaleb(-1)) for n in range(1, 32)))
    convert = {"divide_by": "7", "unit": "seven", "rounding": dice.choice(["none", "up"])}
    tiers = [{"up_to": "30", "price": "1.03"}, {"up_to": "300", "price": "0.7", "flat_fee": "2"}, {"price": "0.001"}]
    priced = dice.choice(
        [charge("graduated", tiers=tiers), charge("graduated", tiers=tiers, convert=convert), charge()]
    )
    line = rate(terms(priced), segment(), slices, METERS["calls"])
    parts = by_days(line, slices)
    assert sum(parts) == line.amount.minor
    assert len(parts) == (31 if line.amount else 0)


def test_minor_units_are_printed_as_money_is() -> None:
    assert minor_texts([1230, -5, 0], "EUR") == ["12.30", "-0.05", "0.00"]
    assert minor_texts([7, -7], "JPY") == ["7", "-7"]
    assert minor_texts([1, -12_345], "KWD") == ["0.001", "-12.345"]


def test_a_day_has_one_slice_without_what_tells_its_parts_apart() -> None:
    day = date(2026, 10, 2)
    plain = [Slice(day, Decimal(5)), Slice(date(2026, 10, 3), Decimal(6), rank=2)]
    assert by_day(plain) == plain
    for piece in (
        Slice(day, Decimal(5), windows=2),
        Slice(day, Decimal(5), rank=0),
        Slice(day, Decimal(5), cell="{}"),
        Slice(day, Decimal(5), hour_us=0),
        Slice(day, Decimal(5), events=1),
        Slice(day, Decimal(5), part="free"),
    ):
        assert by_day([piece]) == [Slice(day, Decimal(5))]
