"""Changes of a ledger by somebody with the file in hand, who leaves its guards as they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestration.ledger.journal import GENESIS, entry_hash

OTHER = {
    ("documents", "kind"): {"invoice": "credit_note", "credit_note": "debit_note", "debit_note": "invoice"},
    ("deliveries", "status"): {"taken": "held", "held": "taken", "duplicate_of": "taken"},
}
"""Columns whose values are chosen from a few: what each is changed to, so that no constraint tells of it."""


@contextmanager
def unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a ledger that refuses nothing; triggers are as before when it ends."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("foreign_keys = OFF", "synchronous = OFF", "journal_mode = MEMORY"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("PRAGMA ignore_check_constraints = ON")
        guards = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid").fetchall()
        db.execute("BEGIN")
        for name, _ in guards:
            db.execute(f"DROP TRIGGER {name}")
        yield db
        for _, sql in guards:
            db.execute(sql)
        db.execute("COMMIT")
    finally:
        db.close()


def tables(path: Path) -> dict[str, list[str]]:
    """Columns by table, as the ledger itself has them."""
    db = sqlite3.connect(path)
    try:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names}
    finally:
        db.close()


def other(table: str, column: str, value: Any) -> Any:
    """A value of the same type that a constraint doesn't refuse."""
    if value is None:
        return 1 if column in ("retry_of", "min_us", "max_us") else "x"
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, int):
        return value + 1
    return OTHER.get((table, column), {}).get(value, f"{value}0")


def rehashed(db: sqlite3.Connection) -> None:
    """Make every hash of the journal anew, so that the chain alone shows nothing."""
    before = GENESIS
    for seq, kind, body in db.execute("SELECT seq, kind, body FROM journal ORDER BY seq").fetchall():
        made = entry_hash(seq, kind, body, before)
        db.execute("UPDATE journal SET prev_hash = ?, hash = ? WHERE seq = ?", (before, made, seq))
        before = made
