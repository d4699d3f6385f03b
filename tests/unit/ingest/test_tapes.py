"""Logs without ids: each line counts once, however the log is copied, renamed, compressed, grown or rotated."""

from __future__ import annotations

import gzip
from typing import Any

import pytest


def log(*numbers: int) -> str:
    return "".join(
        f'10.0.0.1 - k{n} [01/Oct/2026:10:00:{n:02d} +0000] "GET /{n} HTTP/1.1" 200 {n} "-" "x"\n' for n in numbers
    )


def seen(instance: Any) -> list[str]:
    return sorted(row["path"] for row in instance.events())


@pytest.fixture
def logs(make_source: Any) -> Any:
    return make_source(path="{gateway}/*")


def test_A8_F18_the_same_file_again_renamed_or_compressed_adds_nothing(instance: Any, logs: Any) -> None:
    instance.put("g1/access.log", log(1, 2))
    instance.run(logs)
    instance.put("g1/copy.log", log(1, 2))
    instance.put("g1/copy.log.gz", gzip.compress(log(1, 2).encode(), 1))
    instance.put("g1/copy2.log.gz", gzip.compress(log(1, 2).encode(), 9))
    report = instance.run(logs)
    assert (report.accepted, report.duplicate, report.files) == (0, 4, 2)
    assert report.notices[0].reason.startswith("duplicate_of")
    assert seen(instance) == ["/1", "/2"]


def test_two_equal_lines_of_one_file_are_two_events(instance: Any, logs: Any) -> None:
    instance.put("g1/access.log", log(1, 1, 1))
    assert instance.run(logs).accepted == 3
    assert len({row["event_id"] for row in instance.events()}) == 3


def test_equal_bytes_from_two_gateways_both_count(instance: Any, logs: Any) -> None:
    instance.put("g1/access.log", log(1, 2))
    instance.put("g2/access.log", log(1, 2))
    assert instance.run(logs).accepted == 4
    assert len({row["event_id"] for row in instance.events()}) == 4


def test_F20_a_growing_log_read_twice_and_then_rotated_counts_each_line_once(instance: Any, logs: Any) -> None:
    instance.put("g1/access.log", log(1, 2))
    instance.run(logs)
    instance.put("g1/access.log", log(1, 2, 3))
    second = instance.run(logs)
    assert (second.accepted, second.duplicate) == (1, 2)
    (instance.inbox / "g1/access.log").unlink()
    instance.put("g1/access.log.1", log(1, 2, 3, 4))
    instance.put("g1/access.log", log(5))
    third = instance.run(logs)
    assert (third.accepted, third.duplicate, third.held) == (2, 3, [])
    instance.put("g1/access.log.2.gz", gzip.compress(log(1, 2, 3, 4).encode()))
    assert instance.run(logs).accepted == 0
    assert seen(instance) == ["/1", "/2", "/3", "/4", "/5"]
    ids = [row["event_id"] for row in sorted(instance.events(), key=lambda r: r["bytes"])]
    assert ids[:4] == sorted(ids[:4]) and len({i.split(":")[0] for i in ids[:4]}) == 1


def test_growth_within_one_batch_counts_once_whatever_the_listing_order(instance: Any, logs: Any) -> None:
    instance.put("g1/a.log", log(1, 2, 3))
    instance.put("g1/b.log", log(1, 2))
    instance.put("g1/c.log", log(1, 2, 3, 4))
    report = instance.run(logs)
    assert (report.accepted, report.duplicate) == (4, 5)
    assert seen(instance) == ["/1", "/2", "/3", "/4"]


def test_a_shorter_copy_of_a_log_is_all_duplicate(instance: Any, logs: Any) -> None:
    instance.put("g1/access.log", log(1, 2, 3))
    instance.run(logs)
    instance.put("g1/older.log", log(1, 2))
    assert instance.run(logs).duplicate == 2
    instance.put("g1/access.log", log(1, 2, 3, 4))
    assert instance.run(logs).accepted == 1


@pytest.mark.parametrize(
    ("edited", "line"),
    [((1, 9, 3, 4), 2), ((9, 2, 3), 1), ((1, 9), 2)],
)
def test_F20_a_log_whose_read_part_has_changed_is_held_by_name_and_line(
    instance: Any, logs: Any, edited: tuple[int, ...], line: int
) -> None:
    instance.put("g1/access.log", log(1, 2, 3))
    instance.run(logs)
    instance.put("g1/access.log", log(*edited))
    instance.put("g1/other.log", log(7))
    report = instance.run(logs)
    assert [(h.path, h.reason) for h in report.held] == [
        ("g1/access.log", f"source_mutated: line {line} is not what was read before")
    ]
    assert (report.exit_code, report.accepted, len(instance.ledger.held())) == (3, 1, 1)
    instance.put("g1/access.log", log(1, 2, 3, 4))
    assert instance.run(logs).accepted == 1
    assert instance.ledger.held() == []


