"""Edits of the catalog that would change what was billed: found by pricing the same usage under both catalogs.

Late usage changes the quantity of a closed period, and is billed as a difference. Another price for it is no fact about
usage: it takes effect by a version from its day on, never by rewriting the day before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestration.billing.documents import Issued
from orchestration.billing.rating import Line, LineKey
from orchestration.catalog import Catalog
from orchestration.catalog.load import from_archive
from orchestration.catalog.routes import moves_endpoints
from orchestration.closing.issued import CLOSE
from orchestration.closing.rated import Quantities, rate_all
from orchestration.errors import PeriodClosed, Problem
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments

_MEASURING = frozenset({"watermark", "active", "by_dimension"})
"""What of a line's formula says how its meter is measured."""


@dataclass(frozen=True, slots=True)
class LastClose:
    """The catalog and the cut-off of the last close."""

    catalog: Catalog
    cut_off: date


def last_close(ledger: Ledger) -> LastClose | None:
    """What the last close of the ledger was made under; None before the first."""
    closes = [entry for entry in ledger.journal() if entry.kind == CLOSE]
    if not closes:
        return None
    body = json.loads(closes[-1].body)
    return LastClose(from_archive(ledger.catalog(body["catalog"])), date.fromisoformat(body["cut_off"]))


def refuse_lost(catalog: Catalog, issued: Mapping[LineKey, Issued]) -> None:
    """Raise PeriodClosed for a catalog that no longer knows whom, or in which currency, it has billed."""
    plans = {s.subscription: catalog.plans[s.plan] for s in catalog.subscriptions}
    for key, before in issued.items():
        customer, currency = before.line["customer"], before.line["currency"]
        plan = plans.get(key.subscription)
        if customer not in catalog.customers:
            fault = f"customer '{customer}' is gone from the catalog, but {before.document} was issued to it"
        elif plan is not None and plan.currency != currency:
            fault = (
                f"subscription '{key.subscription}' is now in {plan.currency}, {before.document} bills it in {currency}"
            )
        else:
            continue
        raise PeriodClosed(
            fault,
            where=f"{key.subscription}, charge '{key.charge}', {key.start}",
            not_done="nothing was priced or published",
            next_step="put it back; end a subscription by its end date, and begin another for another currency",
        )


def refuse_edits(
    archived: Catalog,
    catalog: Catalog,
    quantities: Quantities,
    lines: Iterable[Line],
    issued: Collection[LineKey],
    cut_off: date,
    now_us: int,
) -> None:
    """Raise PeriodClosed if `catalog` prices issued lines other than `archived`, the catalog of the last close, does.

    `lines` are rated under `catalog` from `quantities`. A subscription that ends, or changes its plan, on or after the
    last cut-off is an ordinary fact.
    """
    if archived.digest == catalog.digest:
        return
    before = {line.key: line for line in rate_all(archived, charged_segments(archived, now_us), quantities)}
    after = {line.key: line for line in lines}
    billed = [line for key in issued if (line := before.get(key))]
    who, what = {line.customer for line in billed}, {line.meter for line in billed if line.meter}
    refuse_differences(archived, catalog, before, after, issued, cut_off, who, what)


def refuse_differences(
    archived: Catalog,
    catalog: Catalog,
    before: Mapping[LineKey, Line],
    after: Mapping[LineKey, Line],
    issued: Iterable[LineKey],
    cut_off: date,
    customers: Collection[str],
    meters: Collection[str],
) -> None:
    """As `refuse_edits`, of the lines that can differ: `before` as the archived catalog rates them, `after` as the
    other does. `customers` and `meters` are all that were billed."""
    problems = [
        *_customers(archived, catalog, customers),
        *_meters(archived, catalog, meters),
        *_lines(before, after, issued, cut_off),
        *_retractions(archived, catalog),
    ]
    if problems:
        shown = "\n".join(f"    {p}" for p in problems[:10])
        more = f"\n    and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise PeriodClosed(
            f"the catalog now prices {len(problems)} line(s) otherwise than when they were issued:\n{shown}{more}",
            not_done="nothing was priced, issued or published",
            next_step="put back what was in force; a new price is a new version of the plan, effective from its day",
        )


def _customers(archived: Catalog, catalog: Catalog, billed: Collection[str]) -> Iterator[Problem]:
    for key in sorted(archived.customers.keys() & set(billed)):
        was, now = archived.customers[key], catalog.customers[key]
        for field in ("zone", "entity"):
            if getattr(was, field) != getattr(now, field):
                message = f"{field} of '{key}' was {getattr(was, field)}, and closed periods would move with it"
                yield Problem(f"{field}_edited", message, "customers.csv")


def _meters(archived: Catalog, catalog: Catalog, billed: Collection[str]) -> Iterator[Problem]:
    for key in sorted(archived.meters.keys() & set(billed)):
        was, now = archived.meters[key], catalog.meters.get(key)
        same = now is not None and was.model_copy(update={"name": now.name, "description": now.description}) == now
        if moves_endpoints(was, archived.routes, catalog.routes):
            message = f"requests that meter '{key}' counts may stand under other endpoints than when it was billed"
            yield Problem("routes_edited", message, "routes.yaml")
        if not same:
            yield Problem("meter_edited", f"meter '{key}' counts otherwise than when it was billed", "meters.yaml")


def _measured_by(line: Line) -> dict[str, Any]:
    return {"meter": line.meter} | {k: v for k, v in line.formula.items() if k in _MEASURING}


def _retractions(archived: Catalog, catalog: Catalog) -> Iterator[Problem]:
    if not catalog.retractions.continues(archived.retractions):
        message = "rows that the last close knew are gone or edited; a retraction ends by a row with 'restore: true'"
        yield Problem("retraction_edited", message, "retractions.yaml")


def _lines(
    before: Mapping[LineKey, Line], after: Mapping[LineKey, Line], issued: Iterable[LineKey], cut_off: date
) -> Iterator[Problem]:
    for key in issued:
        was, now = before.get(key), after.get(key)
        if was is None:
            continue
        where = f"{key.subscription}, charge '{key.charge}', from {key.start}"
        if now is not None and _measured_by(was) != _measured_by(now):
            # Both are priced from one quantity, which was measured as the catalog says now.
            yield Problem("measure_edited", "measures its meter otherwise than when it was billed", where)
        elif now is not None and (now.amount, now.end, now.plan) == (was.amount, was.end, was.plan):
            continue
        elif now is None:
            if key.start < cut_off:
                yield Problem("line_gone", f"billed {was.amount}, is on no subscription any more", where)
        elif now.end != was.end:
            if min(now.end, was.end) < cut_off:
                yield Problem("end_moved", f"ended on {was.end}, now on {now.end}, before cut-off {cut_off}", where)
        else:
            yield Problem("price_edited", f"its usage cost {was.amount}, and now {now.amount}", where)
