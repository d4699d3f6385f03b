"""What adds up in the record is named where it doesn't: each amount of a document, and the lines of each file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from price_cases import case_of
from second_pricer import closes_of, second_bodies

from orchestration.audit.sums import wrong_counts, wrong_sums
from orchestration.canonical import canonical_bytes
from orchestration.ledger.rows import DocumentRow, FileRow, document_row

FILE = FileRow(7, 2, "gw", "gw", "ab" * 32, "a.log", 9, "common", "{}", None, 1, 10, 5, 1, 1, 2, 1, 1, 2)
CLAIMED = {
    "subtotal", "coupon_total", "promotional_total", "tax", "total", "credit_note_total", "prepaid_total",
    "amount_due", "amount", "gross", "discount", "excess", "top_up", "exact",
}  # fmt: skip
"""Amounts that something else in the document tells as well. Bounds, limits and bases are terms, not sums."""
TERMS = {"maximum", "minimum", "discount"}


@pytest.fixture(scope="module")
def bodies() -> list[dict[str, Any]]:
    """Documents of random cases; who changes one copies it."""
    made = (second_bodies(closes_of(case_of(seed), seed)) for seed in range(60))
    return [body for closes in made for issued, _ in closes for body in issued]


def row(body: dict[str, Any]) -> DocumentRow:
    return document_row(body, 1)


def amounts(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all claimed amounts of a document."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key in CLAIMED and isinstance(value, str) and not TERMS & set(map(str, path)):
            yield (*path, key)
        else:
            yield from amounts(value, (*path, key))


def test_every_amount_that_is_changed_alone_is_named(bodies: list[dict[str, Any]]) -> None:
    assert list(wrong_sums(map(row, bodies))) == []
    tried: set[str] = set()
    for body in bodies:
        for path in amounts(body):
            shape = "/".join("#" if isinstance(step, int) else step for step in path)
            if shape in tried:
                continue
            tried.add(shape)
            edited = deepcopy(body)
            node = edited
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = f"{node[path[-1]]}1" if "." in node[path[-1]] else f"{node[path[-1]]}.1"
            problems = list(wrong_sums([replace(row(body), body=canonical_bytes(edited))]))
            assert problems and problems[0].where == f"document {body['number']}", f"{shape} may be anything"
    assert len(tried) > 25


def test_a_line_is_named_with_both_amounts(bodies: list[dict[str, Any]]) -> None:
    body = next(deepcopy(body) for body in bodies if any(line["formula"]["details"] for line in body["lines"]))
    line = next(line for line in body["lines"] if line["formula"]["details"])
    line["formula"]["details"][0]["amount"] = "12345"
    problems = list(wrong_sums([replace(row(body), body=json.dumps(body).encode())]))
    assert f"line {line['position']}, part 1 of the formula is 12345, and what it is made of" in problems[0].message


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"lines": [1]}'])
def test_a_document_of_another_form_is_named(body: bytes, bodies: list[dict[str, Any]]) -> None:
    (problem,) = wrong_sums([replace(row(bodies[0]), body=body)])
    assert "its sums can't be read" in problem.message


def test_lines_that_are_in_no_bucket_or_were_retried_twice_are_named() -> None:
    assert list(wrong_counts([FILE])) == []
    (lost,) = wrong_counts([replace(FILE, lines=11)])
    assert lost.message == "11 lines, of which 10 are accounted for" and "file 7 ('a.log')" in lost.where
    again = replace(FILE, file_id=8, lines=0, accepted=2, duplicate=0, conflict=0, quarantined=-2, blank=0, retry_of=7)
    assert list(wrong_counts([FILE, again])) == []
    (twice,) = wrong_counts([FILE, again, replace(again, file_id=9)])
    assert twice.message == "retries took 2 line(s) more than were quarantined" and "file 7" in twice.where
