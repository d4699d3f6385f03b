"""Merkle trees with the nodes of RFC 6962: over the documents of a close, and over the entries of the journal.

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
    split = _split(len(leaves))
    return _node(root_hash(leaves[:split]), root_hash(leaves[split:]))


def _split(count: int) -> int:
    """The greatest power of two below a number of leaves above 1."""
    return 1 << (count - 1).bit_length() - 1


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes that lead from one leaf to the root, from below (RFC 6962, 2.1.1). Raises IndexError outside."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_path(leaves[:split], index), root_hash(leaves[split:])]
    return [*inclusion_path(leaves[split:], index - split), root_hash(leaves[:split])]


def consistency_path(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """The nodes that show a tree to go on from the tree of its `first` leaves (RFC 6962, 2.1.2).

    Raises IndexError unless 0 < `first` <= the number of leaves.
    """
    if not 0 < first <= len(leaves):
        raise IndexError(f"{first} leaves of a tree of {len(leaves)}")
    return _subproof(leaves, first, whole=True)


def _subproof(leaves: Sequence[bytes], first: int, *, whole: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if whole else [root_hash(leaves)]
    split = _split(len(leaves))
    if first <= split:
        return [*_subproof(leaves[:split], first, whole=whole), root_hash(leaves[split:])]
    return [*_subproof(leaves[split:], first - split, whole=False), root_hash(leaves[:split])]


def is_consistent(first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` shows a tree of `second` leaves to go on from one of `first` (RFC 9162, 2.1.4.2)."""
    if first == second:
        return not path and first_root == second_root
    if not 0 < first < second or not path:
        return False
    nodes = list(path) if first & (first - 1) else [first_root, *path]
    low, last = first - 1, second - 1
    while low & 1:
        low, last = low >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if low & 1 or low == last:
            old, new = _node(node, old), _node(node, new)
            while low and not low & 1:
                low, last = low >> 1, last >> 1
        else:
            new = _node(new, node)
        low, last = low >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
