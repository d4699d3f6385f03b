"""The control tables: catalog and window of a run as rows that the models join. Pure: catalog and now in, rows out.

Instants are microseconds UTC, days are ISO dates, all intervals half-open.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

from orchestration.billing.segments import ChargeTerms, Segment
from orchestration.catalog import Catalog
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Credential
from orchestration.metering import usage_parts
from orchestration.metering.measures import divisor_of, measure_of, until_day, window_count, window_of
from orchestration.metering.planned import ChargesIn, plan_segments
from orchestration.zones import local_date, midnight_us, offset_intervals

Row = dict[str, Any]
_Claim = tuple[date, date, Segment]

MIN_US = -(2**62)
MAX_US = 2**62
MINUTE_US = 60_000_000
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

METERS = {
    "meter": "VARCHAR",
    "name": "VARCHAR",
    "unit": "VARCHAR",
    "aggregation": "VARCHAR",
    "combine": "VARCHAR",
    "carried": "BOOLEAN",
    "percentile": "INTEGER",
    "dimensions": "VARCHAR",
    "by_cell": "BOOLEAN",
    "by_event": "BOOLEAN",
}
METER_DIMENSIONS = {"meter": "VARCHAR", "dimension": "VARCHAR"}
CUSTOMERS = {
    "customer": "VARCHAR",
    "name": "VARCHAR",
    "zone": "VARCHAR",
    "entity": "VARCHAR",
    "known_day": "DATE",
    "known_us": "BIGINT",
}
CREDENTIALS = {
    "credential": "VARCHAR",
    "customer": "VARCHAR",
    "feed": "VARCHAR",
    "from_us": "BIGINT",
    "to_us": "BIGINT",
}
CUSTOMER_OFFSETS = {
    "customer": "VARCHAR",
    "start_us": "BIGINT",
    "end_us": "BIGINT",
    "offset_us": "BIGINT",
    "carry_bucket_us": "BIGINT",
    "carry_day": "DATE",
}
BILLING_DAYS = {
    "customer": "VARCHAR",
    "meter": "VARCHAR",
    "plan": "VARCHAR",
    "subscription": "VARCHAR",
    "period_start": "DATE",
    "period_end": "DATE",
    "start_day": "DATE",
    "end_day": "DATE",
}
SEGMENTS = {
    "line_id": "VARCHAR",
    "subscription": "VARCHAR",
    "customer": "VARCHAR",
    "charge": "VARCHAR",
    "meter": "VARCHAR",
    "measure": "VARCHAR",
    "window_length": "VARCHAR",
    "percentile": "INTEGER",
    "windows": "BIGINT",
    "active_per": "VARCHAR",
    "take": "VARCHAR",
    "by_dimension": "VARCHAR",
    "period_start": "DATE",
    "period_end": "DATE",
    "reads_from": "DATE",
    "start_day": "DATE",
    "until_day": "DATE",
    "end_day": "DATE",
    **usage_parts.SEGMENT_COLUMNS,
}


@dataclass(frozen=True, slots=True)
class ChargedSegment:
    """A charge in a segment: what may become one line. `line_id` is its name in SQL.

    `divisor` is what its measured sum is divided by on the line (level x microseconds by those of the full period).
    `active_from` is the day since which its subscription has been active without a gap; days before `known` are known,
    as far as time goes. `part` is the segment of the plan; the charge's own is shorter where its interval is.
    """

    segment: Segment
    terms: ChargeTerms
    divisor: int = 1
    active_from: date = date.min
    known: date = date.max
    part: Segment | None = None

    @property
    def of_plan(self) -> Segment:
        return self.part or self.segment

    @property
    def line_id(self) -> str:
        return f"{self.segment.subscription}/{self.terms.charge.key}/{self.segment.start.isoformat()}"

    @property
    def counts_until(self) -> date:
        """The end of what decides the quantity: of days, weeks or ranked windows those count that have gone by."""
        charge = self.terms.charge
        ranked = charge.watermark is not None and charge.watermark.percentile is not None
        return until_day(self.segment, self.known) if ranked or charge.active is not None else self.segment.end


def charged_segments(catalog: Catalog, now_us: int) -> list[ChargedSegment]:
    """Every charge of every segment that has begun by now in its customer's zone, in a total order."""
    found = []
    before: Segment | None = None
    active_from, charges = date.min, ChargesIn(catalog)
    for part, known in plan_segments(catalog, now_us):
        zone = catalog.customers[part.customer].zone
        goes_on = before is not None and (before.subscription, before.end) == (part.subscription, part.start)
        active_from, before = active_from if goes_on else part.start, part
        for segment, terms in charges.of(part, known):
            charge = terms.charge
            meter = None if charge.meter is None else catalog.meters[charge.meter]
            divisor = divisor_of(charge, meter, segment, zone, known)
            found.append(ChargedSegment(segment, terms, divisor, active_from, known, part))
    return found


