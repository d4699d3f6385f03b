"""The oracle of metering itself, on cases small enough to be worked out by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from oracle_readings import Event, State, counted, holds, measured, rank
from oracle_time import HOUR, MINUTE, Calendar, instant, period_start

from orchestration.catalog.meters import Condition, Meter, Not


def meter(kind: str, **options: Any) -> Meter:
    base = {"key": "m", "name": "M", "event_type": "t", "aggregation": kind, "value": "v"}
    return Meter.model_validate({name: value for name, value in (base | options).items() if value is not ...})


def event(at: int, name: str = "", **properties: str) -> Event:
    return Event("f", "s", name or f"e{at}", "t", at, "k", properties=properties)


def state(of: Meter, *events: Event) -> State:
    return State(of, [r for r in measured(of, events) if r.value is not None])


def test_a_level_counts_the_changes_of_one_instant_together() -> None:
    found = state(meter("level"), event(10, v="5"), event(20, "a", v="3"), event(20, "b", v="-4"))
    assert [found.value(*span) for span in ((0, 10), (0, 20), (10, 11), (15, 30), (20, 30))] == [None, 5, 5, 5, 4]


def test_an_integral_begins_with_the_first_change_and_goes_on_in_later_buckets() -> None:
    found = state(meter("weighted_sum"), event(10, v="5"), event(30, v="-2"))
    assert [found.value(*span) for span in ((0, 20), (20, 40), (100, 110))] == [50, 50 + 30, 30]
    assert found.value(0, 110) == 100 + 3 * 80


def test_a_gauge_carries_its_last_reading_and_counts_every_reading_of_an_instant() -> None:
    readings = (event(10, "a", v="9"), event(10, "b", v="2"), event(50, v="4"))
    assert [state(meter("max", carry=True), *readings).value(*s) for s in ((0, 20), (20, 40), (40, 60))] == [9, 2, 4]
    assert [state(meter("min", carry=True), *readings).value(*s) for s in ((0, 20), (40, 60))] == [2, 2]
    assert [state(meter("latest", carry=True), *readings).value(*s) for s in ((0, 20), (0, 51))] == [2, 4]


def test_a_start_lasts_to_its_stop_or_expires_and_what_pairs_with_nothing_is_unmeasured() -> None:
    starts = {"start": {"field": "do", "op": "eq", "value": "+"}, "stop": {"field": "do", "op": "eq", "value": "-"}}
    of = meter("level", value=..., session="id", expires_after="1h", **starts)
    told = [
        event(0, do="+", id="x"),
        event(1, do="+", id="x"),
        event(2, do="-", id="x"),
        event(3, do="-", id="x"),
        event(4, do="+"),
        event(5, do="+", id="y"),
        event(5 + HOUR, do="-", id="y"),
    ]
    readings = list(measured(of, told))
    assert [r.event.time_us for r in readings if r.value is None] == [1, 3, 4, 5 + HOUR]
    assert [(r.time_us, r.value) for r in readings if r.value is not None] == [(0, 1), (2, -1), (5, 1), (5 + HOUR, -1)]


def test_a_comparison_with_a_missing_field_is_false_and_its_negation_true() -> None:
    condition = Condition(field="v", op="ne", value="x")
    assert [holds(condition, e) for e in (event(1), event(1, v="x"), event(1, v="y"))] == [False, False, True]
    assert holds(Not.model_validate({"not": condition}), event(1))


def test_the_first_committed_counts_and_within_a_batch_the_earliest() -> None:
    first, early, late = event(5, "e", v="1"), event(1, "e", v="2"), event(9, "e", v="3")
    assert counted([[first], [early, late]]) == [first]
    assert counted([[late, early], [first]]) == [early]


@pytest.mark.parametrize(("percentile", "of", "place"), [(99, 720, 713), (95, 8640, 8208), (100, 7, 7), (1, 1, 1)])
def test_a_rank_is_the_ceiling_in_whole_numbers(percentile: int, of: int, place: int) -> None:
    assert rank(percentile, of) == place


def test_where_the_clock_moves_by_half_an_hour_one_bucket_has_90_minutes() -> None:
    shift = instant("2024-10-05T15:30:00+00:00")
    hours = list(Calendar("Australia/Lord_Howe", shift, shift).windows("1h", shift - 2 * HOUR, shift + 2 * HOUR))
    assert [(end - start) // MINUTE for start, end in hours] == [60, 90, 60, 60]


def test_a_period_that_begins_on_the_31st_is_clamped_from_the_anchor_each_time() -> None:
    anchor = date(2023, 10, 31)
    assert period_start(anchor, "month", 1, date(2024, 3, 30)) == date(2024, 2, 29)
    assert period_start(anchor, "month", 1, date(2024, 3, 31)) == date(2024, 3, 31)


def test_numbers_are_taken_by_the_grammar_of_quantities() -> None:
    texts = ("5", "-5.5", "1e3", " 5", "+4", "", "1.0000000001", "999999999999999.999999999", "٣")
    found = [event(1, v=text).number("v") for text in texts]
    assert found == [5, Decimal("-5.5"), None, None, None, None, None, Decimal("999999999999999.999999999"), None]
