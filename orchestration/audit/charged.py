"""Which charges are measured in which days, and how: found from the archived catalog by the audit's own spans."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from orchestration.audit.pricing.spans import ONE_DAY, Span, own_spans, spans
from orchestration.audit.pricing.terms import Terms, terms_of
from orchestration.catalog import Catalog
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Subscription
from orchestration.catalog.terms import Override
from orchestration.zones import local_date, midnight_us

Contracts = Mapping[tuple[str, str], Sequence[Override]]
"""By customer and plan."""


class Quantity(NamedTuple):
    """Measured on a local day: in the meter's unit, times microseconds for a level over time.

    `window_us` is the start of the window that set it; `windows` is how many windows of the day have this quantity,
    where each is priced by itself; `rank` that of items when they were added; `value` that of the dimension by which
    the charge has lines. `cell`, `hour_us`, `events` and `part` tell apart what is priced apart: see `Piece`.
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


@dataclass(frozen=True, slots=True)
class Charged:
    """A charge in a span: what may become one line, named `line_id`.

    `divisor` is what its measured sum is divided by on the line. `active_from` is the day since which its subscription
    has been active without a gap; days before `known` are known. `of_plan` is the plan's span, of which the charge's
    own interval may take a part.
    """

    segment: Span
    terms: Terms
    divisor: int
    active_from: date
    known: date
    of_plan: Span

    @property
    def line_id(self) -> str:
        return f"{self.segment.subscription}/{self.terms.charge.key}/{self.segment.start.isoformat()}"


def charged_spans(catalog: Catalog, now_us: int) -> list[Charged]:
    """Every charge of every span that has begun by now in its customer's zone, by subscription."""
    rows: dict[str, list[Subscription]] = defaultdict(list)
    for row in catalog.subscriptions:
        rows[row.subscription].append(row)
    contracts: dict[tuple[str, str], list[Override]] = defaultdict(list)
    for agreed in catalog.overrides:
        contracts[agreed.customer, agreed.plan].append(agreed)
    return [item for key in sorted(rows) for item in _of_subscription(catalog, rows[key], contracts, now_us)]


def _of_subscription(
    catalog: Catalog, rows: list[Subscription], contracts: Contracts, now_us: int
) -> Iterator[Charged]:
    zone = catalog.customers[rows[0].customer].zone
    today = local_date(zone, now_us)
    before: Span | None = None
    active_from = date.min
    for span in spans(rows, catalog.plans, today):
        if before is None or before.end != span.start:
            active_from = span.start
        before = span
        agreed = contracts.get((span.customer, span.plan.key), ())
        for key, terms in terms_of(span, agreed).items():
            for own in own_spans(span, terms.charge, today):
                its = terms if own is span else terms_of(own, agreed)[key]
                meter = None if its.charge.meter is None else catalog.meters[its.charge.meter]
                divisor = divisor_of(its.charge, meter, own, zone, today + ONE_DAY)
                yield Charged(own, its, divisor, active_from, today + ONE_DAY, span)


def measure_of(charge: Charge, meter: Meter, prices: Iterable[Charge] = ()) -> str:
    """How a charge is measured; `prices` are its versions and contracts in the span."""
    if charge.watermark is not None:
        return {"greatest": "mark"}.get(charge.watermark.take, charge.watermark.take)
    if charge.active is not None:
        return "active"
    if any(_prices_events(one) for one in (charge, *prices)):
        return "events"
    by_value = charge.line_per is not None and meter.aggregation != "unique_count"
    if charge.model == "matrix" or by_value or meter.currency is not None:
        return "cells"
    if charge.prorate is not None and meter.by_items:
        return "items"
    if meter.carry and meter.aggregation in ("sum", "latest"):
        return "reading" if meter.aggregation == "latest" else "seats" if charge.prorate else "running"
    alone = {"max": "greatest", "min": "least", "percentile": "rank", "unique_count": "unique", "level": "mark"}
    return "latest" if meter.aggregation == "latest" else alone.get(meter.aggregation, "total")


def _prices_events(charge: Charge) -> bool:
    """Whether something is due, or free, for each event by itself."""
    each = (charge.free_events, charge.free_amount, charge.fixed, charge.min_per_event)
    return charge.model == "percentage" and (any(each) or charge.max_per_event is not None)


def window_of(charge: Charge, meter: Meter) -> str | None:
    """The length of the windows that a charge looks at; a level is taken by hours."""
    if charge.watermark is None:
        return "1h" if meter.aggregation == "level" else None
    return charge.watermark.window


def divisor_of(charge: Charge, meter: Meter | None, span: Span, zone: str, known: date) -> int:
    """A level over time is divided by the microseconds of the full period, days of items by its days, a mean of days or
    weeks by how many of them are known."""
    if meter is not None and meter.aggregation == "weighted_sum":
        return midnight_us(zone, span.period_end) - midnight_us(zone, span.period_start)
    if meter is not None and measure_of(charge, meter) == "items":
        return span.period_days
    if charge.active is None or charge.active.take != "mean":
        return 1
    days = [span.start + timedelta(days=n) for n in range((min(span.end, known) - span.start).days)]
    return max(1, sum(charge.active.per == "day" or day.isoweekday() == 7 for day in days))
