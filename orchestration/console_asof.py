"""What a person sees of a closed period: the waterfall from what was billed to what is known now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table

from orchestration.console import money_text, out

if TYPE_CHECKING:
    from orchestration.pipeline.asof import Step

_SAID = {
    "next_invoice": "on the next invoice",
    "own_document": "on a note of its own",
    "report_only": "only reported, by the plan",
    "late_horizon": "only reported, as it came too late",
    "correction_floor": "waits, as it is small",
    "withheld": "withheld by a reviewed row",
}


def print_revisions(steps: Sequence[Step], *, as_json: bool = False) -> None:
    """The steps of each subscription, charge and period, with its sums as billed and as known now."""
    if as_json:
        rows = [step._asdict() for step in steps]
        out.print(json.dumps(rows, indent=2, ensure_ascii=False, default=str), markup=False, emoji=False)
        return
    for _, found in groupby(steps, key=lambda step: step[:6]):
        _print_period(list(found))
    if not steps:
        out.print("no closed period has a day in that month")


def _print_period(steps: Sequence[Step]) -> None:
    first = steps[0]
    name = f"{first.customer}: {first.subscription}, {first.charge}, {first.period_start} to {first.period_end}"
    table = Table("what", "cause", first.currency, "in all", title=name, title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for step in steps:
        what = f"{step.document} (cut-off {step.cut_off})" if step.document else _SAID[step.status]
        table.add_row(what, step.cause, *(money_text(amount, step.currency) for amount in (step.amount, step.running)))
    out.print(table)
    billed = sum((step.amount for step in steps if step.document), Decimal(0))
    sums = (money_text(amount, first.currency) for amount in (billed, steps[-1].running))
    out.print("  billed {}, known now {}".format(*sums))
