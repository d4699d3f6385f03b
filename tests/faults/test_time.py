"""Time cases 26 to 31: late within the grace, the future, odd times, clock changes, edges, anchors and moves.

F27 and F28 line by line stand in test_times, F30 in test_late_and_conflicts; here is what becomes of them in usage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny
from faultkit import CATALOG as SEPTEMBERS
from faultkit import Box, token_event
from instances import rows

from orchestration import zones
from orchestration.catalog.load import parse_catalog
from orchestration.closing import clocks
from orchestration.errors import CatalogInvalid, PeriodClosed
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

NOW = "2026-11-20T12:00:00Z"
HOUR = timedelta(hours=1)
PLACES = {
    "plain": "UTC",
    "york": "America/New_York",
    "alias": "US/Eastern",
    "sao": "America/Sao_Paulo",
    "howe": "Australia/Lord_Howe",
    "last": "UTC",
    "mover": "Pacific/Niue",
    "east": "Pacific/Niue",
    "west": "Asia/Tokyo",
}
CATALOG = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: 1 Quay}\nfuture_skew_minutes: 5\n",
    "sources.yaml": """
sources:
  - name: app
    path: "*.jsonl"
    format: cloudevents
    properties: {units: data.units}
    hold_above_percent: 100
""",
    "meters.yaml": """
meters:
  - {key: units, name: Units, event_type: use, aggregation: sum, value: units}
""",
    "plans/basic.yaml": """
key: basic
name: Basic
currency: USD
versions:
  - effective: 2015-01-01
    charges:
      - {key: units, name: Units, model: per_unit, meter: units, price: "1"}
""",
    "plans/anchored.yaml": """
key: anchored
name: Anchored
currency: USD
anchor: subscription
versions:
  - effective: 2015-01-01
    charges:
      - {key: units, name: Units, model: per_unit, meter: units, price: "1"}
""",
    "customers.csv": "customer,name,address,country,zone,entity,valid_from\n"
    + "".join(f"{key},{key},1 Road,XX,{zone},seller,\n" for key, zone in PLACES.items())
    + "east,east,2 Road,XX,Pacific/Kiritimati,seller,2026-10-15\n"
    + "west,west,2 Road,XX,America/New_York,seller,2026-10-02\n",
    "credentials.csv": "credential,customer\n" + "".join(f"key_{key},{key}\n" for key in PLACES),
    "subscriptions.csv": "subscription,customer,plan,start\n"
    + "".join(f"s-{k},{k},basic,{'2018-10-01' if k == 'sao' else '2026-09-01'}\n" for k in PLACES if k != "last")
    + "s-last,last,anchored,2026-01-31\n",
}
TAKEN = {
    "2026-11-20T12:04:00Z": ("2026-11-20", 1),
    "2026-11-19T12:00:00Z": ("2026-11-19", 2),
    "2026-10-15T12:00:00Z": ("2026-10-15", 4),
    "2026-10-31T23:59:60Z": ("2026-10-31", 8),
    "2026-10-31T23:59:59.999999999Z": ("2026-10-31", 16),
    "2026-11-01T14:00:00+14:00": ("2026-11-01", 32),
    "2024-02-29T12:00:00-00:00": ("2024-02-29", 64),
}
"""Time as written: the day of the customer in UTC to which it belongs, and its units."""
REFUSED = {
    "2026-11-20T12:06:00Z": "time_out_of_window",
    "2027-11-20T12:00:00Z": "time_out_of_window",
    "1970-01-01T00:00:00Z": "time_out_of_window",
    "0001-01-01T00:00:00Z": "time_out_of_window",
    "9999-12-31T23:59:59Z": "time_out_of_window",
    "2026-02-29T12:00:00Z": "bad_time",
    "2026-02-30T12:00:00Z": "bad_time",
    "2026-10-31T24:00:00Z": "bad_time",
    "2026-10-31T12:00:00+25:00": "bad_time",
    "infinity": "bad_time",
    "1793448000": "bad_time",
    "1793448000000": "bad_time",
    "1793448000000000": "bad_time",
    "1793448000000000000": "bad_time",
    "2026-10-31T12:00:00": "no_zone",
}


def use(key: str, time: str, customer: str, units: int) -> str:
    head = {"specversion": "1.0", "id": key, "source": "s", "type": "use", "subject": f"key_{customer}"}
    return json.dumps({**head, "time": time, "data": {"units": units}}) + "\n"


def hourly(first: str, hours: int) -> list[str]:
    """Half past each of so many real hours."""
    start = datetime.fromisoformat(first).replace(tzinfo=UTC) + HOUR / 2
    return [(start + n * HOUR).isoformat().replace("+00:00", "Z") for n in range(hours)]


CLOCK_CHANGES = {
    # 25 hours from midnight in New York; 23 of a day whose midnight doesn't exist; 23.5, of which the last has none.
    "york": hourly("2026-11-01T04:00:00", 25),
    "alias": hourly("2026-11-01T04:00:00", 25),
    "sao": hourly("2018-11-04T03:00:00", 23),
    "howe": hourly("2026-10-03T13:30:00", 23),
}
MOVES = hourly("2026-10-31T00:00:00", 48)


def lines() -> Iterator[str]:
    for time, (_, units) in TAKEN.items():
        yield use(f"taken-{time}", time, "plain", units)
    for time in REFUSED:
        yield use(f"refused-{time}", time, "plain", 1000)
    for customer, times in CLOCK_CHANGES.items():
        for time in times:
            yield use(f"{customer}-{time}", time, customer, 1)
    for time in MOVES:
        for customer in ("mover", "east", "west"):
            yield use(f"{customer}-{time}", time, customer, 1)
    for month in range(2, 11):
        yield use(f"last-{month}", f"2026-{month:02}-28T23:59:59.999999Z", "last", month)
    for month in range(2, 12):
        yield use(f"last-{month}-after", f"2026-{month:02}-01T00:00:00Z", "last", 100 * month)


def taken(home: Path) -> bool:
    return run(Context(Instance(home), parse_instant(NOW, "test"))).built


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once, and again after a customer has moved to another zone (see `moved`)."""
    home = tmp_path_factory.mktemp("time") / "home"
    files = {f"catalog/{name}": text for name, text in CATALOG.items()} | {"inbox/all.jsonl": "".join(lines())}
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text.lstrip())
    assert taken(home)
    return home


