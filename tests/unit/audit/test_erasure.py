"""Erasing an end user: nothing names the person any more, and every document, root and number stays what it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import issued_home
import pytest

from orchestration.audit.explain import as_lines, explain
from orchestration.audit.prove import prove
from orchestration.audit.verify import verify
from orchestration.catalog import load_catalog
from orchestration.ingest.erase import erase, hash_of, row_of
from orchestration.ledger.store import Ledger
from orchestration.settings import parse_instant

NAME = "ashcanary-u3"
"""The end user of 6 of the 40 calls of its customer: numbers 3, 10, 17, 24, 31 and 38, each on the line after."""
NOW = parse_instant("2026-11-20T09:00:00Z", "test")
ROW = """
erasures:
  - {name: u3-left, user: %s, customer: ashcanary, by: lee, on: 2026-11-20, reason: asked to be forgotten}
"""


def write_row(home: Path, ledger: Ledger) -> None:
    (home / "catalog" / "erasures.yaml").write_text(ROW % hash_of(ledger, NAME))


def erase_now(home: Path, ledger: Ledger) -> object:
    catalog = load_catalog(home / "catalog")
    return erase(home, ledger, catalog, row_of(catalog, "u3-left"), NOW)


def documents(ledger: Ledger) -> list[tuple[str, bytes]]:
    return [(row.number, row.body) for row in ledger.documents()]


def holding(home: Path, text: bytes) -> list[str]:
    """Files of the instance, what lies at the source left out, in which a text stands in clear or in a Parquet file."""
    found = []
    for path in sorted(p for p in home.rglob("*") if p.is_file() and "inbox" not in p.parts):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data += issued_home.parquet_text(path).encode()
        found += [str(path.relative_to(home))] if text in data else []
    return found


@pytest.fixture(scope="module")
def erased(october: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, bytes]], list[str]]:
    """The instance after the erasure, its documents and entries of the journal before. Never written to: copy it."""
    home = tmp_path_factory.mktemp("erased") / "home"
    shutil.copytree(october, home)
    with Ledger.open(home) as ledger:
        write_row(home, ledger)
        before = documents(ledger), [entry.hash for entry in ledger.journal()]
        assert holding(home, NAME.encode()), "the instance knows the person before"
        erase_now(home, ledger)
    return home, *before


def test_nothing_names_the_person_and_every_document_verifies(
    erased: tuple[Path, list[tuple[str, bytes]], list[str]], tmp_path: Path
) -> None:
    home, before, journal = erased
    assert holding(home, NAME.encode()) == []
    with Ledger.open(home) as ledger:
        assert documents(ledger) == before
        assert [entry.hash for entry in ledger.journal()][:-1] == journal
        [found] = ledger.erasures()
        assert [item.lines for item in found.objects] == [(4, 11, 18, 25, 32, 39)]
    result = verify(home, home / "exports", tmp_path / "scratch")
    assert result.problems == ()
    assert result.erased == (
        "6 line(s) of 1 raw file(s) erased on 2026-11-20: asked to be forgotten (row 'u3-left' by lee, journal entry 2"
        "); what was kept of them is taken for the lines",
    )


def test_explain_says_what_was_erased_and_why(
    erased: tuple[Path, list[tuple[str, bytes]], list[str]], tmp_path: Path
) -> None:
    home, _, _ = erased
    with Ledger.open(home) as ledger:
        number = next(row.number for row in ledger.documents() if row.customer == "ashcanary")
        body = json.loads(ledger.document(number).body)  # type: ignore[union-attr]
        position = next(line["position"] for line in body["lines"] if line["charge"] == "users")
        told = list(as_lines(explain(ledger, number, position, tmp_path / "scratch")))
        bundle = prove(ledger, number, tmp_path / "bundle", tmp_path / "scratch")
    assert not any(NAME.encode() in path.read_bytes() for path in bundle if path.is_file())
    # Of a distinct user the first event of the period is behind the line: one of the six.
    assert "  erased: 1 of these events on 2026-11-20, by lee: asked to be forgotten" in told
