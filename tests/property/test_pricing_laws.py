"""Laws that prices obey whatever they are: what may grow, what may not matter, and what adds up."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from price_bridge import program_answer, program_lines, row_of, statement_of
from price_case import METERS, Case, Row, Use
from price_cases import case_of
from price_terms import charge_fields

from orchestration.billing.charges import Slice
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import ChargeTerms, PriceFrom, Segment, segments
from orchestration.catalog.charges import Charge
from orchestration.money import Money

START, END = date(2026, 10, 1), date(2026, 11, 1)
SEGMENT = Segment("sub", "acme", "pro", "EUR", START, END, START, END)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

seeds = st.integers(0, 2**40)
cases = seeds.map(case_of)
days = st.dates(START, END - timedelta(days=1))
counts = st.integers(0, 60).map(Decimal)


def charge_of(seed: int, model: str, **fields: Any) -> Charge:
    """A random charge of a model, of usage that adds up."""
    rng = Random(seed)
    meter = {"graduated_percentage": "money", "matrix": "zones"}.get(model, "units")
    return Charge.model_validate({**charge_fields(rng, "usage", model, "EUR"), "meter": meter, **fields})


def line(charge: Charge, *used: tuple[date, Decimal]) -> Line:
    cell = '{"region":"eu","tier":"gold"}' if charge.model == "matrix" else ""
    terms = ChargeTerms(charge, (PriceFrom(START, START, charge),))
    slices = [Slice(day, quantity, cell=cell, hour_us=0 if cell else None) for day, quantity in used]
    return rate(terms, SEGMENT, slices, METERS[charge.meter or ""])


def exact(found: Line) -> Fraction:
    """Before rounding."""
    return Fraction(found.formula["exact"])


@pytest.mark.parametrize("model", ["per_unit", "graduated", "package", "matrix", "graduated_percentage"])
@settings(max_examples=60, deadline=None)
@given(seeds, st.lists(st.tuples(days, counts), max_size=4), days, counts)
def test_more_usage_never_costs_less(
    model: str, seed: int, used: list[tuple[date, Decimal]], day: date, more: Decimal
) -> None:
    charge = charge_of(seed, model)
    assert exact(line(charge, *used, (day, more))) >= exact(line(charge, *used))
    assert line(charge, *used, (day, more)).amount >= line(charge, *used).amount


def test_in_volume_more_usage_may_cost_less() -> None:
    charge = charge_of(1, "volume", tiers=[{"up_to": "15", "price": "10"}, {"price": "5"}], included="0", convert=None)
    assert exact(line(charge, (START, Decimal(16)))) < exact(line(charge, (START, Decimal(15))))


SCALED = ("amount", "price", "rate", "fixed", "flat_fee", "min_per_event", "max_per_event", "default", "multiplier")
SIZED = ("up_to", "block", "size", "free", "included")


def scaled(value: Any, names: tuple[str, ...], by: int) -> Any:
    """The fields of a charge with those that are named times a number, however deep."""
    if isinstance(value, dict):
        return {
            key: inner * by if key in names and inner is not None else scaled(inner, names, by)
            for key, inner in value.items()
        }
    return [scaled(inner, names, by) for inner in value] if isinstance(value, tuple | list) else value


@pytest.mark.parametrize("model", ["per_unit", "graduated", "volume", "package", "matrix", "graduated_percentage"])
@settings(max_examples=40, deadline=None)
@given(seeds, st.lists(st.tuples(days, counts), max_size=4))
def test_prices_times_a_thousand_are_amounts_times_a_thousand(
    model: str, seed: int, used: list[tuple[date, Decimal]]
) -> None:
    charge = charge_of(seed, model)
    dear = Charge.model_validate(scaled(charge.model_dump(), SCALED, 1000))
    assert exact(line(dear, *used)) == exact(line(charge, *used)) * 1000


@pytest.mark.parametrize("model", ["per_unit", "graduated", "volume", "matrix", "graduated_percentage", "package"])
@settings(max_examples=40, deadline=None)
@given(seeds, st.lists(st.tuples(days, counts), max_size=4))
def test_bounds_and_usage_times_ten_cost_ten_times_the_units(
    model: str, seed: int, used: list[tuple[date, Decimal]]
) -> None:
    """Packages, blocks and flat fees are as many as before: they have grown themselves."""
    charge = charge_of(seed, model, convert=None)
    large = Charge.model_validate(scaled(charge.model_dump(), SIZED, 10))
    expected = Fraction(0)
    for detail in line(charge, *used).formula["details"]:
        expected += Fraction(detail["amount"]) * (10 if detail["part"] == "units" else 1)
    assert exact(line(large, *((day, n * 10) for day, n in used))) == expected


def program_rows(case: Case) -> list[Row]:
    return [row_of(line) for line in program_lines(case)]


def shuffled(case: Case, rng: Random) -> Case:
    """The case with all its rows in another order; events that are priced one by one keep theirs."""
    others = [use for use in case.uses if use.meter != "money"]
    rng.shuffle(others)

    def mixed(rows: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(rng.sample(rows, len(rows)))

    plans = {
        key: plan.model_copy(update={"versions": mixed(plan.versions)})
        for key, plan in rng.sample(sorted(case.plans.items()), len(case.plans))
    }
    return replace(
        case,
        plans=plans,
        phases=mixed(case.phases),
        uses=tuple(others) + tuple(use for use in case.uses if use.meter == "money"),
        coupons=mixed(case.coupons),
        grants=mixed(case.grants),
        rates=mixed(case.rates),
        exemptions=mixed(case.exemptions),
    )


@SLOW
@given(cases, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(case: Case, rng: Random) -> None:
    other = shuffled(case, rng)
    assert program_rows(other) == program_rows(case)
    assert program_answer(other) == program_answer(case)


@SLOW
@given(cases, st.randoms(use_true_random=False))
def test_usage_of_a_day_may_be_cut_and_merged(case: Case, rng: Random) -> None:
    cut: list[Use] = []
    for use in case.uses:
        if METERS[use.meter].aggregation in ("max", "unique_count") or use.meter == "money":
            cut.append(use)
            continue
        some = use.quantity * rng.randrange(1, 10) / 10
        cut += [replace(use, quantity=some), replace(use, quantity=use.quantity - some)]
    merged: dict[tuple[str, date, int, str], Use] = {}
    money = [use for use in cut if use.meter == "money"]
    for use in (use for use in case.uses if use.meter not in ("money", "peak")):
        key = use.meter, use.day, use.hour, use.cell
        merged[key] = replace(use, quantity=use.quantity + (merged[key].quantity if key in merged else 0))
    peaks = [use for use in case.uses if use.meter == "peak"]
    expected = program_rows(case)
    if all(use.quantity == round(use.quantity, 9) for use in cut):
        assert program_rows(replace(case, uses=tuple(cut))) == expected
    assert program_rows(replace(case, uses=(*merged.values(), *peaks, *money))) == expected


@SLOW
@given(cases)
def test_C1_the_parts_of_a_document_are_its_sums(case: Case) -> None:
    found = statement_of(case, program_lines(case))
    if found is None:
        return
    none = Money.zero(case.currency)
    lines = found.stated
    assert sum((stated.due.amount for stated in lines), none) == found.subtotal
    assert sum((tax.amount for stated in lines for tax in stated.taxes), none) == found.tax
    assert sum((tax.amount for tax in found.taxes), none) == found.tax
    taken = sum((use.amount for stated in lines for use in stated.uses), none)
    assert taken == found.coupons + found.promotional == sum((use.amount for use in found.uses), none)
    assert sum((stated.net for stated in lines), none) == found.subtotal - taken
    assert sum((stated.owed for stated in lines), none) == found.total == found.subtotal - taken + found.tax
    assert found.amount_due == found.total - found.prepaid
    for stated in lines:
        line = stated.due.line
        assert line.gross is not None or line.kind == "adjustment"
        assert row_of(line).amount == line.amount.minor
        used = sum((use.amount for use in stated.uses), none)
        assert used == none or none < used <= stated.due.amount, "no line is taken below 0"


@settings(max_examples=300, deadline=None)
@given(seeds)
def test_B5_periods_and_segments_tile_every_day_once(seed: int) -> None:
    case = case_of(seed)
    parts = segments(case.phases, case.plans, case.cut_off)
    assert parts == sorted(parts, key=lambda part: part.start)
    first = min(phase.start for phase in case.phases)
    ends = [phase.end for phase in case.phases]
    last = None if None in ends else max(end for end in ends if end is not None)
    assert parts[0].start == first
    for before, after in pairwise(parts):
        assert before.end == after.start
        if before.anchor == after.anchor:
            assert before.period_end in (after.period_start, after.period_end)
        else:
            assert after.period_start == after.start, "periods are counted anew from a restart"
    for part in parts:
        assert part.period_start <= part.start < part.end <= part.period_end
    assert parts[-1].end == last or (parts[-1].end > case.cut_off and (last is None or parts[-1].end < last))
    wholes: dict[date, int] = {}
    for part in parts:
        wholes[part.period_start] = wholes.get(part.period_start, 0) + part.days
    for part in parts:
        inside = first <= part.period_start and (last is None or part.period_end <= last)
        inside = inside and not any(phase.restart for phase in case.phases)
        if inside and part.period_end <= case.cut_off:
            assert wholes[part.period_start] == part.period_days
