"""Rating what changed equals rating everything: random lives of an instance, without an engine run for usage.

Each step changes usage (of closed periods too), the catalog or the clock, or closes a month. After it the tables of the
build that is carried along must be those of one that starts from nothing, and the drafts those of the plain way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rated_life import BEGIN, Life

from orchestration.closing.edits import last_close, refuse_edits
from orchestration.closing.issued import issued_so_far, last_issued, used_so_far
from orchestration.closing.rated import Quantity, rate_all
from orchestration.closing.statements import Agreements, all_due, drafted
from orchestration.closing.terms import refuse_term_edits
from orchestration.errors import CatalogInvalid, PeriodClosed
from orchestration.metering.control import charged_segments
from orchestration.pipeline import price
from orchestration.pipeline.issued import issued_heads, read_issued, read_used
from orchestration.pipeline.pricing import price_build
from orchestration.pipeline.rated import read_lines
from orchestration.zones import local_date

LIVES = int(os.environ.get("CAMPAIGN_LIVES", "2"))
_TABLES = ("rated_lines", "rated_groups", "billed_days", "draft_lines", "draft_documents", "issued_documents")
_ISSUED = ("issued_lines", "issued_taxes", "issued_reductions", "issued_totals", "issued_uses", "issued_through")
TABLES = (*_TABLES, *_ISSUED, "grants")
UNBALANCED = """
SELECT * FROM (FROM record.issued_totals WHERE subscription <> '') AS i FULL JOIN record.rated_lines AS l
    USING (subscription, charge, period_start, "start", "value")
LEFT JOIN record.billed_days AS b USING (subscription, charge, period_start, "start", "value")
WHERE coalesce(list_sum(CAST(l.daily AS DECIMAL(38, 4)[])), 0) <> coalesce(l.amount, 0)
    OR coalesce(list_sum(CAST(coalesce(b.daily, l.daily) AS DECIMAL(38, 4)[])), 0) <> i.amount
"""
"""Lines whose days sum to another amount, or to another than was issued for them."""


def priced(life: Life, con: duckdb.DuckDBPyConnection, touched: set[str]) -> dict[str, list[Any]] | None:
    """The tables after pricing; None where it is refused."""
    life.fill(con, touched)
    catalog = life.catalog()
    try:
        price_build(con, life.instance, catalog, life.ledger, charged_segments(catalog, life.now_us), life.now_us)
    except PeriodClosed:
        return None
    return {name: con.execute(f"FROM record.{name} ORDER BY ALL").fetchall() for name in TABLES}


def checked(life: Life) -> None:
    with duckdb.connect(life.copy()) as con, duckdb.connect() as other:
        carried = priced(life, con, life.touched)
        anew = priced(life, other, set(life.used))
        assert (anew is None) == is_refused(life)
        assert carried == anew
        if anew is not None:
            same_as_plain(life, con)
    if anew is None:
        # As a person would: the edit is taken back, and the published generation stays.
        life.refused += 1
    else:
        life.generation, life.touched = life.generation + 1, set()


def is_refused(life: Life) -> bool:
    last, catalog = last_close(life.ledger), life.catalog()
    if last is None:
        return False
    lines = list(rate_all(catalog, charged_segments(catalog, life.now_us), life.quantities()))
    try:
        issued = issued_so_far(life.ledger)
        refuse_edits(last.catalog, catalog, life.quantities(), lines, issued, last.cut_off, life.now_us)
        refuse_term_edits(last.catalog, catalog, issued, used_so_far(life.ledger), last.cut_off)
    except PeriodClosed:
        return True
    return False


def same_as_plain(life: Life, con: duckdb.DuckDBPyConnection) -> None:
    catalog = life.catalog()
    lines = list(rate_all(catalog, charged_segments(catalog, life.now_us), life.quantities()))
    assert sorted(read_lines(con), key=lambda line: line.key) == sorted(lines, key=lambda line: line.key)
    issued = issued_so_far(life.ledger)
    folded = read_issued(con)
    assert {key: before for key, (_, before) in folded.items()} == issued
    assert {key: (seq, before.line) for key, (seq, before) in folded.items()} == last_issued(life.ledger)
    used = used_so_far(life.ledger)
    assert vars(read_used(con)) == vars(used)
    assert con.execute(UNBALANCED).fetchall() == []
    today = {key: local_date(customer.zone, life.now_us) for key, customer in catalog.customers.items()}
    tomorrow = local_date("UTC", life.now_us) + timedelta(days=1)
    due = price.known_lines(all_due(catalog, lines, issued, date.max, day=tomorrow), today)
    groups = price.drafts(catalog, due, tomorrow)
    plain = [
        (
            *(one.entity, one.customer, one.currency, cut_off, one.corrects, len(one.lines)),
            *(one.subtotal.amount, one.total.amount),
            sum(d.line.amount.amount - d.amount.amount for d in one.lines if d.before is None),
        )
        for cut_off, statements in drafted(Agreements(catalog), groups, used).items()
        for one in statements
    ]
    assert con.execute("FROM record.draft_documents ORDER BY ALL").fetchall() == sorted(plain)
    assert {head.line["customer"] for head in issued_heads(life.instance, life.ledger).values()} == {
        before.line["customer"] for before in issued.values()
    }


@pytest.fixture
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    begun = Life(tmp_path / "home", request.param)
    yield begun
    begun.ledger.close()


ORDINARY = ("usage", "usage", "time", "time", "close", "close")
SOLD = ("version", "price", "end", "change", "customer", "beside", "move", "contract")
AGREED = ("coupon", "credit", "adjustment", "tax")
STEPS = (*ORDINARY, *ORDINARY, *SOLD, *AGREED)


def step(life: Life, name: str) -> None:
    """One step and its check. An edit that can't be, or that is refused, is taken back."""
    kept = life.state
    getattr(life, name)()
    try:
        life.catalog()
    except CatalogInvalid:
        life.state = kept
    life.forget()
    before = life.refused
    checked(life)
    if life.refused > before:
        life.state = kept
        checked(life)


