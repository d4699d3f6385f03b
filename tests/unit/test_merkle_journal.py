"""The journal's chain and the tree over a close's documents, against other implementations."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from orchestration.canonical import canonical_bytes
from orchestration.ledger.journal import GENESIS, check_chain, entry_hash
from orchestration.ledger.merkle import leaf_hash, root_hash, salt
from orchestration.ledger.rows import JournalRow


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def other_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 computed from the leaves up, a stack of perfect trees: no recursion, no split point."""
    if not leaves:
        return sha(b"")
    stack: list[tuple[int, bytes]] = []
    for leaf in leaves:
        height, node = 0, leaf
        while stack and stack[-1][0] == height:
            node = sha(b"\x01" + stack.pop()[1] + node)
            height += 1
        stack.append((height, node))
    _, node = stack.pop()
    while stack:
        node = sha(b"\x01" + stack.pop()[1] + node)
    return node


@pytest.mark.parametrize("count", range(34))
def test_the_root_is_that_of_an_independent_implementation(count: int) -> None:
    leaves = [sha(bytes([n])) for n in range(count)]
    assert root_hash(leaves) == other_root(leaves)


def test_F54_the_root_has_the_values_that_are_published_for_rfc_6962() -> None:
    texts = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [sha(b"\x00" + bytes.fromhex(text)) for text in texts]
    assert leaf_hash(b"", b"") == leaves[0]
    known = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, root in known.items():
        assert root_hash(leaves[:count]).hex() == root


def test_a_root_commits_to_order_and_number_of_documents() -> None:
    leaves = [sha(bytes([n])) for n in range(7)]
    others = [leaves[:6], [*leaves, leaves[-1]], leaves[::-1], [leaves[1], leaves[0], *leaves[2:]]]
    # A node given as a leaf: without different prefixes this would be the same tree.
    folded = [sha(b"\x01" + leaves[n] + leaves[n + 1]) for n in range(0, 6, 2)] + leaves[6:]
    assert root_hash(leaves) not in {root_hash(other) for other in others}
    assert root_hash(folded) == root_hash(leaves)  # equal by construction: which is why a leaf is hashed with 0x00
    assert leaf_hash(b"", leaves[0] + leaves[1]) != folded[0]


def test_a_document_can_not_be_guessed_from_its_leaf_without_the_salt() -> None:
    key, document = b"k" * 32, b"{}"
    assert salt(key, "INV-2026-000001") == hmac.digest(key, b"INV-2026-000001", "sha256")
    assert leaf_hash(salt(key, "INV-2026-000001"), document) == sha(b"\x00" + salt(key, "INV-2026-000001") + document)
    assert len({leaf_hash(salt(key, f"INV-2026-{n:06}"), document) for n in range(50)}) == 50


def chain(count: int) -> list[JournalRow]:
    rows: list[JournalRow] = []
    for seq in range(1, count + 1):
        prev = rows[-1].hash if rows else GENESIS
        body = json.dumps({"n": str(seq)})
        rows.append(JournalRow(seq, "close", body, prev, entry_hash(seq, "close", body, prev)))
    return rows


def found(rows: list[JournalRow]) -> list[tuple[str, str]]:
    return [(p.code, p.where) for p in check_chain(rows)]


def test_an_unbroken_journal_has_no_problems_and_its_hash_covers_every_field() -> None:
    assert found(chain(5)) == []
    assert found([]) == []
    row = chain(1)[0]
    by_hand = canonical_bytes({"seq": "1", "kind": "close", "body": row.body, "prev": "0" * 64})
    assert row.hash == hashlib.sha256(by_hand).hexdigest()


def test_F53_every_break_of_the_journal_is_named_by_its_entry() -> None:
    rows = chain(5)
    at = "ledger.sqlite, journal entry "
    edited = [*rows[:2], replace(rows[2], body='{"n":"4"}'), *rows[3:]]
    assert found(edited) == [("journal_edited", at + "3")]
    renamed = [*rows[:2], replace(rows[2], kind="void"), *rows[3:]]
    assert found(renamed) == [("journal_edited", at + "3")]
    dropped = [*rows[:2], *rows[3:]]
    assert found(dropped) == [("journal_gap", at + "4"), ("journal_broken", at + "4")]
    assert ("journal_gap", at + "2") in found(rows[1:])
    swapped = [rows[0], rows[2], rows[1], *rows[3:]]
    assert ("journal_broken", at + "3") in found(swapped)
    rehashed = replace(rows[2], body="{}", hash=entry_hash(3, "close", "{}", rows[2].prev_hash))
    assert found([*rows[:2], rehashed, *rows[3:]]) == [("journal_broken", at + "4")]
    assert ("journal_gap", at + "5") in found([*rows, rows[4]])
