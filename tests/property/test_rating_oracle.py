"""Rating against an oracle that knows no formula: it walks unit by unit, and against laws that any rating obeys."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.billing.charges import Slice
from orchestration.billing.conversion import convert
from orchestration.billing.models.tiered import graduated
from orchestration.billing.models.uniform import per_unit
from orchestration.billing.rating import rate
from orchestration.billing.seats import seats
from orchestration.billing.segments import ChargeTerms, PriceFrom, Segment
from orchestration.billing.windows import each_window
from orchestration.catalog.charges import Charge, Conversion
from orchestration.catalog.meters import Meter
from orchestration.money import Money

START, END = date(2026, 10, 1), date(2026, 11, 1)
SEGMENT = Segment("sub", "acme", "pro", "EUR", START, END, START, END)
METER = Meter(key="calls", name="Calls", event_type="request", aggregation="sum", value="n", allow_negative=True)
UNIT = Decimal("0.5")

days = st.dates(START, END - timedelta(days=1))
prices = st.decimals(0, 5, places=3)
halves = st.integers(-20, 60).map(lambda n: n * UNIT)


@st.composite
def tables(draw: st.DrawFn) -> ChargeTerms:
    """Terms of a graduated charge of 1 to 4 tiers whose bounds are halves, in 1 to 3 price versions."""
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=3)))
    fees = [draw(prices) for _ in range(len(bounds) + 1)]
    at_zero = draw(st.booleans())
    starts = [START, *sorted(draw(st.sets(days.filter(lambda d: d > START), max_size=2)))]
    versions = []
    for day in starts:
        tiers = [
            {"up_to": None if n == len(bounds) else bounds[n] * UNIT, "price": draw(prices), "flat_fee": fee}
            for n, fee in enumerate(fees)
        ]
        charge = Charge.model_validate(
            {
                "key": "usage",
                "name": "Usage",
                "model": "graduated",
                "meter": "calls",
                "tiers": tiers,
                "flat_fee_at_zero": at_zero,
            }
        )
        versions.append(PriceFrom(day, day, charge))
    return ChargeTerms(versions[0].charge, tuple(versions))


def tier_of(charge: Charge, position: Decimal) -> int:
    """The tier of the half unit that ends at `position`."""
    return next(n for n, tier in enumerate(charge.tiers) if tier.up_to is None or position <= tier.up_to)


def unit_by_unit(terms: ChargeTerms, slices: list[Slice]) -> Fraction:
    """A pile of half units: each day puts some on it, or takes some off; what is missing is owed."""
    pile: list[PriceFrom] = []
    owed = 0
    for day in sorted({piece.day for piece in slices}):
        steps = int(sum(piece.quantity for piece in slices if piece.day == day) / UNIT)
        price = [p for p in terms.prices if p.from_day <= day][-1]
        for _ in range(abs(steps)):
            if steps < 0 and pile:
                pile.pop()
            elif steps < 0:
                owed += 1
            elif owed:
                owed -= 1
            else:
                pile.append(price)
    if owed:
        return Fraction(0)
    amount = Fraction(0)
    entered = set()
    for number, price in enumerate(pile, 1):
        tier = tier_of(terms.charge, number * UNIT)
        entered.add(tier)
        amount += Fraction(price.charge.tiers[tier].price) * Fraction(UNIT)
    if terms.charge.flat_fee_at_zero:
        entered.add(0)
    return amount + sum((Fraction(terms.charge.tiers[n].flat_fee) for n in entered), Fraction(0))


def slice_of(day: date, quantity: Decimal) -> Slice:
    """A day's quantity and nothing else: of the type itself, `builds` would make up parts and events too."""
    return Slice(day, quantity)


usages = st.lists(st.builds(slice_of, days, halves), max_size=8)


@settings(max_examples=200, deadline=None)
@given(tables(), usages)
def test_C12_graduated_equals_the_walk_unit_by_unit(terms: ChargeTerms, slices: list[Slice]) -> None:
    assert graduated(terms, slices).amount == unit_by_unit(terms, slices)


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from([Decimal(-1), Decimal("-0.5"), Decimal(0), Decimal("0.5"), Decimal(1)]))
def test_C12_graduated_at_every_bound_and_one_unit_beside_it(terms: ChargeTerms, beside: Decimal) -> None:
    for tier in terms.charge.tiers:
        if tier.up_to is not None and tier.up_to + beside >= 0:
            slices = [Slice(START, tier.up_to + beside)]
            assert graduated(terms, slices).amount == unit_by_unit(terms, slices)


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(1, 10**9))
def test_C12_a_hair_above_a_bound_costs_its_hair_and_the_next_fee(terms: ChargeTerms, hair: int) -> None:
    above = Decimal(hair).scaleb(-9) / 2
    for number, tier in enumerate(terms.charge.tiers[:-1]):
        if above != round(above, 9) or tier.up_to is None:
            continue
        following = terms.charge.tiers[number + 1]
        if following.up_to is not None and tier.up_to + above > following.up_to:
            continue
        at = graduated(terms, [Slice(START, tier.up_to)]).amount
        beyond = graduated(terms, [Slice(START, tier.up_to + above)]).amount
        assert beyond - at == Fraction(above) * Fraction(following.price) + Fraction(following.flat_fee)


@settings(max_examples=100, deadline=None)
@given(tables(), usages, st.randoms())
def test_the_order_and_the_cutting_of_usage_change_nothing(
    terms: ChargeTerms, slices: list[Slice], rng: Random
) -> None:
    cut = [
        part
        for piece in slices
        for part in (Slice(piece.day, Decimal("0.3")), Slice(piece.day, piece.quantity - Decimal("0.3")))
    ]
    rng.shuffle(cut)
    assert rate(terms, SEGMENT, cut, METER) == rate(terms, SEGMENT, slices, METER)