@pytest.mark.parametrize("life", range(LIVES), indirect=True)
def test_rating_what_changed_gives_the_tables_and_drafts_of_rating_everything(life: Life) -> None:
    life.usage()
    checked(life)
    for _ in range(10):
        step(life, life.dice.choice(STEPS))


@pytest.mark.parametrize("life", [3], indirect=True)
def test_late_usage_of_billed_months_gives_coupons_credits_and_taxes_back_as_from_nothing(life: Life) -> None:
    life.tax()
    for _ in range(3):
        life.coupon()
        life.credit()
    for month in (8, 9, 10):
        life.today = date(2026, month + 1, 6)
        for _ in range(5):
            life.usage()
        checked(life)
        life.close()
        checked(life)
    corrected = ask(life, "SELECT count(*) FROM record.issued_lines WHERE kind = 'correction'")
    coupons = "SELECT count(*) FROM record.issued_totals WHERE json_array_length(standing->'$.uses') > 0"
    assert corrected > [(5,)] and ask(life, f"{coupons} AND seq > 1") > [(5,)]


@pytest.mark.parametrize("life", [5], indirect=True)
def test_a_price_of_a_month_that_has_ended_and_is_not_billed_is_rated_again(life: Life) -> None:
    for _ in range(3):
        life.usage()
    life.today = date(2026, 9, 6)
    checked(life)
    life.prices |= {"calls": "0.12", "tokens": 5, "cap": 70}
    checked(life)
    life.moves.append(("c0", BEGIN))
    checked(life)


def ask(life: Life, query: str) -> list[Any]:
    with duckdb.connect(str(life.home / f"{life.generation}.duckdb")) as con:
        return con.execute(query).fetchall()


@pytest.mark.parametrize("life", [7], indirect=True)
def test_usage_that_comes_late_for_a_line_issued_at_nothing_is_unbilled_on_its_days(life: Life) -> None:
    late, corrections = f"s0/tokens/{BEGIN + timedelta(days=4)}", "FROM record.draft_lines WHERE kind = 'correction'"
    checked(life)
    life.today = date(2026, 9, 6)
    life.close()
    checked(life)
    life.used[late] = {(date(2026, 8, 10), 0): Quantity(date(2026, 8, 10), Decimal(7000))}
    life.touched.add(late)
    checked(life)
    found = ask(life, f"SELECT subscription, charge, amount {corrections}")
    assert found == [("s0", "tokens", Decimal("3.00"))]
    query = "SELECT daily FROM record.billed_days WHERE subscription || '/' || charge || '/' || start = "
    assert ask(life, f"{query} '{late}'") == [("[]",)]
    life.close()
    checked(life)
    assert ask(life, f"SELECT count(*) {corrections}") == [(1,)]
    life.today = date(2026, 10, 5)
    life.close()
    checked(life)
    assert ask(life, f"SELECT count(*) {corrections}") == [(0,)]
    assert ask(life, "SELECT count(*) FROM record.billed_days") == [(0,)]
