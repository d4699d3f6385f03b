"""The close as a step: up to date first, then issue, then show what was issued."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import duckdb

from orchestration.billing.due import Group
from orchestration.billing.safety import outside
from orchestration.catalog import Catalog, load_catalog
from orchestration.closing.close import (
    CloseResult,
    Knowledge,
    check_may_close,
    due_groups,
    issue,
    missing_input,
    require_whole_input,
)
from orchestration.closing.concerned import later_causes
from orchestration.closing.issued import usual_totals
from orchestration.closing.rated import rate_all
from orchestration.engine import connect
from orchestration.errors import ConfigInvalid, InputHeld
from orchestration.exports.csvfiles import export_invoices
from orchestration.ingest import IngestReport
from orchestration.ledger.checkpoints import refuse_behind
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.pipeline import price
from orchestration.pipeline.committed import require_committed
from orchestration.pipeline.context import Context
from orchestration.pipeline.incidents import held_drafts, holds, standing
from orchestration.pipeline.missing import GRACE_US, concerned, find_missing
from orchestration.pipeline.parking import parked
from orchestration.pipeline.run import refresh, take_files
from orchestration.pipeline.state import code_digest, plan_build, read_state
from orchestration.zones import midnight_us


def parse_cut_off(text: str) -> date:
    """`2026-10` is the close of October, with cut-off 2026-11-01; a full date is a cut-off itself."""
    try:
        if not re.fullmatch("[0-9]{4}-[0-9]{2}(-[0-9]{2})?", text):
            raise ValueError("another form")
        if len(text) == 7:
            first = date.fromisoformat(f"{text}-01")
            return (first + timedelta(days=31)).replace(day=1)
        return date.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ConfigInvalid(
            f"'{text}' is neither a month (2026-10) nor a cut-off date (2026-11-01)",
            not_done="nothing was issued",
            next_step="run `tallystick close 2026-10`",
        ) from error


def close(context: Context, cut_off: date, *, waive: str | None = None, allow_uncommitted: bool = False) -> CloseResult:
    """Bring the instance up to date, issue what is due at the cut-off, publish and export it.

    The caller holds the instance's lock. Raises InputHeld, PeriodClosed or IntegrityFailure, as for a ledger that lies
    behind its exported checkpoint; nothing is issued then.
    """
    catalog = load_catalog(context.instance.catalog)
    commit = require_committed(context.instance.catalog, catalog.settings, allow=allow_uncommitted)
    with Ledger.open(context.instance.home) as ledger:
        refuse_behind(ledger)
        others = _not_taken(take_files(context, catalog, ledger))
        refresh(context, catalog, ledger)
        result = issue_due(context, catalog, ledger, cut_off, waive=waive, others=others, commit=commit)
        refresh(context, catalog, ledger)
        export_invoices(ledger, context.instance.exports)
    return result


def _not_taken(taken: IngestReport) -> list[str]:
    """A folder that can't be listed, or a file that changed while it was read, may hold usage of the period."""
    return [f"{e.source}: {e.path}: {e.reason}" for e in (*taken.unreadable, *taken.deferred)]


def issue_due(
    context: Context,
    catalog: Catalog,
    ledger: Ledger,
    cut_off: date,
    *,
    waive: str | None = None,
    others: Sequence[str] = (),
    commit: Mapping[str, str] | None = None,
) -> CloseResult:
    """Issue from the published generation, which must know all that the ledger and the catalog hold.

    `others` is input that could not be read, beside the files that the ledger holds back; `commit` is what git says of
    the catalog.
    """
    waive = (waive or "").strip()
    check_may_close(catalog, ledger, cut_off, context.now_us, waive, others)
    charged = charged_segments(catalog, context.now_us)
    state, path = read_state(context.instance), context.instance.published_db()
    stale = plan_build(context.instance, catalog, ledger, charged, context.now_us) is not None
    if stale or state is None or path is None:
        raise InputHeld(
            "the published warehouse does not know all that the ledger and the catalog hold",
            not_done="nothing was issued",
            next_step="run `tallystick run`, then close again",
        )
    with connect(path, temp=context.instance.scratch, read_only=True) as con:
        lines = list(rate_all(catalog, charged, price.read_quantities(con)))
        groups = due_groups(
            catalog, ledger, lines, cut_off, lambda changed: later_causes(con, catalog, ledger, changed)
        )
        kinds = holds(catalog)
        incidents = standing(con, kinds, ledger.journal()) if kinds else []
        held, approvals = held_drafts(catalog, incidents, groups)
        waiting = _all(parked(con, catalog, groups, cut_off), held, _unsafe(catalog, ledger, groups, cut_off))
        missing = _missing(context, con, catalog, ledger, groups, cut_off, others)
    require_whole_input(missing, waive)
    waived = tuple(missing) if waive else ()
    knowledge = Knowledge(context.now_us, state.last_batch, code_digest(), waive, waived, commit or {}, approvals)
    result = issue(catalog, ledger, groups, cut_off, waiting, knowledge)
    context.report(f"issued {len(result.documents)} document(s) at cut-off {cut_off}")
    return result


def _unsafe(catalog: Catalog, ledger: Ledger, groups: Sequence[Group], cut_off: date) -> dict[str, str]:
    """Customers whose documents lie outside the bounds, of those that no reviewed row has released."""
    released = {row.customer for row in catalog.releases if row.cut_off == cut_off}
    return outside(catalog.settings.safety, groups, usual_totals(ledger), released)


def _all(*reasons: Mapping[str, str]) -> dict[str, str]:
    names = sorted({name for found in reasons for name in found})
    return {name: "; ".join(found[name] for found in reasons if name in found) for name in names}


def _missing(
    context: Context,
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    ledger: Ledger,
    groups: Sequence[Group],
    cut_off: date,
    others: Sequence[str],
) -> list[str]:
    """Input that was not counted and not waived. No grace within the periods that are billed: they are over."""
    over = max((midnight_us(c.zone, cut_off) for c in catalog.customers.values()), default=0)
    home, now_us = context.instance.home, max(context.now_us, over + GRACE_US)
    holes = concerned(find_missing(con, home, catalog.sources, ledger, now_us), catalog, groups)
    return missing_input(ledger, others, holes)
