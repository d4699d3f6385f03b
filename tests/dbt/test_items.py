"""Items that are added and removed, end to end from files, with numbers worked out by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from instances import content, rows, tables

from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

FIRST, SECOND, THIRD = "2023-10-19T12:00:00Z", "2023-10-20T12:00:00Z", "2023-11-02T12:00:00Z"
CATALOG = {
    "instance.yaml": "entities:\n  - {key: seller, name: S, address: A, zero_invoices: issue}\n",
    "sources.yaml": """
sources:
  - {name: app, path: events/*.jsonl, format: cloudevents,
     properties: {item: data.item, op: data.op, place: data.place}}
""",
    "meters.yaml": """
meters:
  - {key: items, name: Items, event_type: item, aggregation: unique_count, value: item, dimensions: [place],
     start: {field: op, op: eq, value: add}, stop: {field: op, op: eq, value: remove}}
""",
    "plans/tiered.yaml": """
key: tiered
name: Tiered
currency: EUR
versions:
  - effective: 2023-01-01
    charges:
      - {key: days, name: D, model: graduated, meter: items, prorate: days, flat_fee_at_zero: true,
         tiers: [{up_to: "1", price: "10", flat_fee: "100"}, {price: "5", flat_fee: "50"}]}
      - {key: whole, name: W, model: per_unit, meter: items, price: "1"}
      - {key: places, name: P, model: per_unit, meter: items, price: "1", by_dimension: each}
      - {key: most, name: M, model: per_unit, meter: items, price: "1", active: {per: day, take: max}}
""",
    "customers.csv": "customer,name,address,country,zone,entity\n"
    + "".join(f"{who},N,A,DE,{zone},seller\n" for who, zone in (("ada", "UTC"), ("bo", "Asia/Tokyo"), ("cy", "UTC"))),
    "credentials.csv": "credential,customer\nak_ada,ada\nak_bo,bo\nak_cy,cy\n",
    "subscriptions.csv": "subscription,customer,plan,start,end\n"
    + "".join(f"{who},{who},tiered,2023-09-01,\n" for who in ("ada", "bo", "cy")),
}


def event(who: str, when: str, op: str, item: str | None, place: str = "x") -> dict[str, Any]:
    head = {"specversion": "1.0", "id": f"{who}-{when}-{op}-{item}", "source": "app", "type": "item", "time": when}
    return {**head, "subject": f"ak_{who}", "data": {"op": op, "place": place, **({"item": item} if item else {})}}


SENT = [
    # 10 to 12 and 14 to 30 September: 20 days of the first; 16 days of the second.
    event("ada", "2023-09-10T08:00:00Z", "add", "1111"),
    event("ada", "2023-09-12T08:00:00Z", "remove", "1111"),
    event("ada", "2023-09-14T08:00:00Z", "add", "1111"),
    event("ada", "2023-09-15T08:00:00Z", "add", "2222", "y"),
    # An addition of what is there and a removal of what isn't change nothing, whatever place they name.
    event("ada", "2023-09-16T08:00:00Z", "add", "2222", "z"),
    event("ada", "2023-09-16T08:00:00Z", "remove", "3333"),
    # Nobody knows of what.
    event("ada", "2023-09-16T09:00:00Z", "add", None),
    # In Tokyo the first instant of 5 September, and the last of 7 September. Both, and one that comes back on a day.
    event("bo", "2023-09-04T15:00:00Z", "add", "a"),
    event("bo", "2023-09-07T14:59:59.999999Z", "remove", "a"),
    event("bo", "2023-09-10T01:00:00Z", "add", "b"),
    event("bo", "2023-09-10T02:00:00Z", "remove", "b"),
    event("bo", "2023-09-10T03:00:00Z", "add", "b", "y"),
    event("bo", "2023-09-10T04:00:00Z", "remove", "b"),
    # One replaces the other within a day, and is the first then.
    event("cy", "2023-09-30T10:00:00Z", "add", "old"),
    event("cy", "2023-10-17T10:00:00Z", "remove", "old"),
    event("cy", "2023-10-17T10:00:00Z", "add", "new"),
]
LATE = [event("ada", "2023-10-20T10:00:00Z", "remove", "1111"), event("cy", "2023-10-02T00:00:00Z", "remove", "old")]


def deliver(home: Path, name: str, events: Iterable[dict[str, Any]], now: str) -> None:
    """Take a file of events, and build."""
    path = home / "inbox" / "events" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in events))
    run(Context(Instance(home), parse_instant(now, "test")))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("items") / "home"
    for name, text in CATALOG.items():
        path = made / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    (made / "instance.key").write_text("5a" * 32)
    deliver(made, "first.jsonl", SENT, FIRST)
    return made


@pytest.fixture(scope="module")
def later(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day later without any event, and then removals that come late, in the next month."""
    mine = tmp_path_factory.mktemp("later") / "home"
    shutil.copytree(home, mine, symlinks=True)
    run(Context(Instance(mine), parse_instant(SECOND, "test")))
    deliver(mine, "late.jsonl", LATE, THIRD)
    return mine


def lines(home: Path, who: str, charge: str) -> list[tuple[str, Decimal, str]]:
    """(month, quantity, amount) of the drafts' lines."""
    query = (
        "SELECT strftime(service_start, '%m'), quantity, cast(amount AS DECIMAL(38, 2))::VARCHAR "
        f"FROM marts.invoice_draft_lines WHERE customer = '{who}' AND charge = '{charge}' ORDER BY 1"
    )
    return rows(home, query)


def test_each_item_weighs_its_days_in_the_tier_of_its_rank(home: Path) -> None:
    # 100 + 50 + 10 x 20/30 + 5 x 16/30; in October both are there to its end, as far as is known.
    assert lines(home, "ada", "days") == [("09", Decimal("1.2"), "159.33"), ("10", Decimal(2), "165.00")]
    # 5, 6, 7 and 10 September.
    assert lines(home, "bo", "days") == [("09", Decimal("0.133333333"), "101.33"), ("10", Decimal(0), "100.00")]
    # A day of 30; in October 17 and 15 days of 31. At one instant the greater key comes last: the new one is
    # the second, 10 x 17/31 + 5 x 15/31 + 150.
    assert lines(home, "cy", "days") == [
        ("09", Decimal("0.033333333"), "100.33"),
        ("10", Decimal("1.032258065"), "157.90"),
    ]


def test_without_prorating_items_that_are_there_count_once(home: Path) -> None:
    assert lines(home, "ada", "whole") == [("09", 2, "2.00"), ("10", 2, "2.00")]
    assert lines(home, "bo", "whole") == [("09", 2, "2.00"), ("10", 0, "0.00")]
    assert lines(home, "bo", "places") == [("09", 3, "3.00"), ("10", 0, "0.00")]
    assert lines(home, "cy", "most") == [("09", 1, "1.00"), ("10", 2, "2.00")]


def test_items_are_there_on_the_days_between(home: Path) -> None:
    columns = "strftime(local_day, '%d'), dimensions, value_key, events"
    query = f"SELECT {columns} FROM metering.items_daily WHERE customer = 'bo'"
    x, y = '{"place":"x"}', '{"place":"y"}'
    assert rows(home, f"{query} ORDER BY ALL") == [
        ("05", x, "a", 1),
        ("06", x, "a", 0),
        ("07", x, "a", 0),
        ("10", x, "b", 1),
        ("10", y, "b", 1),
    ]
    query = "SELECT max(local_day)::VARCHAR, count(*) FROM metering.items_daily WHERE value_key = '2222'"
    assert rows(home, query) == [("2023-10-19", 16 + 19)]
    month = "SELECT active_users FROM marts.active_users_monthly WHERE customer = 'bo' AND application = '(all)'"
    assert rows(home, month) == [(2,)]


def test_an_event_without_item_is_unmeasured(home: Path) -> None:
    assert rows(home, "SELECT customer, meter, events FROM metering.unmeasured_daily") == [("ada", "items", 1)]


def test_a_late_removal_takes_back_the_later_days(later: Path) -> None:
    # 10 x 20/31 + 5; in November the second is the first.
    assert lines(later, "ada", "days")[1:] == [("10", Decimal("1.645161290"), "161.45"), ("11", Decimal(1), "110.00")]
    # 2 and 15 days of 31, one after the other.
    assert lines(later, "cy", "days")[1:] == [("10", Decimal("0.548387097"), "105.48"), ("11", Decimal(1), "110.00")]
    query = "SELECT max(local_day)::VARCHAR FROM metering.items_daily WHERE value_key = '{}'"
    assert [rows(later, query.format(item)) for item in ("1111", "old", "2222")] == [
        [("2023-10-20",)],
        [("2023-10-02",)],
        [("2023-11-02",)],
    ]


def test_days_and_late_removals_give_what_a_build_from_nothing_gives(later: Path, tmp_path: Path) -> None:
    made_by_build = {"metering.sampled_parts", "metering.sampled_fields"}
    names = [name for name in tables(later, "metering", "marts") if name not in made_by_build]
    assert {"metering.items_daily", "marts.charge_quantities", "marts.active_users_weekly"} <= set(names)
    before = content(later, names)
    assert before["metering.items_daily"][0]
    fresh = tmp_path / "home"
    shutil.copytree(later, fresh, symlinks=True, ignore=shutil.ignore_patterns("warehouse"))
    run(Context(Instance(fresh), parse_instant(THIRD, "test")))
    after = content(fresh, names)
    assert {n: (before[n], after[n]) for n in names if before[n] != after[n]} == {}
