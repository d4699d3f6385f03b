"""Two at once: one works, the other says who does, and nothing comes twice."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from faultkit import REPOSITORY, Box, ForkServer

from orchestration.pipeline.lock import instance_lock

HOLDER = """
import sys, time
from pathlib import Path
from orchestration.pipeline.lock import instance_lock
with instance_lock(Path(sys.argv[1]), "run"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(home: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock of an instance."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_ends_at_once_naming_the_process_that_works(server: ForkServer, tmp_path: Path) -> None:
    box = Box.new(server, tmp_path / "home", "2026-10-05T09:00:00Z")
    holder = hold(box.home)
    try:
        for command in (["run"], ["close", "2026-09"]):
            start = time.monotonic()
            said = box.do(*command, code=4)
            assert time.monotonic() - start < 2
            assert f"process {holder.pid} on" in said and "doing run" in said
            assert "not done: nothing was read or changed" in said and "--wait" in said
        assert not (box.home / "ledger.sqlite").exists()
    finally:
        holder.kill()
        holder.wait()


def test_the_death_of_the_holder_frees_the_instance_at_once(server: ForkServer, tmp_path: Path) -> None:
    box = Box.new(server, tmp_path / "home", "2026-10-05T09:00:00Z")
    holder = hold(box.home)
    holder.kill()
    holder.wait()
    with instance_lock(box.home, "test"):
        pass
    assert (box.home / ".lock").read_text() == ""


def test_wait_waits_for_the_other_and_then_finds_nothing_left_to_do(october: Box, tmp_path: Path) -> None:
    box = october.copy(tmp_path / "home")
    holder = hold(box.home)
    waiting = box.start("run", "--wait")
    time.sleep(1)
    assert waiting.log.read_text() == ""
    holder.kill()
    holder.wait()
    done = waiting.wait()
    assert (done.code, "nothing was built" in done.text) == (0, True)
    assert box.ledger_dump() == october.ledger_dump()


def test_A15_two_closes_at_once_issue_one_set_of_documents(october_run: Box, october: Box, tmp_path: Path) -> None:
    box = october_run.copy(tmp_path / "home")
    both = [box.start("close", "2026-10", "--wait") for _ in range(2)]
    assert [running.wait().code for running in both] == [0, 0]
    assert box.ledger_dump() == october.ledger_dump()
    assert box.ledger("SELECT count(*), count(DISTINCT customer) FROM documents WHERE cut_off = '2026-11-01'") == [
        (3, 3)
    ]
