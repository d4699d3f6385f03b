"""A file most of whose lines can't be read is held whole, and comes in whole once its mapping is right."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from orchestration.ingest.share import MIN_LINES


def event(n: int, *, name: str = "id") -> str:
    body = {"specversion": "1.0", name: f"e{n}", "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z"}
    return json.dumps(body) + "\n"


def events(good: int, bad: int) -> str:
    """Events with an id, then some whose id has been renamed."""
    return "".join(event(n) for n in range(good)) + "".join(event(good + n, name="uid") for n in range(bad))


def log(*numbers: int) -> str:
    return "".join(f'1.1.1.1 - k [01/Oct/2026:10:00:00 +0000] "GET /{n} HTTP/1.1" 200 1 "-" "x"\n' for n in numbers)


GARBAGE = "".join(f"garbage {n}\n" for n in range(97))


@pytest.fixture
def feed(make_source: Any) -> Any:
    return make_source(name="ce", path="ce/*", format="cloudevents", hold_above_percent=50)


@pytest.fixture
def logs(make_source: Any) -> Any:
    return make_source(path="{gateway}/*.log*", hold_above_percent=50)


def test_F42_a_file_whose_id_was_renamed_is_held_whole_and_nothing_else_waits(instance: Any, feed: Any) -> None:
    instance.put("ce/a.jsonl", events(3, 97))
    instance.put("ce/b.jsonl", event(500))
    report = instance.run(feed)
    reason = "quarantine_share: 97 of 100 lines (missing_id 97)"
    assert [(held.path, held.reason) for held in report.held] == [("ce/a.jsonl", reason)]
    assert (report.exit_code, report.files, report.lines, report.accepted, report.quarantined) == (3, 1, 1, 1, 0)
    assert [(row.path, row.status, row.reason) for row in instance.ledger.held()] == [("ce/a.jsonl", "held", reason)]
    assert [row["event_id"] for row in instance.events()] == ["e500"]
    assert instance.quarantine() == []


def test_F42_a_held_file_leaves_nothing_and_is_tried_on_every_run(instance: Any, feed: Any) -> None:
    instance.put("ce/a.jsonl", events(3, 97))
    for _ in range(2):
        report = instance.run(feed)
        assert (report.batches, report.notices, len(report.held)) == ([], [], 1)
        assert [p for p in (instance.home / "lake").rglob("*") if p.name != "engine" and p.is_file()] == []
    assert (instance.ledger.files(), instance.ledger.batches()) == ([], [])


def test_F42_a_mended_mapping_takes_the_held_file_whole(instance: Any, feed: Any, make_source: Any) -> None:
    instance.put("ce/a.jsonl", events(0, 100))
    instance.run(feed)
    mended = make_source(name="ce", path="ce/*", format="json_lines", fields={"id": "uid", "time": "time"})
    report = instance.run(mended)
    assert (report.accepted, report.quarantined, report.held, instance.ledger.held()) == (100, 0, [], [])
    assert sorted(row["event_id"] for row in instance.events()) == sorted(f"e{n}" for n in range(100))


def test_F42_a_held_file_does_not_decide_which_copy_of_an_event_counts(instance: Any, feed: Any) -> None:
    """Its event would be the first; a conflict with it, or a duplicate of it, would lose the other."""
    instance.put("ce/a.jsonl", events(3, 97))
    instance.put("ce/b.jsonl", event(0) + event(1).replace('"t"', '"other"'))
    report = instance.run(feed)
    assert (report.accepted, report.duplicate, report.conflict) == (2, 0, 0)
    instance.put("ce/a.jsonl", events(3, 0))
    report = instance.run(feed)
    assert (report.accepted, report.duplicate, report.conflict) == (1, 1, 1)


@pytest.mark.parametrize(
    ("good", "bad", "percent", "held"),
    [
        (50, 50, 50, False),
        (49, 51, 50, True),
        (0, MIN_LINES - 1, 50, False),
        (0, MIN_LINES, 50, True),
        (0, 100, 100, False),
        (99, 1, 0, True),
        (100, 0, 0, False),
    ],
)
def test_F42_the_share_is_compared_exactly_and_of_few_lines_it_says_nothing(
    good: int, bad: int, percent: int, held: bool, instance: Any, feed: Any
) -> None:
    instance.put("ce/a.jsonl", events(good, bad) + "\n" * 500)
    report = instance.run(feed.model_copy(update={"hold_above_percent": percent}))
    taken = (0, 0, 0) if held else (good, bad, 500)
    assert ((report.accepted, report.quarantined, report.blank), len(report.held)) == (taken, int(held))


def test_F42_lines_recognised_as_something_else_count_on_neither_side(instance: Any, logs: Any) -> None:
    error = "2026/10/01 10:00:00 [error] 7#7: *1 connect() failed\n"
    instance.put("g1/a.log", log(*range(15)) + "garbage\n" * 5 + error * 100)
    report = instance.run(logs)
    assert (report.held, report.accepted, report.reasons["not_a_request"]) == ([], 15, 100)
    instance.put("g1/b.log", log(99, *range(4)) + "garbage\n" * 15 + error * 100)
    report = instance.run(logs)
    assert [h.reason.split(" (")[0] for h in report.held] == ["quarantine_share: 15 of 20 lines"]


def test_F42_of_a_log_that_grows_only_the_new_lines_are_judged(instance: Any, logs: Any) -> None:
    instance.put("g1/a.log", log(*range(200)))
    instance.run(logs)
    grown = log(*range(200)) + GARBAGE
    instance.put("g1/a.log", grown)
    report = instance.run(logs)
    assert [h.reason.split(" (")[0] for h in report.held] == ["quarantine_share: 97 of 97 lines"]
    assert [t.consumed_lines for t in instance.ledger.tapes("gw?gateway=g1", "", "g1/a.log")] == [200]
    instance.put("g1/a.log", grown + log(*range(200, 400)))
    report = instance.run(logs)
    assert (report.accepted, report.duplicate, report.quarantined, report.held) == (200, 200, 97, [])
    assert len(instance.events()) == 400


def test_F42_a_log_behind_a_held_one_is_placed_without_it_and_its_lines_are_counted_once(
    instance: Any, logs: Any
) -> None:
    """The first is held, the second continues it with enough good lines, the third is its shorter copy."""
    instance.put("g1/a.log", log(1, 2, 3) + GARBAGE)
    instance.put("g1/b.log", log(1, 2, 3) + GARBAGE + log(*range(4, 150)))
    instance.put("g1/c.log", log(1, 2))
    report = instance.run(logs)
    assert ([h.path for h in report.held], report.deferred) == (["g1/a.log"], [])
    assert [(row.path, row.first_line) for row in instance.ledger.files()] == [("g1/b.log", 1), ("g1/c.log", 3)]
    assert (report.accepted, report.quarantined, report.duplicate) == (149, 97, 2)
    report = instance.run(logs)
    assert (report.accepted, report.duplicate, report.held, instance.ledger.held()) == (0, 100, [], [])
    assert sorted(int(row["path"][1:]) for row in instance.events()) == list(range(1, 150))


def test_F42_a_file_before_the_held_one_keeps_its_place_on_the_log(instance: Any, logs: Any) -> None:
    instance.put("g1/a.log", log(1, 2))
    instance.put("g1/b.log", log(1, 2) + GARBAGE)
    report = instance.run(logs)
    assert (report.accepted, [h.path for h in report.held]) == (2, ["g1/b.log"])
    (tape,) = instance.ledger.tapes("gw?gateway=g1", "", "g1/a.log")
    assert (tape.consumed_lines, tape.path) == (2, "g1/a.log")
    instance.put("g1/c.log", log(1, 2, 3))
    assert (instance.run(logs).accepted, len(instance.events())) == (1, 3)


def test_F42_a_copy_of_a_held_file_is_not_settled_as_its_duplicate(instance: Any, feed: Any, make_source: Any) -> None:
    """Else the lines would be lost when the held one goes and the copy stays."""
    held = instance.put("ce/a.jsonl", events(0, 100))
    instance.put("ce/copy.jsonl", events(0, 100))
    report = instance.run(feed)
    assert ([h.path for h in report.held], report.notices) == (["ce/a.jsonl", "ce/copy.jsonl"], [])
    held.unlink()
    mended = make_source(name="ce", path="ce/*", format="json_lines", fields={"id": "uid", "time": "time"})
    assert instance.run(mended).accepted == 100


def test_F42_what_was_taken_beside_a_held_file_comes_back_with_the_same_bytes(instance: Any, feed: Any) -> None:
    instance.put("ce/a.jsonl", events(3, 97))
    instance.put("ce/b.jsonl", event(500) + event(500) + "bad\n")
    instance.run(feed)
    files = {p: p.read_bytes() for p in sorted((instance.home / "lake").rglob("*")) if p.is_file()}
    shutil.rmtree(instance.home / "lake")
    assert instance.run(feed).rebuilt == 1
    assert {p: p.read_bytes() for p in sorted((instance.home / "lake").rglob("*")) if p.is_file()} == files
