"""Discounts, credits, taxes and whole invoices of other billing systems' suites, computed by this project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from conformance_cases import FOLDER, OWN, Case, UnknownCase, differences, load, must
from document_adapter import MODELS, compute

CASES = load()
KINDS = ("discount", "credit", "invoice", "tax")
MUST = [case for kind in KINDS for case in must(CASES, kind)]
pytestmark = pytest.mark.skipif(not CASES, reason=f"no conformance cases in {FOLDER}")


@pytest.mark.parametrize("case", MUST, ids=lambda case: case.id)
def test_a_document_that_follows_from_the_semantics_is_the_one_expected(case: Case) -> None:
    assert differences(case, compute(case)) == {}


def test_the_counts_are_told_and_no_model_is_left_out(show: Callable[[str], None]) -> None:
    counts = Counter((case.kind, case.model) for case in MUST)
    for kind in KINDS:
        of = {model: n for (k, model), n in sorted(counts.items()) if k == kind}
        show(f"\n{kind}: {sum(of.values())} cases match: " + ", ".join(f"{model} {n}" for model, n in of.items()))
    assert counts.keys() <= MODELS.keys()
    assert {kind for kind, _ in counts} == set(KINDS)


def change(case: Case, **changes: Any) -> Case:
    return replace(case, **{name: {**getattr(case, name), **value} for name, value in changes.items()})


def test_what_a_case_says_and_the_adapter_does_not_know_fails_by_its_name() -> None:
    case = next(c for c in [*MUST, *load(OWN)] if c.model == "coupons")
    fixed = {"type": "fixed", "amount_cents": "12"}
    unknown = [
        (replace(case, model="vouchers"), "vouchers"),
        (change(case, params={"grace": "1"}), "grace"),
        (change(case, params={"rounding": {"mode": "half_down", "scale": "2"}}), "half_down"),
        (change(case, params={"rounding": {"mode": "half_up", "scale": "5"}}), "scale"),
        (change(case, params={"coupons": [{**fixed, "type": "barter"}]}), "barter"),
        (change(case, params={"coupons": [{**fixed, "moon": "1"}]}), "moon"),
        (change(case, input={"until": "2024-01-01"}), "until"),
    ]
    for strange, name in unknown:
        with pytest.raises(UnknownCase, match=name):
            compute(strange)


def test_another_number_is_seen_as_a_difference() -> None:
    """Each model's first case with a wrong expectation: the comparison isn't one that always agrees."""
    first = {(case.kind, case.model): case for case in reversed(MUST)}
    for case in first.values():
        wrong = replace(case, expected=dict.fromkeys(case.expected, "77.77"))
        assert differences(wrong, compute(wrong)).keys() == case.expected.keys()
