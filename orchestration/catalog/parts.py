"""Charges on money, by cells, by values and with included units, against the meters that they price."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter

ON_MONEY = ("percentage", "graduated_percentage", "dynamic")
"""Models whose units are money."""
_DECIMALS = 9
_MOST = 100


def part_faults(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    """(code, message) of each part that a charge wants to price apart and that its meter can't tell apart."""
    yield from _money(charge, meter)
    yield from _by_event(charge)
    yield from _cells(charge, meter)
    yield from _line_per(charge, meter)
    yield from _included(charge, meter)


def adds_up(meter: Meter) -> bool:
    """Whether the quantity is the sum of what single events count."""
    return meter.aggregation in ("count", "sum") and not meter.carry


def prices_events(charge: Charge) -> bool:
    """Whether a charge has parts that are due for each event by itself, so that its total doesn't tell the amount."""
    bounds = charge.free_events, charge.free_amount, charge.fixed, charge.min_per_event
    return charge.model == "percentage" and (any(bounds) or charge.max_per_event is not None)


def _kind(meter: Meter) -> str:
    return f"'{meter.key}' is a '{meter.aggregation}'" + " that carries" * meter.carry


def _others(charge: Charge) -> list[str]:
    """Options by which the quantity is not the sum of what single events count."""
    named = [name for name in ("watermark", "active", "prorate") if getattr(charge, name) is not None]
    return named + ["by_dimension"] * (charge.by_dimension == "each")


def _money(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    if charge.model in ON_MONEY and (meter.aggregation != "sum" or meter.carry):
        message = f"model '{charge.model}' prices money, but {_kind(meter)}; it needs a meter of aggregation 'sum'"
        yield "money_kind", message
    if meter.currency is not None:
        for option in _others(charge):
            message = f"'{option}' looks at all events, but '{meter.key}' tells amounts apart by currency; leave it out"
            yield "money_kind", message
    for rate in (charge.rate, *(tier.rate for tier in charge.tiers)):
        if rate is not None and rate >= _MOST:
            yield "rate", f"a rate is a fraction, 0.029 for 2.9 %: {rate} is {rate * 100:f} %"


def _by_event(charge: Charge) -> Iterator[tuple[str, str]]:
    free = charge.free_amount
    if free is not None and -int(free.normalize().as_tuple().exponent) > _DECIMALS:
        yield "too_many_decimals", f"free_amount {free} has more than {_DECIMALS} decimals, an event has no more"


def _cells(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    if charge.model != "matrix":
        return
    yield from _divides(charge, meter, "a matrix")
    known = ", ".join(sorted(meter.dimensions)) or "none"
    for name in sorted({name for cell in charge.cells for name in cell.match} - set(meter.dimensions)):
        yield "no_dimension", f"a cell looks at '{name}', no dimension of meter '{meter.key}' (it has {known})"


def _line_per(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    if charge.line_per is None:
        return
    if meter.aggregation == "unique_count":
        for option in ("watermark", "prorate"):
            if getattr(charge, option) is not None:
                yield "part_kind", f"'line_per' counts distinct values apart, '{option}' all of them; leave one out"
    else:
        yield from _divides(charge, meter, "'line_per'")
    if charge.line_per not in meter.dimensions:
        known = ", ".join(sorted(meter.dimensions)) or "none"
        yield "no_dimension", f"'line_per: {charge.line_per}' is no dimension of meter '{meter.key}' (it has {known})"


def _divides(charge: Charge, meter: Meter, what: str) -> Iterator[tuple[str, str]]:
    if not adds_up(meter):
        message = f"{what} divides what adds up, but {_kind(meter)}; it needs a 'count' or a 'sum'"
        if meter.aggregation == "unique_count":
            message += ". For distinct values by a dimension say 'line_per', which has a line and a price for each"
        yield "part_kind", message
    for option in _others(charge):
        yield "part_kind", f"{what} divides what adds up, '{option}' doesn't; leave one of them out"


def _included(charge: Charge, meter: Meter) -> Iterator[tuple[str, str]]:
    if not charge.included:
        return
    if not adds_up(meter):
        message = f"included units are used up one by one, but {_kind(meter)}; they belong to a 'count' or a 'sum'"
        yield "included_kind", message
    for option in _others(charge):
        yield "included_kind", f"included units are used up one by one, '{option}' doesn't count so; leave one out"
