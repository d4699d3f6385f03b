"""Traps A1 to A20: events counted twice or not at all, as happened to others. Further tests of them stand elsewhere:

A4, A6, A14 in test_rebuild and test_kill, A8 in test_tapes, A15 in test_concurrency, A17 in test_late_and_conflicts,
A19 in test_documents.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from billing_make import charge, segment, terms, used
from inbox import Instance
from instances import rows
from tiny import CATALOG

from orchestration.billing.rating import rate
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.ingest import batch
from orchestration.ingest.rebuild import rebuild_lake
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance as Home
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant


def event(key: str, time: str = "2026-10-01T10:00:00Z", kind: str = "t", subject: str = "k", **data: Any) -> str:
    body = {"specversion": "1.0", "id": key, "source": "s", "type": kind, "time": time, "subject": subject}
    return json.dumps(body | {"data": data}) + "\n"


def log(*numbers: int) -> str:
    return "".join(f'1.1.1.1 - k [01/Oct/2026:10:00:00 +0000] "GET /{n} HTTP/1.1" 200 1 "-" "x"\n' for n in numbers)


@pytest.fixture
def feed(make_source: Any) -> Any:
    return make_source(format="cloudevents", properties={"n": "data.n", "kind": "data.kind"})


def counted(instance: Any) -> dict[str, Any]:
    return {row["event_id"]: (row["time_us"], row["p_n"]) for row in instance.events()}


def test_A1_a_retry_with_a_new_timestamp_is_no_second_event(instance: Any, feed: Any) -> None:
    instance.put("a.jsonl", event("1", n=1))
    instance.run(feed)
    before = counted(instance)
    times = [f"2026-10-0{day}T10:00:00Z" for day in range(2, 8)]
    for number, time in enumerate(times):
        instance.put(f"retry{number}.jsonl", event("1", time, n=1))
    report = instance.run(feed)
    assert (report.accepted, report.conflict) == (0, len(times))
    assert counted(instance) == before


def test_A2_A3_a_copy_with_other_properties_changes_no_total_and_removes_no_other(instance: Any, feed: Any) -> None:
    """What differs would put the copy under another filter or group: judged after those, it would count again."""
    first = "".join(event(str(n), kind="ab"[n % 2], n=n) for n in range(20))
    instance.put("a.jsonl", first)
    instance.run(feed)
    before = counted(instance)
    instance.put("b.jsonl", "".join(event(str(n), kind="ba"[n % 2], n=n) for n in range(20)))
    instance.put("c.jsonl", "".join(event(str(n), kind="ab"[n % 2], n=n) for n in reversed(range(20))))
    report = instance.run(feed)
    assert (report.accepted, report.duplicate, report.conflict) == (0, 20, 20)
    assert counted(instance) == before
    keys = {row["event_id"] for row in instance._lake("events")}
    assert keys == set(before) and len(instance._lake("events")) == 60


def test_A4_A6_a_batch_that_fails_leaves_no_key_claimed_and_no_file_half_taken(
    instance: Any, feed: Any, monkeypatch: Any
) -> None:
    for number in range(4):
        instance.put(f"{number}.jsonl", event(str(number), n=1) + event("shared", n=1))
    # One portion a file, as if none were small.
    monkeypatch.setattr(batch, "small", lambda task: False)
    real, calls = batch.parse_files, itertools.count(1)

    def fails_at_the_third(*args: Any) -> Any:
        if next(calls) == 3:
            raise MemoryError("as if")
        return real(*args)

    monkeypatch.setattr(batch, "parse_files", fails_at_the_third)
    with pytest.raises(MemoryError):
        instance.run(feed)
    assert (instance.ledger.files(), instance.ledger.batches()) == ([], [])
    monkeypatch.undo()
    report = instance.run(feed)
    assert (report.files, report.accepted, report.duplicate) == (4, 5, 3)


def test_A5_a_missing_part_of_an_event_doubles_nothing(instance: Any, feed: Any, make_source: Any) -> None:
    """NULL is equal to nothing: neither a key nor a payload may rest on it."""
    bare = json.dumps({"id": "1", "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z"}) + "\n"
    instance.put("a.jsonl", bare + bare)
    instance.run(feed)
    instance.put(
        "b.jsonl", bare.replace("}", ', "subject": null, "data": null}') + bare.replace('"id"', '"x": 1, "id"')
    )
    report = instance.run(feed)
    assert (report.accepted, report.duplicate, report.conflict) == (0, 2, 0)
    instance.put("../table/a.csv", "id,at,who\n,2026-10-01T10:00:00Z,k\n,2026-10-01T10:00:00Z,k\n")
    fields = {"id": "id", "time": "at", "credential": "who"}
    report = instance.run(make_source(name="table", root="table", path="*", format="csv", fields=fields))
    assert (report.accepted, report.reasons) == (0, {"missing_id": 2})


def test_A7_a_charge_prices_one_meter_and_each_unit_in_one_tier() -> None:
    """A charge has no filters of its own: two that overlap can't both take an event."""
    assert not {"filter", "filters"} & Charge.model_fields.keys()
    tiers = ({"up_to": "10", "price": "1"}, {"up_to": "20", "price": "0.5"}, {"price": "0.1"})
    meter = Meter(key="calls", name="Calls", event_type="request", aggregation="count")
    for quantity in (0, 1, 10, 11, 20, 21, 1000):
        line = rate(terms(charge("graduated", tiers=tiers)), segment(), used(("2026-10-05", quantity)), meter)
        parts = [Decimal(detail["quantity"]) for detail in line.formula["details"] if detail["part"] == "units"]
        assert sum(parts) == quantity == line.measured


