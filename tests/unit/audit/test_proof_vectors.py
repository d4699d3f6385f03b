"""What a proof rests on, against published vectors: Ed25519 (RFC 8032), trees (RFC 6962), canonical JSON (RFC 8785)."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from orchestration.audit import verify_invoice as script
from orchestration.canonical import canonical_bytes
from orchestration.ledger.merkle import consistency_path, inclusion_path, is_consistent, root_hash

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def taken(key: bytes, text: bytes, signature: bytes) -> bool:
    """Whether the script takes a signature; one that is none at all it refuses by name."""
    with suppress(script.Wrong):
        return script.signed(key, text, signature)
    return False


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_the_script_takes_the_signatures_of_rfc_8032_and_no_other(
    secret: str, public: str, message: str, signature: str
) -> None:
    key, text, sign = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)).sign(text) == sign
    assert script.signed(key, text, sign)
    assert not script.signed(key, text + b"x", sign)
    for place in (0, 33, 63):
        other = bytearray(sign)
        other[place] ^= 1
        assert not taken(key, text, bytes(other))
    # The same signature with S + L would be taken by a check that forgets the bound.
    s = int.from_bytes(sign[32:], "little") + script.L
    assert not taken(key, text, sign[:32] + s.to_bytes(32, "little"))
    assert not taken(key, text, sign[:63])


LEAVES = [
    hashlib.sha256(b"\x00" + bytes.fromhex(text)).digest()
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
G = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
H = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
I = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"  # noqa: E741


def test_F54_paths_have_the_values_that_are_published_for_rfc_6962() -> None:
    known = {(0, 8): [A, B, C], (5, 8): [D, E, F], (2, 3): [G], (1, 5): [H, B, D]}
    for (index, size), path in known.items():
        assert [node.hex() for node in inclusion_path(LEAVES[:size], index)] == path
    grown = {(1, 8): [A, B, C], (6, 8): [I, E, F], (2, 5): [B, D], (8, 8): []}
    for (first, second), path in grown.items():
        assert [node.hex() for node in consistency_path(LEAVES[:second], first)] == path


def leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(str(n).encode()).digest() for n in range(count)]


@pytest.mark.parametrize("size", [*range(1, 34), 64, 65, 127])
def test_F54_every_leaf_leads_to_the_root_and_to_no_other_from_another_place(size: int) -> None:
    all_leaves = leaves(size)
    root = root_hash(all_leaves)
    for index, leaf in enumerate(all_leaves):
        path = [node.hex() for node in inclusion_path(all_leaves, index)]
        place = {"index": str(index), "size": str(size), "path": path}
        assert script.root(leaf, place) == root
        forged = [place | {"index": str(other)} for other in {index - 1, index + 1, index ^ 1, size, -1} - {index}]
        forged += [place | {"path": path[:-1]}, place | {"path": [*path, "00" * 32]}, place | {"path": path[::-1]}]
        forged += [place | {"size": str(other)} for other in (0, 2 * size, 4 * size + 1)]
        for other in forged:
            if other["path"] == path and other["index"] == place["index"] and other["size"] == place["size"]:
                continue
            with suppress(script.Wrong):
                assert script.root(leaf, other) != root, other
        assert script.root(hashlib.sha256(b"x").digest(), place) != root


def test_F54_a_tree_goes_on_from_its_beginnings_and_from_nothing_else() -> None:
    all_leaves = leaves(20)
    for first, second in product(range(1, 21), repeat=2):
        if first > second:
            continue
        path, old = consistency_path(all_leaves[:second], first), root_hash(all_leaves[:first])
        new = root_hash(all_leaves[:second])
        assert is_consistent(first, second, old, new, path)
        changed = root_hash([hashlib.sha256(b"x").digest(), *all_leaves[1:first]])
        assert not is_consistent(first, second, changed, new, path)
        assert not is_consistent(first, second, old, changed, path)
        assert not is_consistent(first, second, old, new, [*path, old])
        assert not path or not is_consistent(first, second, old, new, path[:-1])
    assert not is_consistent(3, 2, root_hash(all_leaves[:3]), root_hash(all_leaves[:2]), [])


def test_canonical_json_is_that_of_rfc_8785_where_numbers_are_text() -> None:
    """Section 3.2.2's string and literals; its numbers are refused here."""
    source = '{"string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/", "literals": [null, true, false]}'
    text = '{"literals":[null,true,false],"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    assert canonical_bytes(json.loads(source)) == text.encode()
    assert script.canonical(script.parse(source.encode())) == text.encode()
    for number in ("1", "-1.5", "1e30", "NaN"):
        with pytest.raises(script.Wrong, match="number "):
            script.parse(f'{{"n": {number}}}'.encode())
    with pytest.raises(TypeError):
        canonical_bytes({"n": 333333333.33333329})
    # UTF-16 and UTF-8 order other keys differently: none are let in (section 3.2.3).
    with pytest.raises(TypeError):
        canonical_bytes({"\ufb33": "", "\U0001f600": ""})
