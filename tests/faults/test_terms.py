"""Coupons, credits, adjustments and taxes in the catalog: what is wrong is named by file and line, and what documents
rest on stays as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import faultkit
import pytest

from orchestration.billing.credits import Used
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.closing.close import CloseResult, Knowledge, due_groups, issue
from orchestration.closing.issued import issued_so_far, used_so_far
from orchestration.closing.rated import Quantity, rate_all
from orchestration.closing.statements import Agreements, drafted
from orchestration.closing.terms import refuse_term_edits
from orchestration.errors import CatalogInvalid, PeriodClosed
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.settings import parse_instant

CATALOG = {
    **faultkit.CATALOG,
    "customers.csv": faultkit.CATALOG["customers.csv"].replace("Bengal Co,1 Road,XX", "Bengal Co,1 Road,IN"),
}
COUPONS = """coupons:
  - {id: welcome, customer: bengal, issued: 2026-10-01, amount: "3.00", currency: USD}
  - {id: friend, customer: bengal, issued: 2026-09-01, percent: "10", lasts: forever, applies_to: [tokens]}
"""
CREDITS = """credits:
  - {id: start, customer: bengal, kind: promotional, amount: "1.00", currency: USD, granted: 2026-10-01}
  - {id: bought, customer: bengal, kind: prepaid, amount: "50.00", currency: USD, granted: 2026-10-01}
"""
ADJUSTMENTS = """adjustments:
  - {id: goodwill, customer: hudson, day: 2026-10-10, amount: "-2.00", currency: USD, reason: o, by: a, on: 2026-10-11}
"""
TAXES = """rates:
  - {category: standard, name: GST, percent: "18", countries: [IN]}
  - {category: standard, name: VAT, percent: "20", countries: [US, GB, DE, FR, JP, KI, XX]}
exemptions:
  - {customer: hudson, reason: "Export"}
