"""Pieces: what was measured, in the order in which prices, allowances and conversions take it, and what they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

from orchestration.audit.charged import Charged, Quantity
from orchestration.audit.pricing.numbers import to_places
from orchestration.catalog.charges import Charge, Conversion
from orchestration.catalog.meters import Meter


@dataclass(frozen=True, slots=True)
class Piece:
    """Usage of a day. `windows` of it are alike where each is priced by itself; `rank` is that of items when they were
    added, `cell` a JSON object of values. Priced by event, `part` is what `events` pay, and the quantity is money."""

    day: date
    quantity: Fraction
    windows: int = 1
    rank: int = 0
    cell: str = ""
    hour_us: int = 0
    events: int = 0
    part: str = "units"


def pieces_of(rows: Iterable[Quantity]) -> list[Piece]:
    return [
        Piece(
            row.day,
            Fraction(row.quantity),
            row.windows,
            row.rank or 0,
            row.cell,
            row.hour_us or 0,
            row.events,
            row.part,
        )
        for row in rows
        if row.part != "unmeasured"
    ]


def total(pieces: Iterable[Piece]) -> Fraction:
    return sum((piece.quantity * piece.windows for piece in pieces), Fraction(0))


def together(pieces: Iterable[Piece], *, apart: bool) -> list[Piece]:
    """Those that nothing tells apart as one, in their order: by day, hour, rank, cell and part. Unless `apart`, only
    days and ranks are told apart."""
    sums: dict[tuple[date, int, int, str, str], tuple[Fraction, int]] = {}
    for piece in pieces:
        hour, cell, part = (piece.hour_us, piece.cell, piece.part) if apart else (0, "", "units")
        key = piece.day, hour, piece.rank, cell, part
        quantity, events = sums.get(key, (Fraction(0), 0))
        sums[key] = quantity + piece.quantity, events + piece.events
    return [
        Piece(day, quantity, 1, rank, cell, hour, events if apart else 0, part)
        for (day, hour, rank, cell, part), (quantity, events) in sorted(sums.items(), key=lambda item: item[0])
    ]


def stepwise(pieces: Iterable[Piece], function: Callable[[Fraction], Fraction]) -> list[Piece]:
    """A function of the total, as pieces: each has what it adds to the function of the total so far."""
    found: list[Piece] = []
    so_far, told = Fraction(0), Fraction(0)
    for piece in together(pieces, apart=True):
        so_far += piece.quantity
        found.append(replace(piece, quantity=function(so_far) - told))
        told = function(so_far)
    return found


def converted(quantity: Fraction, conversion: Conversion) -> Fraction:
    """Measured units in the unit that is priced, rounded as the conversion says."""
    if conversion.divide_by is not None:
        quantity /= Fraction(conversion.divide_by)
    else:
        quantity *= Fraction(conversion.multiply_by or 0)
    if conversion.rounding == "none":
        return to_places(quantity)
    return to_places(quantity, conversion.decimals, conversion.rounding)


@dataclass(frozen=True, slots=True)
class Counted:
    """Step 1: `measured` in the meter's unit, `left` in the unit that is priced, less the `used` of those included,
    which are for the `share` of a full period."""

    measured: Fraction
    left: Sequence[Piece]
    used: Fraction
    share: tuple[int, int]


def counted(item: Charged, meter: Meter, raw: Sequence[Piece]) -> Counted:
    """Divided once, converted on the total, less included units."""
    charge, span = item.terms.charge, item.segment
    measured = list(raw)
    if item.divisor != 1:
        measured = stepwise(raw, lambda quantity: to_places(quantity / item.divisor))
    convert, whole = charge.convert, (span.period_days, span.period_days)
    if by_window(charge):
        each = [replace(p, quantity=converted(p.quantity, convert)) for p in measured] if convert else measured
        return Counted(total(measured), each, Fraction(0), whole)
    units = together(measured, apart=charge.model in ("matrix", "percentage"))
    if convert is not None:
        units = stepwise(units, lambda quantity: converted(quantity, convert))
    share, left = included_share(item, meter), units
    if charge.included and not span.trial:
        free = Fraction(charge.included) * Fraction(*share)
        left = stepwise(
            units, lambda quantity: quantity if quantity <= 0 else to_places(max(quantity - free, free * 0))
        )
    return Counted(total(measured), left, total(units) - total(left), share)


def by_window(charge: Charge) -> bool:
    """Whether each window is priced by itself."""
    return charge.watermark is not None and charge.watermark.take == "each_window"


def included_share(item: Charged, meter: Meter) -> tuple[int, int]:
    """Included units are for days where the quantity adds up over days."""
    adds_up = meter.aggregation in ("count", "sum") and not is_mark(item.terms.charge, meter)
    days = item.segment.period_days
    return item.segment.share(item.terms.charge) if adds_up else (days, days)


def is_mark(charge: Charge, meter: Meter) -> bool:
    """Whether one value stands for the whole span, so that its amount is prorated."""
    if charge.watermark is not None:
        return charge.watermark.take == "greatest"
    one_value = meter.aggregation in ("max", "min", "latest", "level", "percentile")
    return charge.prorate is None and (one_value or (meter.aggregation == "sum" and meter.carry))
