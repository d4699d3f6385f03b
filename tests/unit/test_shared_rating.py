"""Rating shared out over processes: the rows of one, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NoReturn

import pytest

from orchestration.engine import connect
from orchestration.errors import OutOfResources
from orchestration.metering.control import charged_segments
from orchestration.pipeline import rating
from orchestration.pipeline.rated import rate_changed
from orchestration.pipeline.rating import shares_of
from orchestration.pipeline.terms import groups_of
from tests.bench.rating import LINES, MEASURED, NOW, catalog_of, measure

CUSTOMERS = 6
CATALOG = catalog_of(0, CUSTOMERS)
CHARGED = charged_segments(CATALOG, NOW)
ORPHAN = """
import os, time
from orchestration.pipeline.processes import pool
if __name__ == "__main__":
    workers = pool(1, int)
    print(workers.submit(os.getpid).result(), flush=True)
    workers.submit(time.sleep, 600).result()
"""


def tables(home: Path, threads: int, share: int) -> list[list[Any]]:
    """Lines and groups in the order in which they are stored."""
    scratch = home / "scratch"
    with connect(home / "build.duckdb", folders=[home], threads=threads, temp=scratch) as con:
        con.execute(f"""
            CREATE SCHEMA marts; CREATE SCHEMA control; CREATE TABLE control.touched_lines (line_id VARCHAR);
            CREATE TABLE marts.charge_quantities ({MEASURED})
        """)
        measure(con, 0, CUSTOMERS, 3)
        rate_changed(con, CATALOG, CHARGED, scratch, share)
        assert list(scratch.iterdir()) == []
        return [con.execute(f"FROM record.{name}").fetchall() for name in ("rated_lines", "rated_groups")]


def test_lines_and_their_order_are_those_of_one_process(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    for home in (alone, together):
        home.mkdir()
    found = tables(together, threads=2, share=9)
    assert len(found[0]) == LINES * 2
    assert found == tables(alone, threads=1, share=9)


def test_groups_are_shared_out_whole_and_in_their_order() -> None:
    groups = groups_of(CATALOG, CHARGED)
    # Of three customers two have 8 charges each, and one 3.
    found = list(shares_of(groups, 9))
    assert [(share.first, share.end) for share in found] == [(0, 16), (16, 27), (27, 38)]
    assert [name for share in found for name in share.groups] == list(groups)
    assert list(shares_of({}, 9)) == []


def test_a_process_that_is_ended_from_outside_is_no_fault_of_the_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: object) -> NoReturn:
        raise BrokenProcessPool

    monkeypatch.setattr(rating, "pool", ended)
    with pytest.raises(OutOfResources, match="ended from outside"):
        tables(tmp_path, threads=2, share=9)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_processes_end_with_the_one_that_they_work_for_though_it_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 60
    while is_running(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(worker)


def is_running(process: int) -> bool:
    """Also what nobody has taken leave of has ended."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