def test_A8_a_reread_or_repacked_log_gives_the_ids_it_gave(instance: Any, make_source: Any) -> None:
    logs = make_source(path="{gateway}/*")
    instance.put("g/a.log", log(1, 1, 2))
    instance.run(logs)
    ids = [row["event_id"] for row in instance.events()]
    assert len(set(ids)) == 3
    for level in (1, 9):
        instance.put(f"g/a{level}.log.gz", gzip.compress(log(1, 1, 2).encode(), level))
    assert instance.run(logs).accepted == 0
    assert [row["event_id"] for row in instance.events()] == ids
    rebuild_lake(instance.home, instance.ledger)
    assert [row["event_id"] for row in instance.events()] == ids


def test_A9_a_retry_in_the_next_period_counts_in_neither_twice(instance: Any, feed: Any) -> None:
    september = [event(str(n), "2026-09-30T23:59:59Z", n=n) for n in range(5)]
    instance.put("2026-09.jsonl", "".join(september))
    instance.run(feed)
    instance.put("2026-10.jsonl", september[4] + event("5", "2026-10-01T00:00:00Z", n=5) + september[0])
    report = instance.run(feed)
    assert (report.accepted, report.duplicate) == (1, 2)
    assert {key: n for key, (_, n) in counted(instance).items()} == {str(n): str(n) for n in range(6)}


def test_A10_a_delivery_of_duplicates_alone_is_a_success_and_does_not_come_back(instance: Any, feed: Any) -> None:
    instance.put("a.jsonl", event("1", n=1))
    instance.run(feed)
    instance.put("b.jsonl", event("1", n=1) * 3)
    report = instance.run(feed)
    assert (report.duplicate, report.exit_code, report.held) == (3, 0, [])
    report = instance.run(feed)
    assert (report.batches, report.lines, report.exit_code) == ([], 0, 0)


def test_A11_equal_times_of_events_and_of_files_skip_and_repeat_nothing(instance: Any, feed: Any) -> None:
    for turn in range(3):
        for number in range(3):
            path = instance.put(f"{turn}-{number}.jsonl", event(f"{turn}.{number}", n=1) + event(f"{turn}", n=1))
            os.utime(path, (1_700_000_000, 1_700_000_000))
        report = instance.run(feed)
        assert (report.accepted, report.duplicate) == (4, 2)
    # A file that comes late under an earlier name and with an older time is seen all the same.
    path = instance.put("0-0-late.jsonl", event("late", n=1))
    os.utime(path, (1, 1))
    assert instance.run(feed).accepted == 1
    assert len(counted(instance)) == 13


