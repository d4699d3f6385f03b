"""Retried lines enter as if they had been right at first: once, under the id they would have had, for ever."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.catalog.models import Entity, Settings
from orchestration.errors import ConfigInvalid, IntegrityFailure
from orchestration.ingest import rebuild_lake
from orchestration.ingest.batch import Workshop
from orchestration.ingest.quarantined import Wanted, listed, shown
from orchestration.ingest.retry import RetryReport, retry
from orchestration.ledger.store import Ledger

SETTINGS = Settings(entities=(Entity(key="e", name="E", address="A"),))
NOW = 1_793_491_200_000_000
HOUR = 3_600_000_000
COUNTS = ("accepted", "duplicate", "conflict", "quarantined", "blank")


def event(n: int, *, time: str = "2026-10-01T10:00:00Z", tokens: object = 1, **more: object) -> str:
    body = {"specversion": "1.0", "id": f"e{n}", "source": "s", "type": "t", "time": time}
    return json.dumps(body | {"data": {"tokens": tokens}} | more) + "\n"


def log(*numbers: int) -> str:
    return "".join(f'1.1.1.1 - k [01/Oct/2026:10:00:00 +0000] "GET /{n} HTTP/1.1" 200 1 "-" "x"\n' for n in numbers)


def local(*numbers: int) -> str:
    """Rows whose times name no zone."""
    return "".join(f'{{"at":"2026-10-01T10:00:{n:02d}","n":"{n}"}}\n' for n in numbers)


@pytest.fixture
def again(instance: Any) -> Callable[..., RetryReport]:
    def run(*sources: Any, now: int = NOW, dry_run: bool = False, **wanted: str) -> RetryReport:
        report = retry(instance.home, instance.ledger, SETTINGS, sources, now, Wanted(**wanted), dry_run=dry_run)
        for row in instance.ledger.files():
            assert row.lines == sum(getattr(row, name) for name in COUNTS)
        return report

    return run


@pytest.fixture
def feed(make_source: Any) -> Any:
    """Declares a field as its quantity that the gateway doesn't write."""
    return make_source(name="ce", path="ce/*", format="cloudevents", properties={"n": "data.count"}, quantity="n")


@pytest.fixture
def mended(feed: Any) -> Any:
    return feed.model_copy(update={"properties": {"n": "data.tokens"}})


@pytest.fixture
def clock(make_source: Any) -> Any:
    return make_source(path="{gateway}/*.log*", format="json_lines", fields={"time": "at"}, properties={"n": "n"})


@pytest.fixture
def zoned(clock: Any) -> Any:
    return clock.model_copy(update={"zone": "UTC"})


def totals(instance: Any) -> tuple[int, ...]:
    """Lines, then the buckets, over all rows of the ledger."""
    rows = instance.ledger.files()
    return tuple(sum(getattr(row, name) for row in rows) for name in ("lines", *COUNTS))


def lake_bytes(home: Path) -> dict[str, bytes]:
    files = sorted(p for p in (home / "lake").rglob("*") if p.is_file())
    return {str(p.relative_to(home)): p.read_bytes() for p in files}


def test_retried_lines_are_those_of_an_instance_in_which_they_were_right_at_first(
    instance: Any, again: Any, feed: Any, mended: Any, tmp_path: Path
) -> None:
    text = event(1) + event(2, tokens="2.5") + "not json\n" + event(2, tokens="2.5") + event(3) + event(3, tokens=9)
    instance.put("ce/a.jsonl", text)
    assert instance.run(feed).quarantined == 6
    report = again(mended)
    assert (report.batches, report.files, report.still) == ([2], 1, {"not_json": 1})
    assert report.entered == {
        ("bad_quantity", "accepted"): 3,
        ("bad_quantity", "duplicate"): 1,
        ("bad_quantity", "conflict"): 1,
    }
    right = type(instance)(tmp_path / "right")
    right.put("ce/a.jsonl", text)
    right.run(mended)
    assert totals(instance) == totals(right) == (6, 3, 1, 1, 1, 0)

    def of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name != "file_id"} for row in events]

    assert of(instance.events()) == of(right.events())