@settings(max_examples=100, deadline=None)
@given(tables(), usages)
def test_the_parts_of_a_line_sum_exactly_to_it(terms: ChargeTerms, slices: list[Slice]) -> None:
    line = rate(terms, SEGMENT, slices, METER)
    parts = [Fraction(d["quantity"]) * Fraction(d["price"]) for d in line.formula["details"]]
    assert sum(parts, Fraction(0)) == Fraction(line.formula["exact"])
    assert line.amount == Money.of(sum(parts, Fraction(0)), "EUR")
    units = sum((Decimal(d["quantity"]) for d in line.formula["details"] if d["part"] == "units"), Decimal(0))
    assert units == max(line.quantity, Decimal(0))
    assert line.measured == sum(piece.quantity for piece in slices)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.builds(slice_of, days, st.decimals(-1000, 1000, places=9)), max_size=12),
    st.decimals("0.000000000001", "1000000", places=12),
    st.sampled_from(["none", "up", "down", "half_up", "half_even"]),
)
def test_converted_days_sum_to_the_total_converted_once(slices: list[Slice], by: Decimal, rounding: str) -> None:
    if by == 0:
        return
    conversion = Conversion(divide_by=by, unit="x", rounding=rounding)  # type: ignore[arg-type]
    found = convert(slices, conversion)
    total = sum((piece.quantity for piece in slices), Decimal(0))
    once = convert([Slice(START, total)], conversion)[0].quantity
    assert sum((piece.quantity for piece in found), Decimal(0)) == once
    if all(piece.quantity >= 0 for piece in slices):
        assert all(piece.quantity >= 0 for piece in found)
    exact = Fraction(total) / Fraction(by)
    assert abs(Fraction(once) - exact) < (1 if rounding in ("up", "down") else Fraction(51, 100))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(slice_of, days, st.decimals(-1000, 1000, places=9)), max_size=12), prices, prices, days)
def test_per_unit_equals_each_event_at_the_price_of_its_day(
    slices: list[Slice], first: Decimal, second: Decimal, change: date
) -> None:
    def charge(price: Decimal) -> Charge:
        return Charge(key="usage", name="Usage", model="per_unit", meter="calls", price=price)

    versions = (PriceFrom(START, START, charge(first)), PriceFrom(change, change, charge(second)))
    terms = ChargeTerms(versions[0].charge, versions if change > START else versions[1:])
    expected = sum((Fraction(s.quantity) * Fraction(second if s.day >= change else first) for s in slices), Fraction(0))
    assert per_unit(terms, slices).amount == expected


# Of a period of 20 days every share of it is a decimal, so that weighed units are exact and so is the comparison.
TWENTY = Segment("sub", "acme", "pro", "EUR", START, START + timedelta(days=20), START, START + timedelta(days=20))
in_twenty = st.dates(START, START + timedelta(days=19))


def seat_by_seat(terms: ChargeTerms, changes: list[Slice], part: Segment) -> tuple[Fraction, Fraction]:
    """(amount, weighed units): a pile of half units, each paying for every day at whose end it is held.

    What is owed below 0 and weighs more than that leaves nothing to pay.
    """
    pile: list[PriceFrom] = []
    owed, most = 0, 0
    amount, weighed = Fraction(0), Fraction(0)
    for n in range(part.days):
        day = part.start + timedelta(days=n)
        steps = int(sum(piece.quantity for piece in changes if piece.day == day) / UNIT)
        price = [p for p in terms.prices if p.from_day <= day][-1]
        for _ in range(abs(steps)):
            if steps < 0 and pile:
                pile.pop()
            elif steps < 0:
                owed += 1
            elif owed:
                owed -= 1
            else:
                pile.append(price)
        most = max(most, len(pile))
        for position, held in enumerate(pile, 1):
            tier = held.charge.tiers[tier_of(terms.charge, position * UNIT)]
            weighed += Fraction(UNIT) / part.period_days
            amount += Fraction(tier.price) * Fraction(UNIT) / part.period_days
    if sum((Fraction(c.quantity) * (part.end - c.day).days for c in changes), Fraction(0)) < 0:
        return Fraction(0), Fraction(0)
    entered = {tier_of(terms.charge, position * UNIT) for position in range(1, most + 1)}
    if terms.charge.flat_fee_at_zero:
        entered.add(0)
    return amount + sum((Fraction(terms.charge.tiers[n].flat_fee) for n in entered), Fraction(0)), weighed


@settings(max_examples=200, deadline=None)
@given(tables(), st.lists(st.builds(slice_of, in_twenty, st.integers(-12, 20).map(lambda n: n * UNIT)), max_size=7))
def test_seats_equal_the_walk_seat_by_seat_and_day_by_day(terms: ChargeTerms, changes: list[Slice]) -> None:
    priced, quantity = seats(terms, TWENTY, changes, 9)
    assert (priced.amount, Fraction(quantity)) == seat_by_seat(terms, changes, TWENTY)
    units = [detail.quantity for detail in priced.details if detail.part == "units"]
    assert sum(units, Decimal(0)) == quantity


@settings(max_examples=60, deadline=None)
@given(tables(), st.lists(st.tuples(in_twenty, halves, st.integers(1, 4)), max_size=6))
def test_windows_priced_by_themselves_equal_the_sum_of_lines_of_one_window(
    terms: ChargeTerms, windows: list[tuple[date, Decimal, int]]
) -> None:
    together = each_window(terms, [Slice(day, value, times) for day, value, times in windows])
    alone = [graduated(terms, [Slice(day, value)]).amount * times for day, value, times in windows]
    assert together.amount == sum(alone, Decimal(0))
