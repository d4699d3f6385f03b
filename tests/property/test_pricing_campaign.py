"""Random cases priced by the program and by the second computation: every line, every reduction, every total.

In the suite a short sample; `make pricing-campaign` compares CAMPAIGN_PRICES cases in two processes. CAMPAIGN_PRICE
names the seed of the only case.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from operator import add

from price_bridge import differences, expected_of
from price_cases import case_of
from price_coverage import WANTED, lacking, shown

CAMPAIGN = int(os.environ.get("CAMPAIGN_PRICES") or 0)
ONE = os.environ.get("CAMPAIGN_PRICE")
CASES = CAMPAIGN or 800
CHUNK = 500 if CAMPAIGN else CASES
LEAST = 100
"""How often a campaign of 100,000 cases shows each thing that it is to show."""

Found = tuple[list[tuple[int, list[str]]], Counter[str]]


def compared(seeds: range) -> Found:
    """(seed and differences of the cases on which the two don't agree, what the cases have shown)."""
    unlike: list[tuple[int, list[str]]] = []
    seen: Counter[str] = Counter()
    for seed in seeds:
        case = case_of(seed)
        rows, answer = expected_of(case)
        try:
            found = differences(case, (rows, answer))
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        if found:
            unlike.append((seed, found))
        seen += shown(case, answer)
    return unlike, seen


def test_the_program_and_the_second_computation_agree(show: Callable[[str], None]) -> None:
    if ONE is not None:
        assert differences(case_of(int(ONE))) == []
        return
    chunks = [range(first, min(first + CHUNK, CASES)) for first in range(0, CASES, CHUNK)]
    if CAMPAIGN:
        with ProcessPoolExecutor(2) as pool:
            found = list(pool.map(compared, chunks))
    else:
        found = [compared(chunk) for chunk in chunks]
    unlike = [pair for pairs, _ in found for pair in pairs]
    seen = reduce(add, (counter for _, counter in found), Counter[str]())
    if CAMPAIGN:
        rarest = sorted(WANTED, key=lambda name: seen[name])[:12]
        show(f" {CASES} cases; rarest: " + ", ".join(f"{name} {seen[name]}" for name in rarest))
    assert not unlike, f"{len(unlike)} of {CASES} cases: " + "\n".join(f"seed {s}: {d[:4]}" for s, d in unlike[:20])
    assert not lacking(seen, max(1, LEAST * CASES // 100_000)), "cases that show too little prove nothing"
