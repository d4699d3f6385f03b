"""Planting and mutation change what they say and nothing else, and are undone."""

from __future__ import annotations

import ast

import pytest
from planting import NotPlanted, edited, planted, source_of

from orchestration.billing import bounds
from orchestration.billing.rating import settle
from tests.mutation.mutants import mutants

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
