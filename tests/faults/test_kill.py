"""Killed anywhere, run again, the same: no line lost or doubled, no number used up, no half generation."""

from __future__ import annotations

import hashlib
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faultkit import Box, ForkServer, differences
from kills import START
from lives import PHASES, SECRET, Phase, go, newborn, state

from orchestration.durable import Point

SEED = int(os.environ.get("KILL_SEED", "20261101"))
KILLED, FULL = -9, 6


@pytest.fixture(scope="module")
def calm(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Box]:
    """A life that nobody disturbed: the instance as it is before each phase, and at the `end`."""
    folder = tmp_path_factory.mktemp("calm")
    box, found = newborn(server, folder / "life"), {}
    for phase in PHASES:
        phase.prepare(box)
        found[phase.name] = box.copy(folder / phase.name)
        go(box, phase)
    return found | {"end": box}


def issued(box: Box) -> int:
    """Documents in the ledger, whose numbers have no gap whatever has just happened."""
    if not (box.home / "ledger.sqlite").exists() or not box.ledger("SELECT 1 FROM sqlite_master"):
        return 0
    [(count, last)] = box.ledger("SELECT count(*), coalesce(max(sequence), 0) FROM documents WHERE kind = 'invoice'")
    assert count == last
    return int(count)


def shown(box: Box) -> int:
    """Documents that a reader sees; the published database opens and is one generation."""
    if not (box.home / "warehouse" / "current").is_symlink():
        return 0
    [(documents, journal)] = box.sql(
        "SELECT (SELECT count(*) FROM marts.invoices WHERE number IS NOT NULL), journal_seq FROM control.generation"
    )
    assert documents == 3 * journal
    return int(documents)


def test_F1_F2_F3_F4_F5_A14_a_kill_before_or_after_any_durable_step_is_as_if_it_had_not_been(
    server: ForkServer, calm: dict[str, Box], tmp_path: Path
) -> None:
    """Each command begins with what the kill before has left. A step that isn't reached leaves the command alive."""
    box, reached = newborn(server, tmp_path / "life"), []
    for phase in PHASES:
        phase.prepare(box)
        at, argv = phase.command(box)
        for point in phase.points:
            for side in ("before", "after") if point in BOTH_SIDES else ("after",):
                documents = issued(box), shown(box)
                moment = f"{point}.{side}"
                at.do(*argv, code=KILLED, SECRET=SECRET, KILL_AT=moment)
                reached.append(point)
                now = issued(box), shown(box)
                assert (now == documents) or moment in (*STEPS_FORWARD, *STEPS_BACK), moment
        go(box, phase)
    assert set(reached) == set(Point)
    assert differences(state(calm["end"]), state(box)) == []
    assert leftovers(box) == []
    box.do("verify")


BOTH_SIDES = {point for point in Point if point.endswith("_committed")} | {Point.GENERATION_LINKED}
"""Where what is known changes at once. Before any other step it is as after the one before: `make kill-points`."""
STEPS_FORWARD = ("close_committed.after", "generation_linked.after", "generation_dropped.after")
"""The only moments at which a ledger, or a reader, has come to have more documents."""
STEPS_BACK = ("erased_removed.after",)
"""Generations that hold what was erased are gone: the next run builds another."""


def leftovers(box: Box) -> list[Path]:
    found = [p for p in box.home.rglob("*") if p.suffix in (".tmp", ".wal") or p.name in ("incoming", "build")]
    return [p for p in found if p.is_file() or any(p.iterdir())]


def test_a_life_reaches_every_point_that_is_registered() -> None:
    points = [point for phase in PHASES for point in phase.points]
    assert sorted(points) == sorted(Point)


@pytest.mark.parametrize("node", ["usage_daily.start", "rated_usage.end"])
def test_F3_a_kill_inside_dbt_leaves_the_published_generation_and_the_next_run_builds_the_same(
    node: str, september: Box, october_run: Box, tmp_path: Path
) -> None:
    box = september.copy(tmp_path / "home")
    before = hashlib.sha256(published(box).read_bytes()).hexdigest()
    box.do("run", code=KILLED, KILL_AT=f"dbt:{node}")
    assert hashlib.sha256(published(box).read_bytes()).hexdigest() == before
    assert shown(box) == 3
    box.do("run")
    assert differences(october_run.fingerprint(), box.fingerprint()) == []
    assert leftovers(box) == []


def published(box: Box) -> Path:
    return (box.home / "warehouse" / "current").resolve() / "tallystick.duckdb"


STAGES = {
    "first close": [Point.INSTANCE_KEY],
    "second close": [
        Point.RAW_RECEIVED,
        Point.LAKE_FILE_NAMED,
        Point.BATCH_COMMITTED,
        Point.BUILD_BEGUN,
        Point.USAGE_BUILT,
        Point.DRAFTS_PRICED,
        Point.FINANCE_BUILT,
        Point.CLOSE_COMMITTED,
        Point.EXPORT_NAMED,
    ],
    "checkpoint": [Point.CHECKPOINT_KEY, Point.CHECKPOINT_REMEMBERED],
}
"""Points after which a phase has still something to write: from there on there is no room for a byte."""


def test_F9_F10_a_disk_that_is_full_at_any_stage_is_named_with_the_file_and_leaves_nothing_half_done(
    server: ForkServer, calm: dict[str, Box], tmp_path: Path
) -> None:
    """No file may grow from the moment that is named. The next command has room up to a later moment."""
    box = newborn(server, tmp_path / "life")
    for phase in PHASES:
        phase.prepare(box)
        moments = [f"{point}.before" for point in STAGES.get(phase.name, ())] or [START]
        for moment in moments:
            fill(box, phase, moment)
        go(box, phase)
    assert differences(state(calm["end"]), state(box)) == []
    assert leftovers(box) == []


def fill(box: Box, phase: Phase, moment: str) -> None:
    documents, (at, argv) = (issued(box), shown(box)), phase.command(box)
    said = at.do(*argv, code=FULL, SECRET=SECRET, FULL_AT=moment)
    assert "error[out_of_resources]" in said and "Traceback" not in said, f"{moment}: {said}"
    assert str(box.home) in said.replace("\n", ""), f"{moment} names no file: {said}"
    now = issued(box), shown(box)
    # At the exports, what is issued and published stands; nothing else has got any further.
    assert now == documents or moment == "export_named.before", moment
    handed_out = {"evidence": "events.csv", "bundle": "bundle"}.get(phase.name, "nothing")
    assert not (box.home / "out" / handed_out).exists(), moment


def test_F7_random_kills_of_the_whole_process_group_change_nothing(
    september: Box, october: Box, tmp_path: Path
) -> None:
    print(f"seed {SEED}")

    def work(name: str) -> None:
        box = september.copy(tmp_path / name)
        survive_kills(box, random.Random(f"{SEED} {name}"), kills=3)
        assert differences(october.fingerprint(), box.fingerprint()) == []
        assert leftovers(box) == []

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
