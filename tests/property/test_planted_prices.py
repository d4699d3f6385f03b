"""Every bug that is planted in the pricing code is found by the second computation of a short sample."""

from __future__ import annotations

import pytest
from planted_prices import BUGS, Bug
from planting import edited, planted
from price_bridge import differences
from price_sample import sample, unlike

CASES = 400


def test_nothing_is_found_where_nothing_is_planted() -> None:
    assert unlike(60) is None


@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with planted(bug.module, edited(bug.module, bug.old, bug.new)):
        assert any(_noticed(n) for n in range(CASES)), f"nobody noticed that {bug.name}"


def _noticed(number: int) -> bool:
    case, expected = sample(CASES)[number]
    try:
        return bool(differences(case, expected))
    except (ValueError, ArithmeticError):
        return True
