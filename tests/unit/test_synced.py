"""What tests leave out, waiting for the disk, the program does."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import nosync
import pytest
from orchestration.ingest.durable import publish

EXTRA = 3


def test_a_commit_of_the_ledger_waits_for_the_disk_its_folder_included() -> None:
    db = sqlite3.connect(":memory:")
    for pragma in nosync.PRAGMAS:
        db.execute(f"PRAGMA {pragma}")
    assert db.execute("PRAGMA synchronous").fetchone() == (EXTRA,)
    db.close()


def test_a_file_is_on_the_disk_before_it_gets_its_name_and_the_name_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    path = tmp_path / "file"
    monkeypatch.setattr(os, "fsync", lambda number: synced.append((os.fstat(number).st_ino, path.exists())))
    (tmp_path / "file.tmp").write_text("text")
    publish(tmp_path / "file.tmp", path)
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]
    assert nosync.SYNC.__module__ == "posix"
