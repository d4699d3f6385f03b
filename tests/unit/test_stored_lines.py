"""Lines come back from their table as they were, and the terms they were rated by are told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from billing_make import METERS, TIERS, charge, segment, terms, used

from orchestration.billing.rating import Line, rate
from orchestration.engine import load_rows
from orchestration.errors import Problem
from orchestration.ledger.rows import DocumentRow
from orchestration.money import CURRENCIES, Money
from orchestration.pipeline.document_tables import TABLES, add_documents, create_document_tables, load_bodies
from orchestration.pipeline.forecast import forecast, shares_of
from orchestration.pipeline.stored import LINE_FIELDS, line_of, line_row, money_of


def a_line(currency: str) -> Line:
    slices = used(("2026-10-02", Decimal("1500.000000001")))
    line = rate(terms(charge("graduated", tiers=TIERS)), segment(currency=currency), slices, METERS["calls"])
    odd = Money.of_minor(-1, currency)
    return replace(
        line,
        name='A "name", with ünïcode\nand a line',
        problems=(Problem("code", "what is wrong", "where"),),
        kind="usage",
        value="eu-west",
        trial=True,
        gross=line.amount,
        discount=Money.zero(currency),
        top_up=odd,
    )


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "CLF"])
def test_a_line_comes_back_from_its_table_with_every_field(currency: str, tmp_path: Path) -> None:
    line = a_line(currency)
    fee = rate(terms(charge("flat", amount="3")), segment(currency=currency))
    with duckdb.connect() as con:
        load_rows(con, "record.lines", LINE_FIELDS, map(line_row, (line, fee)), tmp_path)
        assert list(map(line_of, con.execute("FROM record.lines ORDER BY meter NULLS LAST").fetchall())) == [line, fee]


def test_an_amount_of_more_decimals_than_its_currency_has_is_no_money() -> None:
    with pytest.raises(ValueError, match=r"0\.0050 is no amount of EUR"):
        money_of(Decimal("0.0050"), "EUR")
    assert money_of(Decimal("-12.3400"), "EUR").text == "-12.34"
    assert {money_of(Decimal("7.0000"), code) for code in CURRENCIES} == {Money.of(7, code) for code in CURRENCIES}


def test_a_forecast_is_the_level_by_weekday_and_its_interval_widens_with_the_spread() -> None:
    even = [1.0] * 7
    days = {date(2026, 10, n): 10.0 for n in range(1, 15)}
    steady = forecast(days, date(2026, 10, 15), date(2026, 11, 1), even)
    assert steady is not None
    assert (steady.low, steady.middle, steady.high) == (170.0, 170.0, 170.0)
    wavy = {day: x + (-1) ** day.day for day, x in days.items()}
    restless = forecast(wavy, date(2026, 10, 15), date(2026, 11, 1), even)
    assert restless is not None
    assert restless.middle == pytest.approx(170.0)
    assert restless.low < 165 < 175 < restless.high
    assert forecast({date(2026, 10, 1): 5.0}, date(2026, 10, 2), date(2026, 11, 1), even) is None


def test_weekdays_are_learned_from_all_lines_alike() -> None:
    # Twice as much on Mondays, for one line of ones and one of millions.
    sizes = {"a": 1.0, "b": 1e6}
    rows = [(line, day, (2 if day == 0 else 1) * size, 1) for line, size in sizes.items() for day in range(7)]
    monday, *others = shares_of(rows)
    assert sum([monday, *others]) == pytest.approx(7)
    assert monday > 1.4 > 1 > max(others)


def test_documents_are_taken_apart_and_a_list_that_they_lack_is_empty(tmp_path: Path) -> None:
    line = {
        "position": "1", "kind": "usage", "subscription": "s", "customer": "c", "plan": "p", "charge": "calls",
        "name": "Calls", "meter": "calls", "currency": "EUR", "period_start": "2026-10-01", "period_end": "2026-11-01",
        "start": "2026-10-01", "end": "2026-11-01", "quantity": "1500.5", "unit": "call", "amount": "12.34",
        "formula": {"exact": "12.34"},
    }  # fmt: skip
    plain = {
        "kind": "invoice", "issue_date": "2026-11-05", "due_date": "2026-12-05", "cut_off": "2026-11-01",
        "lines": [line], "subtotal": "12.34", "tax": "0.00", "total": "12.34", "amount_due": "12.34",
    }  # fmt: skip
    full = plain | {
        "lines": [line | {"gross": "13.00", "discount": "0.66", "value": "eu", "tax_category": "reduced",
                          "correction": {"document": "T-1", "cause": "late usage"}}],
        "taxes": [{"category": "reduced", "name": "VAT", "percent": "7", "base": "10.00", "amount": "0.70"},
                  {"category": "standard", "name": "", "percent": "0", "base": "2", "amount": "0", "reason": "r"}],
        "coupons": [{"id": "welcome", "amount": "1.00"}], "promotional": [{"id": "gift", "amount": "0.34"}],
        "prepaid": [{"id": "wallet", "amount": "3.00"}], "credit_notes": [{"number": "T-9", "amount": "4.00"}],
        "coupon_total": "1.00", "promotional_total": "0.34", "tax": "0.70", "total": "11.70",
        "credit_note_total": "4.00", "prepaid_total": "3.00", "amount_due": "4.70",
    }  # fmt: skip

    def as_bytes(body: object) -> bytes:
        return json.dumps(body).encode()

    rows = [
        DocumentRow(f"T-{n}", "T", n, "invoice", "e", "c", "EUR", "2026-11-01", "2026-11-05", 1, as_bytes(body), "0")
        for n, body in ((1, plain), (2, full))
    ]
    with duckdb.connect() as con:
        create_document_tables(con)
        load_bodies(con, rows, tmp_path)
        add_documents(con)
        found = {name: con.execute(f"FROM record.{name} ORDER BY ALL").fetchall() for name in TABLES}
        sums = con.execute(
            "SELECT number, subtotal - coupon_total - promotional_total + tax = total, "
            "total - credit_note_total - prepaid_total = amount_due FROM record.issued_documents ORDER BY 1"
        ).fetchall()
        lines = con.execute(
            "SELECT number, quantity, gross, value, tax_category, corrects, cause, formula "
            "FROM record.issued_lines ORDER BY 1"
        ).fetchall()
    assert sums == [("T-1", True, True), ("T-2", True, True)]
    quantity, formula = Decimal("1500.5"), '{"exact":"12.34"}'
    assert [(*row[:-1], row[-1].replace(" ", "")) for row in lines] == [
        ("T-1", quantity, None, "", "standard", None, None, formula),
        ("T-2", quantity, Decimal(13), "eu", "reduced", "T-1", "late usage", formula),
    ]
    assert found["issued_taxes"] == [
        ("T-2", 1, "reduced", "VAT", Decimal(7), Decimal(10), Decimal("0.7"), None),
        ("T-2", 2, "standard", "", Decimal(0), Decimal(2), Decimal(0), "r"),
    ]
    assert found["issued_reductions"] == [
        ("T-2", "coupon", "welcome", Decimal(1)),
        ("T-2", "credit_note", "T-9", Decimal(4)),
        ("T-2", "prepaid", "wallet", Decimal(3)),
        ("T-2", "promotional", "gift", Decimal("0.34")),
    ]
