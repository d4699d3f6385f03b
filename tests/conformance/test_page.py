"""The page that says how many cases match speaks of the cases that there are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from conformance_cases import FOLDER, load, must
from conformance_page import COMPUTED, PAGE, digest, page

CASES = load()
pytestmark = pytest.mark.skipif(not CASES, reason=f"no conformance cases in {FOLDER}")


def test_the_page_of_this_collection_is_what_the_cases_say() -> None:
    """A page of another collection keeps what that one said: its hash tells which."""
    stated = PAGE.read_text(encoding="utf-8")
    of = re.findall(r"SHA-256 `([0-9a-f]{64})`", stated)
    assert len(of) == 1
    assert stated == page(CASES, digest()) or of != [digest()]


def test_a_verdict_that_changes_changes_the_page(show: Callable[[str], None]) -> None:
    now = page(CASES, digest())
    for kind in COMPUTED:
        case = must(CASES, kind)[0]
        changed = [replace(c, verdict="differs", note="a new reason") if c.id == case.id else c for c in CASES]
        other = page(changed, digest())
        assert other != now
        assert f"| {kind} | {case.model} | a new reason | 1 |" in other
    counts = ", ".join(f"{kind} {len(must(CASES, kind))}" for kind in COMPUTED)
    show(f"\nconformance: {counts} cases to match; {len(CASES)} on the page")
