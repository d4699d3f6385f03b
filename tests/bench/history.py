"""What a long history costs: `python -m tests.bench.history [--sizes N N N] [--new N] [--rounds N]`.

Histories of so many earlier events are written in the lake's own layout. A batch of new events, 2% of them known, is
judged against each in a process of its own; a tenth of the known ones has another payload. They are spread evenly over
the whole history, so that something in every lake file has to be read and compared, or come from the last batch, as in
deliveries that overlap. A line is fitted to the seconds over the length of the history.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

from orchestration.ingest.batch import WORKERS, Workshop
from orchestration.ingest.canonical_sql import COLUMNS
from orchestration.ingest.lake import Lake, write_parquet
from orchestration.ingest.raw import RawStore
from orchestration.ingest.verdicts import LakeFile, judge_batch
from tests.bench.generate import BEGIN_US, LINES_PER_FILE
from tests.bench.ingest import source
from tests.bench.measure import Measured, least_and_median, machine, measured, table

HUNDRED_MILLION = 100_000_000
KNOWN = 50
"""One new event in so many is known."""
CONFLICT = 10
"""One known event in so many has another payload."""
SPREADS = ("evenly", "last batch")


def _events(numbers: str, file_id: int, tokens: str) -> str:
    """SQL: the lake's columns of the events that `numbers` selects as `line, n`; all hangs on the number n."""
    columns = {
        "file_id": f"{file_id}",
        "line": "line",
        "source": "'/gateway/eu-' || n % 4",
        "event_id": "'req_' || lower(hex(hash(n))) || lower(hex(hash(n, 1)))[:8]",
        "time_us": f"{BEGIN_US} + n * 100000",
        "event_type": "'completion'",
        "feed": "'bench'",
        "credential": "'ak_' || hash(n, 2) % 2000",
        "user_key": "lower(hex(hash(n, 3) % 50000)) || lower(hex(hash(hash(n, 3) % 50000)))",
    }
    listed = ", ".join(f"CAST({columns.get(name, 'NULL')} AS {kind}) AS {name}" for name, kind in COLUMNS)
    model = "(['atlas-large-2', 'atlas-small-2', 'quill-embed-1'])[1 + CAST(hash(n, 4) % 3 AS BIGINT)]"
    return f"SELECT {listed}, {model} AS p_model, CAST({tokens} AS VARCHAR) AS p_tokens FROM ({numbers})"


_TOKENS = "hash(n, 5) % 4000"