def test_A12_A20_any_order_of_deliveries_and_any_rerun_counts_the_same(
    tmp_path: Path, feed: Any, new_instance: Callable[[Path], Any]
) -> None:
    """A back-fill takes the way that every file takes."""
    files = {f"{n}.jsonl": "".join(event(str(m), n=m) for m in range(n, n + 4)) for n in range(3)}
    seen = set()
    for number, order in enumerate([(0, 1, 2), (2, 0, 1)]):
        instance = new_instance(tmp_path / str(number))
        for place in order:
            name = f"{place}.jsonl"
            instance.put(name, files[name])
            instance.run(feed)
            # The same partition is delivered again, under another name.
            instance.put(f"backfill/{name}", "".join(reversed(files[name].splitlines(keepends=True))))
            assert instance.run(feed).accepted == 0
        seen.add(tuple(sorted(counted(instance).items())))
    assert len(seen) == 1 and len(next(iter(seen))) == 6


@pytest.fixture
def new_instance() -> Any:
    made: list[Any] = []

    def new(home: Path) -> Any:
        made.append(Instance(home))
        return made[-1]

    yield new
    for instance in made:
        instance.ledger.close()


# -- what is counted and billed of a month ------------------------------------------------------------------------

NOW = "2026-11-05T09:00:00Z"
METERS = """
meters:
  - {key: calls, name: Calls, event_type: call, aggregation: count}
  - {key: cloud, name: Cloud, event_type: call, aggregation: count,
     filter: {field: provider, op: in, value: [aws, gcp]}}
  - {key: aws, name: AWS, event_type: call, aggregation: count, filter: {field: provider, op: eq, value: aws}}
  - {key: output, name: Output tokens, event_type: call, aggregation: sum, value: output}
  - {key: reasoning, name: Reasoning tokens in them, event_type: call, aggregation: sum, value: reasoning}
  - {key: users, name: Users, event_type: call, aggregation: unique_count, value: user}
  - {key: seats, name: Seats, event_type: seats, aggregation: max, value: output}
"""
PLAN = """
key: basic
name: Basic
currency: USD
versions:
  - effective: 2026-01-01
    charges:
      - {key: calls, name: Calls, model: graduated, meter: calls, tiers: [{up_to: "3", price: "1"}, {price: "0.5"}]}
      - {key: output, name: Output, model: per_unit, meter: output, price: "0.01"}
"""
SOURCES = """
sources:
  - name: app
    path: "*.jsonl"
    format: cloudevents
    fields: {user: data.user}
    properties: {provider: data.provider, output: data.output, reasoning: data.reasoning}
"""
CUSTOMERS = """customer,name,address,country,zone,entity
alpha,Alpha,1 Road,IN,Asia/Kolkata,seller
beta,Beta,2 Road,US,America/New_York,seller
"""
CREDENTIALS = """credential,customer,valid_from,valid_to
key_a,alpha,,
key_moved,alpha,,2026-10-15T00:00:00Z
key_moved,beta,2026-10-15T00:00:00Z,
key_later,beta,2026-10-20T00:00:00Z,
"""


def call(key: str, day: str, subject: str, **data: Any) -> str:
    return event(key, f"2026-10-{day}Z", "call", subject, **data)


# fmt: off
EVENTS = [
    # Two ask at one instant, one of them twice; then nothing for ten days.
    call("1", "02T10:00:00", "key_a", user="u1", provider="aws", output="100", reasoning="30"),
    call("2", "02T10:00:00", "key_a", user="u2", provider="gcp", output="50", reasoning="50"),
    call("3", "02T10:00:00", "key_a", user="u1", provider="azure", output="1.5", reasoning="0"),
    call("4", "13T10:00:00", "key_a", user="u3", provider="aws", output="7"),
    # The same property is wrong for one meter only.
    call("5", "13T10:00:00", "key_a", user="u3", provider="aws", output="1e3", reasoning="2"),
    # The key goes from one to the other; another is not yet anybody's; a third never was.
    call("6", "14T23:59:59.999999", "key_moved", output="10", reasoning="1"),
    call("7", "15T00:00:00", "key_moved", output="20", reasoning="2"),
    call("8", "19T23:59:59.999999", "key_later", output="40", reasoning="4"),
    call("9", "20T00:00:00", "key_later", output="80", reasoning="8"),
    call("10", "05T00:00:00", "key_ghost", output="160", reasoning="16"),
    # Equal times and equal peaks.
    event("s1", "2026-10-09T09:00:00Z", "seats", "key_a", output="4"),
    event("s2", "2026-10-09T09:00:00Z", "seats", "key_a", output="4"),
    event("s3", "2026-10-21T09:00:00Z", "seats", "key_a", output="3"),
]
# fmt: on


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """October of two customers, built once, each event delivered two times. Nobody writes to it."""
    home = tmp_path_factory.mktemp("month") / "home"
    files = {
        "catalog/instance.yaml": CATALOG["instance.yaml"],
        "catalog/sources.yaml": SOURCES,
        "catalog/meters.yaml": METERS,
        "catalog/plans/basic.yaml": PLAN,
        "catalog/customers.csv": CUSTOMERS,
        "catalog/credentials.csv": CREDENTIALS,
        "catalog/subscriptions.csv": "subscription,customer,plan,start\nsub-a,alpha,basic,2026-10-01\n"
        "sub-b,beta,basic,2026-10-01\n",
        "inbox/a.jsonl": "".join(EVENTS),
        "inbox/b.jsonl": "".join(reversed(EVENTS)),
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text.lstrip())
    assert run(Context(Home(home), parse_instant(NOW, "test"))).built
    return home


