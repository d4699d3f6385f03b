"""The audit's pricer and the one that bills make the same documents, and a bug in the one that bills makes them differ.

Since the audit imports nothing of billing (a contract of the linter), whatever changes a billed document without
changing the rules is a difference here and in `verify`. CAMPAIGN_SECOND says how many cases are closed.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import lru_cache
from itertools import chain
from pathlib import Path

import pytest
from planted_corrections import CORRECTION_BUGS
from planted_prices import BUGS, Bug
from planting import edited, planted, source_of
from price_cases import case_of
from price_sample import half_of_a_maximum
from second_lines import program_lines, second_lines
from second_lives import Lived
from second_pricer import Close, Made, closes_of, program_bodies, second_bodies, unlike

from tests.mutation.mutants import mutants
from tests.mutation.verified import FOUND, UNSEEN, fate, month

CASES = int(os.environ.get("CAMPAIGN_SECOND", "140"))
LIVES = 1 + CASES // 1000


@lru_cache(maxsize=1)
def sample() -> tuple[tuple[list[Close], Made], ...]:
    """The closes of cases, with the second pricer's documents."""
    cases = chain([half_of_a_maximum()], map(case_of, range(CASES)))
    closes = [closes_of(case, seed) for seed, case in enumerate(cases)]
    return tuple((some, second_bodies(some)) for some in closes)


KINDS = ("correction", "credit_note", "debit_note", "void", "taken again", "skipped", "tax", "true_up", "cap")


def test_both_make_the_same_documents_of_all_closes() -> None:
    seen = dict.fromkeys(KINDS, 0)
    for number, (closes, second) in enumerate(sample()):
        assert unlike(program_bodies(closes), second) == [], f"case {number - 1}"
        for issued, skipped in second:
            seen["skipped"] += len(skipped)
            for body in issued:
                kinds = [line["kind"] for line in body["lines"]]
                for kind in ("correction", "true_up", "cap"):
                    seen[kind] += kinds.count(kind)
                seen["credit_note"] += body["kind"] == "credit_note"
                seen["debit_note"] += body["kind"] == "debit_note"
                seen["void"] += "void" in body
                seen["tax"] += "taxes" in body
                uses = [*body.get("coupons", ()), *body.get("promotional", ())]
                seen["taken again"] += any("document" in use for use in uses)
    assert all(seen.values()), f"the sample has none of: {[name for name, times in seen.items() if not times]}"


@pytest.mark.parametrize("bug", [*BUGS, *CORRECTION_BUGS], ids=lambda bug: bug.name)
def test_a_bug_in_billing_makes_the_two_differ(bug: Bug) -> None:
    with planted(bug.module, edited(bug.module, bug.old, bug.new)):
        assert any(_differ(*pair) for pair in sample()), f"nobody noticed that {bug.name}"


def _differ(closes: list[Close], second: Made) -> bool:
    try:
        return bool(unlike(program_bodies(closes), second))
    except (ValueError, ArithmeticError):
        return True


def test_both_rate_held_units_windows_means_and_lines_by_value_alike() -> None:
    priced: dict[str, int] = {}
    for seed in range(max(40, CASES // 10)):
        lines = second_lines(seed)
        assert program_lines(seed) == lines, f"seed {seed}"
        for line in lines:
            charge = line["key"][1]
            priced[charge] = priced.get(charge, 0) + (line["gross"] not in ("0.00", "0"))
    assert len(priced) == 9 and min(priced.values()) > 10


@pytest.mark.parametrize("seed", range(LIVES))
def test_both_agree_on_the_closes_of_several_customers_and_sellers(seed: int, tmp_path: Path) -> None:
    lived = Lived(tmp_path / "home", seed)
    try:
        lived.live(months=3)
    finally:
        lived.life.ledger.close()
    assert lived.unlike == []
    corrections = [line for body in lived.documents for line in body["lines"] if line["kind"] == "correction"]
    assert len(lived.documents) > 8 and len(corrections) > 5


@pytest.mark.parametrize(("name", "every"), [("bounds", 3), ("taxes", 8), ("credits", 8)])
def test_every_mutant_of_billing_that_changes_an_invoice_is_found(name: str, every: int) -> None:
    """The short sample of `make verify-mutants`, which tries every mutant of billing."""
    module = f"orchestration.billing.{name}"
    text, issued = source_of(module), month(12)
    fates = Counter(fate(mutant, text, issued) for mutant in mutants(module, text)[::every])
    assert fates[FOUND] and not fates[UNSEEN], fates
