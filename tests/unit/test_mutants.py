"""Planting and mutation change what they say and nothing else, and are undone."""

from __future__ import annotations

import ast
import contextlib

import pytest
from planting import NotPlanted, edited, planted, source_of
from price_sample import unlike

from orchestration.billing import bounds
from orchestration.billing.rating import settle
from tests.mutation.__main__ import SURVIVED, TIMED_OUT, UNCHANGED, report
from tests.mutation.mutants import Mutant, mutants

MODULE = "orchestration.billing.bounds"


def test_every_mutant_is_another_program_that_compiles() -> None:
    text = source_of(MODULE)
    found = mutants(MODULE, text)
    texts = {ast.unparse(mutant.tree(text)) for mutant in found}
    assert len(found) > 20
    assert ast.unparse(ast.parse(text)) not in texts
    assert len(texts) == len(found), "each is another change"
    for mutant in found:
        compile(mutant.tree(text), MODULE, "exec")


@pytest.mark.parametrize("module", [MODULE, "orchestration.billing.seats"])
def test_a_mutant_names_the_lines_of_its_own_statement_by_which_its_checks_are_found(module: str) -> None:
    for mutant in mutants(module, source_of(module)):
        assert mutant.line in mutant.lines


def test_nine_mutants_of_ten_are_noticed_by_a_few_cases_of_the_second_computation() -> None:
    """The short sample of `make mutants`, which shows every mutant of billing to more cases and to the unit tests."""
    text = source_of(MODULE)
    survivors = []
    for mutant in mutants(MODULE, text):
        with planted(MODULE, mutant.tree(text)), contextlib.suppress(Exception):
            if unlike(60) is None:
                survivors.append(mutant.what)
    assert len(survivors) <= len(mutants(MODULE, text)) / 10, survivors


def test_the_report_counts_no_change_that_changes_nothing_and_names_every_survivor() -> None:
    mutant = Mutant("a.b", 7, "0 -> 1", range(7, 8), 0, 0)
    fates = ["killed by unit tests", SURVIVED, UNCHANGED, TIMED_OUT]
    assert report({"a.b": [(mutant, fate) for fate in fates], "a.c": [(mutant, UNCHANGED)]}) == [
        "a.b: 2 of 3 killed, 66.7% (1 killed by time, 1 killed by unit tests, 1 no function changed, 1 survived)",
        "a.c: 0 of 0 killed, 0.0% (1 no function changed)",
        "in all: 2 of 3 killed, 66.7% (1 killed by time, 1 killed by unit tests, 2 no function changed, 1 survived)",
        "survivors:",
        "  a.b:7: 0 -> 1",
    ]


def test_a_planted_edit_reaches_every_importer_and_is_undone() -> None:
    code = settle.__code__
    with planted(MODULE, edited(MODULE, "net = gross - discount", "net = gross")):
        assert bounds.settle is settle
        assert settle.__code__ is not code
    assert settle.__code__ is code


@pytest.mark.parametrize("old", ["no such text", "Money", "Each is rounded once."])
def test_an_edit_that_finds_no_one_place_in_a_function_is_an_error(old: str) -> None:
    with pytest.raises(NotPlanted), planted(MODULE, edited(MODULE, old, "Each is rounded.")):
        pass
