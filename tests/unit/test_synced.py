"""What tests leave out, waiting for the disk, the program does."""

from __future__ import annotations

import sqlite3

import nosync

EXTRA = 3


def test_F8_a_commit_of_the_ledger_waits_for_the_disk_its_folder_included() -> None:
    db = sqlite3.connect(":memory:")
    for pragma in nosync.PRAGMAS:
        db.execute(f"PRAGMA {pragma}")
    assert db.execute("PRAGMA synchronous").fetchone() == (EXTRA,)
    db.close()
