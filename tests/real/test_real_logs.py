"""Real access logs, read in place, against an independent reading that shares no code with the project.

Other logs of the same form may be put beside them: the comparison holds for any of them,
the literal figures for the known nine.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.sources import Source
from orchestration.ingest import IngestReport, ingest
from orchestration.ledger.store import Ledger

SHARED = Path(os.environ.get("TALLYSTICK_SHARED") or Path(__file__).parents[3] / "shared")
LOGS = SHARED / "data" / "logs"
pytestmark = pytest.mark.skipif(not list(LOGS.glob("*")), reason=f"no real logs in {LOGS}")

NOW = 1_800_000_000_000_000
KNOWN = {f"tomcat-access.log.{n}" for n in range(1, 10)}
QUOTED = r'"((?:[^"\\]|\\.)*)"'
LINE = re.compile(
    r"([^ ]+) ([^ ]+) (.+?) \[([^\]]+)\] "
    + QUOTED
    + r" (\d{3}) (\d+|-) "
    + QUOTED
    + " "
    + QUOTED
    + r'((?: "[^"]*")*)\r?'
)


def names(pattern: str) -> list[str]:
    return sorted(path.name for path in LOGS.glob(pattern))


def independent(pattern: str) -> tuple[Counter[str], Counter[str]]:
    """Totals, and accepted lines per UTC day, of every log that fits the pattern."""
    total: Counter[str] = Counter()
    days: Counter[str] = Counter()
    for name in names(pattern):
        for raw in (LOGS / name).read_bytes().decode("utf-8", "replace").split("\n")[:-1]:
            total["lines"] += 1
            match = LINE.fullmatch(raw)
            if match is None:
                total["quarantined"] += 1
                continue
            total["accepted"] += 1
            total["bytes"] += 0 if match[7] == "-" else int(match[7])
            total["ok"] += match[6] == "200"
            total["third"] += bool(match[10])
            at = datetime.strptime(match[4], "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
            days[at.date().isoformat()] += 1
    return total, days


def taken(tmp_path: Path, pattern: str) -> tuple[IngestReport, duckdb.DuckDBPyConnection]:
    source = Source(
        name="erddap", root=str(LOGS), path=pattern, format="combined", fields={"credential": "remote_addr"}
    )
    settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
    with Ledger.open(tmp_path) as ledger:
        report = ingest(tmp_path, ledger, settings, [source], NOW)
        assert ingest(tmp_path, ledger, settings, [source], NOW).batches == []
    con = duckdb.connect()
    files = [str(path) for path in sorted((tmp_path / "lake" / "events").rglob("*.parquet"))]
    con.execute("CREATE TABLE events AS SELECT * FROM read_parquet($1)", [files])
    return report, con


def one(con: duckdb.DuckDBPyConnection, expression: str) -> Any:
    return con.execute(f"SELECT {expression} FROM events").fetchall()[0][0]


def test_every_line_of_nine_days_of_real_traffic_is_accounted_for(tmp_path: Path) -> None:
    if not names("tomcat-access.log.*"):
        pytest.skip(f"no tomcat-access.log.* in {LOGS}")
    expected, days = independent("tomcat-access.log.*")
    report, con = taken(tmp_path, "tomcat-access.log.*")
    assert (report.lines, report.accepted, report.quarantined) == (
        expected["lines"],
        expected["accepted"],
        expected["quarantined"],
    )
    assert (report.duplicate, report.conflict, report.blank, report.held) == (0, 0, 0, [])
    assert one(con, "sum(bytes)") == expected["bytes"]
    assert one(con, "count(*) FILTER (WHERE status = 200)") == expected["ok"]
    assert one(con, "count(extra)") == expected["third"]
    by_day = "SELECT CAST(make_timestamp(time_us) AS DATE), count(*) FROM events GROUP BY 1 ORDER BY 1"
    assert {str(day): count for day, count in con.execute(by_day).fetchall()} == dict(days)
    if set(names("tomcat-access.log.*")) == KNOWN:
        assert (report.lines, report.accepted, report.quarantined) == (16_275, 10_479, 5_796)
        assert (expected["bytes"], expected["ok"], expected["third"]) == (2_309_191_897, 9_472, 85)
        assert one(con, "count(DISTINCT credential)") == 917
        assert [days[day] for day in sorted(days)] == [938, 1361, 1407, 1145, 1770, 1026, 1004, 1068, 760]


def test_a_real_log_whose_times_go_back_is_read_whole(tmp_path: Path) -> None:
    if not names("apache_logs*"):
        pytest.skip(f"no apache_logs* in {LOGS}")
    expected, _ = independent("apache_logs*")
    report, con = taken(tmp_path, "apache_logs*")
    assert (report.lines, report.accepted) == (expected["lines"], expected["accepted"])
    assert one(con, "sum(bytes)") == expected["bytes"]


def test_raw_copies_are_the_files_and_the_originals_are_untouched(tmp_path: Path) -> None:
    paths = sorted(LOGS.glob("tomcat-access.log.*"))
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    taken(tmp_path, "tomcat-access.log.*")
    stored = {path.name for path in (tmp_path / "raw").rglob("*") if path.is_file()}
    assert stored == set(before.values())
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths} == before
