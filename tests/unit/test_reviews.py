"""Reviewed rows: proposer and approver are two people, and what a row names is checked with file and line."""

from __future__ import annotations

import re

import pytest

from orchestration.catalog.load import from_archive, parse_catalog
from orchestration.errors import CatalogInvalid
from orchestration.settings import REPOSITORY

ENTITY = "entities:\n  - {key: e, name: E, address: A}\n"
FILES = {
    "instance.yaml": ENTITY,
    "sources.yaml": "sources: []\n",
    "meters.yaml": "meters: []\n",
    "customers.csv": "customer,name,address,country,zone,entity\nacme,Acme,A,FR,UTC,e\n",
    "credentials.csv": "credential,customer\n",
    "subscriptions.csv": "subscription,customer,plan,start\n",
}
HASH = "0f" * 32
ROWS = {
    "decisions.yaml": ("conflicts", f"source: s, id: a, counts: {HASH}"),
    "retractions.yaml": ("retractions", "source: s, id: a"),
    "adjustments.yaml": ("adjustments", 'id: a, customer: acme, day: 2026-10-01, amount: "1", currency: EUR'),
    "refunds.yaml": ("refunds", "document: CN-1"),
    "releases.yaml": ("releases", "customer: acme, cut_off: 2026-11-01"),
    "corrections.yaml": ("corrections", f"file: plans/pro.yaml, sha256: {HASH}"),
    "voids.yaml": ("voids", "document: INV-1, reissue: true"),
    "withheld.yaml": ("withheld", "subscription: s, period_start: 2026-10-01"),
}
"""Every file of reviewed rows, with its key and a row without who, when and why."""


def problems(name: str, said: str, instance: str = ENTITY) -> list[str]:
    key, row = ROWS[name]
    text = f"{key}:\n  - {{{row}, reason: agreed, {said}}}\n"
    try:
        catalog = parse_catalog({**FILES, "instance.yaml": instance, name: text})
    except CatalogInvalid as error:
        return [str(problem) for problem in error.problems]
    assert from_archive(catalog.archive()).digest == catalog.digest
    return []


@pytest.mark.parametrize("name", ROWS)
def test_nobody_approves_a_row_that_he_has_proposed(name: str) -> None:
    assert problems(name, "by: ana, on: 2026-11-03, approved_by: ben") == []
    assert problems(name, "by: ana, on: 2026-11-03") == []
    for same in ("ana", "Ana", '" ANA  "'):
        (problem,) = problems(name, f"by: ana, on: 2026-11-03, approved_by: {same}")
        assert problem.startswith(f"{name}:2: ")
        assert "proposer and approver are two" in problem


@pytest.mark.parametrize("name", ROWS)
def test_rows_from_a_day_on_need_a_second_person(name: str) -> None:
    strict = f"{ENTITY}approvals_since: 2026-11-03\n"
    assert problems(name, "by: ana, on: 2026-11-02", strict) == []
    assert problems(name, "by: ana, on: 2026-11-03, approved_by: ben", strict) == []
    (problem,) = problems(name, "by: ana, on: 2026-11-03", strict)
    assert problem.startswith(f"{name}:2: ") and problem.endswith("'approved_by' is missing [not_approved]")


def test_the_documented_rows_are_valid_as_they_stand() -> None:
    text = (REPOSITORY / "docs" / "operating.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    files = {
        f"{key}.yaml": b for key in ("corrections", "voids", "withheld") for b in blocks if b.startswith(f"{key}:")
    }
    catalog = parse_catalog({**FILES, **files, "instance.yaml": f"{ENTITY}approvals_since: 2026-11-01\n"})
    assert [len(rows) for rows in (catalog.reviews.declared, catalog.reviews.voids, catalog.reviews.withheld)] == [
        1,
        1,
        1,
    ]


def test_a_document_is_voided_by_one_row() -> None:
    row = "  - {document: INV-1, reason: r, by: ana, on: 2026-11-03}\n"
    with pytest.raises(CatalogInvalid, match=r"voids.yaml:3: 'INV-1' is also voided at voids.yaml:2"):
        parse_catalog({**FILES, "voids.yaml": f"voids:\n{row}{row}"})
