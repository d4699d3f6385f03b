"""Retractions on what ingest committed: which line each row takes out, what is reported, and what never changes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.catalog import Catalog, parse_catalog
from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.retractions import makers
from orchestration.engine import connect
from orchestration.ingest.lake import Lake
from orchestration.ingest.quarantined import Wanted
from orchestration.ingest.retry import retry
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.lakeview import create_line_views
from orchestration.metering.retractions import load_retractions

TEXTS = {
    "instance.yaml": "entities:\n  - {key: e, name: E, address: A}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*', format: cloudevents, properties: {n: data.n}}\n",
    "meters.yaml": "meters:\n  - {key: total, name: N, event_type: t, aggregation: sum, value: n}\n",
    "customers.csv": "customer,name,address,country,zone,entity\n",
    "credentials.csv": "credential,customer\n",
    "subscriptions.csv": "subscription,customer,plan,start\n",
}
BY = {"by": "reviewer", "on": "2026-11-02", "reason": "a test of theirs"}
BACK = {"restore": True}


def event(i: str, n: int, second: int = 0) -> str:
    time = f"2026-10-01T10:00:{second:02d}Z"
    return json.dumps({"id": i, "source": "s", "type": "t", "time": time, "subject": "k", "data": {"n": n}}) + "\n"


def log(*numbers: int) -> str:
    return "".join(
        f'10.0.0.1 - k{n} [01/Oct/2026:10:00:{n:02d} +0000] "GET /{n} HTTP/1.1" 200 {n} "-" "x"\n' for n in numbers
    )


def retracting(*rows: dict[str, Any], decisions: tuple[dict[str, Any], ...] = (), **lists: list[str]) -> Catalog:
    """A catalog with a reviewed row for each dict, each on one line from line 2 on; lists of ids of source `s`."""
    text = "retractions:\n" + "".join(f"  - {json.dumps(BY | row)}\n" for row in rows)
    made = TEXTS | ({"retractions.yaml": text} if rows else {})
    if decisions:
        listed = "".join(f"  - {json.dumps({'source': 's'} | BY | row)}\n" for row in decisions)
        made |= {"decisions.yaml": f"conflicts:\n{listed}"}
    choosers = makers(parse_catalog(made, unlisted=lists).retractions.rows)
    for name, ids in lists.items():
        head = json.dumps({"selection": choosers[name].selection, "events": len(ids)})
        made[f"retractions/{name}.jsonl"] = "\n".join([head, *(json.dumps(["s", i]) for i in ids), ""])
    return parse_catalog(made)


@pytest.fixture
def feed(make_source: Any) -> Any:
    return make_source(path="*.jsonl", format="cloudevents", properties={"n": "data.n"})


@pytest.fixture
def logs(make_source: Any) -> Any:
    return make_source(name="web", path="{gateway}/*.log*")


@pytest.fixture
def con(instance: Any, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(None, folders=[instance.home], temp=tmp_path / "temp") as connection:
        yield connection


def known(con: duckdb.DuckDBPyConnection, instance: Any, catalog: Catalog) -> list[tuple[Any, ...]]:
    """Load what is known, and return the lines that count: (file, line). No line has two verdicts."""
    lake, files = Lake(instance.home / "lake"), instance.ledger.files()
    load_conflicts(con, catalog, lake, files, instance.home / "scratch")
    load_retractions(con, catalog, lake, files, instance.home / "scratch")
    create_line_views(con, catalog, lake, files)
    twice = "SELECT file_id, line FROM lake.verdicts GROUP BY ALL HAVING count(*) > 1"
    assert con.execute(twice).fetchall() == []
    query = "SELECT file_id, line FROM lake.lines ANTI JOIN lake.verdicts USING (file_id, line) ORDER BY ALL"
    return con.execute(query).fetchall()


def retracted(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return con.execute("SELECT file_id, line, source, event_id FROM record.retracted").fetchall()


def said(con: duckdb.DuckDBPyConnection, column: str = "problem") -> list[str | None]:
    found = con.execute(f"SELECT {column} FROM record.retractions ORDER BY row_number").fetchall()
    return [text for (text,) in found]


@pytest.fixture
def twice(instance: Any, feed: Any) -> Any:
    """File 1: a, b, broken. File 2: a again, b with other contents, c."""
    instance.put("one.jsonl", event("a", 1) + event("b", 2, 1) + "no json\n")
    instance.run(feed)
    instance.put("two.jsonl", event("a", 1) + event("b", 5, 2) + event("c", 3, 3))
    instance.run(feed)
    return instance


def test_an_event_is_retracted_by_its_source_and_id_and_no_other_is(twice: Any, con: Any) -> None:
    assert known(con, twice, retracting()) == [(1, 1), (1, 2), (2, 3)]
    assert known(con, twice, retracting({"source": "s", "id": "a"})) == [(1, 2), (2, 3)]
    assert retracted(con) == [(1, 1, "s", "a")]
    row = con.execute("SELECT feed, credential, event_type, time_us FROM record.retracted").fetchall()
    assert row == [("gw", "k", "t", 1790848800000000)]
    assert known(con, twice, retracting({"source": "S", "id": "a"}, {"source": "s", "id": "A"})) == [
        (1, 1), (1, 2), (2, 3)
    ]  # fmt: skip
    assert said(con) == ["no such event is known"] * 2


def test_a_line_retracts_its_event_only_if_it_is_the_line_that_counts(twice: Any, con: Any) -> None:
    """Of a copy nothing is counted: to retract the event would take the usage of the line that is."""
    sha = {row.path: row.sha256 for row in twice.ledger.files()}
    assert known(con, twice, retracting({"path": "one.jsonl", "line": 1})) == [(1, 2), (2, 3)]
    assert known(con, twice, retracting({"sha256": sha["one.jsonl"], "line": 2})) == [(1, 1), (2, 3)]
    copies = ({"path": "two.jsonl", "line": 1}, {"sha256": sha["two.jsonl"], "line": 2})
    assert known(con, twice, retracting(*copies)) == [(1, 1), (1, 2), (2, 3)]
    file = f"one.jsonl ({sha['one.jsonl']})"
    assert said(con) == [
        f"the line is a duplicate of line 1 of {file}, which counts: name that line, or the event",
        f"the line is a conflict of line 2 of {file}, which counts: name that line, or the event",
    ]


def test_a_line_that_is_not_there_or_is_no_event_is_reported_and_changes_nothing(twice: Any, con: Any) -> None:
    rows = (
        {"path": "one.jsonl", "line": 3},
        {"path": "one.jsonl", "line": 4},
        {"path": "three.jsonl", "line": 1},
        {"path": "one.jsonl", "line": 1, "feed": "web"},
        {"path": "one.jsonl", "line": 1, "sha256": "0" * 64},
    )
    assert known(con, twice, retracting(*rows)) == [(1, 1), (1, 2), (2, 3)]
    assert said(con) == ["this line is no event", *["no file that was taken has this name and so many lines"] * 4]


def test_the_last_row_that_names_an_event_decides_and_only_a_row_ends_a_retraction(twice: Any, con: Any) -> None:
    a, listed = {"source": "s", "id": "a"}, {"name": "l", "feed": "gw"}
    assert known(con, twice, retracting(a, a | BACK)) == [(1, 1), (1, 2), (2, 3)]
    assert known(con, twice, retracting(a, a | BACK, {"path": "one.jsonl", "line": 1})) == [(1, 2), (2, 3)]
    assert known(con, twice, retracting(listed, a | BACK, l=["a", "c"])) == [(1, 1), (1, 2)]
    assert known(con, twice, retracting(listed, a | BACK, {"name": "l"}, l=["a", "c"])) == [(1, 2)]
    assert known(con, twice, retracting(listed, {"name": "l"} | BACK, l=["a", "c"])) == [(1, 1), (1, 2), (2, 3)]
    assert said(con) == [None, None]


def test_a_restoration_of_what_is_not_retracted_is_reported(twice: Any, con: Any) -> None:
    a, b = {"source": "s", "id": "a"}, {"source": "s", "id": "b"}
    known(con, twice, retracting(a, b | BACK, a | BACK, a | BACK, a))
    nothing = "nothing that it names was retracted before it"
    assert said(con) == [None, nothing, None, nothing, None]
    assert retracted(con) == [(1, 1, "s", "a")]


def test_it_holds_for_what_comes_later_whatever_it_holds(twice: Any, feed: Any, con: Any) -> None:
    catalog = retracting({"source": "s", "id": "a"}, {"source": "s", "id": "later"}, {"path": "x.jsonl", "line": 2})
    known(con, twice, catalog)
    assert said(con)[1:] == ["no such event is known", "no file that was taken has this name and so many lines"]
    twice.put("x.jsonl", event("a", 77, 5) + event("d", 1, 6) + event("later", 1, 7) + event("e", 1, 8))
    twice.run(feed)
    assert known(con, twice, catalog) == [(1, 2), (2, 3), (3, 4)]
    assert said(con) == [None, None, None]


def test_of_a_contested_event_the_payload_that_was_decided_on_is_taken_out_too(twice: Any, con: Any) -> None:
    known(con, twice, retracting())
    [(other,)] = con.execute("SELECT payload_hash FROM record.conflicts WHERE NOT counted").fetchall()
    decided = ({"id": "b", "counts": other},)
    assert known(con, twice, retracting(decisions=decided)) == [(1, 1), (2, 2), (2, 3)]
    for row in ({"source": "s", "id": "b"}, {"path": "one.jsonl", "line": 2}, {"path": "two.jsonl", "line": 2}):
        assert known(con, twice, retracting(row, decisions=decided)) == [(1, 1), (2, 3)]
        assert retracted(con) == [(2, 2, "s", "b")]
        assert said(con) == [None]


def test_lines_of_a_log_are_found_however_it_grew_was_renamed_or_compressed(instance: Any, logs: Any, con: Any) -> None:
    instance.put("g1/access.log", log(1, 2))
    instance.run(logs)
    instance.put("g1/access.log", log(1, 2, 3))
    instance.run(logs)
    (instance.inbox / "g1/access.log").unlink()
    instance.put("g1/access.log.1.gz", gzip.compress(log(1, 2, 3, 4).encode()))
    instance.run(logs)
    instance.put("g1/access.log.2.gz", gzip.compress(log(1, 2, 3, 4).encode(), 1))
    instance.run(logs)
    sha = [row.sha256 for row in instance.ledger.files()]
    assert len(sha) == 4
    rows = {
        2: [{"path": "g1/access.log", "line": 2}, {"sha256": sha[2], "line": 2}, {"sha256": sha[3], "line": 2}],
        3: [{"path": "g1/access.log", "line": 3}, {"path": "g1/access.log.1.gz", "line": 3}],
        4: [{"sha256": sha[2], "line": 4}, {"path": "g1/access.log.2.gz", "line": 4}],
    }
    places = {2: (1, 2), 3: (2, 3), 4: (3, 4)}
    whole = known(con, instance, retracting())
    assert whole == [(1, 1), (1, 2), (2, 3), (3, 4)]
    for line, naming in rows.items():
        [event_id] = [row["event_id"] for row in instance.events() if row["path"] == f"/{line}"]
        for row in [*naming, {"source": "web", "id": event_id}]:
            assert known(con, instance, retracting(row)) == [p for p in whole if p != places[line]], row
            assert (said(con), said(con, "note")) == ([None], [None])


def test_of_several_files_of_one_name_the_first_is_meant_for_ever_and_the_others_are_told(
    instance: Any, logs: Any, con: Any
) -> None:
    instance.put("g1/access.log", log(1, 2))
    instance.run(logs)
    catalog = retracting({"path": "g1/access.log", "line": 2})
    assert known(con, instance, catalog) == [(1, 1)]
    instance.put("g1/access.log", log(5, 6, 7))
    instance.run(logs)
    assert known(con, instance, catalog) == [(1, 1), (2, 1), (2, 2), (2, 3)]
    first, second = instance.ledger.files()
    [note] = said(con, "note")
    assert str(note).startswith(f"2 events stand at such a line; this is that of g1/access.log ({first.sha256}): ")
    assert known(con, instance, retracting({"sha256": second.sha256, "line": 2})) == [(1, 1), (1, 2), (2, 1), (2, 3)]
    assert said(con, "note") == [None]


def test_a_line_that_a_retry_took_up_is_found_at_its_place(instance: Any, feed: Any, con: Any) -> None:
    strict = feed.model_copy(update={"properties": {"n": "data.m"}, "quantity": "n"})
    instance.put("one.jsonl", event("a", 1) + event("b", 2, 1))
    assert instance.run(strict).quarantined == 2
    catalog = retracting({"path": "one.jsonl", "line": 2})
    assert known(con, instance, catalog) == []
    assert said(con) == ["this line is no event"]
    settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
    mended = feed.model_copy(update={"quantity": "n"})
    retry(instance.home, instance.ledger, settings, [mended], 1793491200000000, Wanted())
    assert known(con, instance, catalog) == [(2, 1)]
    assert known(con, instance, retracting({"source": "s", "id": "a"})) == [(2, 2)]
