"""The first assets: files as they were delivered, and their lines in the lake."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from orchestration.assets import metadata
from orchestration.catalog import load_catalog
from orchestration.ingest import IngestReport
from orchestration.ingest.report import BUCKETS
from orchestration.ledger.store import Ledger
from orchestration.pipeline import run
from orchestration.resources.instance import TallystickInstance

GROUP = "ingest"


@dg.multi_asset(
    name="ingest",
    group_name=GROUP,
    specs=[
        dg.AssetSpec(
            "raw_files",
            description="Files as their sources delivered them, stored by SHA-256 and never changed.",
            kinds={"file"},
        ),
        dg.AssetSpec(
            "lake",
            deps=["raw_files"],
            description="One Parquet file for each raw file: every line in one of five buckets, typed where accepted.",
            kinds={"parquet"},
        ),
    ],
)
def ingest(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> Iterator[dg.MaterializeResult[Any]]:
    """Take every new file of every source, in one commit of the ledger."""
    working = tallystick.context(context)
    catalog = load_catalog(working.instance.catalog)
    with Ledger.open(working.instance.home) as ledger:
        report = run.take_files(working, catalog, ledger)
        held = [(f.source, f.path, f.reason) for f in ledger.held()]
        total = sum(file.retry_of is None for file in ledger.files())
    if held:
        context.log.warning(f"{len(held)} file(s) are held; a month with a held file does not close without a waiver")
    yield dg.MaterializeResult(asset_key="raw_files", metadata=_files(report, held, total))
    yield dg.MaterializeResult(asset_key="lake", metadata=_lines(report))


def _files(report: IngestReport, held: list[tuple[str, str, str]], total: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "new_files": report.files,
        "files_in_all": total,
        "held_files": len(held),
        "deferred_files": len(report.deferred),
        "refused_files": len(report.refused),
        "unreadable_files": len(report.unreadable),
    }
    notable = [(kind, e) for kind in ("unreadable", "deferred", "refused", "notices") for e in getattr(report, kind)]
    if held:
        found["held"] = metadata.table(["source", "path", "reason"], held)
    if notable:
        rows = [(kind, entry.source, entry.path, entry.reason) for kind, entry in notable[: metadata.PREVIEW_ROWS]]
        found["preview"] = metadata.table(["what", "source", "path", "reason"], rows)
    return found


def _lines(report: IngestReport) -> dict[str, Any]:
    found: dict[str, Any] = {
        "new_files": report.files,
        "new_lines": report.lines,
        "buckets": metadata.table(["bucket", "lines"], [(b, getattr(report, b)) for b in BUCKETS]),
        "rebuilt_files": report.rebuilt,
        "seconds": round(report.seconds, 3),
    }
    if report.reasons:
        found["quarantined_by_reason"] = metadata.counts(["reason", "lines"], report.reasons)
    return found
