"""The steps of a run, each with its seconds, and what dbt runs one by one: called in a process of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from orchestration.catalog import load_catalog
from orchestration.ledger.store import Ledger
from orchestration.pipeline.close import close
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.prepare import open_build
from orchestration.pipeline.run import (
    account,
    begin_build,
    price_drafts,
    publish_build,
    take_files,
    watch_usage,
)
from orchestration.pipeline.transform import Stage, load_project, transform
from orchestration.settings import offer_build
from tests.bench.world import now_after, write_day

Seconds = tuple[float, float]
"""On the wall, and of the processor."""


@dataclass
class Clock:
    """Seconds by step, and by model and test of dbt (`dbt usage/<name>`), in the order in which they came."""

    parts: dict[str, Seconds] = field(default_factory=dict)
    _begun: dict[str, Seconds] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begun = now()
        yield
        self.add(name, begun)

    def add(self, name: str, begun: Seconds) -> None:
        wall, cpu = now()
        before = self.parts.get(name, (0.0, 0.0))
        self.parts[name] = before[0] + wall - begun[0], before[1] + cpu - begun[1]

    def listen(self, stage: Stage) -> Any:
        """A callback for dbt, which runs one node after the other."""

        def hear(event: Any) -> None:
            if event.info.name == "NodeStart":
                self._begun[event.data.node_info.unique_id] = now()
            elif event.info.name == "NodeFinished":
                node = event.data.node_info
                self.add(f"dbt {stage}/{node.resource_type} {node.node_name}", self._begun.pop(node.unique_id))

        return hear


def now() -> Seconds:
    times = os.times()
    return time.perf_counter(), times.user + times.system


def one_run(home: Path, now_us: int, clock: Clock) -> None:
    """What `orchestration.pipeline.run.run` does, step by step."""
    context = Context(Instance(home), now_us)
    begun = now()
    catalog = load_catalog(context.instance.catalog)
    with Ledger.open(home) as ledger:
        clock.add("catalog", begun)
        with clock.part("ingest"):
            take_files(context, catalog, ledger)
        with clock.part("prepare"):
            plan = begin_build(context, catalog, ledger)
        if plan is None:
            raise SystemExit("there was nothing to build")
        for stage, step in (("usage", account), ("finance", publish_build)):
            with clock.part(f"dbt {stage}"):
                transform(context.instance, stage, fresh=plan.fresh and stage == "usage", on_event=clock.listen(stage))
            with clock.part(step.__name__):
                step(context)
            if stage == "usage":
                with clock.part("pricing"):
                    price_drafts(context, catalog, ledger)
                    watch_usage(context, catalog, ledger)
    clock.add("whole", begun)


def build(home: str, now_us: int) -> dict[str, Seconds]:
    """The first run of an instance."""
    clock = Clock()
    one_run(Path(home), now_us, clock)
    return clock.parts


def closed(home: str, cut_off: str, now_us: int) -> int:
    """Issue what is due at a cut-off; how many documents."""
    context = Context(Instance(Path(home)), now_us)
    return len(close(context, date.fromisoformat(cut_off), waive="benchmark").documents)


def more_days(home: str, last: str, days: int, events: int) -> list[dict[str, Seconds]]:
    """Deliver days after `last`, each with a run of its own; not told: one more, the first, which imports."""
    found = []
    for number in range(1, days + 2):
        day = date.fromisoformat(last) + timedelta(days=number)
        write_day(Path(home), day, events)
        clock = Clock()
        one_run(Path(home), now_after(day), clock)
        found.append(clock.parts)
    return found[1:]


def taken(home: str, now_us: int) -> int:
    """Ingest what lies in the inbox; the number of events that count."""
    context = Context(Instance(Path(home)), now_us)
    with Ledger.open(Path(home)) as ledger:
        report = take_files(context, load_catalog(context.instance.catalog), ledger)
    return report.accepted


def usage(home: str, now_us: int) -> dict[str, Seconds]:
    """The usage stage of a run that builds from nothing; what it built stays unpublished. dbt is loaded before."""
    instance = Instance(Path(home))
    context, clock = Context(instance, now_us), Clock()
    catalog = load_catalog(instance.catalog)
    offer_build(instance.home, instance.build_db)
    with clock.part("dbt's start"):
        load_project(instance)
    with Ledger.open(instance.home) as ledger, clock.part("whole"):
        with clock.part("prepare"):
            begin_build(context, catalog, ledger)
        with clock.part("dbt usage"):
            transform(instance, "usage", fresh=True, on_event=clock.listen("usage"))
    with open_build(instance) as con:
        con.execute("CHECKPOINT")
    return clock.parts
