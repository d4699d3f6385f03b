"""Real calls of a language model, read in place: a CSV without ids whose times carry no zone."""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.sources import Source
from orchestration.ingest import ingest
from orchestration.ledger.store import Ledger

SHARED = Path(os.environ.get("TALLYSTICK_SHARED") or Path(__file__).parents[3] / "shared")
TOKENS = SHARED / "data" / "tokens"
FILES = sorted(TOKENS.glob("*.csv"))
pytestmark = pytest.mark.skipif(not FILES, reason=f"no token traces in {TOKENS}")


def test_every_call_is_an_event_with_its_exact_tokens_and_instant(tmp_path: Path) -> None:
    rows: list[tuple[int, int, int]] = []
    for path in FILES:
        with path.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                whole, _, fraction = row["TIMESTAMP"].partition(".")
                second = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
                instant = second * 1_000_000 + int(fraction[:6].ljust(6, "0") or 0)
                rows.append((instant, int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    source = Source(
        name="llm",
        root=str(TOKENS),
        path="*.csv",
        format="csv",
        zone="UTC",
        unterminated="accept",
        fields={"time": "TIMESTAMP"},
        constants={"credential": "trace"},
        properties={"context": "ContextTokens", "generated": "GeneratedTokens"},
    )
    settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
    with Ledger.open(tmp_path) as ledger:
        report = ingest(tmp_path, ledger, settings, [source], 1_800_000_000_000_000)
    files = [str(path) for path in (tmp_path / "lake" / "events").rglob("*.parquet")]
    found = (
        duckdb.connect()
        .execute("SELECT time_us, p_context::INTEGER, p_generated::INTEGER FROM read_parquet($1)", [files])
        .fetchall()
    )
    assert sorted(found) == sorted(rows)
    assert (report.accepted, report.quarantined, report.blank) == (len(rows), 0, len(FILES))
    if [path.name for path in FILES] == ["AzureLLMInferenceTrace_conv.csv"]:
        assert len(rows) == 19_366
        assert (sum(row[1] for row in rows), sum(row[2] for row in rows)) == (22_361_870, 4_088_665)
