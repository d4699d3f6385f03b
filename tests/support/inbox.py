"""An instance in a temporary folder, to which tests deliver files; its fixtures, for the conftests that want them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.sources import Source
from orchestration.ingest import IngestReport, ingest
from orchestration.ledger.store import Ledger

SETTINGS = Settings(entities=(Entity(key="e", name="E", address="A"),))


def instant(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


NOW = instant("2026-11-01T00:00:00+00:00")


EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/gw/1",
    "type": "request",
    "time": "2026-10-01T10:00:00Z",
    "subject": "key_1",
    "data": {"tokens": 5, "user": "u1"},
}


def cloudevent(**changes: Any) -> dict[str, Any]:
    """A whole CloudEvent with changed attributes; `...` leaves one out."""
    return {name: value for name, value in (EVENT | changes).items() if value is not ...}


class Instance:
    """Deliver with `put`, take with `run`, look with `events`, `quarantine`, `verdicts`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.inbox = home / "inbox"
        self.inbox.mkdir(parents=True)
        self.ledger = Ledger.open(home)
        self._ticks = 1_700_000_000

    def put(self, path: str, content: bytes | str) -> Path:
        target = self.inbox / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        self._ticks += 1
        os.utime(target, (self._ticks, self._ticks))
        return target

    def run(self, *sources: Source, now: int = NOW) -> IngestReport:
        report = ingest(self.home, self.ledger, SETTINGS, sources, now)
        for row in self.ledger.files():
            assert row.lines == row.accepted + row.duplicate + row.conflict + row.quarantined + row.blank
        return report

    def _lake(self, kind: str, order: str = "file_id, line") -> list[dict[str, Any]]:
        files = sorted(str(p) for p in (self.home / "lake" / kind).rglob("*.parquet"))
        if not files:
            return []
        cursor = duckdb.connect().execute(
            f"SELECT * FROM read_parquet($1, union_by_name = true) ORDER BY {order}", [files]
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def events(self) -> list[dict[str, Any]]:
        """Rows of the lake that count."""
        out = {(v["file_id"], v["line"]) for v in self.verdicts()}
        return [row for row in self._lake("events") if (row["file_id"], row["line"]) not in out]

    def quarantine(self) -> list[tuple[int, str, bytes]]:
        return [(row["line"], row["reason"], row["raw"]) for row in self._lake("quarantine")]

    def verdicts(self) -> list[dict[str, Any]]:
        return self._lake("verdicts")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path / "home")
    yield made
    made.ledger.close()


def source(**options: Any) -> Source:
    """A source of hostile lines: most tests deliver little else, and look at what becomes of each."""
    never_held = {"hold_above_percent": 100}
    return Source.model_validate({"name": "gw", "path": "**/*", "format": "combined"} | never_held | options)


@pytest.fixture
def make_source() -> Any:
    return source
