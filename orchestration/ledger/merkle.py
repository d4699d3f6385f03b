"""Merkle tree over the documents of a close, with the nodes of RFC 6962.

A leaf commits to a salted document: without the salt, which is handed out with the document only, nobody can test a
guess of somebody else's invoice against the published root.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence


def salt(instance_key: bytes, number: str) -> bytes:
    """32 bytes, HMAC-SHA-256 of the document's number under the instance key."""
    return hmac.new(instance_key, number.encode(), hashlib.sha256).digest()


def leaf_hash(salt_bytes: bytes, document: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + salt_bytes + document).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes; of no leaves, the hash of the empty string (RFC 6962, 2.1)."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_hash(leaves[:split]) + root_hash(leaves[split:])).digest()
