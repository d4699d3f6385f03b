"""Every charge of every segment rated from measured quantities: the step that runs and audits share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
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


QUANTITY_COLUMNS = ", ".join(("local_day", *Quantity._fields[1:]))
"""The columns of `marts.charge_quantities` that make a Quantity, in its order."""
QUANTITY_ORDER = "local_day, value, coalesce(hour_us, 0), cell, part, quantity, rank"
"""The order of the quantities of a line."""

Quantities = Mapping[str, Sequence[Quantity]]
"""By line id: what was measured, by day."""


@dataclass(frozen=True, slots=True)
class Rater:
    """Rates charges under one catalog. What it looks at beside charges, quantities, meters and plans: the first day
    after each subscription (the greatest date without one), and how each seller rounds."""

    catalog: Catalog
    ends: Mapping[str, date]
    roundings: Mapping[str, Rounding]

    @classmethod
    def of(cls, catalog: Catalog) -> Rater:
        ends: dict[str, date] = {}
        for row in catalog.subscriptions:
            ends[row.subscription] = max(ends.get(row.subscription, date.min), row.end or date.max)
        return cls(catalog, ends, {entity.key: entity.rounding for entity in catalog.settings.entities})

    def rounding(self, customer: str, day: date) -> Rounding:
        """That of who sells to a customer in the period that begins on a day."""
        return self.roundings[self.catalog.seller(customer, day)]

    def rate(self, charged: Iterable[ChargedSegment], quantities: Quantities) -> Iterator[Line]:
        """As `rate_all`."""
        for subscription, group in groupby(charged, key=lambda item: item.segment.subscription):
            items = list(group)
            parts = sorted({item.of_plan for item in items}, key=attrgetter("start"))
            lines = [line for item in items for line in self.rate_charge(item, quantities.get(item.line_id, ()))]
            yield from lines
            rounding = partial(self.rounding, items[0].segment.customer)
            yield from plan_lines(self.catalog.plans, parts, lines, self.ends.get(subscription), rounding)

    def rate_charge(self, item: ChargedSegment, measured: Sequence[Quantity]) -> Iterator[Line]:
        """The line of one charge in its segment, or its lines by value, without what its plan makes of them."""
        charge = item.terms.charge
        meter = self.catalog.meters[charge.meter] if charge.meter is not None else None
        for value, rows in _by_value(charge, measured):
            window = next((row.window_us for row in rows if row.window_us is not None), None)
            line = rate(
                item.terms,
                item.segment,
                slices_of(rows),
                meter,
                window=None if window is None else {"start": instant_text(window)},
                divisor=item.divisor,
                rounding=self.rounding(item.segment.customer, item.segment.period_start),
            )
            yield replace(line, value=value) if value else line


def rate_all(catalog: Catalog, charged: Iterable[ChargedSegment], quantities: Quantities) -> Iterator[Line]:
    """One line for each charge of each segment; without an entry in `quantities` the usage is 0.

    `charged` come by subscription, each with all of its segments: after its lines stand those that its plans add, for
    what they cap or commit to. A charge with lines by value has one for each value that was measured, and none without
    usage.
    """
    return Rater.of(catalog).rate(charged, quantities)


def _by_value(charge: Charge, rows: Sequence[Quantity]) -> Iterable[tuple[str, Sequence[Quantity]]]:
    if charge.line_per is None:
        return [("", rows)]
    found: dict[str, list[Quantity]] = defaultdict(list)
    for row in rows:
        if row.part != "unmeasured":
            found[row.value].append(row)
    return sorted(found.items())


def slices_of(rows: Iterable[Quantity]) -> list[Slice]:
    """What is priced of measured rows."""
    return [
        Slice(day, quantity, windows, rank, cell, hour_us, events, part)
        for day, quantity, _, windows, rank, _, cell, hour_us, events, part in rows
        if part != "unmeasured"
    ]


def rows_of(charge: Charge, value: str, rows: Iterable[Quantity]) -> list[Quantity]:
    """Of the measured rows of a charge those that one of its lines is rated from."""
    return [row for row in rows if row.part != "unmeasured" and (charge.line_per is None or row.value == value)]


def instant_text(us: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC."""
    seconds, micros = divmod(us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
