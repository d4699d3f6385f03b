"""How a ledger begins: its key, its empty tables, and when none may be begun."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from orchestration.canonical import sha256_hex
from orchestration.durable import Point, step, write_file
from orchestration.errors import IntegrityFailure
from orchestration.ledger.seals import COUNTED, schema_script


def refuse_lost(home: Path) -> None:
    """A new ledger would number from 1 again and take every file again: not where there has been one."""
    left = [name for name in ("raw", "exports", "lake") if (home / name).is_dir() and any((home / name).iterdir())]
    if left:
        raise IntegrityFailure(
            f"ledger.sqlite is gone, but there is {', '.join(f'{name}/' for name in left)} of an instance",
            where=str(home / "ledger.sqlite"),
            not_done="no new ledger was begun",
            next_step="restore ledger.sqlite and instance.key from a backup; to begin anew, use an empty folder",
        )


def begin(db: sqlite3.Connection, home: Path, version: str) -> None:
    """Make the tables of a new ledger, and its key where there is none."""
    key_path = home / "instance.key"
    if not key_path.exists():
        write_file(key_path, secrets.token_hex(32).encode(), Point.INSTANCE_KEY, mode=0o400)
    fingerprint = sha256_hex(read_key(home))
    counts = "".join(f", ('{table}', '0')" for table in COUNTED)
    with step(Point.LEDGER_CREATED):
        db.executescript(
            f"BEGIN IMMEDIATE; {schema_script()} INSERT INTO meta VALUES ('schema_version', '{version}'), "
            f"('key_fingerprint', '{fingerprint}'){counts}; COMMIT;"
        )


def read_key(home: Path) -> bytes:
    """The instance's secret of 32 bytes. Raises IntegrityFailure where it can't be read."""
    path = home / "instance.key"
    try:
        key = bytes.fromhex(path.read_text().strip())
        if len(key) != 32:
            raise ValueError(f"it holds {len(key)} bytes, not 32")
        return key
    except (OSError, ValueError) as error:
        raise IntegrityFailure(
            f"instance.key can't be read: {error}",
            where=str(path),
            not_done="the ledger was not opened",
            next_step="restore instance.key from the same backup as ledger.sqlite",
        ) from error
