"""Periods, billing dates and windows of other billing systems' suites, computed by this project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from conformance_cases import DISPUTED, FOLDER, OWN, Case, UnknownCase, differences, load, must
from period_adapter import MODELS, compute

CASES = load()
MUST = must(CASES, "period")
pytestmark = pytest.mark.skipif(not CASES, reason=f"no conformance cases in {FOLDER}")


@pytest.mark.parametrize("case", MUST, ids=lambda case: case.id)
def test_a_period_that_follows_from_the_semantics_is_the_one_expected(case: Case) -> None:
    assert differences(case, compute(case)) == {}


def test_the_counts_are_told_and_no_model_is_left_out(show: Callable[[str], None]) -> None:
    counts = Counter(case.model for case in MUST)
    show(f"\nperiod: {sum(counts.values())} cases match: " + ", ".join(f"{m} {n}" for m, n in sorted(counts.items())))
    assert counts.keys() <= MODELS.keys()
    assert counts


@pytest.mark.parametrize("case", [c for c in CASES if c.id in DISPUTED], ids=lambda case: case.id)
def test_a_disputed_verdict_is_one_that_would_not_match(case: Case) -> None:
    assert differences(case, compute(case)) != {}


def change(case: Case, **changes: Any) -> Case:
    return replace(case, **{name: {**getattr(case, name), **value} for name, value in changes.items()})


def test_what_a_case_says_and_the_adapter_does_not_know_fails_by_its_name() -> None:
    case = next(c for c in [*MUST, *load(OWN)] if c.model == "billing_dates")
    unknown = [
        (replace(case, model="billing_moon"), "billing_moon"),
        (change(case, params={"grace": "1"}), "grace"),
        (change(case, params={"alignment": "lunar"}), "lunar"),
        (change(case, input={"until": "2024-01-01"}), "until"),
    ]
    for strange, name in unknown:
        with pytest.raises(UnknownCase, match=name):
            compute(strange)
    with pytest.raises(UnknownCase, match="weeks"):
        differences(change(case, expected={"weeks": "1"}), compute(case))


def test_another_number_is_seen_as_a_difference() -> None:
    """Each model's first case with a wrong expectation: the comparison isn't one that always agrees."""
    first = {case.model: case for case in reversed(MUST)}
    for case in first.values():
        wrong = replace(case, expected={name: ["other"] for name in case.expected})
        assert differences(wrong, compute(wrong)).keys() == case.expected.keys()
