"""Events with ids: once for ever, conflicts kept, and no order of files that changes anything."""

from __future__ import annotations

import gzip
import itertools
import json
from typing import Any

import pytest


def event(i: str, second: int = 0, **data: Any) -> str:
    time = f"2026-10-01T10:00:{second:02d}Z"
    return json.dumps({"id": i, "source": "s", "type": "t", "time": time, "subject": "k", "data": data}) + "\n"


@pytest.fixture
def feed(make_source: Any) -> Any:
    return make_source(format="cloudevents", properties={"n": "data.n", "note": "data.note"}, ignore=("note",))


def test_F32_a_duplicate_is_counted_once_within_a_batch_and_for_ever(instance: Any, feed: Any) -> None:
    instance.put("a.jsonl", event("1", n=1) * 5)
    assert (instance.run(feed).accepted, instance.ledger.files()[0].duplicate) == (1, 4)
    instance.put("b.jsonl", event("1", n=1) + event("2", n=1))
    report = instance.run(feed)
    assert (report.accepted, report.duplicate, report.conflict) == (1, 1, 0)
    instance.put("c.jsonl", event("1", n=1) + event("2", n=1) + " \n")
    third = instance.run(feed)
    assert (third.accepted, third.duplicate, third.blank) == (0, 2, 1)


def test_F19_events_packed_anew_are_all_duplicates(instance: Any, feed: Any) -> None:
    lines = [event(str(n), n=n) for n in range(20)]
    instance.put("a.jsonl", "".join(lines))
    instance.run(feed)
    instance.put("b.jsonl.gz", gzip.compress("".join(reversed(lines)).encode(), 1))
    instance.put("c.jsonl", "".join(lines[:7]))
    instance.put("d.jsonl", "".join(lines[7:] + lines[:3]))
    report = instance.run(feed)
    assert (report.accepted, report.duplicate) == (0, 43)


def test_A1_the_same_id_at_another_time_is_a_conflict_and_not_a_second_event(instance: Any, feed: Any) -> None:
    instance.put("a.jsonl", event("1", 5, n=1))
    instance.run(feed)
    instance.put("b.jsonl", event("1", 1, n=1))
    report = instance.run(feed)
    assert (report.accepted, report.conflict) == (0, 1)
    (verdict,) = instance.verdicts()
    assert (verdict["file_id"], verdict["of_file_id"], verdict["of_line"]) == (2, 1, 1)
    assert verdict["payload_hash"] != verdict["of_payload_hash"]


def test_payloads_compare_instants_and_skip_what_is_ignored_or_not_read(instance: Any, feed: Any) -> None:
    first = event("1", n=1, note="a", other=1)
    second = event("1", n=1, note="b", other=2).replace("10:00:00Z", "12:00:00.000+02:00")
    instance.put("a.jsonl", first + second)
    report = instance.run(feed)
    assert (report.duplicate, report.conflict) == (1, 0)


def test_F33_within_a_batch_time_then_payload_decide_and_never_the_order_of_files(
    tmp_path: Any, make_source: Any, instance: Any, feed: Any
) -> None:
    texts = [event("1", 3, n=1), event("1", 1, n=2), event("1", 1, n=3)]
    winners = set()
    for number, order in enumerate(itertools.permutations(texts)):
        for place, text in enumerate(order):
            instance.put(f"{number}/{place}.jsonl", text.replace('"id": "1"', f'"id": "i{number}"'))
    report = instance.run(feed)
    assert (report.accepted, report.conflict) == (6, 12)
    winners = {(row["time_us"], row["p_n"]) for row in instance.events()}
    assert len(winners) == 1


def test_A2_A3_a_duplicate_removes_itself_only(instance: Any, feed: Any) -> None:
    instance.put("a.jsonl", "".join(event(str(n % 7), n=n % 7) for n in range(50)))
    report = instance.run(feed)
    assert (report.accepted, report.duplicate) == (7, 43)
    assert sorted(row["p_n"] for row in instance.events()) == [str(n) for n in range(7)]


