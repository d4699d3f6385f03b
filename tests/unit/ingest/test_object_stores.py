"""Sources in an S3-compatible store: the same lines as from a folder, none lost and none twice."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pytest
from objectstores import KEY_ID, SECRET, Bucket, S3Server

from orchestration.audit.verify import _raw_files
from orchestration.canonical import sha256_hex
from orchestration.errors import IntegrityFailure
from orchestration.ingest import rebuild_lake
from orchestration.ingest.landing import land
from orchestration.ingest.objects import discover_objects, literal_prefix
from orchestration.ingest.raw import RawStore
from orchestration.ingest.references import References
from orchestration.ingest.stores import Stores
from orchestration.ledger.store import Ledger

MakeBucket = Callable[..., Bucket]


def event(n: int, tokens: int = 1) -> str:
    head = {"id": f"e{n}", "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z"}
    return json.dumps(head | {"data": {"tokens": tokens}}) + "\n"


def log(*numbers: int) -> str:
    line = '203.0.113.9 - key_1 [06/Oct/2026:12:00:{:02d} +0000] "GET /{} HTTP/1.1" 200 512\n'
    return "".join(line.format(n % 60, n) for n in numbers)


@pytest.fixture
def bucket(s3_server: S3Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeBucket:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    name = f"b{abs(hash(request.node.nodeid))}"
    return lambda suffix="", **options: s3_server.bucket(name + suffix, **options)


def in_bucket(make_source: Any, place: Bucket, **options: Any) -> Any:
    return make_source(**({"format": "cloudevents", "properties": {"tokens": "data.tokens"}} | place.options | options))


def lake_rows(instance: Any) -> list[tuple[Any, ...]]:
    return sorted((e["event_id"], e["feed"], e["p_tokens"], e["time_us"]) for e in instance.events())


def test_the_same_files_from_a_folder_and_from_a_store_give_the_same_lake(
    instance: Any, make_source: Any, bucket: MakeBucket, tmp_path: Path
) -> None:
    place = bucket()
    files = {
        "a/2026/10/01.jsonl": event(1) + event(2) + "not json\n\n",
        "b/2026/10/01.jsonl.gz": gzip.compress((event(2) + event(3)).encode()),
        "b/cut.gz": gzip.compress(event(4).encode())[:-3],
        "b/2026/#?&=+~ é%20.jsonl": event(5, 7),
    }
    for path, content in files.items():
        instance.put(path, content)
        place.put(f"usage/logs/{path}", content)
    place.put("usage/logs/a/2026/", "")
    place.put("usage/logs/a/2026/10/01.jsonl/", "")
    place.put("usage/other/x.jsonl", event(9))
    options = {"path": "{gateway}/**/*", "format": "cloudevents", "properties": {"tokens": "data.tokens"}}
    local = instance.run(make_source(**options))
    there = type(instance)(tmp_path / "there")
    stored = there.run(make_source(**options | place.options | {"root": f"s3://{place.name}/usage/logs"}))
    assert stored.deferred == []
    for field in ("files", "lines", "accepted", "duplicate", "conflict", "quarantined", "blank", "reasons"):
        assert getattr(stored, field) == getattr(local, field), field
    assert (stored.accepted, stored.duplicate, stored.quarantined, stored.blank) == (4, 1, 1, 1)
    assert [(h.path, h.reason) for h in stored.held] == [(h.path, h.reason) for h in local.held]
    assert lake_rows(there) == lake_rows(instance)
    assert [(f.path, f.stream, f.sha256, f.lines) for f in there.ledger.files()] == [
        (f.path, f.stream, f.sha256, f.lines) for f in instance.ledger.files()
    ]
    for row in there.ledger.files():
        assert (there.home / "raw" / row.sha256[:2] / row.sha256).is_file()
    there.ledger.close()


def test_a_late_object_under_an_old_prefix_is_found_and_nothing_else_is_fetched(
    instance: Any, make_source: Any, bucket: MakeBucket
) -> None:
    place = bucket()
    feed = in_bucket(make_source, place)
    for day in (1, 2, 3):
        place.put(f"2026/10/{day:02d}/a.jsonl", event(day))
    assert instance.run(feed).accepted == 3
    place.put("2026/09/30/late.jsonl", event(30))
    listing = discover_objects(Stores(instance.home), feed, lambda path: instance.ledger.delivery("gw", path))
    assert [c.path for c in listing.candidates] == ["2026/09/30/late.jsonl"]
    report = instance.run(feed)
    assert (report.files, report.accepted) == (1, 1)
    assert (instance.run(feed).files, len(instance.events())) == (0, 4)


def test_pages_that_are_short_and_not_the_last_hide_no_object(
    instance: Any, make_source: Any, bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.s3.models import s3_backends

    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "37")
    place = bucket()
    names = {f"{n % 11}/{n:05d}.jsonl" for n in range(1100)}
    for name in names:
        s3_backends["123456789012"]["aws"].put_object(place.name, name, b"x\n")
    feed = in_bucket(make_source, place)
    listing = discover_objects(Stores(instance.home), feed, lambda _: None)
    assert {c.path for c in listing.candidates} == names
    assert [c.path for c in listing.candidates] == sorted(names)


def test_an_overwritten_object_is_read_again_and_only_its_new_lines_count(
    instance: Any, make_source: Any, bucket: MakeBucket
) -> None:
    place = bucket()
    feed = in_bucket(make_source, place, format="common", properties={})
    place.put("access.log", log(1, 2))
    assert instance.run(feed).accepted == 2
    place.put("access.log", log(1, 2, 3))
    grown = instance.run(feed)
    assert (grown.accepted, grown.duplicate, grown.lines) == (1, 2, 3)
    place.put("access.log", log(1, 5, 3))
    changed = instance.run(feed)
    assert [h.reason for h in changed.held] == ["source_mutated: line 2 is not what was read before"]
    assert (changed.accepted, changed.exit_code, len(instance.events())) == (0, 3, 3)


def test_one_object_of_equal_size_and_second_is_told_apart_by_its_etag(
    instance: Any, make_source: Any, bucket: MakeBucket
) -> None:
    place = bucket()
    feed = in_bucket(make_source, place)
    place.put("a.jsonl", event(1))
    instance.run(feed)
    seen = instance.ledger.delivery("gw", "a.jsonl")
    place.put("a.jsonl", event(2))
    (candidate,) = discover_objects(Stores(instance.home), feed, lambda _: seen).candidates
    assert candidate.stored.tag != seen.tag
    assert (instance.run(feed).accepted, len(instance.events())) == (1, 2)


def test_21_a_deleted_object_takes_nothing_back(instance: Any, make_source: Any, bucket: MakeBucket) -> None:
    place = bucket()
    feed = in_bucket(make_source, place)
    place.put("a.jsonl", event(1))
    instance.run(feed)
    place.delete("a.jsonl")
    report = instance.run(feed)
    assert (report.files, report.exit_code, len(instance.events())) == (0, 0, 1)


def test_17_an_object_that_changes_or_vanishes_after_its_listing_waits_for_the_next_run(
    instance: Any, make_source: Any, bucket: MakeBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.ingest import gathering

    place = bucket()
    feed = in_bucket(make_source, place)
    place.put("changes.jsonl", event(1))
    place.put("vanishes.jsonl", event(2))

    def meddle(*args: Any) -> Any:
        listing = discover_objects(*args)
        place.put("changes.jsonl", event(3) + event(4))
        place.delete("vanishes.jsonl")
        return listing

    with monkeypatch.context() as patched:
        patched.setattr(gathering, "discover_objects", meddle)
        report = instance.run(feed)
    assert [(d.path, d.reason) for d in report.deferred] == [("changes.jsonl", "changing"), ("vanishes.jsonl", "gone")]
    assert (report.exit_code, report.files, instance.events()) == (0, 0, [])
    assert instance.run(feed).accepted == 2


def test_an_object_that_two_sources_name_is_held_also_if_one_has_taken_it(
    instance: Any, make_source: Any, bucket: MakeBucket
) -> None:
    place = bucket()
    wide = in_bucket(make_source, place, name="wide")
    narrow = in_bucket(make_source, place, name="narrow", root=f"s3://{place.name}/in", path="*.jsonl")
    place.put("in/a.jsonl", event(1))
    assert instance.run(wide).accepted == 1
    report = instance.run(wide, narrow)
    assert [(h.source, h.reason) for h in report.held] == [("narrow", "matched_by_several_sources: also by wide")]
    assert len(instance.events()) == 1


def test_only_the_literal_beginning_of_a_pattern_is_listed() -> None:
    assert literal_prefix("{gateway}/*.log") == ""
    assert literal_prefix("logs/2026/access-*.log") == "logs/2026"
    assert literal_prefix("logs/**/*.log") == "logs"
    assert literal_prefix("logs/one.log") == "logs"


def test_captures_tell_the_streams_of_a_bucket_apart(instance: Any, make_source: Any, bucket: MakeBucket) -> None:
    place = bucket()
    feed = in_bucket(make_source, place, path="{gateway}/{node}/*.log", format="common", properties={})
    for node in ("eu/1", "eu/2", "us/1"):
        place.put(f"{node}/access.log", log(1, 1))
    assert instance.run(feed).accepted == 6
    assert [f.stream for f in instance.ledger.files()] == [
        "gw?gateway=eu&node=1",
        "gw?gateway=eu&node=2",
        "gw?gateway=us&node=1",
    ]


# -- interrupted ------------------------------------------------------------------------------------------------------

SUPPORT = os.pathsep.join(str(Path(__file__).parents[up] / name) for up, name in ((3, ""), (2, "support")))
INGEST = """
import os
import sys
from pathlib import Path
from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.sources import Source
from orchestration.ingest import ingest
from orchestration.ledger.store import Ledger
from kills import watch
watch(os.environ)
home = Path(sys.argv[1])
with Ledger.open(home) as ledger:
    settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
    ingest(home, ledger, settings, [Source.model_validate_json(sys.argv[2])], 1_793_491_200_000_000)
