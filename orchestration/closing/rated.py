"""Every charge of every segment rated from measured quantities: the step that runs and audits share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Literal, NamedTuple

from orchestration.billing.charges import Slice
from orchestration.billing.commitments import plan_lines
from orchestration.billing.rating import Line, rate
from orchestration.catalog import Catalog
from orchestration.catalog.charges import Charge
from orchestration.metering.control import ChargedSegment
from orchestration.money import Rounding


class Quantity(NamedTuple):
    """Measured on a local day: in the meter's unit, times microseconds for a level over time.

    `window_us` is the start of the window that set it, None where no single one did. `windows` is how many windows of
    the day have this quantity, where each is priced by itself. `rank` is that of items when they were added. `value` is
    that of the dimension by which the charge has lines; `cell`, `hour_us`, `events` and `part` are those of a `Slice`,
    but what is `unmeasured` no price takes: it is on no line, and `cell` holds all of the meter's dimensions.
    """

    day: date
    quantity: Decimal
    window_us: int | None = None
    windows: int = 1
    rank: int | None = None
    value: str = ""
    cell: str = ""
    hour_us: int | None = None
    events: int = 0
    part: Literal["units", "free", "at_min", "at_max", "unmeasured"] = "units"


Quantities = Mapping[str, Sequence[Quantity]]
"""By line id: what was measured, by day."""


def rate_all(catalog: Catalog, charged: Iterable[ChargedSegment], quantities: Quantities) -> Iterator[Line]:
    """One line for each charge of each segment; without an entry in `quantities` the usage is 0.

    `charged` come by subscription, each with all of its segments: after its lines stand those that its plans add, for
    what they cap or commit to. A charge with lines by value has one for each value that was measured, and none without
    usage.
    """
    ends: dict[str, date] = {}
    for row in catalog.subscriptions:
        ends[row.subscription] = max(ends.get(row.subscription, date.min), row.end or date.max)
    by_entity = {entity.key: entity.rounding for entity in catalog.settings.entities}
    for subscription, group in groupby(charged, key=lambda item: item.segment.subscription):
        items = list(group)
        parts = sorted({item.of_plan for item in items}, key=attrgetter("start"))
        last = items[-1].segment
        rounding = by_entity[catalog.seller(last.customer, last.period_start)]
        lines = list(_rated(catalog, items, quantities, by_entity))
        yield from lines
        yield from plan_lines(catalog.plans, parts, lines, ends.get(subscription), rounding)


def _rated(
    catalog: Catalog, charged: Iterable[ChargedSegment], quantities: Quantities, by_entity: Mapping[str, Rounding]
) -> Iterator[Line]:
    for item in charged:
        charge = item.terms.charge
        meter = catalog.meters[charge.meter] if charge.meter is not None else None
        for value, rows in _by_value(charge, quantities.get(item.line_id, ())):
            window = next((row.window_us for row in rows if row.window_us is not None), None)
            line = rate(
                item.terms,
                item.segment,
                [_slice(row) for row in rows if row.part != "unmeasured"],
                meter,
                window=None if window is None else {"start": instant_text(window)},
                divisor=item.divisor,
                rounding=by_entity[catalog.seller(item.segment.customer, item.segment.period_start)],
            )
            yield replace(line, value=value) if value else line


def _by_value(charge: Charge, rows: Sequence[Quantity]) -> Iterable[tuple[str, Sequence[Quantity]]]:
    if charge.line_per is None:
        return [("", rows)]
    found: dict[str, list[Quantity]] = defaultdict(list)
    for row in rows:
        if row.part != "unmeasured":
            found[row.value].append(row)
    return sorted(found.items())


def _slice(row: Quantity) -> Slice:
    part = "units" if row.part == "unmeasured" else row.part
    return Slice(row.day, row.quantity, row.windows, row.rank, row.cell, row.hour_us, row.events, part)


def instant_text(us: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC."""
    seconds, micros = divmod(us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
