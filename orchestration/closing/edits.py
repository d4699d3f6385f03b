"""Edits of the catalog that would change what was billed: found by pricing the same usage under both catalogs.

Late usage changes the quantity of a closed period, and is billed as a difference. Another price for it is no fact about
usage: it takes effect by a version from its day on, never by rewriting the day before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from orchestration.billing.due import Issued
from orchestration.billing.rating import Line, LineKey
from orchestration.catalog import Catalog
from orchestration.catalog.load import from_archive
from orchestration.catalog.routes import moves_endpoints
from orchestration.closing.declared import Edited
from orchestration.closing.rated import Quantities, rate_all
from orchestration.errors import PeriodClosed, Problem
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.store import Ledger
from orchestration.metering.control import ChargedSegment, charged_segments, segment_rows
from orchestration.metering.usage_parts import SEGMENT_COLUMNS
from orchestration.money import Money
from orchestration.zones import history_before

_MEASURING = frozenset({"watermark", "active", "by_dimension"})
"""What of a line's formula says how its meter is measured."""


_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edit of the catalog changes of closed periods. `files` are those it stands in, as far as they are known;
    `key` is the line that costs another amount, from the same usage."""

    problem: Problem
    subscription: str = ""
    files: tuple[str, ...] = ()
    key: LineKey | None = None


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
    """Raise PeriodClosed if `catalog` prices issued lines other than `archived`, the catalog of the last close, does,
    and no reviewed row declares the edit a correction.

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
    edited = Edited(archived, catalog)
    found = [
        *_customers(archived, catalog, customers, cut_off),
        *_meters(archived, catalog, meters, edited),
        *_parts(_divided_by(archived, was.charged), _divided_by(catalog, now.charged), issued),
        *_lines(was.lines, now.lines, issued, cut_off),
        *_added(was.lines, now.lines, {key.subscription for key in issued}, cut_off),
    ]
    placed = [edit if edit.files else replace(edit, files=edited.of_subscription(edit.subscription)) for edit in found]
    undeclared = [edit for edit in placed if not edited.is_declared(edit.files)]
    problems = [*(edit.problem for edit in undeclared), *_retractions(archived, catalog)]
    if problems:
        rows = edited.rows_to_write(name for edit in undeclared for name in edit.files)
        raise _refusal(problems, rows, _preview(was.lines, now.lines, undeclared))


def _refusal(problems: Sequence[Problem], rows: Sequence[str], preview: Sequence[str]) -> PeriodClosed:
    listed = [f"    {text}" for text in _first(problems)]
    if preview:
        listed += ["  declared a correction, it would bill:", *(f"    {text}" for text in _first(preview))]
    step = "put back what was in force; a new price is a new version of the plan, effective from its day"
    if rows:
        step += "; or declare the edit, reviewed, in corrections.yaml:\n  corrections:"
        step += "".join(f"\n    {row}" for row in rows)
    return PeriodClosed(
        "\n".join([f"the catalog now prices {len(problems)} line(s) otherwise than when they were issued:", *listed]),
        not_done="nothing was priced, issued or published",
        next_step=step,
    )


def _first(texts: Sequence[object]) -> list[str]:
    more = [f"and {len(texts) - _SHOWN} more"] if len(texts) > _SHOWN else []
    return [*map(str, texts[:_SHOWN]), *more]


def _preview(before: Mapping[LineKey, Line], after: Mapping[LineKey, Line], edits: Sequence[Edit]) -> list[str]:
    """By customer and currency, what edits of prices and segments would give back or charge, from the same usage."""
    sums: dict[tuple[str, str], Money] = {}
    for key in dict.fromkeys(edit.key for edit in edits if edit.key is not None):
        for line, sign in ((after.get(key), 1), (before.get(key), -1)):
            if line is not None:
                account = line.customer, line.currency
                sums[account] = sums.get(account, Money.zero(line.currency)) + (
                    line.amount if sign > 0 else -line.amount
                )
    return [
        f"'{customer}': a {'credit note' if amount < Money.zero(currency) else 'charge'} of {amount}, before tax"
        for (customer, currency), amount in sorted(sums.items())
        if amount
    ]


def _within(charged: Sequence[ChargedSegment], quantities: Quantities) -> Quantities:
    """What was measured on the days of the segments as they were: those of the same name may end elsewhere now."""
    return {
        item.line_id: [row for row in rows if item.segment.start <= row.day < item.segment.end]
        for item in charged
        if (rows := quantities.get(item.line_id))
    }