"""


@pytest.mark.parametrize("raw", ["copy", "reference"])
def test_a_kill_between_fetching_and_committing_leaves_the_state_of_a_run_that_was_not_killed(
    instance: Any, make_source: Any, bucket: MakeBucket, tmp_path: Path, raw: str
) -> None:
    place = bucket(raw, versioned=True)
    for n in range(3):
        place.put(f"{n}.jsonl", event(n) + event(n + 1))
    feed = in_bucket(make_source, place, raw=raw)
    command = [sys.executable, "-c", INGEST, str(instance.home), feed.model_dump_json()]
    killed = subprocess.run(
        command, env=os.environ | {"KILL_AT": "batch_committed.before", "PYTHONPATH": SUPPORT}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    report = instance.run(feed)
    assert (report.files, report.accepted, report.duplicate) == (3, 4, 2)
    straight = type(instance)(tmp_path / "straight")
    straight.run(feed)
    assert instance.ledger.files() == straight.ledger.files()
    assert instance.ledger.references() == straight.ledger.references()
    assert lake_rows(instance) == lake_rows(straight)
    assert sorted(p.name for p in (instance.home / "raw").rglob("*") if p.is_file()) == sorted(
        p.name for p in (straight.home / "raw").rglob("*") if p.is_file()
    )
    straight.ledger.close()


# -- kept by reference ------------------------------------------------------------------------------------------------


def problems_of_raw(ledger: Ledger, home: Path) -> list[tuple[str, str]]:
    raw = RawStore(home / "raw", References(home, ledger.references()))
    return [(p.message, p.where) for p in _raw_files(raw, ledger.files(), [], {})]


def parquet(folder: Path) -> bytes:
    path = folder / "table.parquet"
    duckdb.connect().execute(
        f"COPY (SELECT 'p' || n AS id, TIMESTAMPTZ '2026-10-01 10:00:00+00' AS at, n AS tokens FROM range(5) t(n)) "
        f"TO '{path}' (FORMAT parquet)"
    )
    return path.read_bytes()


def test_raw_files_by_reference_are_read_again_by_their_version(
    instance: Any, make_source: Any, bucket: MakeBucket, tmp_path: Path
) -> None:
    place = bucket(versioned=True)
    version = place.put("a.jsonl", event(1) + event(2))
    place.put("t.parquet", parquet(tmp_path))
    feed = in_bucket(make_source, place, raw="reference", path="*.jsonl")
    table = in_bucket(make_source, place, raw="reference", name="table", path="*.parquet", format="parquet").model_copy(
        update={"fields": {"id": "id", "time": "at"}, "properties": {"tokens": "tokens"}}
    )
    assert instance.run(feed, table).accepted == 7
    assert [p for p in (instance.home / "raw").rglob("*") if p.is_file()] == []
    rows = {row.url: row for row in instance.ledger.references()}
    row = rows[f"s3://{place.name}/a.jsonl"]
    assert (row.version, row.size, row.sha256) == (version, 2 * len(event(1)), instance.ledger.files()[0].sha256)
    before = lake_rows(instance)
    place.put("a.jsonl", event(1) + event(2) + event(3))
    shutil.rmtree(instance.home / "lake")
    assert rebuild_lake(instance.home, instance.ledger) == 2
    assert lake_rows(instance) == before
    assert problems_of_raw(instance.ledger, instance.home) == []
    assert [p for p in (instance.home / "raw").rglob("*") if p.is_file()] == []
    grown = instance.run(feed, table)
    assert (grown.accepted, grown.duplicate) == (1, 2)


@pytest.mark.parametrize("raw", ["copy", "reference"])
def test_objects_that_land_side_by_side_do_not_mix(
    tmp_path: Path, make_source: Any, bucket: MakeBucket, raw: str
) -> None:
    place = bucket(raw, versioned=True)
    contents = [event(n) * (n + 1) for n in range(24)]
    for n, content in enumerate(contents):
        place.put(f"{n:02d}.jsonl", content)
    found = discover_objects(Stores(tmp_path), in_bucket(make_source, place, raw=raw), lambda _: None).candidates
    store = RawStore(tmp_path / "raw", References(tmp_path, ()))
    with ThreadPoolExecutor(8) as pool:
        landed = list(pool.map(lambda candidate: land(store, candidate), found))
    assert [one.sha256 for one in landed] == [sha256_hex(content.encode()) for content in contents]
    assert [b"".join(store.read(one.sha256)) for one in landed] == [content.encode() for content in contents]
    store.clean()
    assert [b"".join(store.read(one.sha256)) for one in landed] == [content.encode() for content in contents]


def test_what_is_fetched_for_reading_goes_with_its_reader_and_not_before(
    instance: Any, make_source: Any, bucket: MakeBucket
) -> None:
    place = bucket(versioned=True)
    place.put("a.jsonl", event(1))
    instance.run(in_bucket(make_source, place, raw="reference"))
    (row,) = instance.ledger.references()
    raw = RawStore(instance.home / "raw", References(instance.home, [row]))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with raw.at_hand(row.sha256), raw.at_hand(row.sha256):
        path = raw.local(row.sha256)
        left = path.with_name(f"{int(ended.stdout)}-0")
        left.write_bytes(b"left by a process that was killed")
        raw.clean()
        assert path.read_text() == event(1)
        assert not left.exists()
    assert not path.exists()


def test_a_growing_log_by_reference_counts_each_line_once(instance: Any, make_source: Any, bucket: MakeBucket) -> None:
    place = bucket(versioned=True)
    feed = in_bucket(make_source, place, raw="reference", format="common", properties={})
    place.put("access.log", log(1, 2, 3))
    instance.run(feed)
    place.put("access.log", log(1, 2))
    place.put("z.log", log(1, 2, 3, 4))
    report = instance.run(feed)
    assert (report.accepted, report.duplicate, len(instance.events())) == (1, 5, 4)


def test_a_version_that_is_gone_is_named_and_nothing_is_made_without_it(
    instance: Any, make_source: Any, bucket: MakeBucket
) -> None:
    place = bucket(versioned=True)
    version = place.put("a.jsonl", event(1))
    feed = in_bucket(make_source, place, raw="reference")
    instance.run(feed)
    place.delete("a.jsonl", version)
    ((message, where),) = problems_of_raw(instance.ledger, instance.home)
    assert "the store has no such version any more" in message
    assert where == f"s3://{place.name}/a.jsonl, version {version}"
    shutil.rmtree(instance.home / "lake")
    with pytest.raises(IntegrityFailure, match="no such version"):
        rebuild_lake(instance.home, instance.ledger)


def test_a_bucket_without_versions_can_not_be_kept_by_reference(
    instance: Any, make_source: Any, bucket: MakeBucket
) -> None:
    place = bucket()
    place.put("a.jsonl", event(1))
    report = instance.run(in_bucket(make_source, place, raw="reference"))
    assert [h.reason for h in report.held] == ["unversioned: 'raw: reference' needs a bucket that keeps versions"]
    assert (report.accepted, report.exit_code, instance.ledger.references()) == (0, 3, [])
    assert instance.run(in_bucket(make_source, place)).accepted == 1


def test_a_reference_in_the_ledger_is_never_changed(instance: Any, make_source: Any, bucket: MakeBucket) -> None:
    import sqlite3

    place = bucket(versioned=True)
    place.put("a.jsonl", event(1))
    instance.run(in_bucket(make_source, place, raw="reference"))
    (row,) = instance.ledger.references()
    db = sqlite3.connect(instance.home / "ledger.sqlite", isolation_level=None)
    for statement in ("UPDATE raw_references SET url = 'x'", "DELETE FROM raw_references"):
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)
    values = asdict(row) | {"url": "s3://elsewhere/a.jsonl", "seal": ""}
    db.execute(f"INSERT OR REPLACE INTO raw_references VALUES ({', '.join('?' * 7)})", list(values.values()))
    assert instance.ledger.references() == [row]
    db.close()
