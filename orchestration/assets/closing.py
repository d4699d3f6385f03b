"""The close of a month as a partition, and the exports of what was issued."""

import json
from fractions import Fraction
from typing import Any

import dagster as dg
from pydantic import Field

from orchestration.assets import metadata
from orchestration.audit.explain import as_lines, brief
from orchestration.closing.close import CloseResult
from orchestration.exports.csvfiles import export_invoices
from orchestration.ledger.rows import DocumentRow
from orchestration.ledger.store import Ledger
from orchestration.money import Money
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.instance import Instance
from orchestration.resources.instance import TallystickInstance

GROUP = "closing"
EXPLAINED, EXPLAINED_LINES = 5, 30
"""Documents of a close that its metadata explain, and lines of text for each: metadata are kept for ever."""
MONTHS = dg.MonthlyPartitionsDefinition(start_date="2020-01-01")


class CloseConfig(dg.Config):
    """What a close may be told."""

    waive: str = Field(
        default="",
        description="Why the month is closed although files are held; journalled. Empty: held files refuse it.",
    )
    allow_uncommitted: bool = Field(
        default=False, description="Close although git doesn't hold the catalog; journalled."
    )


@dg.asset(
    deps=["published_warehouse"],
    partitions_def=MONTHS,
    group_name=GROUP,
    kinds={"sqlite"},
    description="Numbered invoices of one month, issued in one transaction of the ledger; it stays as it is.",
)
def issued_invoices(
    context: dg.AssetExecutionContext, config: CloseConfig, tallystick: TallystickInstance
) -> dg.MaterializeResult[Any]:
    """Bring the instance up to date, issue what is due at the end of the month, and publish what was issued."""
    working = tallystick.context(context)
    cut_off = parse_cut_off(context.partition_key[:7])
    result = close(working, cut_off, waive=config.waive or None, allow_uncommitted=config.allow_uncommitted)
    generation = working.instance.current.resolve().name
    # The close publishes too: what was issued is in the warehouse when it has ended.
    context.log_event(dg.AssetMaterialization("published_warehouse", metadata={"generation": generation}))
    return dg.MaterializeResult(metadata=_issued(result) | _explained(working.instance, result))


def _explained(instance: Instance, result: CloseResult) -> dict[str, Any]:
    """The largest line of each of the largest documents, explained from the warehouse, and how to ask for the rest."""
    largest = sorted(result.documents, key=lambda d: (-abs(Fraction(json.loads(d.body)["total"])), d.number))
    rows: list[tuple[str, str]] = []
    with Ledger.open(instance.home, create=False) as ledger:
        for document in largest[:EXPLAINED]:
            told = brief(ledger, document.number, instance.scratch, instance.published_db())
            text = list(as_lines(told))
            rows += [(document.number, line) for line in text[:EXPLAINED_LINES]]
            rest = f"{len(text) - EXPLAINED_LINES} more lines: " if len(text) > EXPLAINED_LINES else ""
            rows.append((document.number, f"{rest}tallystick explain {document.number} {told['line']['position']}"))
    return {"explanation": metadata.table(["document", "its largest line"], rows)} if rows else {}


def _issued(result: CloseResult) -> dict[str, Any]:
    rows = [(d.number, d.kind, d.customer, str(_total(d))) for d in result.documents[: metadata.PREVIEW_ROWS]]
    found: dict[str, Any] = {
        "cut_off": result.cut_off.isoformat(),
        "documents": len(result.documents),
        "closed_before": len(result.already),
        "zero_and_skipped": len(result.skipped),
        "parked_customers": len(result.parked),
        "money": metadata.money(_total(d) for d in result.documents),
        "preview": metadata.table(["number", "kind", "customer", "total"], rows),
    }
    if result.parked:
        found["parked"] = metadata.table(["customer", "waits because of"], sorted(result.parked.items()))
    return found


def _total(document: DocumentRow) -> Money:
    return Money.of(Fraction(json.loads(document.body)["total"]), document.currency)


@dg.asset(
    deps=["issued_invoices"],
    group_name=GROUP,
    kinds={"csv"},
    description="Every issued document as CSV and canonical JSON, one folder a cut-off: a pure function of the ledger.",
)
def invoice_exports(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> dg.MaterializeResult[Any]:
    """Write what is missing or different below `exports/`."""
    working = tallystick.context(context)
    with Ledger.open(working.instance.home) as ledger:
        paths = export_invoices(ledger, working.instance.exports)
        totals = [(d.cut_off, _total(d)) for d in ledger.documents()]
    shown = [(p.relative_to(working.instance.home).as_posix(), p.stat().st_size) for p in paths]
    return dg.MaterializeResult(
        metadata={
            "documents": len(totals),
            "files": len(paths),
            "money": metadata.money(total for _, total in totals),
            "preview": metadata.table(["file", "bytes"], shown[-metadata.PREVIEW_ROWS :]),
        }
    )
