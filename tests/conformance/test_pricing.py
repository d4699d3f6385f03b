"""Prices and roundings of other billing systems' suites, computed by this project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from conformance_cases import FOLDER, OWN, Case, UnknownCase, differences, load, must
from pricing_adapter import MEASURED, MODELS, compute, shown

KINDS = ("pricing", "rounding")
CASES = load()
MUST = [case for kind in KINDS for case in must(CASES, kind) if case.model not in MEASURED]
pytestmark = pytest.mark.skipif(not CASES, reason=f"no conformance cases in {FOLDER}")


def told(case: Case) -> dict[str, Any]:
    found = compute(case)
    return {name: shown(case, value, case.expected[name]) for name, value in found.items() if name in case.expected}


@pytest.mark.parametrize("case", MUST, ids=lambda case: case.id)
def test_a_price_that_follows_from_the_semantics_is_the_one_expected(case: Case) -> None:
    assert differences(case, told(case)) == {}


def test_the_counts_are_told_and_no_model_is_left_out(show: Callable[[str], None]) -> None:
    for kind in KINDS:
        counts = Counter(case.model for case in must(CASES, kind))
        total = sum(counts.values())
        show(f"\n{kind}: {total} cases match: " + ", ".join(f"{m} {n}" for m, n in sorted(counts.items())))
        assert counts.keys() <= MODELS[kind].keys() | MEASURED
        assert counts


def change(case: Case, **changes: Any) -> Case:
    return replace(case, **{name: {**getattr(case, name), **value} for name, value in changes.items()})


def first_of(model: str) -> Case:
    return next(case for case in [*MUST, *load(OWN)] if case.model == model)


def test_what_a_case_says_and_the_adapter_does_not_know_fails_by_its_name() -> None:
    tiers = [{"up_to": None, "unit_price": "1", "flat_fee": "0", "per": "moon"}]
    bounded = [{"up_to": "5", "unit_price": "1", "flat_fee": "0"}]
    money = {"scale": "3", "mode": "half_up"}
    unknown = [
        (replace(first_of("per_unit"), model="by_moon"), "by_moon"),
        (change(first_of("per_unit"), params={"surcharge": "1"}), "surcharge"),
        (change(first_of("per_unit"), params={"rounding": money}), "rounding"),
        (change(first_of("per_unit"), input={"unit": "kg"}), "unit"),
        (change(first_of("volume"), params={"tiers": tiers}), "per"),
        (change(first_of("volume"), params={"tiers": bounded}, input={"quantity": "6"}), "beyond the last tier"),
        (change(first_of("volume"), params={"flat_fee_at_zero": "sometimes"}), "flat_fee_at_zero"),
        (change(first_of("package"), params={"rounding": "sideways"}), "sideways"),
        (change(first_of("percentage"), params={"refunds": "1"}), "refunds"),
        (change(first_of("bucketed"), params={"inner_model": "moon"}), "moon"),
        (change(first_of("line_volume"), input={"line": "mid"}), "mid"),
        (change(first_of("line_volume"), input={"quantity_before": "3"}), "quantity_before"),
        (change(first_of("rerating_volume"), params={"last_step_closes_period": False}), "last_step_closes_period"),
        (change(first_of("consumable_blocks"), params={"tier_mode": "LOW_TIER"}), "LOW_TIER"),
        (change(first_of("unit_conversion"), params={"operation": "add"}), "add"),
        (change(first_of("decimal"), params={"mode": "stochastic"}), "stochastic"),
        (change(first_of("allocation"), params={"tie": "coin"}), "coin"),
    ]
    for strange, name in unknown:
        with pytest.raises(UnknownCase, match=name):
            compute(strange)
    with pytest.raises(UnknownCase, match="weeks"):
        differences(change(first_of("volume"), expected={"weeks": "1"}), told(first_of("volume")))


def off_by_one(expected: Any) -> Any:
    """The same shape with every number 0.01 higher."""
    if isinstance(expected, dict):
        kept = {"scale", "per", "tier"}
        return {name: value if name in kept else off_by_one(value) for name, value in expected.items()}
    if isinstance(expected, list):
        return [off_by_one(value) for value in expected]
    return str(Decimal(expected) + Decimal("0.01"))


def test_another_number_is_seen_as_a_difference() -> None:
    """Every case with each number a hundredth higher: the comparison isn't one that always agrees."""
    for case in MUST:
        wrong = replace(case, expected={name: off_by_one(value) for name, value in case.expected.items()})
        assert differences(wrong, told(wrong)).keys() == case.expected.keys(), case.id
