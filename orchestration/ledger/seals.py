"""What shows that a row of the ledger was changed by other hands than the program's.

Batches form a chain: each is hashed with its files, their mappings, and the hash of the batch before, so that none is
lost or moved. Rows of files, and those that are replaced as sources move on, bear a seal, a keyed hash of the row.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from importlib.resources import files as package_files
from typing import Any

from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.errors import Problem
from orchestration.ledger.journal import GENESIS
from orchestration.ledger.rows import BatchRow, FileRow

SEALED = {"files": ("file_id",), "tapes": ("tape_id",), "deliveries": ("source", "path"), "raw_references": ("sha256",)}
"""Tables whose rows bear a seal as their last column, with their key."""
COUNTED = ("deliveries", "raw_references")
"""Tables of which `meta` says how many rows they have, as none is ever removed."""
META = frozenset({"schema_version", "key_fingerprint", *COUNTED})
"""What `meta` holds."""


def _texts(values: Iterable[object]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]


def seal(instance_key: bytes, table: str, values: Sequence[object]) -> str:
    """Hex HMAC-SHA-256 over the table's name and a row without its seal."""
    return hmac.new(instance_key, canonical_bytes([table, _texts(values)]), hashlib.sha256).hexdigest()


def batch_hash(batch: BatchRow, files: Iterable[FileRow], before: str) -> str:
    """Hex SHA-256 over a batch, all that is known of its files, and the hash of the batch before."""
    rows = [_texts(astuple(file)) for file in files]
    return sha256_hex(canonical_bytes({"batch": _texts(astuple(batch)), "files": rows, "prev": before}))


def schema_script() -> str:
    return package_files("orchestration.ledger").joinpath("schema.sql").read_text()


def wrong_rows(
    db: sqlite3.Connection, instance_key: bytes, batches: Sequence[BatchRow], files: Sequence[FileRow]
) -> Iterator[Problem]:
    """Every row of what was taken that isn't as the program wrote it, and every guard of the ledger that is gone."""
    yield from _wrong_schema(db)
    yield from _wrong_references(db)
    yield from _wrong_meta(db)
    yield from _wrong_mappings(db)
    yield from _wrong_batches(db, batches, files)
    yield from _wrong_seals(db, instance_key)
    yield from _lost(db, files)


def _wrong_schema(db: sqlite3.Connection) -> Iterator[Problem]:
    made = sqlite3.connect(":memory:")
    made.executescript(schema_script())
    wanted, found = _schema_of(made), _schema_of(db)
    made.close()
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            how = "is missing" if name not in found else "is not of this ledger" if name not in wanted else "differs"
            yield Problem("ledger_schema", f"{name} {how}", "ledger.sqlite")


def _schema_of(db: sqlite3.Connection) -> dict[str, str]:
    """By kind and name the statement that makes it, without comments and spaces."""
    rows = db.execute("SELECT type || ' ' || name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'")
    return {name: re.sub(r"--[^\n]*|\s+", "", sql) for name, sql in rows}


def _wrong_references(db: sqlite3.Connection) -> Iterator[Problem]:
    for table, row, parent, _ in db.execute("PRAGMA foreign_key_check").fetchall():
        yield Problem("row_edited", f"names what is not in '{parent}'", f"ledger.sqlite, {table} row {row}")


def _wrong_meta(db: sqlite3.Connection) -> Iterator[Problem]:
    meta: dict[str, str] = dict(db.execute("SELECT key, value FROM meta"))
    for key in sorted(META.symmetric_difference(meta)):
        message = "is missing" if key in META else "is no setting of a ledger"
        yield Problem("row_edited", message, f"ledger.sqlite, meta '{key}'")
    for table in COUNTED:
        (number,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
        if str(number) != meta.get(table, str(number)):
            message = f"there are {number} rows, and {meta[table]} were recorded"
            yield Problem("row_edited", message, f"ledger.sqlite, {table}")


def _wrong_mappings(db: sqlite3.Connection) -> Iterator[Problem]:
    used = {digest for (digest,) in db.execute("SELECT DISTINCT mapping_hash FROM files")}
    for digest, body in db.execute("SELECT hash, body FROM mappings ORDER BY hash").fetchall():
        where = f"ledger.sqlite, mapping {digest}"
        if sha256_hex(body.encode()) != digest:
            yield Problem("row_edited", f"its text has the hash {sha256_hex(body.encode())}", where)
        elif digest not in used:
            yield Problem("row_edited", "no file was read by it", where)


def _wrong_batches(db: sqlite3.Connection, batches: Sequence[BatchRow], files: Sequence[FileRow]) -> Iterator[Problem]:
    by_batch: dict[int, list[FileRow]] = defaultdict(list)
    for file in files:
        by_batch[file.batch_id].append(file)
    hashes: dict[int, str] = dict(db.execute("SELECT batch_id, hash FROM batches"))
    before = GENESIS
    for expected, batch in enumerate(batches, 1):
        where = f"ledger.sqlite, batch {batch.batch_id}"
        if batch.batch_id != expected:
            yield Problem("batch_edited", f"stands where batch {expected} belongs", where)
        found, stated = batch_hash(batch, by_batch[batch.batch_id], before), hashes[batch.batch_id]
        if found != stated:
            message = f"hash is {stated}; with its {len(by_batch[batch.batch_id])} file(s) it hashes to {found}"
            yield Problem("batch_edited", message, where)
        before = stated


def _wrong_seals(db: sqlite3.Connection, instance_key: bytes) -> Iterator[Problem]:
    for table, key in SEALED.items():
        for *values, stated in db.execute(f"SELECT * FROM {table} ORDER BY {', '.join(key)}").fetchall():
            if seal(instance_key, table, values) != stated:
                name = " ".join(repr(value) for value in values[: len(key)])
                yield Problem("row_edited", "its seal is not of what it says", f"ledger.sqlite, {table} {name}")


def _lost(db: sqlite3.Connection, files: Sequence[FileRow]) -> Iterator[Problem]:
    """Files without the row that says how much of their log was read, or where they were seen."""
    tapes = {tape for (tape,) in db.execute("SELECT tape_id FROM tapes")}
    seen: set[Any] = set(db.execute("SELECT source, path FROM deliveries"))
    for file in files:
        where = f"ledger.sqlite, file {file.file_id} ('{file.path}')"
        if file.tape_id is not None and file.tape_id not in tapes:
            yield Problem("row_edited", f"its tape {file.tape_id} is gone", where)
        if file.retry_of is None and (file.source, file.path) not in seen:
            yield Problem("row_edited", "its delivery is gone", where)
