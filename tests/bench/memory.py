"""Memory and shape of the input: `python -m tests.bench.memory [--events N N N] [--files N] [--one-file N]`.

CloudEvents in files of the usual size, more and more of them: the peak must stay where it is. Then as many files of one
line as asked for, and one single file.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.bench.generate import LINES_PER_FILE, REPEATED, generate
from tests.bench.measure import machine, measured, table

KIND = "cloudevents"


def ingested(folder: Path, events: int, per_file: int) -> list[str]:
    """Ingest so many events in files of so many lines; a row of the table."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        data = Path(name) / "data"
        generate(KIND, events, data, per_file=per_file)
        cost = measured("tests.bench.ingest:run", KIND, str(data), str(Path(name) / "home"), "")
    accepted = cost.result["accepted"]
    if accepted != events - events // REPEATED:
        raise SystemExit(f"{events} lines were written, one in {REPEATED} a repetition; the ingest says {cost.result}")
    counts = [f"{n:,}" for n in (events, -(-events // per_file), accepted)]
    return [*counts, f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{cost.memory:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--files", type=int, default=10_000, help="files of one line; 0: none")
    parser.add_argument("--one-file", type=int, default=5_000_000, help="lines of one single file; 0: none")
    asked = parser.parse_args()
    usual = LINES_PER_FILE[KIND]
    shapes = [(events, usual) for events in asked.events]
    shapes += [(asked.files, 1)] if asked.files else []
    shapes += [(asked.one_file, asked.one_file)] if asked.one_file else []
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        rows = [ingested(Path(name), events, per_file) for events, per_file in shapes]
    print(table(["lines", "files", "accepted", "wall s", "CPU s", "peak MB"], rows))


if __name__ == "__main__":
    main()
