"""Decisions of conflicts on what ingest committed: which line counts, what is reported, and what never changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.catalog import Catalog, parse_catalog
from orchestration.engine import connect
from orchestration.ingest.lake import Lake
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.lakeview import create_event_views
from orchestration.metering.retractions import load_retractions

TEXTS = {
    "instance.yaml": "entities:\n  - {key: e, name: E, address: A}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*', format: cloudevents, properties: {n: data.n}}\n",
    "meters.yaml": "meters:\n  - {key: total, name: N, event_type: t, aggregation: sum, value: n}\n",
    "customers.csv": "customer,name,address,country,zone,entity\n",
    "credentials.csv": "credential,customer\n",
    "subscriptions.csv": "subscription,customer,plan,start\n",
}


def event(i: str, n: int, second: int = 0, who: str = "k") -> str:
    time = f"2026-10-01T10:00:{second:02d}Z"
    body = {"id": i, "source": "s", "type": "t", "time": time, "subject": who, "data": {"n": n}}
    return json.dumps(body, ensure_ascii=False) + "\n"


def decisions(*rows: dict[str, Any]) -> Catalog:
    """A catalog with a reviewed row for each dict, each on one line from line 2 on."""
    by = {"source": "s", "by": "reviewer", "on": "2026-11-02", "reason": "asked the sender"}
    text = "conflicts:\n" + "".join(f"  - {json.dumps(by | row, ensure_ascii=False)}\n" for row in rows)
    return parse_catalog(TEXTS | {"decisions.yaml": text} if rows else TEXTS)


@pytest.fixture
def feed(make_source: Any) -> Any:
    return make_source(format="cloudevents", properties={"n": "data.n"}, ignore=("bytes",))


@pytest.fixture
def con(instance: Any, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(None, folders=[instance.home], temp=tmp_path / "temp") as connection:
        yield connection


def known(con: duckdb.DuckDBPyConnection, instance: Any, catalog: Catalog) -> list[tuple[Any, ...]]:
    """Load what is known, and return the events that count: (file, line, id, n)."""
    lake, files = Lake(instance.home / "lake"), instance.ledger.files()
    load_conflicts(con, catalog, lake, files, instance.home / "scratch")
    load_retractions(con, catalog, lake, files, instance.home / "scratch")
    create_event_views(con, catalog, lake, files)
    return counting(con)


def counting(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """The events that count, of the files that the views read."""
    query = (
        "SELECT file_id, line, event_id, p_n::INTEGER FROM lake.events ANTI JOIN lake.verdicts USING (file_id, line)"
    )
    return con.execute(f"{query} ORDER BY ALL").fetchall()


def hash_of(con: duckdb.DuckDBPyConnection, file_id: int, line: int) -> str:
    query = f"SELECT payload_hash FROM record.conflicts WHERE (file_id, line) = ({file_id}, {line})"
    [(found,)] = con.execute(query).fetchall()
    return str(found)


def states(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return con.execute("SELECT file_id, line, counted, status FROM record.conflicts ORDER BY ALL").fetchall()


@pytest.fixture
def clash(instance: Any, feed: Any, con: duckdb.DuckDBPyConnection) -> Any:
    """Event `x` with 1, then 2 twice in one file at one time, then 2 again; `y` is nobody's rival."""
    instance.put("a.jsonl", event("x", 1) + event("y", 10))
    instance.run(feed)
    instance.put("b.jsonl", event("x", 2, 5) + event("x", 3, 1) + event("x", 2, 5) + event("y", 10))
    instance.run(feed)
    instance.put("c.jsonl", event("x", 2, 5))
    instance.run(feed)
    return instance


def test_33_without_a_decision_the_first_committed_counts_and_the_conflict_is_open(clash: Any, con: Any) -> None:
    assert known(con, clash, decisions()) == [(1, 1, "x", 1), (1, 2, "y", 10)]
    assert states(con) == [
        (1, 1, True, "open"),
        (2, 1, False, "open"),
        (2, 2, False, "open"),
        (2, 3, False, "open"),
        (3, 1, False, "open"),
    ]
    assert con.execute("SELECT * FROM record.decided").fetchall() == []