def days(home: Path, customer: str) -> dict[str, int]:
    query = "SELECT local_day::VARCHAR, sum(quantity)::INTEGER FROM marts.usage_daily WHERE customer ="
    return dict(rows(home, f"{query} '{customer}' GROUP BY 1 ORDER BY 1"))


def hours(home: Path, customer: str, day: str) -> list[tuple[Any, ...]]:
    return rows(
        home,
        "SELECT hour_start, quantity::INTEGER FROM marts.usage_hourly "
        f"WHERE customer = '{customer}' AND local_day = DATE '{day}' ORDER BY 1",
    )


def drafts(home: Path, customer: str) -> list[tuple[str, str, Decimal]]:
    return rows(
        home,
        "SELECT period_start::VARCHAR, period_end::VARCHAR, quantity FROM marts.invoice_draft_lines "
        f"WHERE customer = '{customer}' ORDER BY 1",
    )


def test_F27_F28_what_is_taken_counts_on_its_day_and_what_is_refused_nowhere(world: Path) -> None:
    expected: dict[str, int] = {}
    for day, units in TAKEN.values():
        expected[day] = expected.get(day, 0) + units
    assert days(world, "plain") == expected
    assert dict(rows(world, "SELECT reason, count(*) FROM marts.quarantine GROUP BY 1")) == {
        reason: list(REFUSED.values()).count(reason) for reason in set(REFUSED.values())
    }
    # The leap second and the last nanosecond are in October, whose last instant they are.
    assert [(start, int(q)) for start, _, q in drafts(world, "plain")] == [
        ("2026-09-01", 0),
        ("2026-10-01", 4 + 8 + 16),
        ("2026-11-01", 1 + 2 + 32),
    ]


def test_F29_a_day_of_25_hours_has_25_and_one_without_midnight_23(world: Path) -> None:
    for customer, day, first, count in (
        ("york", "2026-11-01", datetime(2026, 11, 1, 4), 25),
        ("sao", "2018-11-04", datetime(2018, 11, 4, 3), 23),
    ):
        assert hours(world, customer, day) == [(first + n * HOUR, 1) for n in range(count)]
        assert days(world, customer) == {day: count}