def segment_rows(catalog: Catalog, charged: Sequence[ChargedSegment]) -> Iterator[Row]:
    """Rows of `control.segments`: the charges that have a meter, with all that SQL needs to measure them.

    Distinct values by day or week are read from `reads_from` on (a week may begin before the segment) and counted until
    `until_day`, the end of what is known; for other measures these are the segment's days. Columns that a measure
    doesn't look at are NULL.
    """
    for item in charged:
        charge, segment = item.terms.charge, item.segment
        if charge.meter is None:
            continue
        meter, zone = catalog.meters[charge.meter], catalog.customers[segment.customer].zone
        measure = measure_of(charge, meter, (price.charge for price in item.terms.prices))
        window, known = window_of(charge, meter), item.known
        mark, active = charge.watermark, charge.active
        reads_from = segment.start
        if active is not None and active.per == "week":
            reads_from = max(item.active_from, segment.start - timedelta(days=segment.start.weekday()))
        yield {
            "line_id": item.line_id,
            "subscription": segment.subscription,
            "customer": segment.customer,
            "charge": charge.key,
            "meter": charge.meter,
            "measure": measure,
            "window_length": window,
            "percentile": meter.percentile if mark is None else mark.percentile,
            "windows": window_count(segment, window, zone, known) if window and measure == "mark" else None,
            "active_per": None if active is None else active.per,
            "take": None if active is None else active.take,
            "by_dimension": charge.by_dimension,
            "period_start": segment.period_start.isoformat(),
            "period_end": segment.period_end.isoformat(),
            "reads_from": reads_from.isoformat(),
            "start_day": segment.start.isoformat(),
            "until_day": item.counts_until.isoformat(),
            "end_day": segment.end.isoformat(),
            **usage_parts.segment_columns(segment, item.terms, meter, measure),
        }


def combine_of(meter: Meter) -> str:
    """How the days of a meter make a longer grain: by sum, max, min or last, or anew from distinct values or ranks."""
    if meter.aggregation in ("max", "min"):
        return meter.aggregation
    if meter.aggregation == "sum":
        return "last" if meter.carry else "sum"
    others = {"latest": "last", "level": "max", "unique_count": "distinct", "percentile": "rank"}
    return others.get(meter.aggregation, "sum")


def meter_rows(catalog: Catalog) -> Iterator[Row]:
    """Rows of `control.meters`. `dimensions` is a JSON array of the names, sorted; `by_cell` and `by_event` say what
    its charges need."""
    by_cell, by_event = usage_parts.meters_by_cell(catalog), usage_parts.meters_by_event(catalog)
    for key in sorted(catalog.meters):
        meter = catalog.meters[key]
        yield {
            "meter": key,
            "name": meter.name,
            "unit": meter.unit,
            "aggregation": meter.aggregation,
            "combine": combine_of(meter),
            "carried": meter.carried,
            "percentile": meter.percentile,
            "dimensions": json.dumps(sorted(meter.dimensions), separators=(",", ":")),
            "by_cell": key in by_cell,
            "by_event": key in by_event,
        }


