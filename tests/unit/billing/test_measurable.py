"""Charges against meters: what makes no sense is refused, with what would; what makes sense has its measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from billing_make import charge, segment, terms

from orchestration.catalog.measurable import charge_faults
from orchestration.catalog.meters import Meter
from orchestration.metering.measures import measure_of
from orchestration.metering.usage_parts import segment_columns


def meter(aggregation: str, **fields: Any) -> Meter:
    if aggregation != "count":
        fields.setdefault("value", "v")
    return Meter.model_validate({"key": "m", "name": "M", "event_type": "e", "aggregation": aggregation, **fields})


USERS = meter("unique_count", dimensions=("app",))
ADDED = {name: {"field": "do", "op": "eq", "value": name} for name in ("start", "stop")}
ITEMS = meter("unique_count", dimensions=("app",), **ADDED)
MONEY = meter("sum", dimensions=("shop",))
AMOUNTS = meter("sum", currency="cur")
RATE = {"model": "percentage", "rate": "0.029"}
TIERS = {"model": "graduated_percentage", "tiers": [{"rate": "0.02"}]}
CELLS = {"model": "matrix", "cells": [{"match": {"shop": "x"}, "price": "1"}]}


@pytest.mark.parametrize(
    ("metered", "fields", "said"),
    [
        (meter("sum"), {"active": {"per": "day"}}, "counts distinct values, but meter 'm' is a 'sum'"),
        (meter("count"), {"watermark": {"of": "sum"}}, "'of: count' measures its windows"),
        (meter("latest"), {"watermark": {"of": "max"}}, "windows measure count, sum, max, level, unique_count"),
        (meter("count"), {"by_dimension": "each"}, "price a meter of aggregation 'unique_count'"),
        (meter("unique_count"), {"by_dimension": "each"}, "'m' has none, say 'total'"),
        (USERS, {"by_dimension": "each", "watermark": {"of": "unique_count"}}, "goes without 'watermark'"),
        (USERS, {"active": {"per": "week"}, "watermark": {"of": "unique_count"}}, "window: 1d"),
        (meter("sum"), {"prorate": "days"}, "carries nothing; take a meter of aggregation 'sum' with 'carry: true'"),
        (USERS, {"prorate": "days"}, "when a value is removed, which 'm' can't say"),
        (ITEMS, {"watermark": {"of": "unique_count"}}, "'m' has no windows; for the most on a day take 'active"),
        (ITEMS, {"prorate": "days", "active": {"per": "day"}}, "'active' counts otherwise"),
        (ITEMS, {"prorate": "days", "by_dimension": "each"}, "'by_dimension' counts otherwise"),
        (ITEMS, {"prorate": "days", "convert": {"divide_by": "2", "unit": "pair"}}, "'convert' counts otherwise"),
        (meter("weighted_sum"), {"prorate": "days"}, "'m' is a 'weighted_sum'"),
        (meter("sum", carry=True), {"prorate": "days", "watermark": {"of": "sum"}}, "leave one of them out"),
        (meter("count"), RATE, "prices money, but 'm' is a 'count'; it needs a meter of aggregation 'sum'"),
        (meter("sum", carry=True), TIERS, "prices money, but 'm' is a 'sum' that carries"),
        (meter("max"), {"model": "dynamic"}, "prices money, but 'm' is a 'max'"),
        (AMOUNTS, {"watermark": {"of": "sum"}}, "tells amounts apart by currency"),
        (MONEY, {**RATE, "rate": "290"}, "a rate is a fraction, 0.029 for 2.9 %: 290 is 29000 %"),
        (MONEY, {**RATE, "free_amount": "0.0000000001"}, "has more than 9 decimals"),
        (meter("sum"), CELLS, "a cell looks at 'shop', no dimension of meter 'm' (it has none)"),
        (USERS, CELLS, "a matrix divides what adds up, but 'm' is a 'unique_count'; it needs a 'count' or a 'sum'"),
        (MONEY, {**CELLS, "watermark": {"of": "sum"}}, "a matrix divides what adds up, 'watermark' doesn't"),
        (MONEY, {"line_per": "app"}, "'line_per: app' is no dimension of meter 'm' (it has shop)"),
        (
            meter("max", dimensions=("shop",)),
            {"line_per": "shop"},
            "'line_per' divides what adds up, but 'm' is a 'max'",
        ),
        (
            MONEY,
            {"line_per": "shop", "watermark": {"of": "sum"}},
            "'line_per' divides what adds up, 'watermark' doesn't",
        ),
        (
            USERS,
            {"line_per": "app", "watermark": {"of": "unique_count"}},
            "counts distinct values apart, 'watermark' all",
        ),
        (ITEMS, {"line_per": "app", "prorate": "days"}, "counts distinct values apart, 'prorate' all"),
        (USERS, {"line_per": "shop"}, "'line_per: shop' is no dimension of meter 'm'"),
        (
            USERS,
            {"model": "matrix", "cells": ({"match": {"app": "x"}, "price": "1"},)},
            "For distinct values by a dimension say 'line_per'",
        ),
        (
            USERS,
            {"included": "5"},
            "used up one by one, but 'm' is a 'unique_count'; they belong to a 'count' or a 'sum'",
        ),
        (meter("count"), {"included": "5", "watermark": {"of": "count"}}, "'watermark' doesn't count so"),
    ],
)
def test_a_charge_that_its_meter_cant_serve_is_told_what_would(
    metered: Meter, fields: dict[str, Any], said: str
) -> None:
    assert said in "\n".join(message for _, message in charge_faults(charge(**{"meter": "m", **fields}), metered))


def test_windows_priced_by_themselves_have_no_fee_at_zero() -> None:
    asked = {"watermark": {"of": "count", "take": "each_window"}, "flat_fee_at_zero": True}
    tiered = charge("graduated", meter="m", tiers=({"price": "1"},), **asked)
    assert [code for code, _ in charge_faults(tiered, meter("count"))] == ["empty_windows"]


@pytest.mark.parametrize(
    "fields",
    [
        {"watermark": {"of": "count"}},
        {"active": {"per": "day"}},
        {"prorate": "days"},
        {"by_dimension": "each"},
        {"line_per": "app"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_flat_fee_measures_nothing(fields: dict[str, Any]) -> None:
    [(code, message)] = charge_faults(charge("flat", key="fee", amount="5", **fields), None)
    assert (code, next(iter(fields)) in message) == ("measures_nothing", True)


@pytest.mark.parametrize(
    ("metered", "fields", "measure"),
    [
        (meter("count"), {}, "total"),
        (meter("weighted_sum"), {}, "total"),
        (meter("sum", carry=True), {}, "running"),
        (meter("sum", carry=True), {"prorate": "days"}, "seats"),
        (meter("sum", carry=True), {"watermark": {"of": "sum", "take": "daily_sum"}}, "daily_sum"),
        (meter("max"), {}, "greatest"),
        (meter("min", carry=True), {}, "least"),
        (meter("latest"), {}, "latest"),
        (meter("latest", carry=True), {}, "reading"),
        (meter("level"), {}, "mark"),
        (meter("percentile", percentile=95), {}, "rank"),
        (USERS, {"by_dimension": "each"}, "unique"),
        (USERS, {"by_dimension": "each", "active": {"per": "week", "take": "mean"}}, "active"),
        (USERS, {"line_per": "app"}, "unique"),
        (USERS, {"line_per": "app", "active": {"per": "day"}}, "active"),
        (USERS, {"watermark": {"of": "unique_count", "percentile": 95}}, "mark"),
        (ITEMS, {}, "unique"),
        (ITEMS, {"prorate": "days"}, "items"),
        (ITEMS, {"active": {"per": "day", "take": "max"}}, "active"),
        (meter("max"), {"watermark": {"of": "max", "take": "each_window"}}, "each_window"),
        (MONEY, RATE, "total"),
        (MONEY, {**RATE, "free_events": 0, "fixed": "0"}, "total"),
        (MONEY, {**RATE, "max_per_event": "0"}, "events"),
        (MONEY, {**RATE, "fixed": "0.3", "line_per": "shop"}, "events"),
        (MONEY, {**TIERS, "included": "5"}, "total"),
        (MONEY, CELLS, "cells"),
        (MONEY, {"line_per": "shop"}, "cells"),
        (AMOUNTS, {"model": "dynamic"}, "cells"),
        (MONEY, {"model": "dynamic"}, "total"),
    ],
)
def test_what_makes_sense_is_measured(metered: Meter, fields: dict[str, Any], measure: str) -> None:
    asked = charge(**{"meter": "m", **fields})
    assert list(charge_faults(asked, metered)) == []
    assert measure_of(asked, metered) == measure


def test_a_price_that_adds_a_fixed_fee_has_every_event_of_the_line_measured() -> None:
    plain, contract = charge(**{"meter": "m", **RATE}), charge(**{"meter": "m", **RATE, "fixed": "0.1"})
    assert (measure_of(plain, MONEY, [plain]), measure_of(plain, MONEY, [plain, contract])) == ("total", "events")


def test_amounts_in_two_currencies_are_never_added_up() -> None:
    assert AMOUNTS.dimensions == ("cur",)
    assert meter("sum", currency="cur", dimensions=("cur", "shop")).dimensions == ("cur", "shop")
    for fields in ({"aggregation": "max"}, {"aggregation": "sum", "carry": True}):
        with pytest.raises(ValueError, match="'currency' belongs to amounts of money"):
            meter(fields.pop("aggregation"), currency="cur", **fields)


def test_A19_a_trial_uses_up_nothing_that_is_free() -> None:
    asked = charge(**{"meter": "m", **RATE, "free_events": 3, "free_amount": "10", "fixed": "1"})
    paid = segment()
    found = [segment_columns(part, terms(asked), MONEY, "events") for part in (paid, replace(paid, trial=True))]
    assert [(row["free_events"], row["free_amount"]) for row in found] == [(3, "10"), (None, None)]


def test_another_price_that_decides_about_a_part_has_the_line_measured_again_and_no_other_does() -> None:
    def priced_by(**fields: Any) -> object:
        return segment_columns(segment(), terms(charge(**{"meter": "m", **fields})), MONEY, "events")["priced_by"]

    bounded = {**RATE, "min_per_event": "1"}
    same = priced_by(**bounded)
    assert priced_by(**bounded, name="other", tax_category="reduced") == same
    for other in ({"rate": "0.03"}, {"fixed": "1"}, {"min_per_event": "2"}, {"max_per_event": "9"}):
        assert priced_by(**{**bounded, **other}) != same
    matrix = priced_by(**CELLS)
    assert priced_by(**{**CELLS, "cells": [{"match": {"shop": "x"}, "price": "2"}]}) == matrix
    assert priced_by(**{**CELLS, "cells": [{"match": {"shop": "y"}, "price": "1"}]}) != matrix