def make_history(home: Path, events: int, batch: int) -> None:
    """Events 0 to `events`, in batches of so many and files of the usual size, and their keys."""
    lake = Lake(home / "lake")
    with duckdb.connect() as con, ThreadPoolExecutor(2) as pool:
        con.execute("SET threads = 1")
        list(pool.map(lambda number: _write_batch(con.cursor(), lake, number, batch), range(events // batch)))


def _write_batch(con: duckdb.DuckDBPyConnection, lake: Lake, number: int, batch: int) -> None:
    files = _files(number, number * batch, (number + 1) * batch)
    for file_id, start, stop in files:
        numbers = f"SELECT n - {start} + 1 AS line, n FROM range({start}, {stop}) AS numbers(n)"
        write_parquet(con, _events(numbers, file_id, _TOKENS), lake.events(number + 1, file_id))
    paths = [str(lake.events(number + 1, file_id)) for file_id, _, _ in files]
    keys = f"SELECT hash(source, event_id) AS key, file_id, line FROM read_parquet({paths})"
    write_parquet(con, keys, lake.keys(number + 1))


def _files(number: int, begin: int, end: int) -> list[tuple[int, int, int]]:
    """Id, first and last event (exclusive) of each file of a batch."""
    size = LINES_PER_FILE["cloudevents"]
    return [(number * 1000 + k, at, min(at + size, end)) for k, at in enumerate(range(begin, end, size), 1)]


def make_new(home: Path, new: int, history: int, batch: int, spread: str, batch_id: int) -> None:
    """The batch to be judged: new events, and in each 50th place a known one."""
    begin = 0 if spread == "evenly" else max(0, history - batch)
    # An odd step: no known event is drawn twice, and the distance isn't a number of files.
    step = ((history - begin) // (new // KNOWN) - 1) | 1
    known = f"{begin} + (p // {KNOWN}) * {step}"
    lake = Lake(home / "lake")
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        for file_id, start, stop in _files(batch_id - 1, 0, new):
            numbers = (
                f"SELECT p - {start} + 1 AS line, CASE WHEN p % {KNOWN} = 0 THEN {known} "
                f"ELSE 1000000000 + p END AS n, p FROM range({start}, {stop}) AS numbers(p)"
            )
            tokens = f"{_TOKENS} + CASE WHEN p % {KNOWN * CONFLICT} = 0 THEN 1 ELSE 0 END"
            write_parquet(con, _events(numbers, file_id, tokens), lake.events(batch_id, file_id))


def judge(home: str, batch_id: int) -> list[int]:
    """What is measured: the verdicts of the batch, as ingest asks for them. Returns (duplicates, conflicts)."""
    folder = Path(home)
    shop = Workshop(RawStore(folder / "raw"), Lake(folder / "lake"), folder / "scratch", b"benchmark")
    mapping = source("cloudevents", home)
    paths = sorted((shop.lake.root / "events").glob("*/*.parquet"))
    files = [LakeFile(int(path.stem), int(path.parent.name), path, mapping) for path in paths]
    new, old = ([f for f in files if (f.batch_id == batch_id) is wanted] for wanted in (True, False))
    con = shop.connect(WORKERS)
    try:
        counts = judge_batch(con, shop.lake, batch_id, new, old)
    finally:
        con.close()
    return [sum(found[n] for found in counts.values()) for n in (0, 1)]


def _linked(whole: Path, home: Path, batches: int) -> None:
    """A history of the first batches of a longer one."""
    for number in range(1, batches + 1):
        for old in (*(whole / f"lake/events/{number:06d}").iterdir(), whole / f"lake/keys/{number:06d}.parquet"):
            new = home / old.relative_to(whole)
            new.parent.mkdir(parents=True, exist_ok=True)
            new.hardlink_to(old)


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope of the least squares' line through (x, y)."""
    mean_x, mean_y = (sum(point[n] for point in points) / len(points) for n in (0, 1))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return mean_y - slope * mean_x, slope


def measure(whole: Path, folder: Path, size: int, batch: int, new: int, rounds: int) -> dict[str, list[Measured]]:
    """Judge a batch of `new` events against the first `size` events of a history, for each way to spread the known."""
    found: dict[str, list[Measured]] = {}
    expected = [new // KNOWN - new // KNOWN // CONFLICT, new // KNOWN // CONFLICT]
    for spread in SPREADS:
        with tempfile.TemporaryDirectory(dir=folder) as home:
            batches = size // batch
            _linked(whole, Path(home), batches)
            make_new(Path(home), new, size, batch, spread, batches + 1)
            found[spread] = [measured("tests.bench.history:judge", home, batches + 1) for _ in range(rounds)]
            if any(m.result != expected for m in found[spread]):
                raise SystemExit(f"{expected} duplicates and conflicts are known, found: {found[spread]}")
    return found


def _report(costs: dict[int, dict[str, list[Measured]]], new: int) -> str:
    heads = ["known events", "earlier events", "wall s (least / median)", "CPU s (least / median)", "peak MB"]
    rows, fits = [], []
    for spread in SPREADS:
        points = []
        for size, found in costs.items():
            walls, cpus = ([getattr(m, name) for m in found[spread]] for name in ("wall", "cpu"))
            peak = f"{max(m.memory for m in found[spread]):.0f}"
            rows.append([spread, f"{size:,}", least_and_median(walls), least_and_median(cpus), peak])
            points.append((size / HUNDRED_MILLION, min(walls), min(cpus)))
        start, slope = fit([(size, wall) for size, wall, _ in points])
        _, cpu = fit([(size, seconds) for size, _, seconds in points])
        fits.append(f"{spread}: {start:.2f} s + {slope:.2f} s for each 100 million earlier events (CPU {cpu:.2f} s)")
    return "\n".join([f"{new:,} new events, one in {KNOWN} known", table(heads, rows), *fits])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000_000, 50_000_000, 100_000_000])
    parser.add_argument("--batch", type=int, default=5_000_000, help="events of a batch; each size is some batches")
    parser.add_argument("--new", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep-data", type=Path, help="keep the longest history in this folder, and use one there")
    asked = parser.parse_args()
    longest = max(asked.sizes)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.keep_data) as name:
        whole = (asked.keep_data or Path(name)) / f"history-{longest}"
        if not whole.exists():
            unfinished = Path(name) / "unfinished"
            make_history(unfinished, longest, asked.batch)
            unfinished.rename(whole)
        print(machine(), flush=True)
        costs = {n: measure(whole, Path(name), n, asked.batch, asked.new, asked.rounds) for n in asked.sizes}
        print(_report(costs, asked.new))


if __name__ == "__main__":
    main()