def meter_dimension_rows(catalog: Catalog) -> Iterator[Row]:
    """Rows of `control.meter_dimensions`: each dimension of each meter."""
    for key in sorted(catalog.meters):
        for dimension in sorted(catalog.meters[key].dimensions):
            yield {"meter": key, "dimension": dimension}


def customer_rows(catalog: Catalog, now_us: int) -> Iterator[Row]:
    """Rows of `control.customers`. What lasts is known until `known_day` begins: the running local day counts whole."""
    for key in sorted(catalog.customers):
        customer = catalog.customers[key]
        known_day = local_date(customer.zone, now_us) + timedelta(days=1)
        yield {
            "customer": key,
            "name": customer.name,
            "zone": customer.zone,
            "entity": customer.entity,
            "known_day": known_day.isoformat(),
            "known_us": midnight_us(customer.zone, known_day),
        }


def credential_rows(credentials: Iterable[Credential]) -> Iterator[Row]:
    for row in credentials:
        yield {
            "credential": row.credential,
            "customer": row.customer,
            "feed": row.source,
            "from_us": MIN_US if row.valid_from is None else _us(row.valid_from),
            "to_us": MAX_US if row.valid_to is None else _us(row.valid_to),
        }


def offset_rows(catalog: Catalog, start_us: int, end_us: int) -> Iterator[Row]:
    """UTC offsets of every customer over [start_us, end_us)."""
    of_zone = {zone: list(offset_intervals(zone, start_us, end_us)) for zone in _zones(catalog)}
    for key in sorted(catalog.customers):
        for interval in of_zone[catalog.customers[key].zone]:
            yield {
                "customer": key,
                "start_us": interval.start_us,
                "end_us": interval.end_us,
                "offset_us": interval.offset_us,
                "carry_bucket_us": interval.carry_bucket_us,
                "carry_day": interval.carry_day.isoformat(),
            }


def _zones(catalog: Catalog) -> set[str]:
    return {customer.zone for customer in catalog.customers.values()}


def billing_day_rows(catalog: Catalog, now_us: int) -> Iterator[Row]:
    """The segment that prices a customer's meter, by days: of stacked subscriptions the one not stacked, of charges on
    one meter the plan's first.

    Through the last day on which a run at `now_us` takes events: they may lie some minutes ahead.
    """
    stacking = {(row.subscription, row.start): row.stacking for row in catalog.subscriptions}
    starts = defaultdict(list)
    for subscription, start in sorted(stacking):
        starts[subscription].append(start)
    ranked = []
    for part, known in plan_segments(catalog, now_us + catalog.settings.future_skew_minutes * MINUTE_US):
        phase = max(start for start in starts[part.subscription] if start <= part.start)
        ranked.append((stacking[part.subscription, phase], part.subscription, part.start, part, known))
    charges = ChargesIn(catalog)
    claims: dict[tuple[str, str], list[_Claim]] = defaultdict(list)
    for *_, part, known in sorted(ranked, key=itemgetter(0, 1, 2)):
        metered = [(c.charge.meter, s) for s, c in charges.of(part, known) if c.charge.meter is not None]
        for meter, segment in sorted(metered, key=itemgetter(0)):
            _claim(claims[segment.customer, meter], segment)
    for customer, meter in sorted(claims):
        for start, end, segment in sorted(claims[customer, meter], key=itemgetter(0)):
            yield {
                "customer": customer,
                "meter": meter,
                "plan": segment.plan,
                "subscription": segment.subscription,
                "period_start": segment.period_start.isoformat(),
                "period_end": segment.period_end.isoformat(),
                "start_day": start.isoformat(),
                "end_day": end.isoformat(),
            }


def _claim(taken: list[_Claim], segment: Segment) -> None:
    """Add the days of the segment that no other has taken yet."""
    start, end = segment.start, segment.end
    for other_start, other_end, _ in sorted(taken, key=itemgetter(0)):
        if start < min(other_start, end):
            taken.append((start, min(other_start, end), segment))
        start = max(start, other_end) if other_start < end else start
    if start < end:
        taken.append((start, end, segment))


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
