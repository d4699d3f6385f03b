"""Proration and commitments of other billing systems' suites, computed by this project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import commitment_adapter
import proration_adapter
import pytest
from conformance_cases import FOLDER, OWN, Case, UnknownCase, differences, load, must

CASES = load()
ADAPTERS = {"commitment": commitment_adapter, "proration": proration_adapter}
MUST = [case for kind in sorted(ADAPTERS) for case in must(CASES, kind)]
pytestmark = pytest.mark.skipif(not CASES, reason=f"no conformance cases in {FOLDER}")


def compute(case: Case) -> dict[str, Any]:
    return ADAPTERS[case.kind].compute(case)


@pytest.mark.parametrize("case", MUST, ids=lambda case: case.id)
def test_a_part_of_a_period_costs_what_follows_from_the_semantics(case: Case) -> None:
    assert differences(case, compute(case)) == {}


@pytest.mark.parametrize("kind", sorted(ADAPTERS))
def test_the_counts_are_told_and_no_model_is_left_out(kind: str, show: Callable[[str], None]) -> None:
    counts = Counter(case.model for case in MUST if case.kind == kind)
    show(f"\n{kind}: {sum(counts.values())} cases match: " + ", ".join(f"{m} {n}" for m, n in sorted(counts.items())))
    assert counts.keys() <= ADAPTERS[kind].MODELS.keys()
    assert counts


@pytest.mark.parametrize("kind", sorted(ADAPTERS))
def test_what_a_case_says_and_the_adapter_does_not_know_fails_by_its_name(kind: str) -> None:
    case = next(case for case in [*MUST, *load(OWN)] if case.kind == kind)
    for strange, name in (
        (replace(case, model="billing_moon"), "billing_moon"),
        (replace(case, params=case.params | {"grace": "1"}), "grace"),
        (replace(case, input=case.input | {"until": "2024-01-01"}), "until"),
    ):
        with pytest.raises(UnknownCase, match=name):
            compute(strange)


def test_another_number_is_seen_as_a_difference() -> None:
    """Each model's first case with another digit: the comparison isn't one that always agrees."""
    first = {(case.kind, case.model): case for case in reversed(MUST)}
    for case in first.values():
        for name, value in case.expected.items():
            wrong = replace(case, expected={name: _other(value)})
            assert differences(wrong, compute(wrong)).keys() == {name}, case.id


def _other(value: str | None) -> str:
    """The number with another digit: the last, or one that a double still holds."""
    if value is None:
        return "1"
    place = min(len(value), 14) - 1
    return value[:place] + ("2" if value[place] != "2" else "3") + value[place + 1 :]
