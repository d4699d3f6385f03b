"""A generation of the warehouse with usage alone: hours, windows and watermarks, and nothing priced."""

from __future__ import annotations

from pathlib import Path

from orchestration.catalog import load_catalog
from orchestration.ledger.store import Ledger
from orchestration.pipeline import run
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.transform import transform
from orchestration.settings import parse_instant

SELECTION = ["--select", "+high_watermarks", "carried_hourly", "--indirect-selection", "cautious"]


def build(home: Path, now: str) -> None:
    """Take what was delivered, build up to the watermarks with the tests on them, and publish."""
    context = Context(Instance(home), parse_instant(now, "test"))
    catalog = load_catalog(home / "catalog")
    with Ledger.open(home) as ledger:
        run.take_files(context, catalog, ledger)
        plan = run.begin_build(context, catalog, ledger)
        assert plan is not None
        transform(context.instance, "usage", fresh=plan.fresh, selection=SELECTION)
        run.publish_build(context)