def monthly(home: Path, meter: str) -> dict[str, Decimal]:
    found = rows(home, f"SELECT customer, sum(quantity) FROM marts.usage_monthly WHERE meter = '{meter}' GROUP BY 1")
    return {customer: quantity.normalize() for customer, quantity in found}


def test_A3_A7_filters_that_overlap_count_an_event_once_each(month: Path) -> None:
    assert monthly(month, "calls") == {"alpha": 6, "beta": 2}
    assert monthly(month, "cloud") == {"alpha": 4}
    assert monthly(month, "aws") == {"alpha": 3}
    calls = rows(month, "SELECT customer, quantity FROM marts.invoice_draft_lines WHERE charge = 'calls' "
                        "AND period_start = DATE '2026-10-01' ORDER BY 1")  # fmt: skip
    assert calls == [("alpha", 6), ("beta", 2)]


def test_A13_days_without_events_are_no_days_of_the_last_value(month: Path) -> None:
    days = rows(month, "SELECT local_day::VARCHAR, sum(quantity) FROM marts.usage_daily WHERE customer = 'alpha' "
                       "AND meter = 'output' GROUP BY 1 ORDER BY 1")  # fmt: skip
    assert days == [("2026-10-02", Decimal("151.5")), ("2026-10-13", 7), ("2026-10-15", 10)]
    assert monthly(month, "output") == {"alpha": Decimal("168.5"), "beta": 100}


def test_A16_events_of_one_instant_are_all_counted(month: Path) -> None:
    users = rows(month, "SELECT customer, active_users FROM marts.active_users_monthly ORDER BY 1")
    assert users == [("alpha", 3), ("beta", 0)]
    marks = rows(month, "SELECT max(quantity) FROM marts.usage_monthly WHERE meter = 'seats'")
    assert marks == [(4,)]


def test_A18_a_count_that_is_part_of_another_is_measured_beside_it_and_never_added(month: Path) -> None:
    """Which of the two is billed is for the plan to say: this one prices the whole and not the part."""
    whole, part = monthly(month, "output"), monthly(month, "reasoning")
    assert part == {"alpha": 83, "beta": 10}
    assert all(part[customer] <= whole[customer] for customer in part)
    lines = rows(month, "SELECT DISTINCT charge FROM marts.invoice_draft_lines ORDER BY 1")
    assert lines == [("calls",), ("output",)]


def test_F36_a_key_belongs_to_whoever_had_it_at_the_time_of_the_event_and_to_nobody_before(month: Path) -> None:
    found = rows(month, "SELECT credential, events FROM marts.unattributed_usage ORDER BY 1")
    assert found == [("key_ghost", 1), ("key_later", 1)]
    assert monthly(month, "output")["beta"] == 20 + 80


def test_F37_a_bad_property_of_one_meter_costs_no_other_meter_a_unit(month: Path) -> None:
    unmeasured = rows(
        month, "SELECT customer, meter, sum(events) FROM metering.unmeasured_daily GROUP BY ALL ORDER BY 1, 2"
    )
    assert unmeasured == [
        ("alpha", "output", 1),
        ("alpha", "reasoning", 1),
        ("alpha", "users", 1),
        ("beta", "users", 2),
    ]
