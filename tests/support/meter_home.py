"""An instance to which a world is delivered, and what the oracle says that its marts must be, row by row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import localcontext
from pathlib import Path
from typing import Any

from instances import rows
from meter_oracle import COLUMNS, Oracle
from meter_worlds import FEEDS, Row, World, line_of
from oracle_readings import Event, counted
from oracle_time import MINUTE

from orchestration.catalog import load_catalog
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run


class Home:
    """An instance to which a world is delivered, and what the oracle says that its marts must be."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self.world = folder, world
        self.delivered: list[list[Event]] = []
        self.waiting: list[Event] = []
        self.files: dict[str, list[Event]] = {}
        self.retractions: list[tuple[Row, set[tuple[str, str]]]] = []
        (folder / "catalog" / "plans").mkdir(parents=True)
        (folder / "instance.key").write_text("5a" * 32)
        self.write_catalog()

    def write_catalog(self) -> None:
        for name, text in self.world.texts().items():
            (self.folder / "catalog" / name).write_text(text)
        if self.retractions:
            text = json.dumps({"retractions": [row for row, _ in self.retractions]})
            (self.folder / "catalog" / "retractions.yaml").write_text(text)

    def retract(self, row: Row, names: set[tuple[str, str]]) -> None:
        """A reviewed row, and the events that it names; with `restore` they count again."""
        self.retractions.append(({**row, "by": "tester", "on": "2025-01-01", "reason": "a step"}, names))

    @property
    def retracted(self) -> set[tuple[str, str]]:
        """The last row that names an event decides about it."""
        found: set[tuple[str, str]] = set()
        for row, names in self.retractions:
            found = found - names if row.get("restore") else found | names
        return found

    def deliver(self, events: Sequence[Event]) -> None:
        """A file of each feed, with a line that comes twice and three that don't count; the next run takes them."""
        number = len(self.files) // len(FEEDS)
        self.waiting += events
        for feed in FEEDS:
            name = f"{feed}/{number:03d}.jsonl"
            self.files[name] = [event for event in events if event.feed == feed]
            lines = [line_of(event, offset_minutes=330 * (n % 3)) for n, event in enumerate(self.files[name])]
            path = self.folder / "inbox" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            bad = [line_of(replace(events[0], event_id=f"bad-{us}", time_us=us)) for us in self.outside()]
            path.write_text("\n".join([*lines, *lines[:1], *bad, '{"id": "cut', ""]))

    def outside(self) -> tuple[int, int]:
        """Instants that no event may have: before the year 2000, and more than five minutes after now."""
        return 946_684_800_000_000 - 1, self.world.now_us + 5 * MINUTE + 1

    def run(self) -> bool:
        """Take what was delivered, as one batch. Whether anything was built."""
        self.delivered.append(self.waiting)
        self.waiting = []
        return run(Context(Instance(self.folder), self.world.now_us)).built

    def differences(self, marts: Sequence[str] = tuple(COLUMNS)) -> list[str]:
        """Each row that only one side has, `-` for the oracle's and `+` for the project's; of a mart at most ten."""
        retracted = self.retracted
        events = counted(self.delivered)
        counts = [event for event in events if event.identity not in retracted]
        with localcontext(prec=100):  # the usual 28 digits would round what 38 hold
            oracle = Oracle(load_catalog(self.folder / "catalog"), counts, self.world.now_us).marts()
        told: list[str] = []
        balance = "SELECT events, retracted FROM marts.ingest_balance WHERE level = 'total'"
        if (found := rows(self.folder, balance)) != [(len(counts), len(events) - len(counts))]:
            told.append(f"events and retracted: {found}, and not {len(counts)}, {len(events) - len(counts)}")
        for mart in marts:
            schema = "metering" if mart == "unmeasured_daily" else "marts"
            mine = Counter(rows(self.folder, f"SELECT {', '.join(COLUMNS[mart])} FROM {schema}.{mart}"))
            apart = [*(("-", row) for row in oracle[mart] - mine), *(("+", row) for row in mine - oracle[mart])]
            if apart:
                told.append(f"{mart}: {len(apart)} rows differ of {oracle[mart].total()} and {mine.total()}")
                told += [f"  {side} {' | '.join(map(str, row))}" for side, row in sorted(apart, key=_readable)[:10]]
        return told


def _readable(entry: tuple[str, tuple[Any, ...]]) -> list[str]:
    side, row = entry
    return [*map(str, row), side]
