"""The ingest beside the bare engine: `python -m tests.bench.ingest [--events N] [--rounds N] [--kind K]`.

Both read the same files in the same run, each in a process of its own, in alternating order; the ratios of their times
are printed. Both must end with the same events and the same sum of tokens or bytes, or the run stops.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.sources import Source
from orchestration.ingest import ingest
from orchestration.ingest.lake import _OPTIONS
from orchestration.ledger.store import Ledger
from tests.bench.generate import BEGIN_US, KINDS, make
from tests.bench.measure import Measured, least_and_median, machine, measured, table

NOW_US = BEGIN_US + 400 * 86_400_000_000


def source(kind: str, data: str) -> Source:
    mapping: dict[str, Any] = {"name": "bench", "root": data, "path": "*", "format": kind}
    if kind == "cloudevents":
        properties = {"tokens": "data.tokens", "model": "data.model"}
        mapping |= {"fields": {"user": "data.user"}, "properties": properties, "quantity": "tokens"}
    return Source.model_validate(mapping)


def run(kind: str, data: str, home: str, _: str) -> dict[str, int]:
    """The whole of it: list, copy, hash, parse, check, judge, commit."""
    settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
    with Ledger.open(Path(home)) as ledger:
        report = ingest(Path(home), ledger, settings, [source(kind, data)], NOW_US)
    return {"lines": report.lines, "accepted": report.accepted, "duplicate": report.duplicate}


_WAYS = {
    "ingest": "tests.bench.ingest:run",
    "bare: parse, write": "tests.bench.bare:parse",
    "bare: parse, dedupe, write": "tests.bench.bare:parse_and_dedupe",
    "raw copy, fsync": "tests.bench.bare:copy",
}


def compare(kind: str, data: Path, scratch: Path, rounds: int) -> dict[str, list[Measured]]:
    """Measure all ways in each round, every second round backwards, and check that they agree."""
    names = [name for name in _WAYS if kind == "cloudevents" or "dedupe" not in name]
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for number in range(rounds):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            for name in reversed(names) if number % 2 else names:
                target = Path(folder) / name
                found[name].append(measured(_WAYS[name], kind, str(data), str(target), _OPTIONS))
            _must_agree(kind, Path(folder), found["ingest"][-1].result["accepted"])
    return found


def _must_agree(kind: str, folder: Path, accepted: int) -> None:
    value = "CAST(p_tokens AS DECIMAL(38, 9))" if kind == "cloudevents" else "bytes"
    lake = folder / "ingest" / "lake"

    def sums(relation: str) -> list[tuple[Any, ...]]:
        query = f"SELECT count(*), sum({value}), min(time_us), max(time_us) FROM {relation}"
        with duckdb.connect() as con:
            return con.execute(query).fetchall()

    events = f"read_parquet('{lake}/events/*/*.parquet') AS events"
    pairs = [(sums(events), sums(f"read_parquet('{folder}/bare: parse, write')"))]
    if kind == "cloudevents":
        counted = f"{events} ANTI JOIN read_parquet('{lake}/verdicts/*.parquet') AS verdicts USING (file_id, line)"
        pairs.append((sums(counted), sums(f"read_parquet('{folder}/bare: parse, dedupe, write')")))
    if any(ours != bare for ours, bare in pairs) or pairs[-1][0][0][0] != accepted:
        raise SystemExit(f"the ingest and the bare engine read different events: {pairs}, {accepted} accepted")


def _report(kind: str, events: int, found: dict[str, list[Measured]]) -> str:
    rows = []
    ours = found["ingest"]
    for name, rounds in found.items():
        walls, cpus = [m.wall for m in rounds], [m.cpu for m in rounds]
        ratios = ["", ""]
        if name.startswith("bare"):
            ratios = [_ratio([m.wall for m in ours], walls), _ratio([m.cpu for m in ours], cpus)]
        peak, rate = f"{max(m.memory for m in rounds):.0f}", f"{events / min(walls):,.0f}"
        rows.append([name, least_and_median(walls), least_and_median(cpus), peak, rate, *ratios])
    heads = ["least / median", "wall s", "CPU s", "peak MB", "lines/s", "ingest: times its wall", "times its CPU"]
    counts = ", ".join(f"{n} {name}" for name, n in ours[-1].result.items())
    return f"{table(heads, rows)}\n{kind}: {counts}; all ways agree on rows and sums"


def _ratio(ours: list[float], other: list[float]) -> str:
    return f"{min(ours) / min(other):.2f} / {median(ours) / median(other):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=KINDS, action="append", help="may be given twice; default both")
    parser.add_argument("--keep-data", type=Path, help="keep the generated files in this folder, and use those there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for kind in asked.kind or KINDS:
            data = (asked.keep_data or Path(name)) / f"{kind}-{asked.events}"
            if not data.exists():
                make(kind, asked.events, data)
            size = sum(path.stat().st_size for path in data.iterdir())
            print(f"\n{kind}: {asked.events} lines of {size / asked.events:.0f} bytes; {machine()}")
            print(_report(kind, asked.events, compare(kind, data, Path(name), asked.rounds)), flush=True)
            if not asked.keep_data:
                shutil.rmtree(data)


if __name__ == "__main__":
    main()
