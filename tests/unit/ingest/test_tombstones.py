"""Tombstones as text: whatever the lines hold and however they are cut into chunks, only the erased ones change."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from orchestration.ingest.tombstone import Tombstone, as_delivered, numbered, rewritten, tombstones

KEPT = {
    "3": {"event": {"event_id": 'é\n\u2028"', "bytes": 10**15, "p_n": "1.10"}, "verdict": ["duplicate", 1, 2, "a", "b"]}
}


def chunked(data: bytes, chance: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = chance.randint(1, 9)
        yield data[at : at + size]
        at += size


@pytest.mark.parametrize("seed", range(50))
def test_lines_that_are_not_erased_stay_and_every_byte_keeps_its_place(seed: int) -> None:
    chance = random.Random(seed)
    data = bytes(chance.choice(b'ab"\r\n\n\0\xe2\x80\xa8,{') for _ in range(chance.randint(0, 200)))
    lines = data.split(b"\n") if not data.endswith(b"\n") else data.split(b"\n")[:-1]
    lines = [] if not data else lines
    assert [line.removesuffix(b"\n") for _, line in numbered(chunked(data, chance))] == lines
    gone = sorted(chance.sample(range(1, len(lines) + 1), min(len(lines), chance.randint(0, 4))))
    put = {n: lambda size: Tombstone("row", size, KEPT).line() for n in gone}
    text = b"".join(rewritten(chunked(data, chance), put))
    again = text.split(b"\n")[: len(lines)]
    assert [line for n, line in enumerate(again, 1) if n not in gone] == [
        line for n, line in enumerate(lines, 1) if n not in gone
    ]
    assert text.endswith(b"\n") == data.endswith(b"\n")
    found = dict(tombstones(chunked(text, chance), gone))
    assert {n: (stone.size, stone.files) for n, stone in found.items()} == {n: (len(lines[n - 1]), KEPT) for n in gone}
    blanked = [bytes(len(line)) if n in gone else line for n, line in enumerate(lines, 1)]
    ends = b"\n" if data.endswith(b"\n") else b""
    assert b"".join(as_delivered(chunked(text, chance), gone)) == b"\n".join(blanked) + ends


def test_a_line_that_only_begins_like_a_tombstone_is_none() -> None:
    for line in (b"", b"{}", b'{"tallystick":"erased",', b'{"tallystick":"erased","row":"x"}'):
        with pytest.raises(ValueError):
            Tombstone.of(line)