def test_F29_where_the_clock_moves_by_half_an_hour_one_hour_has_90_minutes(world: Path) -> None:
    found = hours(world, "howe", "2026-10-04")
    assert days(world, "howe") == {"2026-10-04": 23}
    lengths = [(b - a) // timedelta(minutes=1) for (a, _), (b, _) in pairwise(found)]
    assert sorted(lengths) == [60] * (len(lengths) - 1) + [90]


def test_F29_an_alias_is_its_zone_and_an_unknown_zone_is_refused(world: Path) -> None:
    assert days(world, "alias") == days(world, "york") == {"2026-11-01": 25}
    assert drafts(world, "alias") == drafts(world, "york")
    with pytest.raises(CatalogInvalid, match="Mars/Phobos"):
        parse_catalog({**CATALOG, "customers.csv": CATALOG["customers.csv"].replace("Pacific/Niue", "Mars/Phobos")})


def test_F31_periods_from_the_31st_are_clamped_and_share_no_day(world: Path) -> None:
    found = drafts(world, "last")
    starts = [date.fromisoformat(start) for start, _, _ in found]
    assert [(d.month, d.day) for d in starts] == [
        (1, 31), (2, 28), (3, 31), (4, 30), (5, 31), (6, 30), (7, 31), (8, 31), (9, 30), (10, 31),
    ]  # fmt: skip
    assert all(a[1] == b[0] for a, b in pairwise(found))
    # The 28th of February begins a period, so its last instant is in that one; elsewhere it is in the one before.
    expected = {"2026-01-31": 200, "2026-02-28": 2 + 300 + 3, "2026-03-31": 400 + 4, "2026-10-31": 1100}
    by_start = {start: int(quantity) for start, _, quantity in found}
    assert expected.items() <= by_start.items()
    assert sum(by_start.values()) == sum(month + 100 * month for month in range(2, 11)) + 1100


def test_F31_a_customer_who_moves_in_an_open_period_is_billed_each_event_once(world: Path) -> None:
    before = days(world, "mover")
    assert before == {"2026-10-30": 11, "2026-10-31": 24, "2026-11-01": 13}
    customers = world / "catalog" / "customers.csv"
    customers.write_text(
        customers.read_text().replace("mover,1 Road,XX,Pacific/Niue", "mover,1 Road,XX,Pacific/Kiritimati")
    )
    assert taken(world)
    after = days(world, "mover")
    assert after == {"2026-10-31": 10, "2026-11-01": 24, "2026-11-02": 14}
    lines = drafts(world, "mover")
    assert all(a[1] == b[0] for a, b in pairwise(lines))
    assert sum(quantity for *_, quantity in lines) == len(MOVES)


def test_F31_a_move_begins_with_the_next_period_at_the_midnight_of_the_old_zone(world: Path) -> None:
    # The day of the move has no length where the new clock is 25 hours ahead, and 38 hours where it is set back by 13.
    assert days(world, "east") == {"2026-10-30": 11, "2026-10-31": 24, "2026-11-02": 13}
    assert days(world, "west") == {"2026-10-31": 15, "2026-11-01": 33}
    for customer, october in (("east", 35), ("west", 15)):
        assert drafts(world, customer) == [
            ("2026-09-01", "2026-10-01", 0),
            ("2026-10-01", "2026-11-01", october),
            ("2026-11-01", "2026-12-01", len(MOVES) - october),
        ]
    assert all(quantity == 1 for _, quantity in hours(world, "west", "2026-11-01"))


# -- around a close ----------------------------------------------------------------------------------------------------


def october_lines(box: Box, table: str) -> list[tuple[Any, ...]]:
    where = "customer = 'hudson' AND charge = 'tokens' AND period_start = DATE '2026-10-01' AND kind = 'usage'"
    return box.sql(f"SELECT quantity::INTEGER, amount FROM {table} WHERE {where}")


def test_F26_what_comes_late_within_the_grace_is_in_its_period_and_is_issued_once(
    october_run: Box, tmp_path: Path
) -> None:
    box = october_run.copy(tmp_path / "home")
    [(before, _)] = october_lines(box, "marts.invoice_draft_lines")
    last = datetime(2026, 11, 1, 3, 59, 59, 999_999, tzinfo=UTC)
    box.put("tokens/late.jsonl", token_event("late", last, "hudson", 1000))
    box.do("run")
    assert [q for q, _ in october_lines(box, "marts.invoice_draft_lines")] == [before + 1000]
    box.do("close", "2026-10")
    assert [line["quantity"] for line in box.lines("hudson", "2026-11-01", "tokens")] == [str(before + 1000)]
    assert box.sql("SELECT count(*) FROM marts.invoice_draft_lines WHERE kind = 'correction'") == [(0,)]
    entries = [json.loads(body) for (body,) in box.ledger("SELECT body FROM journal WHERE kind = 'close' ORDER BY seq")]
    assert {entry["tzdata"] for entry in entries} == {zones.TZDATA_VERSION}
    # F31, of a closed period: no zone is changed behind its back.
    moved = SEPTEMBERS["customers.csv"].replace("America/New_York", "America/Los_Angeles")
    box.catalog("customers.csv", moved)
    said = box.do("run", code=7)
    assert "zone of 'hudson' was America/New_York" in said


def test_F29_zone_data_that_moves_the_clock_of_a_closed_period_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(Instance(tiny.make(tmp_path / "home")), parse_instant(tiny.NOW, "test"))
    run(context)
    assert len(close(context, parse_cut_off(tiny.MONTH)).documents) == 2
    monkeypatch.setattr(clocks, "TZDATA_VERSION", "2099z")
    run(context)  # Other zone data that agrees about what was closed is an ordinary upgrade.

    def later(zone: str, start: int, end: int) -> Iterator[zones.OffsetInterval]:
        moved = 1_000_000 if zone == "America/New_York" else 0
        return (replace(i, offset_us=i.offset_us + moved) for i in zones.offset_intervals(zone, start, end))

    monkeypatch.setattr(clocks, "offset_intervals", later)
    with pytest.raises(PeriodClosed, match="2099z has another clock for 'America/New_York' between 2024-10-01 and"):
        run(context)
