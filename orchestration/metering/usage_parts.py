"""Usage in parts that are priced apart: cells of a matrix, lines by value, and what each event pays. As control rows.

Pure: catalog and segments in, rows out. Days are ISO dates, all intervals half-open, decimals are text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from orchestration.billing.segments import ChargeTerms, Segment
from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.catalog import Catalog
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.catalog.parts import prices_events
from orchestration.metering.measures import Measure, measure_of

if TYPE_CHECKING:
    from orchestration.metering.control import ChargedSegment

Row = dict[str, Any]

SEGMENT_COLUMNS = {
    "line_per": "VARCHAR",
    "currency_field": "VARCHAR",
    "currency": "VARCHAR",
    "split": "VARCHAR",
    "by_hour": "BOOLEAN",
    "free_events": "BIGINT",
    "free_amount": "DECIMAL(38, 9)",
    "priced_by": "VARCHAR",
}
LINE_PRICES = {
    "line_id": "VARCHAR",
    "from_day": "DATE",
    "end_day": "DATE",
    "rate": "DECIMAL(38, 12)",
    "fixed": "DECIMAL(38, 12)",
    "min_per_event": "DECIMAL(38, 12)",
    "max_per_event": "DECIMAL(38, 12)",
    "matrix": "VARCHAR",
}
MATRIX_CELLS = {"matrix": "VARCHAR", "cell": "VARCHAR"}
SPLIT_DIMENSIONS = {"split": "VARCHAR", "dimension": "VARCHAR"}


def _all_charges(catalog: Catalog) -> Iterator[Charge]:
    """Every charge of every version, and with a fixed fee by event those whose overrides may add one."""
    added = {(row.plan, row.charge) for row in catalog.overrides if row.fixed}
    for plan in catalog.plans.values():
        for version in plan.versions:
            for charge in version.charges:
                yield charge
                if (plan.key, charge.key) in added and charge.model == "percentage":
                    yield charge.model_copy(update={"fixed": Decimal(1)})


def meters_by_event(catalog: Catalog) -> frozenset[str]:
    """Meters of which single events are kept, as a charge has parts that are due for each of them."""
    return frozenset(c.meter for c in _all_charges(catalog) if c.meter is not None and prices_events(c))


def meters_by_cell(catalog: Catalog) -> frozenset[str]:
    """Meters that a charge measures by the values of their dimensions."""
    charges = ((c, catalog.meters[c.meter]) for c in _all_charges(catalog) if c.meter is not None)
    return frozenset(meter.key for charge, meter in charges if measure_of(charge, meter) == "cells")


def segment_columns(segment: Segment, terms: ChargeTerms, meter: Meter, measure: Measure) -> Row:
    """The columns of `control.segments` that say into which parts a line's usage goes; NULL where it goes into none.

    `split` are the dimensions that tell the cells of a matrix, as a JSON array; `by_hour` says that these share
    included units, which are used up by the hour; `currency_field` is the dimension that has to be `currency`. A trial
    uses up nothing. `priced_by` names all prices that decide about a part: others have the line measured again. Of
    distinct values only `line_per` is looked at.
    """
    charge = terms.charge
    if measure not in ("cells", "events"):
        return {} if charge.line_per is None else {"line_per": charge.line_per}
    prices = [{**row, "end_day": ""} for row in _prices(segment, terms)]
    return {
        "line_per": charge.line_per,
        "currency_field": meter.currency,
        "currency": None if meter.currency is None else segment.currency,
        "split": _split(terms),
        "by_hour": charge.model == "matrix" and charge.included > 0,
        "free_events": None if segment.trial else charge.free_events,
        "free_amount": None if segment.trial or charge.free_amount is None else f"{charge.free_amount:f}",
        "priced_by": sha256_hex(canonical_bytes(prices)) if prices else None,
    }


def _split(terms: ChargeTerms) -> str | None:
    """The dimensions that a matrix looks at; all of its cells name the same."""
    if terms.charge.model != "matrix":
        return None
    return json.dumps(sorted(terms.charge.cells[0].match), separators=(",", ":"))


def _prices(segment: Segment, terms: ChargeTerms) -> Iterator[Row]:
    ends = [*(price.from_day for price in terms.prices[1:]), segment.end]
    for price, end in zip(terms.prices, ends, strict=True):
        yield {
            "line_id": "",
            "from_day": price.from_day.isoformat(),
            "end_day": end.isoformat(),
            "rate": _text(price.charge.rate),
            "fixed": _text(price.charge.fixed),
            "min_per_event": _text(price.charge.min_per_event),
            "max_per_event": _text(price.charge.max_per_event),
            "matrix": _matrix(price.charge),
        }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _matrix(charge: Charge) -> str | None:
    """A name for the cells of a matrix, whatever they cost; None where a default takes every event."""
    if charge.model != "matrix" or charge.default is not None:
        return None
    return sha256_hex(canonical_bytes([dict(cell.match) for cell in charge.cells]))


def _in_parts(catalog: Catalog, charged: Iterable[ChargedSegment]) -> Iterator[tuple[ChargedSegment, Measure]]:
    for item in charged:
        charge = item.terms.charge
        if charge.meter is not None:
            prices = (price.charge for price in item.terms.prices)
            measure = measure_of(charge, catalog.meters[charge.meter], prices)
            if measure in ("cells", "events"):
                yield item, measure


def line_price_rows(catalog: Catalog, charged: Iterable[ChargedSegment]) -> Iterator[Row]:
    """Rows of `control.line_prices`: what decides into which part usage of a day goes.

    For prices by event rate, fixed fee and bounds; `matrix` names the cells of one without a default.
    """
    for item, measure in _in_parts(catalog, charged):
        for row in _prices(item.segment, item.terms):
            if measure == "events" or row["matrix"] is not None:
                yield {**row, "line_id": item.line_id}


def matrix_cell_rows(catalog: Catalog, charged: Iterable[ChargedSegment]) -> Iterator[Row]:
    """Rows of `control.matrix_cells`: the values of each cell as a JSON object, of matrices without a default."""
    prices = (price.charge for item, _ in _in_parts(catalog, charged) for price in item.terms.prices)
    matrices = {name: charge for charge in prices if (name := _matrix(charge)) is not None}
    for name, charge in sorted(matrices.items(), key=itemgetter(0)):
        for cell in charge.cells:
            yield {"matrix": name, "cell": canonical_bytes(dict(cell.match)).decode()}


def split_dimension_rows(catalog: Catalog, charged: Sequence[ChargedSegment]) -> Iterator[Row]:
    """Rows of `control.split_dimensions`: the dimensions of each `split` of `control.segments`."""
    splits = {split for item, _ in _in_parts(catalog, charged) if (split := _split(item.terms)) is not None}
    for split in sorted(splits):
        for dimension in json.loads(split):
            yield {"split": split, "dimension": dimension}
