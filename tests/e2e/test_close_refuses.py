"""A close must not issue from less than all input: what is billed too low comes back as a late surprise."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from instances import ledger_rows

from orchestration.demo import CATALOG, NOW
from orchestration.errors import InputHeld
from orchestration.pipeline.close import close
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant


def test_a_folder_that_is_not_mounted_blocks_the_close(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(CATALOG, home / "catalog")
    context = Context(Instance(home), parse_instant(NOW, "test"))
    with pytest.raises(InputHeld, match="no_such_folder: inbox"):
        close(context, date(2026, 11, 1))
    assert ledger_rows(home, "SELECT count(*) FROM documents") == [(0,)]


def test_a_log_that_is_written_to_while_it_is_read_blocks_the_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.ingest import landing

    home = tmp_path / "home"
    shutil.copytree(CATALOG, home / "catalog")
    log = home / "inbox" / "gateways" / "us" / "node-1" / "access-2026-10-31.log"
    log.parent.mkdir(parents=True)
    log.write_text("a\n")
    delivered = landing._delivered

    def written_to(*arguments):
        with log.open("a") as handle:
            handle.write("b\n")
        return delivered(*arguments)

    monkeypatch.setattr(landing, "_delivered", written_to)
    with pytest.raises(InputHeld, match=r"access-2026-10-31\.log: changing"):
        close(Context(Instance(home), parse_instant(NOW, "test")), date(2026, 11, 1))
    assert ledger_rows(home, "SELECT count(*) FROM documents") == [(0,)]


def test_a_held_file_is_named_by_every_run_but_builds_one_generation_and_blocks_the_close(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(CATALOG, home / "catalog")
    path = home / "inbox" / "llm" / "usage-2026-10-31.jsonl.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x1f\x8b\x08\x00 cut off")
    built = []
    for hour in (9, 10):
        done = run(Context(Instance(home), parse_instant(f"2026-11-05T{hour:02}:00:00Z", "test")))
        assert [p for p in done.problems if "usage-2026-10-31.jsonl.gz" in p]
        built.append(done.built)
    assert built == [True, False]
    with pytest.raises(InputHeld, match="usage-2026-10-31"):
        close(Context(Instance(home), parse_instant("2026-11-05T11:00:00Z", "test")), date(2026, 11, 1))
    assert ledger_rows(home, "SELECT count(*) FROM documents") == [(0,)]
