"""Steps 5 to 10 of semantics.md, section 5: what becomes of lines, one reduction and one cent at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from price_case import COUNTRY, CUSTOMER, DECIMALS, ENTITY, Answer, Case, Row

Rounding = Callable[[Fraction], int]


def rounded(value: Fraction, half_even: bool) -> int:
    """To a whole number: the two neighbours are looked at, and of equals the one away from zero or the even one."""
    below = value.numerator // value.denominator
    down, up = value - below, below + 1 - value
    if down != up:
        return below if down < up else below + 1
    if half_even:
        return below if below % 2 == 0 else below + 1
    return below + 1 if value > 0 else below


def minor(value: Decimal | Fraction | str, currency: str) -> Fraction:
    return Fraction(value) * 10 ** DECIMALS[currency]


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """By largest remainder, cent by cent: to the greatest share that still lacks most, of equals to the earlier."""
    whole = sum(weights)
    shares = [Fraction(amount * weight, whole) for weight in weights]
    parts = [int(share) for share in shares]
    lacking = [share - part for share, part in zip(shares, parts, strict=True)]
    for _ in range(amount - sum(parts)):
        place = lacking.index(max(lacking))
        parts[place] += 1
        lacking[place] = Fraction(-1)
    return parts


def document(case: Case, rows: Sequence[Row]) -> Answer:
    left = [row.amount for row in rows]
    reductions = _coupons(case, rows, left) | _promotions(case, rows, left)
    taxes = _taxes(case, rows, left)
    subtotal = sum(row.amount for row in rows)
    total = subtotal - sum(reductions.values()) + sum(taxes.values())
    prepaid = _prepaid(case, total)
    due = total - sum(prepaid.values())
    return Answer(tuple(rows), subtotal, reductions, taxes, total, prepaid, due, tuple(left))


def _coupons(case: Case, rows: Sequence[Row], left: list[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for coupon in sorted(case.coupons, key=lambda coupon: (coupon.issued, coupon.id)):
        places = _named(rows, coupon.applies_to)
        there = sum(left[place] for place in places)
        if coupon.percent is not None:
            wanted = rounded(Fraction(there) * Fraction(coupon.percent) / 100, case.half_even)
        elif coupon.currency == case.currency:
            wanted = rounded(minor(coupon.amount or Decimal(0), case.currency), case.half_even)
        else:
            continue
        if taken := _take(min(wanted, there), places, left):
            found[coupon.id] = taken
    return found


def _promotions(case: Case, rows: Sequence[Row], left: list[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for grant in _valid(case, "promotional"):
        places = _named(rows, grant.applies_to)
        there = sum(left[place] for place in places)
        wanted = rounded(minor(grant.amount, case.currency), case.half_even)
        if taken := _take(min(wanted, there), places, left):
            found[grant.id] = taken
    return found


def _named(rows: Sequence[Row], charges: Sequence[str]) -> list[int]:
    """Places of the lines that a reduction names; of all of them an adjustment is never one."""
    return [n for n, row in enumerate(rows) if row.kind != "adjustment" and (not charges or row.charge in charges)]


def _take(amount: int, places: Sequence[int], left: list[int]) -> int:
    """Takes it from the lines above 0; how much was taken."""
    above = [place for place in places if left[place] > 0]
    if amount <= 0 or not above:
        return 0
    for place, part in zip(above, split(amount, [left[place] for place in above]), strict=True):
        left[place] -= part
    return amount


def _valid(case: Case, kind: str) -> list:  # type: ignore[type-arg]
    """Grants of a kind that are valid on the last day before the cut-off, in the order in which they are used."""
    last = case.cut_off - timedelta(days=1)
    found = [
        grant
        for grant in case.grants
        if grant.kind == kind
        and grant.currency == case.currency
        and grant.granted <= last
        and (grant.expires is None or last < grant.expires)
    ]
    return sorted(found, key=lambda g: (g.priority, g.expires or date.max, g.granted, g.id))


def tax_date(row: Row) -> date:
    """The last day of the line's period; of a fee in advance the first."""
    return row.period_start if row.advance else row.period_end - timedelta(days=1)


def _taxes(case: Case, rows: Sequence[Row], left: Sequence[int]) -> dict[tuple[str, str], int]:
    bases: dict[tuple[str, str], tuple[Fraction, int]] = {}
    for row, amount in zip(rows, left, strict=True):
        for name, percent in _rates_of(case, row):
            before = bases.get((row.tax_category, name), (percent, 0))[1]
            bases[row.tax_category, name] = (percent, before + amount)
    return {
        key: rounded(Fraction(base) * percent / 100, case.half_even) for key, (percent, base) in sorted(bases.items())
    }


def _rates_of(case: Case, row: Row) -> Iterable[tuple[str, Fraction]]:
    day = tax_date(row)
    for exemption in case.exemptions:
        of_category = exemption.category is None or exemption.category == row.tax_category
        if exemption.customer == CUSTOMER and of_category and _covers(exemption.start, exemption.end, day):
            yield f"exempt: {exemption.reason}", Fraction(0)
            return
    for rate in case.rates:
        here = rate.entity in (None, ENTITY) and (not rate.countries or COUNTRY in rate.countries)
        if rate.category == row.tax_category and here and _covers(rate.start, rate.end, day):
            yield f"{rate.name} {rate.percent.normalize():f}", Fraction(rate.percent)


def _covers(start: date | None, end: date | None, day: date) -> bool:
    return (start is None or start <= day) and (end is None or day < end)


def _prepaid(case: Case, total: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for grant in _valid(case, "prepaid"):
        taken = min(rounded(minor(grant.amount, case.currency), case.half_even), total - sum(found.values()))
        if taken > 0:
            found[grant.id] = taken
    return found
