"""Cases that no collection has, in its schema: the adapters answer them too, and see a number that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import commitment_adapter
import document_adapter
import period_adapter
import pricing_adapter
import proration_adapter
import pytest
from conformance_cases import OWN, Case, UnknownCase, differences, load


def _prices(case: Case) -> dict[str, Any]:
    found = pricing_adapter.compute(case)
    return {n: pricing_adapter.shown(case, v, case.expected[n]) for n, v in found.items() if n in case.expected}


ADAPTERS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "commitment": commitment_adapter.compute,
    "period": period_adapter.compute,
    "pricing": _prices,
    "proration": proration_adapter.compute,
    "rounding": _prices,
    **dict.fromkeys(("credit", "discount", "invoice", "tax"), document_adapter.compute),
}
CASES = [case for case in load(OWN) if case.kind in ADAPTERS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_of_the_same_form_with_other_numbers_is_computed_and_a_wrong_number_is_seen(case: Case) -> None:
    assert differences(case, ADAPTERS[case.kind](case)) == {}
    for name, value in case.expected.items():
        wrong = replace(case, expected={name: _other(value)})
        assert differences(wrong, ADAPTERS[case.kind](wrong)).keys() == {name}


def _other(expected: Any) -> Any:
    """The same with the first digit of the first number changed."""
    if isinstance(expected, dict):
        first = next(iter(expected))
        return {**expected, first: _other(expected[first])}
    if isinstance(expected, list):
        return [_other(expected[0]), *expected[1:]]
    place = next(n for n, digit in enumerate(expected) if digit.isdigit())
    return expected[:place] + ("7" if expected[place] != "7" else "8") + expected[place + 1 :]


def test_every_kind_but_the_measured_one_has_a_case_of_ours() -> None:
    assert {case.kind for case in CASES} == ADAPTERS.keys()


def test_a_collection_is_whatever_lies_in_its_folder(tmp_path: Path) -> None:
    """Cases are read in place, with the verdict of their id; one without a verdict is no case that may be left out."""
    body = json.loads((OWN / "own.jsonl").read_text().splitlines()[0]) | {"id": "new.pricing.graduated.001"}
    (tmp_path / "new.jsonl").write_text(json.dumps(body) + "\n")
    (tmp_path / "verdicts.csv").write_text("id,verdict,note\n")
    with pytest.raises(UnknownCase, match="no verdict"):
        load(tmp_path)
    (tmp_path / "verdicts.csv").write_text(f"id,verdict,note\n{body['id']},must,\n")
    (found,) = load(tmp_path)
    assert (found.id, found.verdict, found.expected) == (body["id"], "must", {"amount": "37.25"})
