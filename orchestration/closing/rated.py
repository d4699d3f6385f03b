"""Every charge of every segment rated from measured quantities: the step that runs and audits share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

from orchestration.billing.charges import Slice
from orchestration.billing.rating import Line, rate
from orchestration.catalog import Catalog
from orchestration.metering.control import ChargedSegment


class Quantity(NamedTuple):
    """Measured on a local day: in the meter's unit, times microseconds for a level over time.

    `window_us` is the start of the window that set it, None where no single one did. `windows` is how many windows of
    the day have this quantity, where each is priced by itself. `rank` is that of items when they were added.
    """

    day: date
    quantity: Decimal
    window_us: int | None = None
    windows: int = 1
    rank: int | None = None


QUANTITY_COLUMNS = ", ".join(("local_day", *Quantity._fields[1:]))
"""The columns of `marts.charge_quantities` that make a Quantity, in its order."""

Quantities = Mapping[str, Sequence[Quantity]]
"""By line id: what was measured, by day."""


def rate_all(catalog: Catalog, charged: Iterable[ChargedSegment], quantities: Quantities) -> Iterator[Line]:
    """One line for each charge of each segment; without an entry in `quantities` the usage is 0."""
    for item in charged:
        rows = quantities.get(item.line_id, ())
        charge = item.terms.charge
        meter = catalog.meters[charge.meter] if charge.meter is not None else None
        window = next((row.window_us for row in rows if row.window_us is not None), None)
        yield rate(
            item.terms,
            item.segment,
            [Slice(row.day, row.quantity, row.windows, row.rank) for row in rows],
            meter,
            window=None if window is None else {"start": instant_text(window)},
            divisor=item.divisor,
        )


def instant_text(us: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC."""
    seconds, micros = divmod(us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