def test_a20_a_retry_is_judged_against_everything_that_came_meanwhile(
    instance: Any, again: Any, feed: Any, mended: Any
) -> None:
    instance.put("ce/a.jsonl", event(1) + event(2) + event(3))
    instance.run(feed)
    instance.put("ce/b.jsonl", event(1) + event(2, tokens=7))
    assert instance.run(mended).accepted == 2
    report = again(mended)
    assert {bucket: count for (_, bucket), count in report.entered.items()} == {
        "accepted": 1,
        "duplicate": 1,
        "conflict": 1,
    }
    assert sorted((row["event_id"], row["p_n"]) for row in instance.events()) == [("e1", "1"), ("e2", "7"), ("e3", "1")]
    instance.put("ce/c.jsonl", event(3))
    assert instance.run(mended).duplicate == 1


def test_a_second_retry_adds_nothing(instance: Any, again: Any, feed: Any, mended: Any) -> None:
    instance.put("ce/a.jsonl", event(1) + "not json\n" + event(2))
    instance.run(feed)
    again(mended)
    before, lake = instance.ledger.files(), lake_bytes(instance.home)
    report = again(mended)
    assert (report.batches, report.entered, report.still) == ([], {}, {"not_json": 1})
    assert instance.ledger.files() == before
    assert lake_bytes(instance.home) == lake
    assert instance.run(mended).batches == []


def test_lines_that_one_retry_left_behind_are_taken_by_a_later_one(
    instance: Any, again: Any, feed: Any, mended: Any
) -> None:
    future = "2026-11-01T02:00:00Z"
    instance.put("ce/a.jsonl", event(1) + event(2, time=future) + event(3))
    instance.run(feed)
    assert again(mended).still == {"time_out_of_window": 1}
    assert again(mended, now=NOW + 3 * HOUR).entered == {("time_out_of_window", "accepted"): 1}
    assert [(row.retry_of, row.accepted, row.quarantined) for row in instance.ledger.files()] == [
        (None, 0, 3),
        (1, 2, -2),
        (1, 1, -1),
    ]
    assert sorted(row["event_id"] for row in instance.events()) == ["e1", "e2", "e3"]


def test_a_retried_log_line_has_the_id_of_its_place_and_a_copy_adds_nothing(
    instance: Any, again: Any, clock: Any, zoned: Any, tmp_path: Path
) -> None:
    lines = local(1, 1) + "\n" + local(2)
    instance.put("g1/a.log", lines)
    assert (instance.run(clock).quarantined, instance.ledger.files()[0].blank) == (3, 1)
    assert again(zoned).entered == {("no_zone", "accepted"): 3}
    right = type(instance)(tmp_path / "right")
    right.put("g1/a.log", lines)
    right.run(zoned)
    assert [row["event_id"] for row in instance.events()] == [row["event_id"] for row in right.events()]
    instance.put("g1/copy.log", lines)
    instance.put("g1/a.log", lines + local(3))
    report = instance.run(zoned)
    assert (report.accepted, report.duplicate) == (1, 4)
    assert sorted(row["p_n"] for row in instance.events()) == ["1", "1", "2", "3"]


def test_of_a_log_that_has_grown_each_part_is_retried_once(instance: Any, again: Any, clock: Any, zoned: Any) -> None:
    instance.put("g1/a.log", local(1, 2))
    instance.run(clock)
    instance.put("g1/a.log", local(1, 2, 3))
    instance.run(clock)
    assert again(zoned).entered == {("no_zone", "accepted"): 3}
    assert sorted(row["line"] for row in instance.events()) == [1, 2, 3]
    assert totals(instance) == (5, 3, 2, 0, 0, 0)


def test_only_the_lines_that_were_asked_for_are_retried_and_come_back_alone(
    instance: Any, again: Any, feed: Any, mended: Any, clock: Any, zoned: Any
) -> None:
    instance.put("ce/a.jsonl", event(1) + event(2, time="2026-10-01T10:00:00"))
    instance.put("ce/b.jsonl", event(3))
    instance.put("g1/a.log", local(1))
    instance.run(feed, clock)
    sources = (mended.model_copy(update={"zone": "UTC"}), zoned)
    assert again(*sources, source="nobody").batches == []
    assert again(*sources, source="gw").entered == {("no_zone", "accepted"): 1}
    assert again(*sources, file="ce/a.jsonl", reason="bad_quantity").entered == {("bad_quantity", "accepted"): 1}
    before = lake_bytes(instance.home)
    shutil.rmtree(instance.home / "lake")
    assert rebuild_lake(instance.home, instance.ledger) == 5
    assert lake_bytes(instance.home) == before
    assert again(*sources, file="2").entered == {("bad_quantity", "accepted"): 1}
    assert again(*sources).entered == {("no_zone", "accepted"): 1}
    assert totals(instance) == (4, 4, 0, 0, 0, 0)