def test_A5_an_event_with_missing_fields_is_still_deduplicated(instance: Any, feed: Any) -> None:
    bare = json.dumps({"id": "1", "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z"}) + "\n"
    instance.put("a.jsonl", bare * 3)
    assert (instance.run(feed).accepted, instance.ledger.files()[0].duplicate) == (1, 2)


def test_duplicates_are_found_in_any_earlier_batch_under_other_mappings(
    instance: Any, feed: Any, make_source: Any
) -> None:
    for n in range(3):
        instance.put(f"a/{n}.jsonl", event(str(n), n=n))
        instance.run(feed)
    narrow = make_source(name="other", path="b/*", format="cloudevents", properties={"n": "data.n"})
    instance.put("b/x.jsonl", "".join(event(str(n), n=n) for n in range(4)))
    report = instance.run(feed.model_copy(update={"path": "a/*"}), narrow)
    assert (report.accepted, report.duplicate) == (1, 3)


def test_batches_are_cut_by_lines_and_still_know_each_other(instance: Any, feed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("orchestration.ingest.run.MAX_BATCH_LINES", 3)
    for n in range(4):
        instance.put(f"{n}.jsonl", event("same", n=1) + event(str(n), n=n))
    report = instance.run(feed)
    assert (report.batches, report.accepted, report.duplicate) == ([1, 2, 3, 4], 5, 3)


def test_an_event_sent_again_after_its_mapping_has_changed_is_no_conflict(instance: Any, make_source: Any) -> None:
    before = make_source(format="cloudevents", properties={"n": "data.n", "note": "data.note"}, ignore=("note",))
    sent = event("1", n=1, note="x", plan="gold", mail="a@b.example") + event("2", n=2, plan="gold")
    instance.put("a.jsonl", sent)
    assert instance.run(before).accepted == 2
    more = {"n": "data.n", "note": "data.note", "plan": "data.plan", "mail": "data.mail"}
    after = make_source(format="cloudevents", properties=more, hash=("mail",), fields={"user": "data.mail"})
    again = event("1", n=1, note="y", plan="gold", mail="a@b.example") + event("2", n=3, plan="gold")
    instance.put("b.jsonl", again)
    report = instance.run(after)
    assert (report.accepted, report.duplicate, report.conflict) == (0, 1, 1)
    assert [(row["line"], row["verdict"]) for row in instance.verdicts()] == [(1, "duplicate"), (2, "conflict")]
    instance.put("c.jsonl", event("3", n=1, plan="gold"))
    instance.run(after)
    instance.put("d.jsonl", event("3", n=1, plan="silver"))
    assert instance.run(after).conflict == 1


def test_a_property_that_is_read_from_another_place_is_not_compared_with_the_old_one(
    instance: Any, make_source: Any
) -> None:
    instance.put("a.jsonl", event("1", n=1, total=5))
    instance.run(make_source(format="cloudevents", properties={"n": "data.n"}))
    instance.put("b.jsonl", event("1", n=1, total=5) * 2)
    report = instance.run(make_source(format="cloudevents", properties={"n": "data.total"}))
    assert (report.duplicate, report.conflict) == (2, 0)


def test_F34_ids_that_look_alike_are_different_events_and_are_told(instance: Any, feed: Any) -> None:
    ids = ["a1", "A1", "a1 ", "caf\u00e9", "cafe\u0301", "7", "007", "b", "c", "0"]
    instance.put("a.jsonl", "".join(event(i, n=1) for i in ids) + event("b", n=1))
    report = instance.run(feed)
    assert (report.accepted, report.duplicate) == (10, 1)
    (notice,) = [entry.reason for entry in report.notices]
    assert notice.startswith("3 group(s) of event ids look alike and are different events, such as '007' and '7'")
    instance.put("b.jsonl", event("d", n=1) + event("e", n=1))
    assert instance.run(feed).notices == []
