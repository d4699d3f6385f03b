"""Usage in parts that are priced apart, measured a second way: event by event, in order, with what is free in hand."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from orchestration.audit.charged import Quantity
from orchestration.audit.states import ZERO, Reading, sum_of
from orchestration.canonical import canonical_bytes
from orchestration.catalog.charges import Charge
from orchestration.money import EXACT

if TYPE_CHECKING:
    from orchestration.audit.measuring import Part

_Paid: TypeAlias = Literal["units", "free", "at_min", "at_max"]


class _Told(NamedTuple):
    """An event of the segment: its local day, the values of its dimensions, and whether a price takes it."""

    event: Reading
    day: date
    dimensions: dict[str, str | None]
    is_measured: bool


def cells(part: Part) -> list[Quantity]:
    """Sums by day (or hour), value and cell."""
    charge = part.item.terms.charge
    names = charge.cells[0].match if charge.model == "matrix" else {}
    by_hour = charge.model == "matrix" and charge.included > 0
    starts = part.clock.starts("1h") if by_hour else ()
    sums: dict[tuple[date, str, int, str], list[Decimal]] = defaultdict(list)
    told = list(_told(part))
    for row in told:
        if row.is_measured:
            cell = _json({name: row.dimensions[name] for name in names}) if charge.model == "matrix" else ""
            hour = starts[bisect_right(starts, row.event.time_us) - 1] if by_hour else 0
            sums[row.day, _value(charge, row), hour, cell].append(Decimal(row.event.value))
    found = [
        Quantity(day, sum_of(sums[day, value, hour, cell]), None, 1, None, value, cell, hour if by_hour else None)
        for day, value, hour, cell in sums
    ]
    return _in_order([*found, *_unmeasured(told)])


def by_event(part: Part) -> list[Quantity]:
    """What each event pays, by day and value: sums of money and numbers of events."""
    sums: dict[tuple[date, str, _Paid], tuple[Decimal, int]] = defaultdict(lambda: (ZERO, 0))
    told = list(_told(part))
    charge, gone = part.item.terms.charge, defaultdict[str, tuple[int, Decimal]](lambda: (0, ZERO))
    for row in told:
        if not row.is_measured:
            continue
        value, amount = _value(charge, row), Decimal(row.event.value)
        count, used = gone[value]
        gone[value] = count + 1, EXACT.add(used, max(amount, ZERO))
        has_left, left = _left(part, count, used)
        free = min(amount, left) if has_left else ZERO
        wholly = has_left and amount <= left
        if wholly or free:
            money, events = sums[row.day, value, "free"]
            sums[row.day, value, "free"] = EXACT.add(money, free), events + wholly
        if not wholly:
            excess = EXACT.subtract(amount, free)
            key = row.day, value, _paid(part.item.terms.price_on(row.day).charge, excess)
            # What is paid back has the rate back, and no fee.
            sums[key] = EXACT.add(sums[key][0], excess), sums[key][1] + (excess >= 0)
    found = [
        Quantity(day, money, None, 1, None, value, "", None, events, paid)
        for (day, value, paid), (money, events) in sums.items()
    ]
    return _in_order([*found, *_unmeasured(told)])


def _left(part: Part, count: int, used: Decimal) -> tuple[bool, Decimal]:
    """Whether something is still free after so many events of so much money, and how much money."""
    charge = part.item.terms.charge
    if part.item.segment.trial or (charge.free_events is None and charge.free_amount is None):
        return False, ZERO
    if charge.free_events is not None and count >= charge.free_events:
        return False, ZERO
    if charge.free_amount is None:
        return True, Decimal("Infinity")
    return used < charge.free_amount, EXACT.subtract(charge.free_amount, used)


def _paid(price: Charge, excess: Decimal) -> _Paid:
    if excess < 0:
        return "units"
    fee = EXACT.add(EXACT.multiply(excess, price.rate or ZERO), price.fixed or ZERO)
    if price.min_per_event is not None and fee < price.min_per_event:
        return "at_min"
    return "at_max" if price.max_per_event is not None and fee > price.max_per_event else "units"


def _told(part: Part) -> Iterable[_Told]:
    names, meter = sorted(part.taken.meter.dimensions), part.taken.meter
    for event in part.events:
        if not part.inside(event.time_us):
            continue
        dimensions: dict[str, str | None] = dict(zip(names, json.loads(event.dimensions), strict=True))
        day = part.clock.day_of(event.time_us)
        price = part.item.terms.price_on(day).charge
        paid = meter.currency is None or dimensions[meter.currency] == part.item.segment.currency
        yield _Told(event, day, dimensions, paid and _has_price(price, dimensions))


def _has_price(charge: Charge, dimensions: Mapping[str, str | None]) -> bool:
    """Whether a matrix has a price for what has these values; any other model has one."""
    if charge.model != "matrix" or charge.default is not None:
        return True
    return any(all(dimensions[name] == value for name, value in cell.match.items()) for cell in charge.cells)


def _value(charge: Charge, row: _Told) -> str:
    return "" if charge.line_per is None else row.dimensions[charge.line_per] or ""


def _unmeasured(told: Iterable[_Told]) -> Iterable[Quantity]:
    found: dict[tuple[date, str], list[Decimal]] = defaultdict(list)
    for row in told:
        if not row.is_measured:
            found[row.day, _json(row.dimensions)].append(Decimal(row.event.value))
    for (day, cell), values in found.items():
        yield Quantity(day, sum_of(values), cell=cell, events=len(values), part="unmeasured")


def _json(values: Mapping[str, str | None]) -> str:
    return canonical_bytes(dict(values)).decode()


def _in_order(found: Iterable[Quantity]) -> list[Quantity]:
    return sorted(found, key=lambda row: (row.day, row.value, row.hour_us or 0, row.cell, row.part))