def test_33_a_decision_lets_one_line_of_the_named_payload_count_and_no_copy_of_it(clash: Any, con: Any) -> None:
    known(con, clash, decisions())
    catalog = decisions({"id": "x", "counts": hash_of(con, 3, 1)})
    # Of three equal lines the first by batch, time, file and line; the sum moves from 1 to 2, not to 6.
    assert known(con, clash, catalog) == [(1, 2, "y", 10), (2, 1, "x", 2)]
    assert con.execute("SELECT file_id, line, event_id, counts FROM record.decided ORDER BY ALL").fetchall() == [
        (1, 1, "x", False),
        (2, 1, "x", True),
    ]
    assert [(place[:2], s) for *place, _, s in states(con)] == [
        ([1, 1], "decided"),
        ([2, 1], "decided"),
        ([2, 2], "decided"),
        ([2, 3], "decided"),
        ([3, 1], "decided"),
    ]
    assert con.execute("SELECT place, problem FROM record.decisions").fetchall() == [("decisions.yaml:2", None)]


def test_33_a_decision_for_the_payload_that_counts_already_turns_nothing_around(clash: Any, con: Any) -> None:
    before = known(con, clash, decisions())
    assert known(con, clash, decisions({"id": "x", "counts": hash_of(con, 1, 1)})) == before
    assert {status for *_, status in states(con)} == {"decided"}
    assert con.execute("SELECT count(*) FROM record.decided").fetchall() == [(0,)]


def test_33_a_waiver_leaves_the_first_committed_and_says_so(clash: Any, con: Any) -> None:
    before = known(con, clash, decisions())
    assert known(con, clash, decisions({"id": "x", "waive": True})) == before
    assert {status for *_, status in states(con)} == {"waived"}


def test_33_what_comes_after_a_decision_changes_neither_it_nor_the_line_that_counts(
    clash: Any, con: Any, feed: Any
) -> None:
    known(con, clash, decisions())
    catalog = decisions({"id": "x", "counts": hash_of(con, 2, 2)})
    decided = known(con, clash, catalog)
    assert decided == [(1, 2, "y", 10), (2, 2, "x", 3)]
    clash.put("d.jsonl", event("x", 3, 1) + event("x", 1) + event("x", 4, 1))
    assert clash.run(feed).accepted == 0
    assert known(con, clash, catalog) == decided
    assert {status for *_, status in states(con)} == {"decided"}


