"""The journal: a hash chain of entries, so that none can be changed, dropped or moved unseen."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.errors import Problem
from orchestration.ledger.rows import FileRow, JournalRow

GENESIS = "0" * 64
"""What the first entry names as the hash of the entry before it."""
CLOSE = "close"
"""Kind of the journal entry that a close writes."""


def entry_hash(seq: int, kind: str, body: str, prev_hash: str) -> str:
    """Hex SHA-256 over the canonical JSON of the entry and the hash of the one before."""
    return sha256_hex(canonical_bytes({"seq": str(seq), "kind": kind, "body": body, "prev": prev_hash}))


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