def test_F21_a_rotated_name_with_a_new_log_is_a_new_log_even_if_it_is_longer(instance: Any, logs: Any) -> None:
    instance.put("g1/access.log", log(1))
    instance.run(logs)
    instance.put("g1/access.log", log(5, 6, 7))
    assert instance.run(logs).accepted == 3


def test_rotation_seen_only_afterwards_does_not_hold_a_log_with_the_same_first_line(
    instance: Any, make_source: Any
) -> None:
    csv = make_source(format="csv", fields={"time": "t"}, properties={"n": "n"})
    instance.put("usage.csv", "t,n\n2026-10-01T00:00:00Z,1\n")
    instance.run(csv)
    instance.put("usage.csv.1", "t,n\n2026-10-01T00:00:00Z,1\n2026-10-01T00:00:00Z,2\n")
    instance.put("usage.csv", "t,n\n2026-10-02T00:00:00Z,3\n")
    report = instance.run(csv)
    assert (report.held, report.accepted, report.duplicate, report.blank) == ([], 2, 2, 1)


@pytest.mark.parametrize("ending", ["hold", "accept"])
def test_F17_a_last_line_without_newline_is_held_or_taken_as_the_source_says(
    instance: Any, make_source: Any, ending: str
) -> None:
    logs = make_source(unterminated=ending)
    instance.put("access.log", log(1, 2)[:-1])
    report = instance.run(logs)
    assert (report.accepted, len(report.held)) == ((0, 1) if ending == "hold" else (2, 0))
    instance.put("access.log", log(1, 2, 3))
    assert instance.run(logs).held == []
    assert seen(instance) == ["/1", "/2", "/3"]


def test_an_accepted_unfinished_line_that_grows_is_not_counted_twice(instance: Any, make_source: Any) -> None:
    logs = make_source(unterminated="accept")
    instance.put("access.log", log(1, 2)[:-1])
    instance.run(logs)
    instance.put("access.log", log(1, 2)[:-1] + ' "late"\n')
    report = instance.run(logs)
    assert [h.reason for h in report.held] == ["source_mutated: line 2 is not what was read before"]
    assert seen(instance) == ["/1", "/2"]


def test_new_rows_under_the_path_and_header_of_yesterday_are_another_log(instance: Any, make_source: Any) -> None:
    table = make_source(format="csv", path="usage.csv", zone="UTC", fields={"time": "at", "credential": "who"})
    instance.put("usage.csv", "at,who\n2026-10-01T00:00:00,a\n2026-10-01T00:00:01,a\n")
    instance.run(table)
    instance.put("usage.csv", "at,who\n2026-10-02T00:00:00,b\n")
    report = instance.run(table)
    assert (report.held, report.accepted, report.duplicate) == ([], 1, 0)
    assert sorted(row["credential"] for row in instance.events()) == ["a", "a", "b"]


def test_an_edited_row_behind_the_first_of_a_table_is_held(instance: Any, make_source: Any) -> None:
    table = make_source(format="csv", path="usage.csv", zone="UTC", fields={"time": "at", "credential": "who"})
    instance.put("usage.csv", "at,who\n2026-10-01T00:00:00,a\n2026-10-01T00:00:01,a\n")
    instance.run(table)
    instance.put("usage.csv", "at,who\n2026-10-01T00:00:00,a\n2026-10-01T00:00:01,b\n")
    assert [held.reason for held in instance.run(table).held] == ["source_mutated: line 3 is not what was read before"]


def test_a_file_that_two_sources_match_is_held_and_not_counted_twice(instance: Any, make_source: Any) -> None:
    one, two = make_source(name="one", path="a/*.log"), make_source(name="two", path="{gateway}/*")
    instance.put("a/access.log", log(1, 2))
    instance.put("b/access.log", log(3))
    report = instance.run(one, two)
    assert report.accepted == 1
    assert [(held.source, held.reason) for held in report.held] == [
        ("one", "matched_by_several_sources: also by two"),
        ("two", "matched_by_several_sources: also by one"),
    ]


def test_a_source_added_over_files_of_another_does_not_count_them_again(instance: Any, make_source: Any) -> None:
    two = make_source(name="two", path="**/*")
    instance.put("a/access.log", log(1, 2))
    assert instance.run(two).accepted == 2
    instance.put("a/access.log", log(1, 2, 3))
    report = instance.run(make_source(name="one", path="a/*.log"), two)
    assert (report.accepted, report.duplicate) == (1, 2)
    assert [held.source for held in report.held] == ["one"]
