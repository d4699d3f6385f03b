"""Every line ends in exactly one bucket, and none depends on its neighbours or on how the bytes were cut."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.sources import Source
from orchestration.ingest import ingest, lines
from orchestration.ingest.inflate import inflated, packing_of
from orchestration.ledger.store import Ledger

SETTINGS = Settings(entities=(Entity(key="e", name="E", address="A"),))
NOW = 1793491200_000000
FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True, scope="module")
def short_lines() -> Iterator[None]:
    """A cap that examples can reach without being huge."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "MAX_LINE", 500)
        patch.setattr(lines, "KEPT_OF_LONG_LINE", 50)
        yield


def event(number: int, **more: Any) -> bytes:
    body = {"id": f"e{number}", "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z", "data": {"n": 1}}
    return json.dumps(body | more).encode()


LINE = st.one_of(
    st.integers(0, 20).map(lambda n: ("good", event(n))),
    st.integers(0, 20).map(lambda n: ("good", event(n, note="\u00e9\n"))),
    st.integers(0, 3).map(lambda n: ("bad_quantity", event(n, data={"n": "x"}))),
    st.sampled_from([b"", b" ", b"\t\r", b"\r"]).map(lambda b: ("blank", b)),
    st.sampled_from([b"{", b"x", b"[1]", b"{} {}", b'{"a":1,}']).map(lambda b: ("not_json", b)),
    st.sampled_from([b"\xff", b"{\xc3}", b"\xed\xa0\x80"]).map(lambda b: ("invalid_utf8", b)),
    st.just(("nul_byte", b"a\0")),
    st.just(("missing_id", b"{}")),
    st.just(("duplicate_key", b'{"id":"1",' + event(1)[1:])),
    st.just(("line_too_long", b"y" * 501)),
    st.binary(max_size=20).filter(lambda b: b"\n" not in b and b.strip(b" \t\r")).map(lambda b: (None, b)),
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@MANY
@given(st.lists(LINE, max_size=12), st.lists(st.integers(0, 400), max_size=12), st.integers(0, 13), st.booleans())
def test_lines_come_out_whole_and_numbered_however_the_bytes_are_cut(
    made: list[tuple[str | None, bytes]], sizes: list[int], skip: int, ended: bool
) -> None:
    data = b"\n".join(raw for _, raw in made) + (b"\n" if ended else b"")
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    found: dict[int, bytes] = {}
    for block in lines.blocks(cut(data, sizes), skip):
        texts = block.text.split("\n") if block.numbers is None or block.numbers else []
        numbers = block.numbers if block.numbers is not None else range(block.first, block.first + block.count)
        for number, raw in [*zip(numbers, (t.encode() for t in texts), strict=True)] + [
            (b.line, b.raw) for b in block.bad
        ]:
            assert number not in found
            found[number] = raw
    kept = {
        n: raw[: lines.KEPT_OF_LONG_LINE] if len(raw) > lines.MAX_LINE else raw for n, raw in enumerate(expected, 1)
    }
    assert found == {n: raw for n, raw in kept.items() if n > skip}


@FEW
@given(st.lists(st.lists(LINE, max_size=15), min_size=1, max_size=4))
def test_every_line_of_every_file_is_in_exactly_one_bucket(files: list[list[tuple[str | None, bytes]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "inbox").mkdir()
        for number, made in enumerate(files):
            data = b"".join(raw + b"\n" for _, raw in made)
            # Bytes that begin as a compressed file are one.
            assume(packing_of(data, "") is None)
            packed = gzip.compress(data) if number % 2 else data
            (home / "inbox" / f"{number}").write_bytes(packed)
        source = Source(name="ce", path="*", format="cloudevents", properties={"n": "data.n"}, quantity="n")
        with Ledger.open(home) as ledger:
            ingest(home, ledger, SETTINGS, [source], NOW)
            rows = {row.path: row for row in ledger.files()}
        quarantined = read(home, "quarantine")
        for number, made in enumerate(files):
            if str(number) not in rows:  # the same bytes as an earlier file
                continue
            row = rows[str(number)]
            assert row.lines == len(made)
            kinds = Counter(kind for kind, _ in made if kind)
            known = {line: reason for file_id, line, reason in quarantined if file_id == row.file_id}
            for line, (kind, _) in enumerate(made, 1):
                if kind is not None:
                    assert known.get(line) == (None if kind in ("good", "blank") else kind)
            assert row.blank == kinds["blank"]
            assert row.quarantined == len(known)
        good = {raw for made in files for kind, raw in made if kind == "good"}
        ids = {json.loads(raw)["id"] for raw in good}
        assert sum(row.accepted for row in rows.values()) == len(ids)


def read(home: Path, kind: str) -> list[tuple[int, int, str]]:
    found = [str(p) for p in (home / "lake" / kind).rglob("*.parquet")]
    if not found:
        return []
    return duckdb.connect().execute("SELECT file_id, line, reason FROM read_parquet($1)", [found]).fetchall()


@MANY
@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 200), st.integers(0, 9))
def test_gzip_members_come_out_as_they_went_in(members: list[bytes], step: int, level: int) -> None:
    data = b"".join(gzip.compress(m, level) for m in members)
    pieces = [data[:2], *(data[n : n + step] for n in range(2, len(data), step))]
    assert b"".join(inflated(pieces, block=64)) == b"".join(members)