"""
TERMS = {"coupons.yaml": COUPONS, "credits.yaml": CREDITS, "adjustments.yaml": ADJUSTMENTS, "taxes.yaml": TAXES}
CUT_OFF, NOW = date(2026, 11, 1), parse_instant("2026-11-05T09:00:00Z", "test")


def catalog(**files: str) -> Catalog:
    return parse_catalog({**CATALOG, **{f"{name}.yaml": text for name, text in files.items()}})


def problems(**files: str) -> list[tuple[str, str]]:
    with pytest.raises(CatalogInvalid) as caught:
        catalog(**files)
    return [(p.where, p.code) for p in caught.value.problems]


def row(text: str, **fields: str) -> str:
    """The first row of a file with fields added or replaced."""
    head, first, *_ = text.splitlines()
    values = dict(part.split(": ", 1) for part in first.strip(" -{}").split(", "))
    return f"{head}\n  - {{{', '.join(f'{k}: {v}' for k, v in {**values, **fields}.items())}}}\n"


def test_a_catalog_with_all_terms_is_read() -> None:
    found = parse_catalog({**CATALOG, **TERMS})
    assert (len(found.coupons), len(found.grants), len(found.adjustments)) == (2, 2, 1)
    assert found.taxes is not None and found.taxes.rates[0].percent == Decimal("18")


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("coupons", row(COUPONS, customer="nobody"), "unknown_customer"),
        ("coupons", row(COUPONS, applies_to="[moon]"), "unknown_charge"),
        ("coupons", row(COUPONS, currency="JPY", amount='"3"'), "currency_mismatch"),
        ("coupons", row(COUPONS, amount='"3.001"'), "too_many_decimals"),
        ("coupons", row(COUPONS, until="2026-10-01"), "empty_interval"),
        ("credits", row(CREDITS, customer="nobody"), "unknown_customer"),
        ("credits", row(CREDITS, applies_to="[moon]"), "unknown_charge"),
        ("credits", row(CREDITS, currency="KWD"), "currency_mismatch"),
        ("credits", row(CREDITS, expires="2026-09-30"), "empty_interval"),
        ("adjustments", row(ADJUSTMENTS, customer="nobody"), "unknown_customer"),
        ("adjustments", row(ADJUSTMENTS, amount='"-2.005"'), "too_many_decimals"),
    ],
)  # fmt: skip
def test_44_a_term_that_cannot_hold_is_named_with_file_and_line(file: str, text: str, code: str) -> None:
    assert problems(**{file: text}) == [(f"{file}.yaml:2", code)]


@pytest.mark.parametrize(("file", "text"), [("coupons", COUPONS), ("credits", CREDITS), ("adjustments", ADJUSTMENTS)])
def test_44_an_id_that_is_given_twice_is_refused(file: str, text: str) -> None:
    twice = text + "".join(text.splitlines(keepends=True)[1:2])
    assert problems(**{file: twice}) == [(f"{file}.yaml:{len(twice.splitlines())}", "duplicate")]


RATE = '  - {category: standard, name: VAT, percent: "20"'
OTHER = RATE.replace("VAT", "city")
FREE = "  - {customer: hudson, reason: a}"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([RATE + "}", RATE + ", countries: [DE]}"], [("taxes.yaml:3", "overlap")]),
        ([RATE + ", end: 2026-01-02}", RATE + ", start: 2026-01-01}"], [("taxes.yaml:3", "overlap")]),
        ([RATE + ", entity: moon}", RATE.replace("VAT", "GST") + "}"], [("taxes.yaml:2", "unknown_entity")]),
        ([RATE + "}", OTHER + ", start: 2026-01-02, end: 2026-01-02}"], [("taxes.yaml:3", "empty_interval")]),
        ([RATE + "}", "exemptions:", FREE, FREE.replace("reason", "category: standard, reason")],
         [("taxes.yaml:5", "overlap")]),
        ([RATE + "}", "exemptions:", FREE.replace("hudson", "nobody")], [("taxes.yaml:4", "unknown_customer")]),
    ],
)  # fmt: skip
def test_44_rates_and_exemptions_that_contradict_are_refused(lines: list[str], found: list[tuple[str, str]]) -> None:
    assert problems(taxes="\n".join(["rates:", *lines]) + "\n") == found


def test_44_rates_that_follow_each_other_or_are_for_others_are_no_contradiction() -> None:
    lines = [RATE + ", end: 2026-01-01}", RATE + ", start: 2026-01-01}", RATE.replace("VAT", "city") + "}"]
    assert catalog(taxes="\n".join(["rates:", *lines]) + "\n").taxes is not None


def test_44_a_category_without_a_rate_for_a_buyer_is_an_error_where_it_is_sold() -> None:
    found = problems(taxes='rates:\n  - {category: other, name: VAT, percent: "20"}\n')
    assert {code for _, code in found} == {"missing_rate"}
    assert all(where.startswith("plans/basic.yaml:") for where, _ in found)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home") as opened:
        yield opened


def close(ledger: Ledger, known: Catalog, cut_off: date = CUT_OFF, now: int = NOW, tokens: int = 9000) -> CloseResult:
    """A close of so many tokens of each customer in each month."""
    charged = charged_segments(known, now)
    quantities = {
        item.line_id: [Quantity(item.segment.start, Decimal(tokens))]
        for item in charged
        if item.terms.charge.key == "tokens"
    }
    groups = due_groups(known, ledger, rate_all(known, charged, quantities), cut_off)
    drafts = drafted(Agreements(known), {cut_off: groups}, used_so_far(ledger))[cut_off]
    result = issue(known, ledger, groups, cut_off, {}, Knowledge(now, 0, "code"))
    if result.documents:
        drawn = {(s.customer, s.corrects): s.amount_due.text for s in drafts if s.customer not in result.parked}
        issued = {(d.customer, d.corrects): json.loads(d.body)["amount_due"] for d in result.documents}
        assert drawn == issued, "a draft says what the close then issues"
    return result


def bodies(ledger: Ledger) -> dict[str, dict[str, Any]]:
    return {d.customer: json.loads(d.body) for d in ledger.documents()}


def test_D4_a_close_uses_terms_once_however_often_it_runs(ledger: Ledger) -> None:
    known = parse_catalog({**CATALOG, **TERMS})
    close(ledger, known)
    first = bodies(ledger)
    assert close(ledger, known).documents == ()
    assert bodies(ledger) == first
    body = first["bengal"]
    names = ("coupon_total", "promotional_total", "prepaid_total")
    assert [use["id"] for use in body["coupons"]] == ["friend", "welcome"]
    used = used_so_far(ledger)
    assert used.amount("prepaid", "bought") == Decimal(body["prepaid_total"])
    assert all(Decimal(body[name]) > 0 for name in names)
    assert Decimal(first["hudson"]["lines"][-1]["amount"]) == Decimal("-2.00")
    assert first["hudson"]["taxes"][0]["reason"] == "Export"


def test_A15_one_document_of_a_cut_off_and_one_credit_note_for_each_original(ledger: Ledger) -> None:
    known = parse_catalog(CATALOG)
    close(ledger, known)
    close(ledger, known, date(2026, 12, 1), parse_instant("2026-12-05T09:00:00Z", "test"), tokens=0)
    rows = [(d.customer, d.cut_off, d.kind, d.corrects) for d in ledger.documents()]
    assert len(rows) == len(set(rows)) > 3
    assert {kind for *_, kind, corrects in rows if corrects} <= {"credit_note"}
    assert close(ledger, known, date(2026, 12, 1), parse_instant("2026-12-06T09:00:00Z", "test")).documents == ()


def test_a_customer_whose_category_has_no_rate_on_the_day_is_parked_and_the_others_are_billed(ledger: Ledger) -> None:
    text = TAXES.replace("countries: [IN]", "countries: [IN], start: 2027-01-01")
    known = parse_catalog({**CATALOG, "taxes.yaml": text})
    result = close(ledger, known)
    lacking = {key for key, c in known.customers.items() if c.country == "IN"}
    assert set(result.parked) == lacking
    assert all("no rate of tax category 'standard' on" in reason for reason in result.parked.values())
    assert {d.customer for d in result.documents} == known.customers.keys() - lacking


@pytest.mark.parametrize(
    ("name", "old", "new", "code"),
    [
        ("coupons.yaml", '"3.00"', '"4.00"', "coupon_edited"),
        ("coupons.yaml", 'percent: "10"', 'percent: "20"', "coupon_edited"),
        ("coupons.yaml", COUPONS.splitlines(keepends=True)[1], "", "coupon_edited"),
        ("credits.yaml", '"50.00"', '"60.00"', "credit_edited"),
        ("credits.yaml", "kind: promotional", "kind: promotional, expires: 2026-10-20", "credit_edited"),
        ("adjustments.yaml", '"-2.00"', '"-3.00"', "adjustment_edited"),
        ("taxes.yaml", 'percent: "18"', 'percent: "19"', "tax_edited"),
        ("taxes.yaml", 'exemptions:\n  - {customer: hudson, reason: "Export"}\n', "", "tax_edited"),
    ],
)  # fmt: skip
def test_F47_an_edit_of_what_a_document_rests_on_is_refused(
    ledger: Ledger, name: str, old: str, new: str, code: str
) -> None:
    known = parse_catalog({**CATALOG, **TERMS})
    close(ledger, known)
    assert old in TERMS[name]
    edited = parse_catalog({**CATALOG, **TERMS, name: TERMS[name].replace(old, new)})
    with pytest.raises(PeriodClosed, match=code) as caught:
        refuse_term_edits(known, edited, issued_so_far(ledger), used_so_far(ledger), CUT_OFF)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("coupons.yaml", "lasts: forever", "lasts: forever, until: 2026-11-01"),
        ("credits.yaml", "kind: prepaid", "kind: prepaid, priority: 3, expires: 2027-01-01"),
        ("credits.yaml", "credits:\n", row(CREDITS, id="more")),
        ("taxes.yaml", 'percent: "18"', 'percent: "18", end: 2026-12-01'),
    ],
)  # fmt: skip
def test_an_end_and_what_is_new_are_ordinary_facts(ledger: Ledger, name: str, old: str, new: str) -> None:
    known = parse_catalog({**CATALOG, **TERMS})
    close(ledger, known)
    assert old in TERMS[name]
    edited = parse_catalog({**CATALOG, **TERMS, name: TERMS[name].replace(old, new)})
    refuse_term_edits(known, edited, issued_so_far(ledger), used_so_far(ledger), CUT_OFF)


def test_a_refund_names_a_credit_note_and_stays() -> None:
    refunds = "refunds:\n  - {document: CN-1, reason: paid out, by: ana, on: 2026-11-02}\n"
    known = catalog(refunds=refunds)
    with pytest.raises(PeriodClosed, match="'CN-1' is no credit note"):
        refuse_term_edits(known, known, {}, Used(), CUT_OFF)
    with pytest.raises(PeriodClosed, match="the refund of CN-1 is gone"):
        refuse_term_edits(known, catalog(), {}, Used(), CUT_OFF)
    assert problems(refunds=refunds + refunds.splitlines()[1] + "\n") == [("refunds.yaml:3", "duplicate")]
