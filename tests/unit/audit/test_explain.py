"""A line is told down to its events, with what was left out and what came later; corrections are proved as well."""

from __future__ import annotations

import csv
import json
import shutil
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from orchestration.audit import verify_invoice as script
from orchestration.audit.explain import as_lines, explain
from orchestration.audit.prove import prove
from orchestration.errors import ConfigInvalid
from orchestration.ledger.store import Ledger


@pytest.fixture
def ledger(november: Path, tmp_path: Path) -> Ledger:
    shutil.copytree(november, tmp_path / "home")
    return Ledger.open(tmp_path / "home")


def position_of(ledger: Ledger, number: str, charge: str) -> str:
    row = ledger.document(number)
    assert row is not None
    return next(line["position"] for line in json.loads(row.body)["lines"] if line["charge"] == charge)


def test_a_line_is_the_sum_of_its_days_files_and_events(ledger: Ledger, tmp_path: Path) -> None:
    number, events = "PRV-2026-000001", tmp_path / "events.parquet"
    told = explain(ledger, number, position_of(ledger, number, "tiers"), tmp_path / "scratch", events)
    evidence = told["evidence"]
    assert (evidence["events"], evidence["quantity"], evidence["amount"]) == ("40", "3830", "2.415")
    assert {part["name"]: part["amount"] for part in evidence["parts"]} == {
        "flat fee of a tier": "3.5",
        "rounding": "0.005",
    }
    assert told["line"]["amount"] == "5.92"
    for rows in (told["days"], told["files"]):
        assert sum(Fraction(row["amount"]) for row in rows) == Fraction("2.415")
        assert sum(int(row["events"]) for row in rows) == 40
    assert told["days"][2] == {"day": "2026-10-08", "events": "4", "quantity": "353", "amount": "0.3415"}
    assert (told["files"][0]["path"], told["files"][0]["first_line"]) == ("ashcanary.jsonl", "1")
    [(count, amount)] = duckdb.sql(f"SELECT count(*), sum(amount) FROM '{events}'").fetchall()
    assert (count, Fraction(amount)) == (40, Fraction("2.415"))
    # October's close knew nothing of what came late; the document that corrects it is named.
    assert told["left_out"] == []
    assert [(row["document"], [c["cause"] for c in row["changes"]]) for row in told["later"]] == [
        ("PRV-2026-000003", ["late usage"])
    ]
    text = "\n".join(as_lines(told))
    assert "units (tier 1): 1000 x 0.001 = 1" in text and "later: PRV-2026-000003 of 2026-12-05: line" in text
    assert not (tmp_path / "scratch").exists()


def test_what_was_left_out_is_told_by_reason(ledger: Ledger, tmp_path: Path) -> None:
    number = "PRV-2026-000001"
    users = explain(ledger, number, position_of(ledger, number, "users"), tmp_path / "scratch")
    assert users["left_out"] == [{"reason": "counted before, or of another window, cell or line", "lines": "33"}]
    row = ledger.document("PRV-2026-000003")
    assert row is not None
    corrected = next(
        line for line in json.loads(row.body)["lines"] if line["charge"] == "calls" and "correction" in line
    )
    late = explain(ledger, row.number, corrected["position"], tmp_path / "scratch")
    assert late["left_out"] == [{"reason": "conflict", "lines": "1"}, {"reason": "duplicate", "lines": "1"}]
    assert late["evidence"]["events"] == "44" and len(late["files"]) == 2
    before = next(part for part in late["evidence"]["parts"] if part["name"] == "billed before")
    assert Fraction(before["amount"]) == -Fraction(corrected["correction"]["before"]["amount"])


def test_the_lines_of_a_document_are_listed_and_an_unknown_one_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    told = explain(ledger, "PRV-2026-000001", None, tmp_path / "scratch")
    assert len(told["lines"]) == 19 and "Tiers: 3830 token = 5.92" in "\n".join(as_lines(told))
    for wrong in ("0", "20"):
        with pytest.raises(ConfigInvalid, match="has lines 1 to 19"):
            explain(ledger, "PRV-2026-000001", wrong, tmp_path / "scratch")
    with pytest.raises(ConfigInvalid, match="name one of them"):
        explain(ledger, "PRV-2026-000001", None, tmp_path / "scratch", tmp_path / "events.csv")


def test_a_document_with_corrections_is_proved_from_both_evaluations(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    prove(ledger, "PRV-2026-000003", folder, tmp_path / "scratch")
    said = list(script.check(folder, (folder / "checkpoint.pub").read_text().strip()))
    assert said[1] == "document PRV-2026-000003 is in journal entry 2 of 2"
    evidence = json.loads((folder / "evidence.json").read_bytes())
    document = json.loads((folder / "document.json").read_bytes())
    for line, one in zip(document["lines"], evidence["lines"], strict=True):
        amounts = [Fraction(part["amount"]) for part in one["parts"]]
        if one["events"] != "0":
            with (folder / one["file"]).open(newline="") as handle:
                amounts += [Fraction(row["amount"]) for row in csv.DictReader(handle)]
        assert sum(amounts) == Fraction(line["amount"])
        rounding = next((Fraction(p["amount"]) for p in one["parts"] if p["name"] == "rounding"), Fraction(0))
        assert abs(rounding) <= Fraction("0.005") + Fraction(1, 10**6), line["charge"]