def test_33_a_build_that_reads_some_of_the_files_counts_neither_payload_twice(clash: Any, con: Any) -> None:
    """An incremental build reads the days that new files touch: the other half of a decision may lie elsewhere."""
    known(con, clash, decisions())
    catalog = decisions({"id": "x", "counts": hash_of(con, 2, 1)})
    whole = known(con, clash, catalog)
    lake, parts = Lake(clash.home / "lake"), []
    for file in clash.ledger.files():
        create_event_views(con, catalog, lake, [file])
        parts += counting(con)
    assert parts == whole == [(1, 2, "y", 10), (2, 1, "x", 2)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_33_within_a_batch_no_order_of_files_changes_which_line_a_decision_lets_count(
    instance: Any, feed: Any, con: Any, order: tuple[int, ...]
) -> None:
    texts = [event("x", 1, 1), event("x", 2, 3), event("x", 2, 3) + event("z", 5)]
    for place, number in enumerate(order):
        instance.put(f"{place}.jsonl", texts[number])
    instance.run(feed)
    known(con, instance, decisions())
    [(named,)] = con.execute("SELECT DISTINCT payload_hash FROM record.conflicts WHERE NOT counted").fetchall()
    counted = known(con, instance, decisions({"id": "x", "counts": named}))
    assert sorted((i, n) for _, _, i, n in counted) == [("x", 2), ("z", 5)]


def test_34_ids_that_look_alike_are_decided_one_by_one(instance: Any, feed: Any, con: Any) -> None:
    alike = ["Key", "key", "key ", "k\u00e9y", "ke\u0301y", "007", "7"]
    instance.put("a.jsonl", "".join(event(i, 1) for i in alike))
    instance.run(feed)
    instance.put("b.jsonl", "".join(event(i, 2) for i in alike))
    instance.run(feed)
    known(con, instance, decisions())
    catalog = decisions({"id": "key", "counts": hash_of(con, 2, 2)}, {"id": "k\u00e9y", "waive": True})
    counted = known(con, instance, catalog)
    assert {i: n for _, _, i, n in counted} == {i: 2 if i == "key" else 1 for i in alike}
    found = con.execute("SELECT DISTINCT event_id, status FROM record.conflicts WHERE status <> 'open' ORDER BY ALL")
    assert found.fetchall() == [("key", "decided"), ("k\u00e9y", "waived")]


def test_a_decision_that_names_nothing_known_is_reported_with_its_line_and_changes_nothing(
    clash: Any, con: Any
) -> None:
    before = known(con, clash, decisions())
    rows = [
        {"id": "x", "counts": "ab" * 32},
        {"id": "y", "waive": True},
        {"id": "x", "source": "S", "counts": hash_of(con, 2, 1)},
    ]
    assert known(con, clash, decisions(*rows)) == before
    assert {status for *_, status in states(con)} == {"open"}
    assert con.execute("SELECT place, problem FROM record.decisions ORDER BY place").fetchall() == [
        ("decisions.yaml:2", f"no payload of this event has the hash {'ab' * 32}"),
        ("decisions.yaml:3", "no conflict is known of this event"),
        ("decisions.yaml:4", "no conflict is known of this event"),
    ]


def test_A1_the_same_id_at_another_time_is_decided_by_its_hash_and_counted_once(
    instance: Any, feed: Any, con: Any
) -> None:
    instance.put("a.jsonl", event("x", 1, 5))
    instance.run(feed)
    instance.put("b.jsonl", event("x", 1, 1))
    instance.run(feed)
    known(con, instance, decisions())
    assert known(con, instance, decisions({"id": "x", "counts": hash_of(con, 2, 1)})) == [(2, 1, "x", 1)]


def test_A2_no_decision_takes_a_row_out_of_the_lake(clash: Any, con: Any) -> None:
    def rows() -> list[Any]:
        return con.execute("SELECT file_id, line, event_id, p_n FROM lake.events ORDER BY ALL").fetchall()

    known(con, clash, decisions())
    before, verdicts = rows(), clash.verdicts()
    known(con, clash, decisions({"id": "x", "counts": hash_of(con, 2, 1)}))
    assert rows() == before
    assert len(before) == 7
    assert clash.verdicts() == verdicts
    keys = con.execute(
        "SELECT event_id, count(*) FROM lake.events ANTI JOIN lake.verdicts USING (file_id, line) GROUP BY 1 ORDER BY 1"
    )
    assert keys.fetchall() == [("x", 1), ("y", 1)]


def test_A3_a_copy_with_other_properties_is_settled_before_any_filter_and_adds_nothing(
    instance: Any, feed: Any, con: Any
) -> None:
    """A filter on `n` would meet both payloads, one in each of its buckets, if the copy were not out before."""
    instance.put("a.jsonl", "".join(event(str(i), i % 2) for i in range(6)))
    instance.run(feed)
    by_bucket = (
        "SELECT p_n, count(*) FROM lake.events ANTI JOIN lake.verdicts USING (file_id, line) GROUP BY 1 ORDER BY 1"
    )
    known(con, instance, decisions())
    before = con.execute(by_bucket).fetchall()
    instance.put("b.jsonl", "".join(event(str(i), (i + 1) % 2) for i in range(6)))
    instance.run(feed)
    known(con, instance, decisions())
    assert con.execute(by_bucket).fetchall() == before == [("0", 3), ("1", 3)]
    known(con, instance, decisions(*({"id": str(i), "counts": hash_of(con, 2, i + 1)} for i in range(2, 4))))
    assert con.execute(by_bucket).fetchall() == [("0", 3), ("1", 3)]
