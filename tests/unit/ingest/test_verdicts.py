"""The verdicts of a large batch: the same files whatever the number of threads, and repeats across row groups."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from orchestration.ingest.canonical_sql import COLUMNS
from orchestration.ingest.engine import connect
from orchestration.ingest.lake import Lake, write_parquet
from orchestration.ingest.verdicts import LakeFile, judge_batch

ROWS = 150_000


def _write(lake: Lake, batch_id: int, file_id: int, first: int) -> Path:
    """Events `first`, `first + 1`, ...; those whose number 1,000 divides have a payload of their own file."""
    given = {
        "file_id": str(file_id),
        "line": "n + 1",
        "source": "'s'",
        "event_id": f"'e' || (n + {first})",
        "time_us": f"n + {first}",
        "status": f"CASE WHEN (n + {first}) % 1000 = 0 THEN {file_id} END",
    }
    columns = ", ".join(f"CAST({given.get(name, 'NULL')} AS {kind}) AS {name}" for name, kind in COLUMNS)
    path = lake.events(batch_id, file_id)
    with connect(lake.root / "scratch", b"", [lake.root]) as con:
        write_parquet(con, f"SELECT {columns} FROM range({ROWS}) AS numbers(n)", path)
    return path


def test_threads_change_neither_verdicts_nor_keys(tmp_path: Path, make_source: Any) -> None:
    feed = make_source(format="cloudevents")
    written = []
    for threads in (1, 2):
        lake = Lake(tmp_path / str(len(written)))
        files = [
            LakeFile(file_id, batch_id, _write(lake, batch_id, file_id, first), feed)
            for batch_id, file_id, first in ((1, 1, 0), (2, 2, ROWS), (2, 3, ROWS + ROWS // 2), (2, 4, ROWS // 2))
        ]
        with connect(lake.root / "scratch", b"", [lake.root], threads) as con:
            assert judge_batch(con, lake, 1, files[:1], []) == {}
            counts = judge_batch(con, lake, 2, files[1:], files[:1])
        # Of equals the smaller payload hash counts, then the earlier file: who is the second follows from the events.
        assert sum(map(sum, counts.values())) == ROWS // 2 * 3
        assert sum(conflicts for _, conflicts in counts.values()) == ROWS // 2 * 3 // 1000
        assert sum(counts[4]) >= ROWS // 2
        paths = [lake.keys(1), lake.verdicts(1), lake.keys(2), lake.verdicts(2)]
        written.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
    assert written[0] == written[1]
