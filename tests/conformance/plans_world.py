"""One subscription of one plan, priced as documents are: what the adapters of proration and commitment ask."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from conformance_cases import Case, UnknownCase

from orchestration.billing.charges import Slice
from orchestration.billing.commitments import plan_lines
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import Segment, charge_prices, segments
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan
from orchestration.money import round_fraction
from orchestration.periods import Interval, boundary

UNITS = Meter(key="units", name="Units", unit="unit", event_type="use", aggregation="sum", value="units")
SEATS = Meter(
    key="seats", name="Seats", unit="seat", event_type="seats", aggregation="latest", value="seats", carry=True
)
METERS = {meter.key: meter for meter in (UNITS, SEATS)}
CURRENCIES = {"0": "JPY", "2": "EUR"}
"""A currency with so many decimals."""
DOUBLE_DIGITS = 15
"""Significant decimal digits that a double holds for certain; what a suite prints beyond them isn't the number's."""


def day(text: str) -> date:
    """A calendar day; an instant of a case is a midnight of UTC here."""
    if len(text) > 10 and not text.endswith("T00:00:00Z"):
        raise UnknownCase(f"{text} is no midnight")
    return date.fromisoformat(text[:10])


def span(given: dict[str, str]) -> tuple[date, date]:
    return day(given["from"]), day(given["to"])


def interval_of(full: tuple[date, date]) -> Interval:
    """What a full period is called that begins and ends on these days."""
    whole = [Interval("month", n) for n in range(1, 37) if boundary(full[0], Interval("month", n), 1) == full[1]]
    return whole[0] if whole else Interval("day", (full[1] - full[0]).days)


def anchor_on(start: date, months: int, billing_day: int) -> date:
    """The billing day in the month of the start, or in the nearest before it, by whole periods, that has such a day."""
    for n in range(12):
        first = boundary(start.replace(day=1), Interval("month", months), -n)
        if billing_day <= monthrange(first.year, first.month)[1]:
            return first.replace(day=billing_day)
    raise UnknownCase(f"no billing day {billing_day} in the months of {start}")


def units(cents: str) -> str:
    return str(Decimal(cents).scaleb(-2))


def fee(amount: str, **fields: Any) -> dict[str, Any]:
    return {"key": "fee", "name": "Fee", "model": "flat", "amount": amount, **fields}


def usage(key: str, price: str = "1", meter: str = "units") -> dict[str, Any]:
    return {"key": key, "name": key, "model": "per_unit", "meter": meter, "price": price}


def plan(anchor: date, interval: Interval, *charges: dict[str, Any], key: str = "pro", **fields: Any) -> Plan:
    """A plan whose periods are counted from a day. `commitment` and `currency` among the fields are the version's."""
    version = {"effective": "1990-01-01", "charges": charges}
    if "commitment" in fields:
        version["commitment"] = {"amount": fields.pop("commitment")}
    body = {"key": key, "name": key, "currency": "EUR", "anchor": anchor, "versions": [version]}
    return Plan.model_validate(body | {"interval": interval.unit, "every": interval.every} | fields)


def phase(key: str, start: date, end: date | None = None) -> Subscription:
    return Subscription(subscription="one", customer="acme", plan=key, start=start, end=end)


def parts(rows: list[Subscription], plans: list[Plan], through: date) -> list[Segment]:
    return segments(rows, {p.key: p for p in plans}, through)


def lines(rows: list[Subscription], plans: list[Plan], through: date, used: dict[str, str] | None = None) -> list[Line]:
    """All lines of the subscription; `used` are units by charge, on the first day of each of its segments."""
    by_key = {p.key: p for p in plans}
    found = []
    held = parts(rows, plans, through)
    for part in held:
        for terms in charge_prices(by_key[part.plan], part):
            quantity = (used or {}).get(terms.charge.key)
            slices = [] if quantity is None else [Slice(part.start, Decimal(quantity))]
            found.append(rate(terms, part, slices, METERS.get(terms.charge.meter or "")))
    return found + plan_lines(by_key, held, found, rows[-1].end)


def charge(**fields: Any) -> Charge:
    return Charge.model_validate(fee("1", **fields))


def shown(found: Fraction | Decimal | None, expected: str | None, digits: int | None = None) -> str | None:
    """A number as the case writes it, where it is the same to the digits given, or to so many significant ones."""
    if found is None or expected is None:
        return None if found is None else str(found)
    decimals = max(-int(Decimal(expected).as_tuple().exponent), 0)
    if digits is not None and expected.strip("-0."):
        decimals = min(decimals, digits - 1 - Decimal(expected).adjusted())
    same = round_fraction(found, decimals) == round_fraction(Decimal(expected), decimals)
    return expected if same else str(round_fraction(found, 16))


def expected(case: Case, name: str) -> str | None:
    """The number that a case expects under a name; None for a name that it doesn't have."""
    value = case.expected.get(name)
    return value if value is None or isinstance(value, str) else str(value)
