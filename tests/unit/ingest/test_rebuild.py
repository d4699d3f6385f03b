"""The lake is derived: deleted, damaged or half written, it comes back with the same bytes; raw files are checked."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import IntegrityFailure
from orchestration.ingest import rebuild_lake


def event(n: int, m: int = 0) -> str:
    return json.dumps({"id": f"e{n}", "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z", "n": m}) + "\n"


def log(*numbers: int) -> str:
    return "".join(f'1.1.1.1 - k [01/Oct/2026:10:00:00 +0000] "GET /{n} HTTP/1.1" 200 1 "-" "x"\n' for n in numbers)


def lake_bytes(home: Path) -> dict[str, str]:
    files = sorted(p for p in (home / "lake").rglob("*") if p.is_file())
    return {str(p.relative_to(home)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def sources(make_source: Any) -> list[Any]:
    feed = make_source(name="ce", path="ce/*", format="cloudevents", properties={"n": "n"})
    return [feed, make_source(path="{gateway}/*.log*")]


@pytest.fixture
def filled(instance: Any, sources: list[Any]) -> Any:
    instance.put("ce/a.jsonl", event(1) + event(2) + "bad\n")
    instance.put("g1/a.log", log(1, 2) + "bad\n")
    instance.run(*sources)
    instance.put("ce/b.jsonl", event(2) + event(1, 5) + event(3))
    instance.put("g1/a.log", log(1, 2) + "bad\n" + log(3))
    instance.run(*sources, now=instance.ledger.batches()[0].now_us + 1)
    return instance


def test_the_deleted_lake_comes_back_with_the_same_bytes(filled: Any, sources: list[Any]) -> None:
    before = lake_bytes(filled.home)
    shutil.rmtree(filled.home / "lake")
    report = filled.run(*sources)
    assert (report.rebuilt, report.batches) == (4, [])
    assert lake_bytes(filled.home) == before


@pytest.mark.parametrize("kind", ["events", "quarantine", "verdicts", "keys", "fields", "engine"])
def test_any_missing_part_of_the_lake_comes_back(filled: Any, kind: str) -> None:
    before = lake_bytes(filled.home)
    path = filled.home / "lake" / kind
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    rebuild_lake(filled.home, filled.ledger)
    assert lake_bytes(filled.home) == before


def test_a_damaged_raw_file_is_named_and_never_read_as_if_it_were_whole(filled: Any) -> None:
    row = filled.ledger.files()[0]
    path = filled.home / "raw" / row.sha256[:2] / row.sha256
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    shutil.rmtree(filled.home / "lake")
    with pytest.raises(IntegrityFailure, match=row.sha256) as caught:
        rebuild_lake(filled.home, filled.ledger)
    assert "ce/a.jsonl" in str(caught.value)
    path.unlink()
    with pytest.raises(IntegrityFailure, match=row.sha256):
        rebuild_lake(filled.home, filled.ledger)


def test_raw_files_are_kept_as_delivered_and_read_only(filled: Any) -> None:
    for row in filled.ledger.files():
        path = filled.home / "raw" / row.sha256[:2] / row.sha256
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
        assert path.stat().st_mode & 0o777 == 0o400


def test_leftovers_of_a_batch_that_never_was_are_removed(filled: Any, sources: list[Any]) -> None:
    before = lake_bytes(filled.home)
    for name in ("events/000009/00000099.parquet", "keys/000009.parquet", "verdicts/000002.tmp"):
        path = filled.home / "lake" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    (filled.home / "raw" / "incoming").mkdir(exist_ok=True)
    (filled.home / "raw" / "incoming" / "file").write_bytes(b"half")
    report = filled.run(*sources)
    assert lake_bytes(filled.home) == before
    assert not (filled.home / "raw" / "incoming" / "file").exists()
    assert [n.reason for n in report.notices] == ["4 leftover(s) of an interrupted run removed"]


INGEST_POINTS = (
    "raw_received.after",
    "raw_named.after",
    "lake_file_named.after",
    "batch_committed.before",
    "batch_committed.after",
)
SUPPORT = os.pathsep.join(str(Path(__file__).parents[up] / name) for up, name in ((3, ""), (2, "support")))

CHILD = textwrap.dedent("""
    import os
    import sys
    from pathlib import Path
    from kills import watch
    from orchestration.catalog.models import Entity, Settings
    from orchestration.catalog.sources import Source
    from orchestration.ingest import ingest
    from orchestration.ledger.store import Ledger
    watch(os.environ)
    home = Path(sys.argv[1])
    feed = Source(name="ce", path="ce/*", format="cloudevents", properties={"n": "n"})
    logs = Source(name="gw", path="{gateway}/*.log*", format="combined")
    settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
    with Ledger.open(home) as ledger:
        ingest(home, ledger, settings, [feed, logs], 1793491200_000000)
""")


def test_F1_F2_A4_A6_A14_a_kill_at_any_point_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "inbox/ce").mkdir(parents=True)
    (home / "inbox/g1").mkdir()
    expected: list[str] = []
    for number, point in enumerate(INGEST_POINTS):
        (home / f"inbox/ce/{number}.jsonl").write_text(event(number) + event(0))
        (home / f"inbox/g1/{number}.log").write_text(log(number, number))
        environment = os.environ | {"KILL_AT": point, "PYTHONPATH": SUPPORT}
        command = [sys.executable, "-c", CHILD, str(home)]
        killed = subprocess.run(command, env=environment, check=False, cwd=Path(__file__).parents[3])
        assert killed.returncode == -signal.SIGKILL, point
        expected.append(point)
    environment.pop("KILL_AT")
    subprocess.run(command, env=environment, check=True, cwd=Path(__file__).parents[3])
    from orchestration.ledger.store import Ledger

    with Ledger.open(home) as ledger:
        rows = ledger.files()
    n = len(expected)
    assert sorted(row.path for row in rows) == sorted(
        [f"ce/{i}.jsonl" for i in range(n)] + [f"g1/{i}.log" for i in range(n)]
    )
    assert sum(row.accepted for row in rows if row.source == "ce") == n
    assert sum(row.duplicate for row in rows if row.source == "ce") == n
    assert sum(row.accepted for row in rows if row.source == "gw") == 2 * n
    assert not list((home / "lake").rglob("*.tmp"))
