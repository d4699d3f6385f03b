"""What is missing by rhythm, number and manifest, and which billing periods it concerns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import duckdb
import pytest
import tiny

from orchestration.billing.documents import Group, due_lines, grouped
from orchestration.catalog import Catalog, parse_catalog
from orchestration.catalog.sources import Source
from orchestration.closing.rated import rate_all
from orchestration.ingest import manifests
from orchestration.metering.control import charged_segments
from orchestration.pipeline.missing import Missing, concerned, find_missing
from orchestration.settings import parse_instant

HOUR = 3_600_000_000
START = parse_instant("2026-10-01T00:00:00Z", "test") // HOUR
Make = Callable[..., Source]


def day_file(hours: Iterable[int]) -> str:
    """CSV with an event in each of these hours after the first of October."""
    return "t,k\n" + "".join(f"2026-10-{1 + h // 24:02d}T{h % 24:02d}:30:00Z,k\n" for h in hours)


def missing(instance: Any, *sources: Source, hour: int) -> list[Missing]:
    """What is missing 24 hours after an hour, of what has been taken; with the tables that the build would have."""
    con = duckdb.connect()
    con.execute(
        "CREATE SCHEMA record; CREATE SCHEMA metering; "
        "CREATE TABLE record.files (file_id INT, source VARCHAR, stream VARCHAR); "
        "CREATE TABLE metering.stream_hours (file_id INT, utc_hour BIGINT)"
    )
    for row in instance.ledger.files():
        con.execute("INSERT INTO record.files VALUES (?, ?, ?)", [row.file_id, row.source, row.stream])
    for event in instance._lake("events"):
        con.execute("INSERT INTO metering.stream_hours VALUES (?, ?)", [event["file_id"], event["time_us"] // HOUR])
    return find_missing(con, instance.home, sources, instance.ledger, (START + hour + 24) * HOUR)


def told(found: Iterable[Missing]) -> list[tuple[str, str]]:
    return [(item.kind, item.what) for item in found]


@pytest.fixture
def csv(make_source: Make) -> Make:
    return lambda **options: make_source(
        **({"path": "{node}/*.csv", "format": "csv", "fields": {"time": "t", "credential": "k"}} | options)
    )


def test_f24_an_hour_that_one_stream_left_out_is_named_and_the_other_streams_are_not(instance: Any, csv: Make) -> None:
    instance.put("a/1.csv", day_file([h for h in range(240) if h not in (200, 201)]))
    instance.put("b/1.csv", day_file(range(240)))
    instance.put("c/1.csv", day_file(range(0, 240, 2)))
    instance.run(csv())
    found = missing(instance, csv(), hour=240)
    assert told(found) == [("silence", "gw?node=a: no event from 2026-10-09T08:00Z to 2026-10-09T10:00Z")]
    assert (found[0].source, found[0].stream) == ("gw", "gw?node=a")
    assert (found[0].from_us, found[0].to_us) == ((START + 200) * HOUR, (START + 202) * HOUR)


def test_f24_two_files_of_a_stream_fill_one_anothers_hours(instance: Any, csv: Make) -> None:
    instance.put("a/1.csv", day_file([h for h in range(240) if h != 200]))
    instance.put("a/2.csv", day_file([200, 210]))
    instance.run(csv())
    assert missing(instance, csv(), hour=240) == []


def test_f24_a_stream_that_stopped_is_one_line_that_stays_the_same(instance: Any, csv: Make) -> None:
    instance.put("a/1.csv", day_file(range(200)))
    instance.run(csv())
    assert missing(instance, csv(), hour=200) == [], "it may still be on its way"
    first = missing(instance, csv(), hour=201)
    assert told(first) == [("silence", "gw?node=a: no event since 2026-10-09T08:00Z")]
    assert missing(instance, csv(), hour=700) == first
    assert first[0].to_us is None
    assert missing(instance, csv(name="other"), hour=700) == [], "a source that is in the catalog no more"


def test_f24_what_a_source_declares_is_held_against_each_of_its_streams(instance: Any, csv: Make) -> None:
    instance.put("a/1.csv", day_file([3, 5, 80]))
    instance.put("b/1.csv", day_file(range(0, 96, 12)))
    instance.run(csv())
    daily = told(missing(instance, csv(expect="daily"), hour=97))
    assert daily == [("daily", "gw?node=a: no event from 2026-10-02T00:00Z to 2026-10-04T00:00Z")]
    hourly = told(missing(instance, csv(expect="hourly"), hour=83))
    assert hourly[:3] == [
        ("hourly", "gw?node=a: no event from 2026-10-01T04:00Z to 2026-10-01T05:00Z"),
        ("hourly", "gw?node=a: no event from 2026-10-01T06:00Z to 2026-10-04T08:00Z"),
        ("hourly", "gw?node=a: no event since 2026-10-04T09:00Z"),
    ]
    assert len(hourly) == 3 + 7
    instance.put("d/1.csv", day_file(range(400)))
    instance.run(csv())
    assert missing(instance, csv(expect="irregular"), hour=700) == []


def test_f24_a_source_that_should_deliver_and_never_did_is_named(instance: Any, csv: Make) -> None:
    instance.run(csv(path="misspelt/*.csv"))
    found = missing(instance, csv(path="misspelt/*.csv", expect="daily"), hour=0)
    assert found == [Missing("gw", "gw", "daily", None, None, "gw: no event has ever come")]


def test_f24_a_number_left_out_between_two_files_is_missing_from_the_time_between_them(
    instance: Any, csv: Make
) -> None:
    source = csv(path="{node}/log-{sequence}.csv")
    for number, hour in ((8, 1), (9, 5), (12, 9)):
        instance.put(f"a/log-{number:05d}.csv", day_file([hour]))
    instance.put("b/log-1.csv", day_file([1]))
    instance.put("b/log-x.csv", day_file([1]))
    instance.run(source)
    assert {row.stream for row in instance.ledger.files()} == {"gw?node=a", "gw?node=b"}, "a number makes no stream"
    found = missing(instance, source, hour=0)
    assert told(found) == [("sequence", "gw?node=a: numbers 10 to 11 of its files did not come")]
    half = HOUR // 2
    assert (found[0].from_us, found[0].to_us) == ((START + 5) * HOUR + half, (START + 9) * HOUR + half + 1)
    instance.put("a/log-10.csv", day_file([6]))
    instance.run(source)
    assert told(missing(instance, source, hour=0)) == [
        ("sequence", "gw?node=a: number 11 of its files did not come"),
    ]


def test_f24_what_a_manifest_lists_and_what_was_not_taken_as_it_says_is_missing(instance: Any, csv: Make) -> None:
    source = csv(path="**/*", manifest="**/MANIFEST*")
    good, other = day_file([1]), day_file([2])
    instance.put("d/good.csv", good)
    instance.put("d/other.csv", other)
    instance.put("d/cut.csv", day_file([3])[:-1])
    instance.put("d/plain.csv", day_file([4]))
    sums = {name: hashlib.sha256(good.encode()).hexdigest() for name in ("good.csv", "other.csv", "lost.csv")}
    listed = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    instance.put(
        "d/MANIFEST.sha256", f"# sent at noon\n\n{listed}{'0' * 64} *./cut.csv\r\nplain.csv\n../gone\x1b.csv\n"
    )
    report = instance.run(source)
    assert {row.path for row in instance.ledger.files()} == {"d/good.csv", "d/other.csv", "d/plain.csv"}
    assert [entry.path for entry in report.held] == ["d/cut.csv"], "a held file blocks a close by itself"
    changed = hashlib.sha256(other.encode()).hexdigest()
    assert told(missing(instance, source, hour=0)) == [
        ("manifest", "gw: manifest d/MANIFEST.sha256: '../gone\\x1b.csv' was not delivered"),
        ("manifest", "gw: manifest d/MANIFEST.sha256: 'lost.csv' was not delivered"),
        ("manifest", f"gw: manifest d/MANIFEST.sha256: 'other.csv' came with another content ({changed})"),
    ]


def test_f24_a_manifest_that_can_not_be_read_is_missing_itself(
    instance: Any, csv: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "MAX_BYTES", 10)
    source = csv(manifest="*.txt")
    instance.put("long.txt", "x" * 11)
    instance.put("other.txt", b"\xff\n")
    instance.run(source)
    long, other = told(missing(instance, source, hour=0))
    assert long == ("manifest", "gw: manifest long.txt can't be read: larger than 10 bytes")
    assert other[1].startswith("gw: manifest other.txt can't be read: 'utf-8'")


# -- which periods it concerns ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parse_catalog(tiny.CATALOG)


def october(catalog: Catalog) -> list[Group]:
    """What a close of October 2024 would issue."""
    charged = charged_segments(catalog, parse_instant(tiny.NOW, "test"))
    return grouped(due_lines(rate_all(catalog, charged, {}), {}, date(2024, 11, 1)), catalog.seller)


@pytest.mark.parametrize(
    ("begin", "end", "blocks"),
    [
        ("2024-09-20T00:00:00Z", "2024-09-30T15:00:00Z", False),
        # The first of October begins in Tokyo, and ends in New York.
        ("2024-09-20T00:00:00Z", "2024-09-30T15:00:01Z", True),
        ("2024-11-01T03:59:59Z", "2024-11-02T00:00:00Z", True),
        ("2024-11-01T04:00:00Z", "2024-11-02T00:00:00Z", False),
        ("2024-11-01T04:00:00Z", None, False),
        ("2024-10-31T00:00:00Z", None, True),
        (None, None, True),
    ],
)
def test_f24_a_hole_concerns_the_periods_that_it_touches_in_their_customers_zones(
    catalog: Catalog, begin: str | None, end: str | None, blocks: bool
) -> None:
    edges = [None if text is None else parse_instant(text, "test") for text in (begin, end)]
    hole = Missing("gw", "gw", "silence", edges[0], edges[1], "gw: a hole")
    assert concerned([hole], catalog, october(catalog)) == (["gw: a hole"] if blocks else [])


def test_f24_a_hole_blocks_no_close_that_bills_no_usage(catalog: Catalog) -> None:
    groups = [group._replace(lines=[d for d in group.lines if d.kind == "fee"]) for group in october(catalog)]
    assert sum(len(group.lines) for group in groups) == 3
    assert concerned([Missing("gw", "gw", "manifest", None, None, "gw: a hole")], catalog, groups) == []