def test_a_dry_run_counts_and_changes_nothing(instance: Any, again: Any, feed: Any, mended: Any) -> None:
    instance.put("ce/a.jsonl", event(1) + event(1) + "not json\n")
    instance.run(feed)
    before, ledger = lake_bytes(instance.home), instance.ledger.files()
    report = again(mended, dry_run=True)
    assert report.entered == {("bad_quantity", "accepted"): 1, ("bad_quantity", "duplicate"): 1}
    assert (report.batches, report.still, report.files) == ([], {"not_json": 1}, 1)
    assert (lake_bytes(instance.home), instance.ledger.files()) == (before, ledger)


def test_any_missing_part_of_the_lake_comes_back_after_retries(
    instance: Any, again: Any, feed: Any, mended: Any, clock: Any, zoned: Any
) -> None:
    instance.put("ce/a.jsonl", event(1) + event(2, time="2026-11-01T02:00:00Z") + "not json\n" + event(1))
    instance.put("g1/a.log", local(1) + "garbage\n")
    instance.run(feed, clock)
    again(mended, zoned)
    again(mended, zoned, now=NOW + 3 * HOUR)
    instance.put("ce/b.jsonl", event(2))
    instance.run(mended, zoned, now=NOW + 3 * HOUR)
    before = lake_bytes(instance.home)
    for kind in ("events", "quarantine", "verdicts", "keys", "."):
        shutil.rmtree(instance.home / "lake" / kind)
        rebuild_lake(instance.home, instance.ledger)
        assert lake_bytes(instance.home) == before, kind


def test_a_retry_that_gives_other_counts_than_the_ledger_has_is_an_error(
    instance: Any, again: Any, feed: Any, mended: Any
) -> None:
    instance.put("ce/a.jsonl", event(1) + event(2))
    instance.run(feed)
    again(mended)
    instance.ledger.close()
    db = sqlite3.connect(instance.home / "ledger.sqlite")
    db.execute("DROP TRIGGER files_are_final")
    db.execute("UPDATE files SET accepted = 1, quarantined = -1 WHERE file_id = 2")
    db.commit()
    db.close()
    shutil.rmtree(instance.home / "lake")
    instance.ledger = Ledger.open(instance.home)
    with pytest.raises(IntegrityFailure, match="file 2 of batch 2"):
        rebuild_lake(instance.home, instance.ledger)


def test_no_retry_takes_more_lines_out_of_quarantine_than_there_are(
    instance: Any, again: Any, feed: Any, mended: Any
) -> None:
    instance.put("ce/a.jsonl", event(1) + event(2))
    instance.run(feed)
    again(mended)
    batch, (original, retried) = instance.ledger.batches()[-1], instance.ledger.files()
    for wrong in (
        replace(retried, file_id=3, batch_id=3, accepted=1, quarantined=-1),
        replace(retried, file_id=3, batch_id=3, retry_of=2),
        replace(retried, file_id=3, batch_id=3, retry_of=7),
        replace(retried, file_id=3, batch_id=3, accepted=0, quarantined=0),
        replace(original, file_id=3, batch_id=3),
    ):
        with pytest.raises(sqlite3.IntegrityError):
            instance.ledger.commit_batch(replace(batch, batch_id=3), [wrong], [], [])
    assert instance.ledger.files() == [original, retried]


def test_lines_that_would_not_be_the_same_lines_are_left_and_named(
    instance: Any, again: Any, feed: Any, make_source: Any
) -> None:
    instance.put("ce/a.jsonl", event(1) + event(2))
    instance.run(feed)

    def skipped(**changed: Any) -> str:
        report = again(make_source(name="ce", path="ce/*", **changed))
        assert report.batches == []
        (entry,) = report.skipped
        return str(entry.reason).split(":")[0]

    assert skipped(format="cloudevents_batch") == "other_lines"
    assert skipped(format="parquet", fields={"time": "time", "id": "id"}) == "other_lines"
    assert skipped(format="json_lines", fields={"time": "time"}) == "identity"
    assert skipped(format="csv", fields={"time": "time", "id": "id"}) == "bad_header"
    assert again(make_source(name="other")).skipped[0].reason.startswith("no_source")
    assert totals(instance) == (2, 0, 0, 0, 2, 0)


