"""The demo: a month of example traffic, all the way to issued invoices, on one instance."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orchestration.closing.close import CloseResult
from orchestration.errors import ConfigInvalid
from orchestration.example import GeneratedSummary, generate
from orchestration.pipeline.close import close
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import RunResult, run
from orchestration.settings import REPOSITORY, parse_instant

NOW = "2026-11-05T09:00:00Z"
"""The demo's now: four days after October has ended everywhere, so that it can be closed."""
CUT_OFF = date(2026, 11, 1)
CATALOG = REPOSITORY / "data" / "catalog"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What was generated, and what the run and the close made of it."""

    generated: GeneratedSummary
    ran: RunResult
    closed: CloseResult


def demo(instance: Instance, report: Callable[[str], None], *, scale: int = 100) -> DemoResult:
    """Generate October 2026 into the instance's inbox, run, and close it. A second demo changes nothing.

    The caller holds the instance's lock. Raises ConfigInvalid for an instance with a catalog of its own.
    """
    if not instance.catalog.exists():
        shutil.copytree(CATALOG, instance.catalog)
    elif _texts(instance.catalog) != _texts(CATALOG):
        raise ConfigInvalid(
            "this instance has a catalog of its own",
            where=str(instance.catalog),
            not_done="no example traffic was written into it",
            next_step="run the demo on an empty folder: `tallystick demo --home /tmp/tallystick-demo`",
        )
    report("generating a month of example traffic")
    generated = generate(instance.home, scale=scale, report=report)
    context = Context(instance, parse_instant(NOW, "demo"), report)
    ran = run(context)
    closed = close(context, CUT_OFF, allow_uncommitted=True)
    return DemoResult(generated, ran, closed)


def _texts(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
