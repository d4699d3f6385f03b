"""Three closes with late calls, a retraction, an identity, a declared price, notes and a void: made again from raw
files, and proved. Nothing is built."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import issued_home
import pytest

from orchestration.audit import verify_invoice as script
from orchestration.audit.prove import prove
from orchestration.audit.recompute import recompute, wrong_reviews
from orchestration.canonical import canonical_bytes
from orchestration.catalog.load import from_archive
from orchestration.ledger.store import Ledger

WHO = "by: ana, approved_by: ben, on: 2026-11-03, reason: agreed"
PLAN = "plans/all.yaml"
EDITED = issued_home.CATALOG[PLAN].replace("name: All\n", "name: All\ncorrections: own_document\n")
EDITED = EDITED.replace('amount: "31.00"', 'amount: "32.00"')
NOVEMBER = {
    PLAN: EDITED,
    "corrections.yaml": f"corrections:\n  - {{file: {PLAN}, sha256: {hashlib.sha256(EDITED.encode()).hexdigest()}, "
    f"{WHO}}}\n",
    "retractions.yaml": f"retractions:\n  - {{source: app, id: yewcanary-paid-2, {WHO}}}\n",
    "credentials.csv": issued_home.CATALOG["credentials.csv"] + "key_other,ashcanary\n",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("recompute") / "home"
    ledger = issued_home.make(home)
    issued_home.deliver_late(home)
    edit(home, NOVEMBER)
    issued_home.close(home, ledger, "2026-12")
    edit(home, {"voids.yaml": f"voids:\n  - {{document: PRV-2026-000002, reissue: true, {WHO}}}\n"})
    issued_home.close(home, ledger, "2027-01")
    ledger.close()
    return home


def edit(home: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (home / "catalog" / name).write_text(text)


def bodies(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(row.body) for row in ledger.documents()]


def test_every_document_follows_from_raw_files_and_from_the_catalogs_of_their_closes(
    home: Path, tmp_path: Path
) -> None:
    with Ledger.open(home) as ledger:
        issued = bodies(ledger)
        assert recompute(home, ledger, tmp_path / "scratch", lambda _: None) == []
    kinds = [(body["kind"], body.get("corrects", ""), body.get("void", "")) for body in issued]
    assert [kind for kind in kinds if kind[1]] == [
        ("credit_note", "PRV-2026-000002", ""),
        ("debit_note", "PRV-2026-000001", ""),
        ("credit_note", "PRV-2026-000002", "reissue"),
    ]
    causes = [
        {line["charge"]: line["correction"]["cause"] for line in body["lines"] if "correction" in line}
        for body in issued
        if "corrects" in body
    ]
    assert causes[0] == {"fee": "price", "cut": "retraction", "given": "retraction", "share": "retraction"}
    by_calls = dict.fromkeys(("busy", "calls", "cells", "days", "each", "packs", "tiers"), "identity")
    assert causes[1] == {"fee": "price"} | by_calls
    assert len(causes[2]) == 19 and set(causes[2].values()) == {"void"}


@pytest.mark.parametrize("name", ["declared", "voided", "withheld"])
def test_a_journal_that_names_other_reviewed_rows_than_its_catalog_is_found(home: Path, name: str) -> None:
    with Ledger.open(home) as ledger:
        entry = ledger.journal()[-1]
        said = json.loads(entry.body)
        catalog = from_archive(ledger.catalog(said["catalog"]))
        rows = [row for row in ledger.documents() if row.journal_seq == entry.seq]
    assert list(wrong_reviews(entry, catalog, rows)) == []
    row = {"by": "eve", "on": "2026-11-03", "reason": "agreed"}
    edited = replace(entry, body=canonical_bytes(said | {name: [*said[name], row]}).decode())
    [problem] = wrong_reviews(edited, catalog, rows)
    assert (problem.code, problem.where) == ("journal_differs", "ledger.sqlite, journal entry 3")
    assert f"'{name}'" in problem.message


def test_notes_a_void_and_what_is_billed_anew_are_proved(home: Path, tmp_path: Path) -> None:
    with Ledger.open(home) as ledger:
        found = [body for body in bodies(ledger) if body["kind"] == "debit_note" or "void" in body]
        found += [body for body in bodies(ledger) if (body["cut_off"], body["kind"]) == ("2027-01-01", "invoice")]
        assert len(found) == 4
        for body in found:
            folder = tmp_path / body["number"]
            prove(ledger, body["number"], folder, tmp_path / "scratch")
            held = list(script.check(folder, (folder / "checkpoint.pub").read_text().strip()))
            assert held[1].startswith(f"document {body['number']} is in journal entry ")
