"""Incremental equals full: however the same files arrive, and wherever it runs, usage and drafts are the same rows."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from instances import content, file_hashes, ledger_rows, rows, tables

from orchestration.demo import CATALOG, NOW
from orchestration.example import generate
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

# By file and its number, or the work of one build: these say how the files came, and are compared by their sums.
BY_FILE = {
    "marts.ingest_files",
    "marts.ingest_balance",
    "marts.quarantine",
    "metering.endpoints_by_file",
    "marts.quarantine_shares",
    "marts.schema_drift",
    "metering.sampled_fields",
    "metering.sampled_parts",
    "metering.stream_hours",
    "metering.unattributed_by_file",
}
# Copies of other files: whichever comes first counts, so they may also come first, or alone for a while.
ALWAYS = ("resent", ".log.1.gz", "partner/", "llm/usage-2026-10-0", "access-2026-10-3")


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small part of the example's files: some days of every source, and all that repeat one another."""
    home = tmp_path_factory.mktemp("files")
    generate(home, scale=2, report=lambda _: None)
    dice = random.Random(11)
    for path in sorted(p for p in (home / "inbox").rglob("*") if p.is_file()):
        if not any(part in path.as_posix() for part in ALWAYS) and dice.random() < 0.75:
            path.unlink()
    return home / "inbox"


def begun(home: Path, key_of: Path | None = None) -> Path:
    """An instance with the example's catalog and no files yet; with the key of another, hashes can be compared."""
    shutil.copytree(CATALOG, home / "catalog")
    (home / "inbox").mkdir()
    if key_of is not None:
        shutil.copy(key_of / "instance.key", home / "instance.key")
    return home


def taken(home: Path, threads: int = 2) -> bool:
    return run(Context(Instance(home, threads=threads), parse_instant(NOW, "test"))).built


@pytest.fixture(scope="module")
def at_once(inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = begun(tmp_path_factory.mktemp("at_once") / "home")
    shutil.copytree(inbox, home / "inbox", dirs_exist_ok=True)
    assert taken(home)
    return home


def facts(home: Path) -> dict[str, tuple[int, int, int]]:
    """Content of every table of usage and drafts that does not name files."""
    return content(home, [n for n in tables(home, "marts", "metering") if n not in BY_FILE])


def sums(home: Path) -> list[object]:
    """What tables by file say in sum: lines that count or are broken, and usage of nobody."""
    return [
        rows(home, "SELECT source, sum(accepted), sum(quarantined) FROM marts.ingest_files GROUP BY 1 ORDER BY 1"),
        rows(home, "SELECT source, line, reason, raw_hex FROM marts.quarantine ORDER BY ALL"),
        rows(
            home,
            "SELECT * EXCLUDE (file_id, events, bytes), sum(events), sum(bytes) "
            "FROM metering.unattributed_by_file GROUP BY ALL ORDER BY ALL",
        ),
    ]


def test_any_batches_in_any_order_give_the_usage_of_one(inbox: Path, at_once: Path, tmp_path: Path) -> None:
    dice = random.Random(3)
    home = begun(tmp_path / "home", at_once)
    names = sorted(p.relative_to(inbox).as_posix() for p in inbox.rglob("*") if p.is_file())
    turns = 3
    turn_of = {name: dice.randrange(turns) for name in names}
    # Some logs are still being written when they are first read.
    growing = [n for n in names if n.endswith(".log") and turn_of[n] > 0]
    cut = {name: dice.randrange(turn_of[name]) for name in growing}
    for turn in range(turns):
        for name in names:
            target = home / "inbox" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if turn_of[name] == turn and name in cut and dice.randrange(2):
                # In the meantime it was rotated and compressed.
                target.with_name(f"{target.name}.1.gz").write_bytes(gzip.compress((inbox / name).read_bytes()))
                target.unlink()
            elif turn_of[name] == turn:
                shutil.copyfile(inbox / name, target)
            elif cut.get(name) == turn:
                lines = (inbox / name).read_bytes().splitlines(keepends=True)
                target.write_bytes(b"".join(lines[: dice.randrange(1, len(lines))]))
        assert taken(home)
    assert not taken(home)
    assert len(ledger_rows(home, "SELECT batch_id FROM batches")) == turns
    assert sums(home) == sums(at_once)
    mine, once = facts(home), facts(at_once)
    assert {n: mine[n] for n in mine if mine[n] != once.get(n)} == {}
    assert mine.keys() == once.keys()
    assert all(mine[f"metering.{n}"][0] for n in ("metered_hours", "distinct_daily", "event_windows", "usage_by_day"))

    names_of_all = tables(home, "marts", "metering", "record")
    before = content(home, names_of_all)
    shutil.rmtree(home / "warehouse")
    assert taken(home)
    after = content(home, names_of_all)
    assert {n: after[n] for n in names_of_all if after[n] != before[n]} == {}


def test_zone_language_hash_seed_and_threads_of_the_host_change_nothing(at_once: Path, tmp_path: Path) -> None:
    home = begun(tmp_path / "home", at_once)
    shutil.copytree(at_once / "inbox", home / "inbox", dirs_exist_ok=True)
    strange = {
        "TZ": "Australia/Lord_Howe",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "4711",
        "TALLYSTICK_THREADS": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", "run", "--home", str(home), "--now", NOW],
        env={**os.environ, **strange},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert file_hashes(home / "lake") == file_hashes(at_once / "lake")
    # The generation names the run's own digest of what it was built from; usage, files and drafts are the rest.
    names = tables(home, "marts", "metering", "record")
    mine, there = content(home, names), content(at_once, names)
    assert {n: mine[n] for n in names if mine[n] != there.get(n)} == {}