def _customers(archived: Catalog, catalog: Catalog, billed: Collection[str], cut_off: date) -> Iterator[Edit]:
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
                yield Edit(Problem(f"{field}_edited", message, "customers.csv"), files=("customers.csv",))


def _zone_before(catalog: Catalog, customer: str, cut_off: date) -> str:
    return history_before(catalog.customers[customer].zone, cut_off)


def _sellers_before(catalog: Catalog, customer: str, cut_off: date) -> str:
    kept = [since for since in catalog.histories[customer] if since.boundary < cut_off]
    changes = [s for n, s in enumerate(kept) if n == 0 or s.row.entity != kept[n - 1].row.entity]
    return " ".join(s.row.entity if n == 0 else f"{s.boundary} {s.row.entity}" for n, s in enumerate(changes))


def _meters(archived: Catalog, catalog: Catalog, billed: Collection[str], edited: Edited) -> Iterator[Edit]:
    for key in sorted(archived.meters.keys() & set(billed)):
        was, now = archived.meters[key], catalog.meters.get(key)
        same = now is not None and was.model_copy(update={"name": now.name, "description": now.description}) == now
        if moves_endpoints(was, archived.routes, catalog.routes):
            message = f"requests that meter '{key}' counts may stand under other endpoints than when it was billed"
            yield Edit(Problem("routes_edited", message, "routes.yaml"), files=edited.of_routes())
        if not same:
            message = f"meter '{key}' counts otherwise than when it was billed"
            yield Edit(Problem("meter_edited", message, "meters.yaml"), files=("meters.yaml",))


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
) -> Iterator[Edit]:
    """Both catalogs are priced from usage in the parts that the catalog makes now: other parts are another measure."""
    for key in sorted({key._replace(value="") for key in issued}):
        if key in before and key in after and before[key] != after[key]:
            where = f"{key.subscription}, charge '{key.charge}', from {key.start}"
            problem = Problem("measure_edited", "divides its usage otherwise than when it was billed", where)
            yield Edit(problem, key.subscription)


def _lines(
    before: Mapping[LineKey, Line], after: Mapping[LineKey, Line], issued: Iterable[LineKey], cut_off: date
) -> Iterator[Edit]:
    for key in issued:
        was, now = before.get(key), after.get(key)
        if was is None:
            continue
        where = f"{key.subscription}, charge '{key.charge}', from {key.start}"
        if now is not None and _measured_by(was) != _measured_by(now):
            # Both are priced from one quantity, which was measured as the catalog says now.
            problem = Problem("measure_edited", "measures its meter otherwise than when it was billed", where)
            yield Edit(problem, key.subscription)
        elif now is not None and (now.amount, now.end, now.plan) == (was.amount, was.end, was.plan):
            continue
        elif now is None:
            if key.start < cut_off:
                problem = Problem("line_gone", f"billed {was.amount}, is on no subscription any more", where)
                yield Edit(problem, key.subscription, key=key)
        elif now.end != was.end:
            if min(now.end, was.end) < cut_off:
                message = f"ended on {was.end}, now on {now.end}, before cut-off {cut_off}"
                yield Edit(Problem("end_moved", message, where), key.subscription, key=key)
        else:
            problem = Problem("price_edited", f"its usage cost {was.amount}, and now {now.amount}", where)
            yield Edit(problem, key.subscription, key=key)


def _added(
    before: Mapping[LineKey, Line], after: Mapping[LineKey, Line], billed: Collection[str], cut_off: date
) -> Iterator[Edit]:
    """Lines of periods that were closed already, which a subscription that was billed did not have.

    A subscription that ends when its commitment's period still runs is topped up at its end: that is no edit.
    """
    for key, line in after.items():
        over = date.fromisoformat(line.formula["period"][1]) if line.kind == "true_up" else line.period_end
        closed = over <= cut_off if line.due == "arrears" else line.start < cut_off
        if key not in before and key.subscription in billed and closed and line.amount:
            where = f"{key.subscription}, charge '{key.charge}', from {key.start}"
            problem = Problem("line_new", f"was no line when its period was closed, and now costs {line.amount}", where)
            yield Edit(problem, key.subscription, key=key)
