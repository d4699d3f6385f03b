"""The control tables: catalog and window of a run as rows that the models join. Pure: catalog and now in, rows out.

Instants are microseconds UTC, days are ISO dates, all intervals half-open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from orchestration.billing.segments import ChargeTerms, Segment, charge_prices, segments
from orchestration.catalog import Catalog
from orchestration.catalog.models import Credential, Subscription
from orchestration.catalog.plans import Charge
from orchestration.zones import local_date, midnight_us, offset_intervals

Row = dict[str, Any]

MIN_US = -(2**62)
MAX_US = 2**62
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

METERS = {"meter": "VARCHAR", "name": "VARCHAR", "unit": "VARCHAR", "aggregation": "VARCHAR"}
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
PLAN_DAYS = {"customer": "VARCHAR", "meter": "VARCHAR", "plan": "VARCHAR", "start_day": "DATE", "end_day": "DATE"}
SEGMENTS = {
    "line_id": "VARCHAR",
    "subscription": "VARCHAR",
    "customer": "VARCHAR",
    "charge": "VARCHAR",
    "meter": "VARCHAR",
    "measure": "VARCHAR",
    "period_start": "DATE",
    "start_day": "DATE",
    "end_day": "DATE",
}


@dataclass(frozen=True, slots=True)
class ChargedSegment:
    """A charge in a segment: what may become one line. `line_id` is its name in SQL."""

    segment: Segment
    terms: ChargeTerms

    @property
    def line_id(self) -> str:
        return f"{self.segment.subscription}/{self.terms.charge.key}/{self.segment.start.isoformat()}"


def charged_segments(catalog: Catalog, now_us: int) -> list[ChargedSegment]:
    """Every charge of every segment that has begun by now in its customer's zone, in a total order."""
    by_key: dict[str, list[Subscription]] = defaultdict(list)
    for row in catalog.subscriptions:
        by_key[row.subscription].append(row)
    found = []
    for key in sorted(by_key):
        phases = by_key[key]
        today = local_date(catalog.customers[phases[0].customer].zone, now_us)
        for segment in segments(phases, catalog.plans, today):
            for terms in charge_prices(catalog.plans[segment.plan], segment):
                found.append(ChargedSegment(segment, terms))
    return found


def measure_of(charge: Charge, aggregation: str) -> str:
    """How SQL measures a charge: total, unique, or the length of a watermark's window."""
    if charge.watermark is not None:
        return charge.watermark.window
    return "unique" if aggregation == "unique_count" else "total"


def segment_rows(catalog: Catalog, charged: Sequence[ChargedSegment]) -> Iterator[Row]:
    """Rows of `control.segments`: the charges that have a meter."""
    for item in charged:
        charge, segment = item.terms.charge, item.segment
        if charge.meter is not None:
            yield {
                "line_id": item.line_id,
                "subscription": segment.subscription,
                "customer": segment.customer,
                "charge": charge.key,
                "meter": charge.meter,
                "measure": measure_of(charge, catalog.meters[charge.meter].aggregation),
                "period_start": segment.period_start.isoformat(),
                "start_day": segment.start.isoformat(),
                "end_day": segment.end.isoformat(),
            }


def meter_rows(catalog: Catalog) -> Iterator[Row]:
    for key in sorted(catalog.meters):
        meter = catalog.meters[key]
        yield {"meter": key, "name": meter.name, "unit": meter.unit, "aggregation": meter.aggregation}


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


def plan_day_rows(catalog: Catalog) -> Iterator[Row]:
    """The plan under which a customer's meter is reported, by days: of stacked subscriptions the one not stacked."""
    claims: dict[tuple[str, str], list[tuple[date, date, str]]] = defaultdict(list)
    for row in sorted(catalog.subscriptions, key=lambda s: (s.stacking, s.subscription, s.start)):
        for version in catalog.plans[row.plan].versions:
            for charge in version.charges:
                if charge.meter is not None:
                    _claim(claims[row.customer, charge.meter], row.start, row.end or date.max, row.plan)
    for customer, meter in sorted(claims):
        for start, end, plan in sorted(claims[customer, meter]):
            yield {
                "customer": customer,
                "meter": meter,
                "plan": plan,
                "start_day": start.isoformat(),
                "end_day": end.isoformat(),
            }


def _claim(taken: list[tuple[date, date, str]], start: date, end: date, plan: str) -> None:
    """Add the days of [start, end) that nobody has taken yet."""
    for other_start, other_end, _ in sorted(taken):
        if start < min(other_start, end):
            taken.append((start, min(other_start, end), plan))
        start = max(start, other_end) if other_start < end else start
    if start < end:
        taken.append((start, end, plan))


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