def test_a_format_that_was_wrong_can_be_mended_too(instance: Any, again: Any, make_source: Any) -> None:
    instance.put("g1/a.log", log(1, 2) + "garbage\n")
    instance.put("g1/b.log", event(1) + event(2))
    instance.run(make_source(path="*/a.log", format="caddy"), make_source(name="ce", path="*/b.log"))
    report = again(make_source(path="*/a.log", format="auto"), make_source(name="ce", format="cloudevents"))
    assert sum(report.entered.values()) == 4
    assert sorted(row["event_id"] for row in instance.events())[-2:] == ["e1", "e2"]
    assert [row["line"] for row in instance.events()] == [1, 2, 1, 2]


def test_the_header_of_a_file_that_was_read_by_a_wrong_format_is_no_event(
    instance: Any, again: Any, make_source: Any
) -> None:
    instance.put("a.csv", "id,at\nx1,2026-10-01T10:00:00Z\nx2,2026-10-01T10:00:00Z\n")
    fields = {"id": "id", "time": "at"}
    instance.run(make_source(format="json_lines", fields=fields))
    report = again(make_source(format="csv", fields=fields))
    assert (report.entered, report.still) == ({("not_json", "accepted"): 2}, {"blank": 1})
    assert totals(instance) == (3, 2, 0, 0, 1, 0)
    assert [(row["line"], row["event_id"]) for row in instance.events()] == [(2, "x1"), (3, "x2")]


def test_rows_of_a_table_are_retried_by_their_numbers(instance: Any, again: Any, make_source: Any) -> None:
    path = instance.put("a.parquet", b"")
    duckdb.execute(
        "COPY (SELECT 'x' || n AS id, '2026-10-01T10:00:0' || n AS at, n AS amount FROM range(3) AS r(n)) "
        f"TO '{path}' (FORMAT parquet)"
    )
    table = make_source(format="parquet", fields={"id": "id", "time": "at"}, properties={"n": "amount"}, quantity="n")
    assert instance.run(table).reasons == {"no_zone": 3}
    assert again(table.model_copy(update={"zone": "UTC"})).entered == {("no_zone", "accepted"): 3}
    assert [(row["line"], row["event_id"], row["p_n"]) for row in instance.events()] == [
        (1, "x0", "0"),
        (2, "x1", "1"),
        (3, "x2", "2"),
    ]


def test_a_retry_of_many_lines_is_cut_into_batches_that_know_each_other(
    instance: Any, again: Any, feed: Any, mended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.ingest.retry.MAX_BATCH_LINES", 2)
    instance.put("ce/a.jsonl", event(1) + event(2))
    instance.put("ce/b.jsonl", event(2) + event(3))
    instance.run(feed)
    report = again(mended)
    assert report.batches == [2, 3]
    assert report.entered == {("bad_quantity", "accepted"): 3, ("bad_quantity", "duplicate"): 1}
    assert sorted(row["event_id"] for row in instance.events()) == ["e1", "e2", "e3"]


def test_what_is_quarantined_can_be_listed_and_shown(instance: Any, again: Any, feed: Any, mended: Any) -> None:
    bad = b"\xff\x1b[2J \xe2\x80\xa8\r"
    instance.put("ce/a.jsonl", event(1).encode() + bad + b"\n" + b"not json\n")
    instance.put("ce/b.jsonl", event(2) + "{}\n")
    instance.run(feed)
    again(mended, file="ce/a.jsonl")
    shop = Workshop.of(instance.home, instance.ledger)

    def found(**wanted: str) -> list[tuple[str, str, int]]:
        return [(i.row.path, i.reason, i.lines) for i in listed(shop, instance.ledger, Wanted(**wanted))]

    assert found() == [
        ("ce/a.jsonl", "invalid_utf8", 1),
        ("ce/a.jsonl", "not_json", 1),
        ("ce/b.jsonl", "bad_quantity", 1),
        ("ce/b.jsonl", "missing_id", 1),
    ]
    assert found(reason="not_json", source="ce") == [("ce/a.jsonl", "not_json", 1)]
    assert found(source="other") == []
    lines = [(i.line, i.reason, i.raw) for i in shown(shop, instance.ledger, Wanted(file="1"), None)]
    assert lines == [(2, "invalid_utf8", bad), (3, "not_json", b"not json")]
    assert [i.line for i in shown(shop, instance.ledger, Wanted(file="ce/a.jsonl"), 3)] == [3]
    shutil.rmtree(instance.home / "lake" / "events")
    with pytest.raises(ConfigInvalid, match="the lake is not whole"):
        found()
