"""One life of corrections: a price that is dated back and declared; an invoice that is voided and billed anew."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from faultkit import CATALOG, NOVEMBER_NOW, Box, token_event

JANUARY_NOW = "2027-01-05T09:00:00Z"
BASIC = "plans/basic.yaml"
DEARER = CATALOG[BASIC].replace('price: "0.001"', 'price: "0.002"')
WHO = "reason: agreed, by: ana, approved_by: ben, on: 2026-12-04"


@dataclass
class Life:
    box: Box
    seen: dict[str, Any]


@pytest.fixture(scope="module")
def life(october: Box, tmp_path_factory: pytest.TempPathFactory) -> Life:
    box = october.copy(tmp_path_factory.mktemp("corrected") / "home", NOVEMBER_NOW)
    seen: dict[str, Any] = {"issued": box.documents()}
    box.put("tokens/late.jsonl", token_event("late", datetime(2026, 10, 20, tzinfo=UTC), "bengal", 10_000))
    box.catalog(BASIC, DEARER)
    seen["refused"] = box.do("run", code=7)
    digest = hashlib.sha256(DEARER.encode()).hexdigest()
    box.catalog("corrections.yaml", f"corrections:\n  - {{file: {BASIC}, sha256: {digest}, {WHO}}}\n")
    box.do("close", "2026-11")
    seen["asof"] = json.loads(box.do("asof", "2026-10", "--customer", "bengal", "--json"))
    (seen["hudson"],) = {
        body["number"]
        for body in box.documents()
        if (body["buyer"]["customer"], body["cut_off"], body["kind"]) == ("hudson", "2026-12-01", "invoice")
    }
    box.catalog("voids.yaml", f"voids:\n  - {{document: {seen['hudson']}, reissue: true, {WHO}}}\n")
    box = box.at(JANUARY_NOW)
    seen["run"] = box.do("run")
    seen["drafts"] = box.sql("SELECT corrects, total FROM marts.invoice_drafts WHERE customer = 'hudson' ORDER BY ALL")
    box.do("close", "2026-12")
    return Life(box, seen)


def test_F46_F47_the_refusal_names_fields_bills_and_the_row_that_would_let_the_edit_through(life: Life) -> None:
    said = life.seen["refused"]
    assert "sub-bengal, charge 'tokens', from 2026-10-01: its usage cost 10.62 USD, and now 21.23 USD" in said
    assert "'bengal': a charge of " in said
    assert f"- {{file: {BASIC}, sha256: {hashlib.sha256(DEARER.encode()).hexdigest()}, reason: WHY" in said


def test_two_corrections_of_one_period_bill_each_fact_once(life: Life) -> None:
    """The close of November bills the late usage and the new price of October together, that of December nothing."""
    corrected = [
        (body["cut_off"], line["amount"], line["correction"]["cause"], line["correction"]["after"]["amount"])
        for body in life.box.documents()
        for line in body["lines"]
        if line["kind"] == "correction" and line["charge"] == "tokens" and line["period_start"] == "2026-10-01"
        and body["buyer"]["customer"] == "bengal"
    ]  # fmt: skip
    assert corrected == [("2026-12-01", "20.61", "late usage", "21.23")]


def test_asof_goes_from_what_was_billed_to_what_is_known(life: Life) -> None:
    tokens = [step for step in life.seen["asof"] if (step["charge"], step["period_start"]) == ("tokens", "2026-10-01")]
    assert [(step["status"], step["cause"], Decimal(step["amount"]), Decimal(step["running"])) for step in tokens] == [
        ("billed", "", Decimal("0.62"), Decimal("0.62")),
        ("billed", "late usage", Decimal("20.61"), Decimal("21.23")),
    ]
    assert {step["customer"] for step in life.seen["asof"]} == {"bengal"}
    shown = life.box.do("asof", "2026-10")
    assert "bengal: sub-bengal, tokens, 2026-10-01 to 2026-11-01" in shown
    assert "billed 21.23, known now 21.23" in shown
    assert "is no month" in life.box.do("asof", "2026-10-01", code=2)


def test_finance_and_leaks_are_asked_of_the_published_generation(life: Life, tmp_path: Path) -> None:
    csv = tmp_path / "revenue.csv"
    told = json.loads(life.box.do("finance", "--cut-off", "2026-11", "--json"))
    assert "Revenue at 2026-12-01" in life.box.do("finance", "--cut-off", "2026-12-01", "--csv", str(csv))
    stands = life.box.sql(
        "SELECT entity, account, currency, accrued, deferred FROM marts.revenue_positions "
        "WHERE cut_off = '2026-12-01' AND (accrued <> 0 OR deferred <> 0) ORDER BY ALL"
    )
    assert stands and [tuple(map(str, row)) for row in stands] == [tuple(row.values()) for row in told]
    # November was billed in December, so on its last day all of it is accrued.
    [(november,)] = life.box.sql(
        "SELECT sum(net) FROM marts.billed_daily WHERE issue_date >= '2026-12-01' AND booked_day < '2026-12-01'"
    )
    assert Decimal(told[0]["accrued"]) >= november > 0
    assert csv.read_text().count("\n") > len(told)
    assert "2 lines" in life.box.do("leaks")
    assert "neither a month" in life.box.do("finance", "--cut-off", "soon", code=2)


def test_D3_a_void_comes_as_a_draft_and_is_issued_with_what_is_billed_anew(life: Life) -> None:
    number = life.seen["hudson"]
    found = [body for body in life.box.documents() if body.get("corrects") == number]
    [note] = found
    [voided] = [body for body in life.box.documents() if body["number"] == number]
    assert (note["kind"], note["void"], note["cut_off"]) == ("credit_note", "reissue", "2027-01-01")
    assert note["number"].startswith("SEL-CN-")
    own = [line for line in voided["lines"] if line["kind"] != "correction"]
    assert sum(Decimal(x["amount"]) for x in note["lines"]) == -sum(Decimal(x["amount"]) for x in own)
    assert (number, Decimal(note["total"])) in [(corrects, total) for corrects, total in life.seen["drafts"]]
    anew = {
        (x["charge"], x["start"]): x["amount"] for x in life.box.lines("hudson", "2027-01-01") if "correction" not in x
    }
    assert {(x["charge"], x["start"]): x["amount"] for x in own}.items() <= anew.items()


def test_the_steps_of_every_period_end_at_what_is_known(life: Life) -> None:
    wrong = life.box.sql(
        "SELECT * FROM (SELECT subscription, charge, period_start, sum(amount) AS steps FROM marts.period_revisions "
        "GROUP BY ALL) JOIN (SELECT subscription, charge, period_start, sum(amount) AS known FROM marts.rated_usage "
        "GROUP BY ALL) USING (subscription, charge, period_start) WHERE steps <> known"
    )
    assert wrong == []
    [(voided, documents)] = life.box.sql(
        "SELECT sum(CASE WHEN cause = 'void' THEN 1 ELSE 0 END), count(DISTINCT document) FROM marts.period_revisions "
        "WHERE customer = 'hudson' AND charge = 'tokens' AND period_start = '2026-11-01'"
    )
    assert (voided, documents) == (1, 3)


def test_the_journal_says_who_declared_what_and_which_commit_the_catalog_was_of(life: Life) -> None:
    bodies = [json.loads(body) for (body,) in life.box.ledger("SELECT body FROM journal ORDER BY seq")]
    november, december = bodies[-2:]
    [declared] = november["declared"]
    assert (declared["file"], declared["by"], declared["approved_by"]) == (BASIC, "ana", "ben")
    assert [row["document"] for row in december["voided"]] == [life.seen["hudson"]]
    assert {body["catalog_commit"]["state"] for body in bodies} == {"none"}


def test_no_document_changed_and_all_follow_from_the_raw_files(life: Life, tmp_path: Path) -> None:
    before = {body["number"]: body for body in life.seen["issued"]}
    assert {body["number"]: body for body in life.box.documents() if body["number"] in before} == before
    life.box.do("verify")
