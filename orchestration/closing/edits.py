"""Edits of the catalog that would change what was billed: found by pricing the same usage under both catalogs.

Late usage changes the quantity of a closed period, and is billed as a difference. Another price for it is no fact about
usage: it takes effect by a version from its day on, never by rewriting the day before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestration.billing.due import Issued
from orchestration.billing.rating import Line, LineKey
from orchestration.catalog import Catalog
from orchestration.catalog.load import from_archive
from orchestration.catalog.routes import moves_endpoints
from orchestration.closing.rated import Quantities, rate_all
from orchestration.errors import PeriodClosed, Problem
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.store import Ledger
from orchestration.metering.control import ChargedSegment, charged_segments, segment_rows
from orchestration.metering.usage_parts import SEGMENT_COLUMNS
from orchestration.zones import history_before

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
    was_charged, now_charged = charged_segments(archived, now_us), charged_segments(catalog, now_us)
    before = {line.key: line for line in rate_all(archived, was_charged, _within(was_charged, quantities))}
    billed = [line for key in issued if (line := before.get(key))]
    customers, meters = {line.customer for line in billed}, {line.meter for line in billed if line.meter}
    was = Sold(archived, was_charged, before)
    now = Sold(catalog, now_charged, {line.key: line for line in lines})
    refuse_differences(was, now, issued, cut_off, customers, meters)


@dataclass(frozen=True, slots=True)
class Sold:
    """What a catalog makes of subscriptions: their charges and lines, from what is measured now."""

    catalog: Catalog
    charged: Sequence[ChargedSegment]
    lines: Mapping[LineKey, Line]


def refuse_differences(
    was: Sold,
    now: Sold,
    issued: Collection[LineKey],
    cut_off: date,
    customers: Collection[str],
    meters: Collection[str],
) -> None:
    """As `refuse_edits`, of the subscriptions that can differ: all of their lines under the archived catalog and under
    the other, and what was issued for them. `customers` and `meters` are all that were billed."""
    archived, catalog = was.catalog, now.catalog
    problems = [
        *_customers(archived, catalog, customers, cut_off),
        *_meters(archived, catalog, meters),
        *_parts(_divided_by(archived, was.charged), _divided_by(catalog, now.charged), issued),
        *_lines(was.lines, now.lines, issued, cut_off),
        *_added(was.lines, now.lines, {key.subscription for key in issued}, cut_off),
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


def _within(charged: Sequence[ChargedSegment], quantities: Quantities) -> Quantities:
    """What was measured on the days of the segments as they were: those of the same name may end elsewhere now."""
    return {
        item.line_id: [row for row in rows if item.segment.start <= row.day < item.segment.end]
        for item in charged
        if (rows := quantities.get(item.line_id))
    }


def _customers(archived: Catalog, catalog: Catalog, billed: Collection[str], cut_off: date) -> Iterator[Problem]:
    """A move on the last cut-off or later is an ordinary fact."""
    for key in sorted(archived.customers.keys() & catalog.customers.keys() & set(billed)):
        was, now = (
            {"zone": _zone_before(c, key, cut_off), "entity": _sellers_before(c, key, cut_off)}
            for c in (archived, catalog)
        )
        for field in was:
            if was[field] != now[field]:
                message = (
                    f"{field} of '{key}' was {was[field]}, and closed periods would move with it; one who moves has a "
                    "row of its own with 'valid_from'"
                )
                yield Problem(f"{field}_edited", message, "customers.csv")


def _zone_before(catalog: Catalog, customer: str, cut_off: date) -> str:
    return history_before(catalog.customers[customer].zone, cut_off)


def _sellers_before(catalog: Catalog, customer: str, cut_off: date) -> str:
    kept = [since for since in catalog.histories[customer] if since.boundary < cut_off]
    changes = [s for n, s in enumerate(kept) if n == 0 or s.row.entity != kept[n - 1].row.entity]
    return " ".join(s.row.entity if n == 0 else f"{s.boundary} {s.row.entity}" for n, s in enumerate(changes))


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


def _divided_by(catalog: Catalog, charged: Sequence[ChargedSegment]) -> dict[LineKey, object]:
    """By line, whatever its value: what decides into which parts its usage goes."""
    found: dict[LineKey, object] = {}
    for row in segment_rows(catalog, charged):
        period_start, start = date.fromisoformat(row["period_start"]), date.fromisoformat(row["start_day"])
        key = LineKey(row["subscription"], row["charge"], period_start, start)
        found[key] = [row.get(column) for column in SEGMENT_COLUMNS]
    return found


def _parts(
    before: Mapping[LineKey, object], after: Mapping[LineKey, object], issued: Iterable[LineKey]
) -> Iterator[Problem]:
    """Both catalogs are priced from usage in the parts that the catalog makes now: other parts are another measure."""
    for key in sorted({key._replace(value="") for key in issued}):
        if key in before and key in after and before[key] != after[key]:
            where = f"{key.subscription}, charge '{key.charge}', from {key.start}"
            yield Problem("measure_edited", "divides its usage otherwise than when it was billed", where)


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


def _added(
    before: Mapping[LineKey, Line], after: Mapping[LineKey, Line], billed: Collection[str], cut_off: date
) -> Iterator[Problem]:
    """Lines of periods that were closed already, which a subscription that was billed did not have.

    A subscription that ends when its commitment's period still runs is topped up at its end: that is no edit.
    """
    for key, line in after.items():
        over = date.fromisoformat(line.formula["period"][1]) if line.kind == "true_up" else line.period_end
        closed = over <= cut_off if line.due == "arrears" else line.start < cut_off
        if key not in before and key.subscription in billed and closed and line.amount:
            where = f"{key.subscription}, charge '{key.charge}', from {key.start}"
            yield Problem("line_new", f"was no line when its period was closed, and now costs {line.amount}", where)
