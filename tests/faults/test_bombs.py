"""F40: files that are made to exhaust memory or time. Each is refused with a word, or its line is; others go on.

A process of its own takes them one by one, so that what each costs in memory can be told. `make bombs` makes them
2 GB instead of 200 MB.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LARGE = bool(os.environ.get("CAMPAIGN_BOMBS"))
HUGE = 2 << 30 if LARGE else 100 << 20
LINES = 16 << 20 if LARGE else 1 << 18
MEMORY = 300 << 20
MIB = 1 << 20

CHILD = textwrap.dedent("""
    import json, sys
    from pathlib import Path
    from orchestration.catalog.models import Entity, Settings
    from orchestration.catalog.sources import Source
    from orchestration.ingest import ingest
    from orchestration.ledger.store import Ledger

    def memory(name):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) << 10

    home = Path(sys.argv[1])
    settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
    with Ledger.open(home) as ledger:
        base = None
        for name in sys.argv[2:]:
            Path("/proc/self/clear_refs").write_text("5")
            source = Source(
                name=name, path=name + "/*", format="cloudevents", properties={"n": "data.n"}, hold_above_percent=100
            )
            report = ingest(home, ledger, settings, [source], 1793491200_000000)
            peak = memory("VmHWM:")
            base = base or peak
            told = {
                "above": peak - base, "seconds": report.seconds, "accepted": report.accepted, "lines": report.lines,
                "blank": report.blank, "reasons": report.reasons, "held": [entry.reason for entry in report.held],
            }
            print(json.dumps(told), flush=True)
""")


def event(name: str, more: str = "1") -> bytes:
    head = {"id": name, "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z"}
    return (json.dumps(head)[:-1] + ', "data": {"n": ' + more + "}}\n").encode()


def ordinary(path: Path) -> None:
    path.write_bytes(b"".join(event(f"{path.parent.name}-{n}") for n in range(1000)))


def around(bad: bytes) -> Callable[[Path], None]:
    """A bad line between two good ones."""

    def write(path: Path) -> None:
        path.write_bytes(event(path.parent.name + "-1") + bad + b"\n" + event(path.parent.name + "-2"))

    return write


def long_line(path: Path) -> None:
    with path.open("wb") as handle:
        handle.write(event("long-1"))
        for _ in range(100):
            handle.write(b"x" * MIB)
        handle.write(b"\n" + event("long-2"))


def sparse_line(path: Path) -> None:
    """One line without an end, of zeros that take no room on the disk."""
    with path.open("wb") as handle:
        handle.truncate(HUGE)


def gzip_of(piece: bytes, size: int) -> Callable[[Path], None]:
    """A gzip of `size` bytes, made of one compressed piece over and over."""

    def write(path: Path) -> None:
        packer = zlib.compressobj(9, wbits=31)
        first = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
        again = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
        path.write_bytes(first + again * (size // len(piece) - 1))

    return write


def slow_bomb(path: Path) -> None:
    """A gzip of one huge line that stays below the ratio: its members are all the same."""
    piece = os.urandom(MIB // 128).hex().encode()
    member = gzip.compress(piece + b"x" * (MIB - len(piece)), 9)
    assert 60 < MIB / len(member) < 200
    with path.open("wb") as handle:
        for _ in range(HUGE // MIB):
            handle.write(member)
        handle.write(gzip.compress(b"\n" + event("slow-2")))


@dataclass(frozen=True)
class Bomb:
    write: Callable[[Path], None]
    accepted: int
    reasons: dict[str, int]
    held: str = ""
    lines: int = 3
    memory: int = MEMORY


KEYS = (
    b'{"id":"k","source":"s","type":"t","time":"2026-10-01T10:00:00Z",'
    + b",".join(b'"k%d":1' % n for n in range(70_000))
    + b"}"
)
DEEP = event("deep", "[" * 200_000 + "]" * 200_000).strip()

BOMBS = {
    "ordinary": Bomb(ordinary, 1000, {}, lines=1000),
    "line_of_100_mb": Bomb(long_line, 2, {"line_too_long": 1}),
    "unterminated_line": Bomb(sparse_line, 0, {}, "unterminated", 0),
    "one_line_gzip": Bomb(gzip_of(b"\0" * MIB, 2 << 30), 0, {}, "expansion_ratio", 0),
    "line_bomb": Bomb(gzip_of(b'{"id":"1234567"}\n' * (MIB // 17), 1700 << 20), 0, {}, "expansion_ratio", 0),
    "slow_bomb": Bomb(slow_bomb, 1, {"line_too_long": 1}, lines=2),
    "nested_gzip": Bomb(
        lambda path: path.write_bytes(gzip.compress(gzip.compress(event("x") * 1000))), 0, {}, "unterminated", 0
    ),
    "million_keys": Bomb(around(b"{" + b'"k":1,' * 1_000_000 + b'"k":1}'), 2, {"line_too_long": 1}),
    "many_keys": Bomb(around(KEYS), 3, {}),
    "many_equal_keys": Bomb(around(b"{" + b'"id":1,' * 100_000 + b'"id":1}'), 2, {"duplicate_key": 1}),
    "deep": Bomb(around(DEEP), 3, {}),
    "deep_and_open": Bomb(around(b'{"a":' * 200_000), 2, {"not_json": 1}),
    "megabyte_key": Bomb(around(b'{"' + b"k" * 1_000_000 + b'":1}'), 2, {"missing_id": 1}),
    "megabyte_id": Bomb(around(event("i" * 1_000_000).strip()), 2, {"missing_id": 1}),
    "empty_lines": Bomb(
        # Lines without end are no bomb: the engine holds them up to its own limit of 1 GB, and then on the disk.
        lambda path: path.write_bytes(b"\n" * LINES),
        0,
        {},
        lines=LINES,
        memory=1300 << 20 if LARGE else MEMORY,
    ),
    "short_lines": Bomb(lambda path: path.write_bytes(b"x\n" * 100_000), 0, {"not_json": 100_000}, lines=100_000),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    home = tmp_path_factory.mktemp("bombs")
    for name, bomb in BOMBS.items():
        (home / "inbox" / name).mkdir(parents=True)
        bomb.write(home / "inbox" / name / "file")
    command = [sys.executable, "-c", CHILD, str(home), *BOMBS]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (list(BOMBS)[len(lines)], done.returncode, done.stderr[-2000:])
    return dict(zip(BOMBS, lines, strict=True))


@pytest.mark.parametrize("name", BOMBS)
def test_F40_a_bomb_is_refused_with_a_word_in_little_memory(name: str, told: dict[str, dict[str, Any]]) -> None:
    bomb, found = BOMBS[name], told[name]
    assert (found["accepted"], found["reasons"]) == (bomb.accepted, bomb.reasons)
    assert [reason.split(":")[0] for reason in found["held"]] == ([bomb.held] if bomb.held else [])
    assert found["lines"] == bomb.lines
    assert found["above"] < bomb.memory, f"{found['above'] >> 20} MiB above an ordinary file"
