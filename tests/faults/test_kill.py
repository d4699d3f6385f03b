"""Killed anywhere, run again, the same: no line lost or doubled, no number used up, no half generation."""

from __future__ import annotations

import ast
import gzip
import hashlib
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faultkit import OCTOBER_NOW, REPOSITORY, Box, differences, tree

from orchestration.catalog import load_catalog
from orchestration.crash import CRASH_POINTS, crash_point
from orchestration.ingest import ingest
from orchestration.ingest.erase import hash_of
from orchestration.ledger.store import Ledger
from orchestration.settings import parse_instant

INGEST = CRASH_POINTS[: CRASH_POINTS.index("ingest_after_commit") + 1]
GENERATION = ("generation_before_rename", "generation_before_link", "generation_after_link")
CLOSE = ("close_before_journal", "close_before_commit", "close_after_commit")
ERASE = ("erase_objects_written", "erase_before_commit", "erase_after_commit", "erase_before_end")
SEED = int(os.environ.get("KILL_SEED", "20261101"))
KILLED = -9


def test_a_crash_point_that_no_test_reaches_can_not_be_added() -> None:
    called = set()
    for path in (REPOSITORY / "orchestration").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "crash_point":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{path}: the name of a crash point is written out"
                called.add(argument.value)
    assert called == set(CRASH_POINTS)
    assert {*INGEST, *GENERATION, *CLOSE, *ERASE} == set(CRASH_POINTS)
    with pytest.raises(AssertionError, match="not registered"):
        crash_point("somewhere")


def published(box: Box) -> str:
    """Hash of the published database, which must open and hold the issued documents."""
    path = (box.home / "warehouse" / "current").resolve() / "tallystick.duckdb"
    assert box.sql("SELECT count(*) FROM marts.invoices") != [(0,)]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_same(expected: Box, found: Box) -> None:
    assert differences(expected.fingerprint(), found.fingerprint()) == []
    leftovers = [p for p in found.home.rglob("*") if p.suffix in (".tmp", ".wal") or p.name in ("incoming", "build")]
    assert [p for p in leftovers if p.is_file() or any(p.iterdir())] == []


def take_again(box: Box) -> None:
    catalog = load_catalog(box.home / "catalog")
    with Ledger.open(box.home) as ledger:
        ingest(box.home, ledger, catalog.settings, catalog.sources, parse_instant(OCTOBER_NOW, "test"))


@pytest.mark.parametrize("point", INGEST)
def test_a_kill_while_taking_files_neither_loses_nor_doubles_a_line(
    point: str, september: Box, october_run: Box, tmp_path: Path
) -> None:
    box = september.copy(tmp_path / "home")
    before, committed = published(box), box.ledger_dump()
    box.do("run", code=KILLED, TALLYSTICK_CRASH_AT=point)
    assert published(box) == before
    if point != "ingest_after_commit":
        assert box.ledger_dump() == committed
    take_again(box)
    assert box.ledger_dump() == october_run.ledger_dump()
    for part in ("raw", "lake"):
        assert tree(box.home / part) == tree(october_run.home / part)


def test_a_kill_while_publishing_leaves_the_old_generation_or_the_new_one_whole(
    september: Box, october_run: Box, tmp_path: Path
) -> None:
    """Each run starts from what the kill before has left."""
    box = september.copy(tmp_path / "home")
    before = published(box)
    for point in ("generation_before_rename", "generation_before_link"):
        box.do("run", code=KILLED, TALLYSTICK_CRASH_AT=point)
        assert published(box) == before
    box.do("run", code=KILLED, TALLYSTICK_CRASH_AT="generation_after_link")
    assert box.marts() == october_run.marts()
    assert "nothing was built" in box.do("run")
    assert_same(october_run, box)


def test_a_kill_in_a_close_consumes_no_number_and_issues_nothing_twice(
    october_run: Box, october: Box, tmp_path: Path
) -> None:
    """Each close starts from what the kill before has left."""
    box = october_run.copy(tmp_path / "home")
    before, committed = published(box), box.ledger_dump()
    for point in ("close_before_journal", "close_before_commit"):
        box.do("close", "2026-10", code=KILLED, TALLYSTICK_CRASH_AT=point)
        assert box.ledger_dump() == committed
    for point in ("close_after_commit", *GENERATION):
        assert published(box) == before
        assert not (box.home / "exports" / "2026-11-01").exists()
        box.do("close", "2026-10", code=KILLED, TALLYSTICK_CRASH_AT=point)
        assert box.ledger_dump() == october.ledger_dump()
    box.do("close", "2026-10")
    assert_same(october, box)
    box.do("verify")


def test_a_kill_in_an_erasure_loses_no_number_and_leaves_nothing_of_the_person(october: Box, tmp_path: Path) -> None:
    """A user of gateway logs, by place; each kill is followed by the same command, which ends what was begun."""
    left, hurt = october.copy(tmp_path / "left"), october.copy(tmp_path / "hurt")
    with Ledger.open(left.home) as ledger:
        user, before = hash_of(ledger, "hudson1"), left.documents()
    for box in (left, hurt):
        row = f"name: gone, user: {user}, feed: gateway, by: lee, on: 2026-11-20, reason: asked"
        box.catalog("erasures.yaml", f"erasures:\n  - {{{row}}}\n")
    command = ("erase", "gone", "--now", OCTOBER_NOW)
    # 4 requests in September's log, again in the one that it grew into, with 4 of October; 2 in a compressed one.
    assert "erased 14 line(s), journal entry 3" in left.do(*command)
    assert "nothing is left to erase" in left.do(*command)
    for point in ERASE:
        hurt.do(*command, code=KILLED, TALLYSTICK_CRASH_AT=point)
    assert "nothing is left to erase" in hurt.do(*command)
    assert hurt.ledger_dump() == left.ledger_dump()
    for part in ("raw", "lake"):
        assert tree(hurt.home / part) == tree(left.home / part)
    assert hurt.documents() == before
    assert not (hurt.home / "warehouse").exists()
    objects = [path.read_bytes() for path in (hurt.home / "raw").rglob("*") if path.is_file()]
    objects = [gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data for data in objects]
    assert not any(b'"hudson1"' in data for data in objects) and any(b'"hudson2"' in data for data in objects)
    said = hurt.do("verify")
    assert "14 line(s) of 3 raw file(s) erased on 2026-11-05: asked (row 'gone' by lee, journal entry 3)" in said


def test_random_kills_of_the_whole_process_change_nothing(september: Box, october: Box, tmp_path: Path) -> None:
    print(f"seed {SEED}")

    def work(name: str) -> None:
        box = september.copy(tmp_path / name)
        survive_kills(box, random.Random(f"{SEED} {name}"), kills=5)
        assert_same(october, box)

    with ThreadPoolExecutor(2) as pool:
        for chain in [pool.submit(work, name) for name in ("left", "right")]:
            chain.result()


def survive_kills(box: Box, chance: random.Random, kills: int) -> None:
    """Start `close`, kill it at a random moment, start it again; the last one is left to end."""
    for _ in range(kills):
        running = box.start("close", "2026-10")
        # Half of the kills fall into the first second, in which files are taken.
        time.sleep(chance.uniform(0, 1) if chance.random() < 0.5 else chance.uniform(1, 6))
        assert running.kill().code in (KILLED, 0)
        assert box.sql("SELECT count(*) FROM marts.invoices")[0][0] >= 3
    box.do("close", "2026-10")
