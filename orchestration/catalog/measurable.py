"""Charges against the meters that they price: what makes no sense is refused, with what would."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.catalog.parts import part_faults

WINDOWED = ("count", "sum", "max", "level", "unique_count")
"""Aggregations that are measured by windows too."""


def charge_faults(charge: Charge, meter: Meter | None) -> Iterator[tuple[str, str]]:
    """(code, message) of each thing that a charge asks of its meter, or of no meter, and can't have."""
    if meter is None:
        named = [o for o in ("watermark", "active", "prorate", "convert", "line_per") if getattr(charge, o) is not None]
        for option in [*named, *["by_dimension"] * _each(charge), *["included"] * (charge.included > 0)]:
            yield "measures_nothing", f"a flat fee measures nothing, '{option}' belongs on a charge with a meter"
        return
    yield from _watermark(charge, meter)
    yield from _active(charge, meter)
    yield from _by_dimension(charge, meter)
    yield from _prorate(charge, meter)
    yield from part_faults(charge, meter)


def _each(charge: Charge) -> bool:
    return charge.by_dimension == "each"


def _watermark(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    mark = charge.watermark
    if mark is None:
        return
    kind = meter.aggregation
    if mark.of != kind:
        would = f"'of: {kind}' measures its windows" if kind in WINDOWED else f"windows measure {', '.join(WINDOWED)}"
        yield "watermark_kind", f"watermark of '{mark.of}' on meter '{meter.key}', which is a '{kind}'; {would}"
    if mark.take == "each_window" and charge.flat_fee_at_zero:
        message = "'each_window' prices the windows that have a value; with it 'flat_fee_at_zero' can't be had"
        yield "empty_windows", message
    if meter.by_items:
        message = (
            f"items are kept by days, '{meter.key}' has no windows; for the most on a day take 'active: {{per: day, "
            "take: max}'"
        )
        yield "item_windows", message
    if charge.active is not None:
        message = "'active' counts by days or weeks; for a watermark say 'watermark: {of: unique_count, window: 1d}'"
        yield "active_watermark", message


def _active(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    if charge.active is not None and meter.aggregation != "unique_count":
        message = (
            f"'active' counts distinct values, but meter '{meter.key}' is a '{meter.aggregation}'; it needs a meter of "
            "aggregation 'unique_count'. For values by day take a watermark with 'window: 1d'"
        )
        yield "active_kind", message


def _by_dimension(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    if not _each(charge):
        return
    if meter.aggregation != "unique_count":
        message = (
            f"'by_dimension: each' adds distinct values apart, but meter '{meter.key}' is a '{meter.aggregation}'; "
            "leave it out, or price a meter of aggregation 'unique_count'"
        )
        yield "dimension_kind", message
    elif not meter.dimensions:
        message = f"'by_dimension: each' needs a meter with dimensions; '{meter.key}' has none, say 'total'"
        yield "no_dimension", message
    if charge.watermark is not None:
        yield "dimension_kind", "windows are over all dimensions: 'by_dimension: each' goes without 'watermark'"


def _prorate(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    if charge.prorate is None:
        return
    seats = "a meter of aggregation 'sum' with 'carry: true', whose events add and remove units"
    if meter.by_items:
        if charge.model == "volume":
            message = "items are priced in the tier of their rank when added: 'graduated', or 'per_unit' without tiers"
            yield "prorate_kind", message
        others = {"watermark": charge.watermark, "active": charge.active, "convert": charge.convert}
        named = [name for name, option in others.items() if option is not None]
        for option in named + ["by_dimension"] * _each(charge):
            message = (
                f"'prorate: days' weighs each item by its days, '{option}' counts otherwise; leave one of them out"
            )
            yield "prorate_kind", message
    elif meter.aggregation == "unique_count":
        message = (
            f"'prorate: days' needs to know when a value is removed, which '{meter.key}' can't say; give it 'start' "
            f"and 'stop', or take {seats}"
        )
        yield "prorate_kind", message
    elif meter.aggregation != "sum" or not meter.carry:
        kind = f"a '{meter.aggregation}'" + (" that carries nothing" if meter.aggregation == "sum" else "")
        yield "prorate_kind", f"'prorate: days' weighs units that are held, but '{meter.key}' is {kind}; take {seats}"
    elif charge.watermark is not None:
        yield "prorate_kind", "'prorate: days' weighs each change, a watermark takes one window; leave one of them out"
