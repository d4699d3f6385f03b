"""Aggregations of other billing systems' suites, and prices of what has to be measured: each case a customer of one
instance, built once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aggregation_adapter import MODELS, Results, shown, translate
from aggregation_world import World
from conformance_cases import FOLDER, OUTSTANDING, OWN, Case, differences, load, must
from pricing_adapter import MEASURED

CASES = load()
PRICED = [case for case in must(CASES, "pricing") if case.model in MEASURED]
MUST = [*must(CASES, "aggregation"), *PRICED]
OURS = must(load(OWN), "aggregation")
pytestmark = pytest.mark.skipif(not CASES, reason=f"no conformance cases in {FOLDER}")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What this project says to every case, under the case's names."""
    world = World(tmp_path_factory.mktemp("aggregation") / "home")
    asked = {case.id: translate(case, world) for case in [*MUST, *OURS]}
    world.build()
    results = Results(world.home)
    return {key: answer(results) for key, answer in asked.items()}


@pytest.mark.parametrize("case", [*MUST, *OURS], ids=lambda case: case.id)
def test_an_aggregate_that_follows_from_the_semantics_is_the_one_expected(
    case: Case, answers: dict[str, dict[str, Any]]
) -> None:
    found = answers[case.id]
    told = {name: shown(case, value, case.expected[name]) for name, value in found.items() if name in case.expected}
    assert differences(case, told) == {}


def test_the_counts_are_told_and_no_model_is_left_out(show: Callable[[str], None]) -> None:
    assert {case.model for case in PRICED} == MEASURED
    counts = Counter(case.model for case in MUST if case.kind == "aggregation")
    total = sum(counts.values())
    show(f"\naggregation: {total} cases match: " + ", ".join(f"{m} {n}" for m, n in sorted(counts.items())))
    assert counts.keys() <= MODELS.keys()
    assert counts


def test_what_is_outstanding_has_no_adapter_that_would_compute_it() -> None:
    assert not {model for kind, model in OUTSTANDING if kind == "aggregation"} & MODELS.keys()
