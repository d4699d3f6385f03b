"""The journal: a hash chain of entries, so that none can be changed, dropped or moved unseen.

An entry is hashed over the salted hashes of its fields. So one field can be shown to somebody, and proved, without the
others: a customer learns the root over the documents of a close, and nothing of whose they are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any

from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.errors import Problem
from orchestration.ledger.rows import FileRow, JournalRow

GENESIS = "0" * 64
"""What the first entry names as the hash of the entry before it."""
CLOSE = "close"
"""Kind of the journal entry that a close writes."""


SALT = "salt"
"""The field from which the salts of all other fields are made. It is never shown."""


def salted(instance_key: bytes, seq: int, body: bytes) -> str:
    """The body of an entry, a JSON object, as it is journalled: with the salt of its fields."""
    secret = hmac.new(instance_key, f"journal {seq}".encode(), hashlib.sha256).hexdigest()
    return canonical_bytes(json.loads(body) | {SALT: secret}).decode()


def field_salt(secret: str, name: str) -> str:
    """Hex of 32 bytes. It tells nothing of the salts of other fields."""
    return hmac.new(bytes.fromhex(secret), name.encode(), hashlib.sha256).hexdigest()


def field_hash(salt: str, name: str, value: Any) -> str:
    """Hex SHA-256 over the canonical JSON of a field and its salt."""
    return sha256_hex(canonical_bytes({"name": name, "salt": salt, "value": value}))


def fields_of(body: str) -> dict[str, Any] | None:
    """The fields of a salted body without the salt; None for a body that is hashed as a whole."""
    try:
        fields = json.loads(body)
        secret = fields.pop(SALT)
        whole = bytes.fromhex(secret) and canonical_bytes(fields | {SALT: secret}) == body.encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return fields if whole else None


def entry_hash(seq: int, kind: str, body: str, prev_hash: str) -> str:
    """Hex SHA-256 over the canonical JSON of the entry and the hash of the one before.

    Of a salted body the hashes of its fields stand for it; another one, of earlier versions, stands there itself.
    """
    fields = fields_of(body)
    stands: Any = body
    if fields is not None:
        secret = json.loads(body)[SALT]
        stands = {name: field_hash(field_salt(secret, name), name, value) for name, value in fields.items()}
    return sha256_hex(canonical_bytes({"seq": str(seq), "kind": kind, "body": stands, "prev": prev_hash}))


def check_chain(entries: Iterable[JournalRow]) -> list[Problem]:
    """Every break of the chain: a gap in the sequence, a wrong predecessor, a body that does not fit its hash."""
    problems: list[Problem] = []
    expected_seq, prev = 1, GENESIS
    for entry in entries:
        where = f"ledger.sqlite, journal entry {entry.seq}"
        if entry.seq != expected_seq:
            problems.append(Problem("journal_gap", f"expected entry {expected_seq}", where))
        if entry.prev_hash != prev:
            message = f"names {entry.prev_hash} as the entry before, not {prev}"
            problems.append(Problem("journal_broken", message, where))
        actual = entry_hash(entry.seq, entry.kind, entry.body, entry.prev_hash)
        if actual != entry.hash:
            problems.append(Problem("journal_edited", f"hash is {entry.hash}, the entry hashes to {actual}", where))
        expected_seq, prev = entry.seq + 1, entry.hash
    return problems


def input_digest(files: Iterable[FileRow]) -> str:
    """Hex SHA-256 over number, hash and counts of files, in the order of the ledger."""
    inputs = [f"{f.file_id} {f.sha256} {f.lines} {f.accepted}" for f in files]
    return sha256_hex("\n".join(inputs).encode())
