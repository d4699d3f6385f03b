"""Items that are added and removed: priced by the days on which each is there, in the tier of its rank when added."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from billing_make import charge, segment, terms

from orchestration.audit.clock import Clock
from orchestration.audit.items import days_by_rank
from orchestration.audit.states import Reading
from orchestration.billing.charges import Slice
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import Segment
from orchestration.catalog.meters import Meter
from orchestration.zones import midnight_us

ITEMS = Meter.model_validate(
    {
        "key": "items",
        "name": "Items",
        "unit": "item",
        "event_type": "item",
        "aggregation": "unique_count",
        "value": "item",
        "start": {"field": "op", "op": "eq", "value": "add"},
        "stop": {"field": "op", "op": "eq", "value": "remove"},
    }
)
OCTOBER = segment("2026-10-01", "2026-11-01", ("2026-10-01", "2026-11-01"))
TIERS = ({"up_to": "1", "price": "10", "flat_fee": "100"}, {"price": "5", "flat_fee": "50"})


def there(*rows: tuple[str, int, int]) -> list[Slice]:
    """(day of the addition, rank, days)."""
    return [Slice(OCTOBER.start.fromisoformat(day), Decimal(days), rank=rank) for day, rank, days in rows]


def line(slices: list[Slice], *later: Any, part: Segment = OCTOBER, **fields: Any) -> Line:
    priced = terms(charge(meter="items", prorate="days", **fields), *later, start=str(part.start))
    return rate(priced, part, slices, ITEMS, divisor=part.period_days)


@pytest.mark.parametrize(
    ("slices", "quantity", "amount"),
    [
        ([("2026-10-01", 1, 31), ("2026-10-11", 2, 21)], "1.677419355", "1.68"),
        ([("2026-10-05", 1, 1)], "0.032258065", "0.03"),
        ([("2026-10-01", 1, 31), ("2026-10-01", 2, 31)], "2", "2.00"),
        ([], "0", "0.00"),
    ],
    ids=["one in the middle", "a day", "all month", "none"],
)
def test_an_item_weighs_its_days_and_the_sum_is_rounded_once(
    slices: list[tuple[str, int, int]], quantity: str, amount: str
) -> None:
    one = line(there(*slices))
    assert (one.quantity, one.amount.text) == (Decimal(quantity), amount)
    assert sum(Decimal(d["quantity"]) for d in one.formula["details"]) == one.quantity
    assert [(i["day"], int(i["rank"]), int(i["days"])) for i in one.formula["items"]] == slices


@pytest.mark.parametrize(
    ("slices", "amount"),
    [
        # 17 days of the first, then 13 of another one that was the first again: 10 x 30 / 31.
        ([("2026-10-01", 1, 17), ("2026-10-19", 1, 13)], "109.68"),
        # The second keeps its tier while the first is gone: 10 x 17 / 31 + 5.
        ([("2026-10-01", 1, 17), ("2026-10-01", 2, 31)], "160.48"),
        ([("2026-10-01", 1, 31), ("2026-10-01", 2, 62), ("2026-10-17", 4, 15)], "172.42"),
        ([], "100.00"),
    ],
    ids=["one after the other", "the first leaves", "four", "none"],
)
def test_the_tier_goes_by_the_rank_when_added(slices: list[tuple[str, int, int]], amount: str) -> None:
    one = line(there(*slices), model="graduated", tiers=TIERS, flat_fee_at_zero=True)
    assert one.amount.text == amount


def test_an_item_of_no_rank_is_the_first_and_where_there_is_none_no_fee_is_due() -> None:
    whole = [Slice(OCTOBER.start, Decimal(31))]
    assert line(whole, model="graduated", tiers=TIERS).amount.text == "110.00"
    assert line([], model="graduated", tiers=TIERS).amount.text == "0.00"


def test_an_item_pays_the_price_of_the_day_on_which_it_was_added() -> None:
    dearer = ("2026-10-16", charge("graduated", meter="items", prorate="days", tiers=({"price": "31"},)))
    one = line(
        there(("2026-10-01", 1, 31), ("2026-10-16", 2, 16)), dearer, model="graduated", tiers=({"price": "3.1"},)
    )
    # 3.1 x 31 / 31 and 31 x 16 / 31, of quantities rounded to 9 decimals.
    assert [(d["version"], d["quantity"]) for d in one.formula["details"]] == [
        ("2026-01-01", "1"),
        ("2026-10-16", "0.516129032"),
    ]
    assert one.amount.text == "19.10"


def test_without_prorating_items_count_whole() -> None:
    counted = terms(charge(meter="items"), start="2026-10-01")
    one = rate(counted, OCTOBER, [Slice(OCTOBER.start, Decimal(2))], ITEMS)
    assert (one.quantity, one.amount.text) == (Decimal(2), "2.00")


@pytest.mark.parametrize(
    ("changes", "days"),
    [
        ("05+ 05- 05+", 27),
        ("05+ 05-", 1),
        ("05- 05+", 27),
        ("05+ 05- 05+ 05- 09+", 24),
        ("05+ 05+ 05- 05+", 27),
        ("05+ 06- 06+ 06-", 2),
    ],
)
def test_C10_an_item_that_comes_and_goes_on_a_day_is_there_for_that_day_once(changes: str, days: int) -> None:
    """31.00 a month: each day on which it is there, both ends counted, costs 1.00, however often it comes and goes."""
    events = []
    for number, change in enumerate(changes.split()):
        at = midnight_us("UTC", date(2026, 10, int(change[:2]))) + number
        events.append(Reading(at, "s", str(number), Decimal(f"{change[2]}1"), "{}", "seat-7"))
    clock = Clock("UTC", OCTOBER.start, OCTOBER.end)
    found = days_by_rank(events, clock, OCTOBER.start, OCTOBER.end, midnight_us("UTC", OCTOBER.end))
    assert (sum(found.values()), {rank for _, rank in found}) == (days, {1})
    one = line([Slice(day, Decimal(n), rank=rank) for (day, rank), n in found.items()], price="31.00")
    assert one.amount.text == f"{days}.00"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"stop": None}, "'start' and 'stop' come together"),
        ({"value": None}, "needs the field that it reads as value"),
        ({"session": "id"}, "a 'unique_count' pairs starts and stops by its value"),
        ({"expires_after": "2h"}, "'expires_after' needs 'session'"),
        ({"carry": True}, "carries nothing"),
        ({"aggregation": "sum"}, "on a meter of aggregation 'level' or 'unique_count'"),
    ],
)
def test_what_items_cant_have_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Meter.model_validate(ITEMS.model_dump() | fields)
