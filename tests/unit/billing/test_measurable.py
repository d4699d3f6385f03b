"""Charges against meters: what makes no sense is refused, with what would; what makes sense has its measure."""

from __future__ import annotations

from typing import Any

import pytest
from billing_make import charge

from orchestration.catalog.measurable import charge_faults
from orchestration.catalog.meters import Meter
from orchestration.metering.measures import measure_of


def meter(aggregation: str, **fields: Any) -> Meter:
    if aggregation != "count":
        fields.setdefault("value", "v")
    return Meter.model_validate({"key": "m", "name": "M", "event_type": "e", "aggregation": aggregation, **fields})


USERS = meter("unique_count", dimensions=("app",))
ADDED = {name: {"field": "do", "op": "eq", "value": name} for name in ("start", "stop")}
ITEMS = meter("unique_count", dimensions=("app",), **ADDED)


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
    ],
)
def test_a_charge_that_its_meter_cant_serve_is_told_what_would(
    metered: Meter, fields: dict[str, Any], said: str
) -> None:
    assert said in "\n".join(message for _, message in charge_faults(charge(meter="m", **fields), metered))


def test_windows_priced_by_themselves_have_no_fee_at_zero() -> None:
    asked = {"watermark": {"of": "count", "take": "each_window"}, "flat_fee_at_zero": True}
    tiered = charge("graduated", meter="m", tiers=({"price": "1"},), **asked)
    assert [code for code, _ in charge_faults(tiered, meter("count"))] == ["empty_windows"]


@pytest.mark.parametrize(
    "fields",
    [{"watermark": {"of": "count"}}, {"active": {"per": "day"}}, {"prorate": "days"}, {"by_dimension": "each"}],
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
        (USERS, {"watermark": {"of": "unique_count", "percentile": 95}}, "mark"),
        (ITEMS, {}, "unique"),
        (ITEMS, {"prorate": "days"}, "items"),
        (ITEMS, {"active": {"per": "day", "take": "max"}}, "active"),
        (meter("max"), {"watermark": {"of": "max", "take": "each_window"}}, "each_window"),
    ],
)
def test_what_makes_sense_is_measured(metered: Meter, fields: dict[str, Any], measure: str) -> None:
    asked = charge(meter="m", **fields)
    assert list(charge_faults(asked, metered)) == []
    assert measure_of(asked, metered) == measure
