"""Fuzz targets for what is no file of lines: batches of CloudEvents, Parquet, unnamed formats, packings.

Whatever is done to a file, it is held with a reason or taken with every line accounted for.
"""

from __future__ import annotations

import bz2
import gzip
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import duckdb
import formatkit
import fuzzkit
import pytest
import zstandard
from inbox import Instance

from orchestration.catalog.sources import Source
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.inflate import Refused, inflated
from orchestration.ingest.lines import BOM

CAMPAIGN = int(os.environ.get("CAMPAIGN_FUZZ") or 0)
EVENTS = 20
"""Damaged events in one batch."""
ROUNDS = max(1, CAMPAIGN // 10_000)


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """Takes files with one source, in an instance of their own."""
    made: list[Instance] = []

    def take(source: Source, files: dict[str, bytes]) -> Instance:
        instance = Instance(Path(tempfile.mkdtemp(dir=tmp_path)))
        made.append(instance)
        for name, content in files.items():
            instance.put(f"{source.name}/{name}", content)
        instance.report = instance.run(source, now=formatkit.NOW)
        return instance

    yield take
    for instance in made:
        instance.ledger.close()


def standing(instance: Instance) -> dict[str, int]:
    """Accepted lines by the last part of the path."""
    return {row.path.rpartition("/")[2]: row.accepted for row in instance.ledger.files()}


def check_held_or_taken(instance: Instance, files: dict[str, bytes], reasons: tuple[str, ...]) -> None:
    held = {entry.path.rpartition("/")[2]: entry.reason for entry in instance.report.held}
    twins = {entry.path.rpartition("/")[2] for entry in instance.report.notices if entry.reason.startswith("duplicate")}
    rows = {row.path.rpartition("/")[2]: row for row in instance.ledger.files()}
    assert held.keys() | twins | rows.keys() == files.keys()
    for reason in held.values():
        assert reason.startswith(reasons), reason
    assert sum(row.lines for row in rows.values()) == instance.report.lines


# -- batches ------------------------------------------------------------------------------------------------------


def batch(chance: Random) -> bytes:
    """Arrays of events, some of them damaged: also in the arrays' own punctuation."""
    seeds = fuzzkit.seeds("cloudevents_batch")
    events = [fuzzkit.mutated(seeds, chance) if chance.random() < 0.7 else seeds[0] for _ in range(EVENTS)]
    between = chance.choice([b",", b",\n", b" ,\r\n "])
    data = b"[" + between.join(events) + b"]\n"
    at = chance.randrange(len(data))
    return data[:at] + chance.choice([b"", b"]", b"[", b"]\n[", b'"', b"\n", b"\\"]) + data[at:]


def content(data: bytes) -> bytes:
    """The bytes that no layout of arrays may change."""
    return data.translate(None, b" \t\r\n[],")


def test_no_damaged_batch_is_half_taken_and_no_byte_of_an_event_is_lost(taken: Callable[..., Instance]) -> None:
    chance = Random(7)
    form = FORMATS["cloudevents_batch"]
    for _ in range(ROUNDS):
        files = {f"{n}.json": batch(chance) for n in range((CAMPAIGN or 400) // ROUNDS // EVENTS)}
        whole = json.dumps([json.loads(fuzzkit.whole_line("cloudevents_batch", n)) for n in range(EVENTS)])
        files["whole.json"] = (whole + "\n").encode()
        instance = taken(fuzzkit.source_for("cloudevents_batch", "s"), files)
        check_held_or_taken(instance, files, ("unterminated",))
        assert standing(instance)["whole.json"] == EVENTS
        refused = {(row["file_id"], row["line"]): row["raw"] for row in instance._lake("quarantine")}
        for row in instance.ledger.files():
            data = files[row.path.rpartition("/")[2]]
            lines = b"".join(form.unpack([data])).split(b"\n")
            assert content(b"".join(lines)) == content(data.removeprefix(BOM))
            assert row.lines == len(lines) - 1
            for number, line in enumerate(lines, 1):
                text = line.removeprefix(BOM) if number == 1 else line
                assert refused.get((row.file_id, number), text) == text


# -- Parquet ------------------------------------------------------------------------------------------------------


def parquet(path: Path, rows: list[dict[str, str]]) -> bytes:
    columns = {name: [row[name] for row in rows] for name in fuzzkit.TABLE_ROW}
    unnested = ", ".join(f"unnest(${name}::VARCHAR[]) AS {name}" for name in columns)
    with duckdb.connect() as con:
        con.execute(f"COPY (SELECT {unnested}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)", columns)
    return path.read_bytes()


def odd_value(name: str, chance: Random) -> str:
    text = fuzzkit.mutated((fuzzkit.TABLE_ROW[name].encode(),), chance)
    return text.decode(errors="ignore").replace("\0", "") if chance.random() < 0.5 else fuzzkit.TABLE_ROW[name]


def test_any_values_mean_in_parquet_what_they_mean_in_json(taken: Callable[..., Instance], tmp_path: Path) -> None:
    chance = Random(8)
    rows = [{name: odd_value(name, chance) for name in fuzzkit.TABLE_ROW} for _ in range(CAMPAIGN or 1000)]
    table = taken(fuzzkit.source_for("parquet", "s"), {"a": parquet(tmp_path / "a", rows)})
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    lines = taken(fuzzkit.source_for("json_lines", "s"), {"a": text})
    assert table.report.lines == lines.report.lines == len(rows)
    # Columns that are hashed are hashed with the instance's own key.
    skipped = ("user_key", "address_key", "event_id")
    told = [[{k: v for k, v in row.items() if k not in skipped} for row in i._lake("events")] for i in (table, lines)]
    assert told[0] == told[1]
    reasons = [[(row["line"], row["reason"]) for row in i._lake("quarantine")] for i in (table, lines)]
    assert reasons[0] == reasons[1]


def damaged(given: bytes, chance: Random) -> bytes:
    """Something else than what was given, and not nothing."""
    data = given
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(max(1, len(data)))
        match chance.randrange(4):
            case 0:
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[at + chance.choice((1, 4, 100)) :]
            case 2:
                data = data[:at] + chance.randbytes(chance.choice((1, 4, 100))) + data[at:]
            case _:
                data = data[:at]
    return data if data and data not in given else given + b"\0"


def test_a_table_that_breaks_the_engine_costs_no_other_file(taken: Callable[..., Instance], tmp_path: Path) -> None:
    whole = parquet(tmp_path / "a", [fuzzkit.TABLE_ROW] * 50)
    breaking = whole[:748] + b"w" + whole[749:]
    (tmp_path / "b").write_bytes(breaking)
    with duckdb.connect() as con, pytest.raises(duckdb.InternalException):
        con.execute("SELECT bit_xor(hash(t)) FROM read_parquet($1) AS t", [str(tmp_path / "b")]).fetchall()
    instance = taken(fuzzkit.source_for("parquet", "s"), {"0": breaking, "whole": whole})
    assert [entry.path for entry in instance.report.held] == ["s/0"]
    assert standing(instance) == {"whole": 50}


def test_no_damaged_parquet_file_is_half_taken(taken: Callable[..., Instance], tmp_path: Path) -> None:
    chance = Random(9)
    whole = parquet(tmp_path / "a", [fuzzkit.TABLE_ROW] * 50)
    for _ in range(ROUNDS):
        files = {str(n): damaged(whole, chance) for n in range(min(CAMPAIGN, 1000) or 50)} | {"whole": whole}
        instance = taken(fuzzkit.source_for("parquet", "s"), files)
        check_held_or_taken(instance, files, ("bad_parquet", "missing_column"))
        assert standing(instance).get("whole") == 50, [
            e for e in (*instance.report.held, *instance.report.notices) if e.path.endswith("whole")
        ]


# -- files whose format is not named, and packings ----------------------------------------------------------------


def test_a_damaged_file_of_no_named_format_is_held_or_taken_whole(taken: Callable[..., Instance]) -> None:
    chance = Random(10)
    forms = sorted(fuzzkit.WHOLE.keys() - {"csv", "tsv"})
    for _ in range(ROUNDS):
        files = {}
        for number in range(20):
            form = chance.choice(forms)
            lines = [fuzzkit.mutated(fuzzkit.seeds(form), chance) for _ in range(500 if CAMPAIGN else EVENTS)]
            files[f"{number}.log"] = b"\n".join(lines) + b"\n"
        files["whole.log"] = b"".join(fuzzkit.whole_line("combined", n) + b"\n" for n in range(EVENTS))
        source = formatkit.source("auto", name="s", path="s/*", hold_above_percent=100)
        instance = taken(source, files)
        packed = ("bad_gzip", "bad_zstd", "bad_bzip2", "bad_parquet", "format_parquet")
        check_held_or_taken(instance, files, ("unknown_format", "unterminated", "bad_header", *packed))
        assert standing(instance)["whole.log"] == EVENTS


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}


@pytest.mark.parametrize("kind", PACK)
def test_damaged_packed_bytes_are_refused_with_a_word_or_come_out_as_they_went_in(kind: str) -> None:
    chance = Random(kind)
    text = b"".join(fuzzkit.whole_line("combined", n) + b"%d\n" % n for n in range(40))
    whole = PACK[kind](text[:3000]) + PACK[kind](text[3000:])
    for _ in range(CAMPAIGN or 500):
        data = damaged(whole, chance)
        step = chance.choice((1 << 22, 4096, 997))
        pieces = (data[n : n + step] for n in range(0, len(data), step))
        try:
            out = b"".join(inflated(pieces, f"x.{kind}"))
        except Refused as refused:
            assert str(refused).startswith((f"bad_{kind}: ", "expansion_ratio: "))
            continue
        # Damage that no checksum covers is in what is no content; without its magic a file is no packed one.
        assert out in (text, text[:3000], text[3000:], data), out[:100]
