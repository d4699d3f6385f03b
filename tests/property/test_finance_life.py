"""Credits roll forward and revenue is tied to the documents at every cut-off day, over random lives of months with
coupons, credits that expire, notes that are paid out, advance fees, voids, corrections and locked books."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest
from finance_views import TESTS, create_views, found_by
from second_lives import Reviewed

from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.errors import CatalogInvalid, PeriodClosed
from orchestration.metering.control import charged_segments
from orchestration.pipeline.positions import position_rows
from orchestration.pipeline.pricing import price_build

STEPS = ("usage", "usage", "usage", "version", "end", "change", "move", "coupon", "credit", "adjustment", "refund",
         "void")  # fmt: skip
FAULTS = {
    "billed_days_sum_to_documents": [
        "UPDATE record.billed_lines SET amount = amount + 0.01, reduced = reduced; "
        "UPDATE record.document_days SET daily = '[0.01]' WHERE daily <> '[]'",
        "DELETE FROM record.billed_lines WHERE reduced > 0",
        "UPDATE record.document_days SET reduced = '[]'",
    ],
    "credits_roll_forward": [
        "UPDATE record.roll_forward SET closing = closing + 0.01 WHERE used > 0",
        "DELETE FROM record.roll_forward WHERE opening <> 0",
        "UPDATE record.issued_reductions SET amount = amount + 0.01 WHERE kind = 'prepaid'",
        "UPDATE record.grants SET amount = amount + 1",
        "UPDATE record.issued_documents SET total = total - 1 WHERE kind = 'credit_note' AND total < 0",
        "UPDATE record.roll_forward SET granted = -granted, closing = closing - 2 * granted",
    ],
    "revenue_positions_are_tied": [
        "UPDATE record.issued_documents SET total = total + 0.01",
        "UPDATE record.billed_lines SET issue_date = issue_date + 1",
        "UPDATE record.issued_documents SET issue_date = issue_date - 1",
        "DELETE FROM record.sellers",
    ],
}
"""Errors that each check has to find. Not each finds all of them: what is given is one of the tests' own."""


_locked: dict[tuple[str, date], Catalog] = {}


class Financed(Reviewed):
    """Credits may expire, notes are paid out, and accounting locks each month once the next one is closed."""

    locked: date | None = None

    def credit(self) -> None:
        row, number = self.dice.choice(self.phases), next(self.numbers)
        kind, amount = self.dice.choice(["promotional", "prepaid"]), f"{self.dice.randrange(90)}.01"
        day = self.today - timedelta(days=9)
        ends = f", expires: {day + timedelta(days=self.dice.randrange(20, 60))}" if self.dice.random() < 0.6 else ""
        self._add("credits", f"id: g{number}, customer: {row[1]}, kind: {kind}, amount: '{amount}', currency: USD, "
                  f"granted: {day}{ends}")  # fmt: skip

    def refund(self) -> None:
        notes = [row.number for row in self.ledger.documents() if row.kind == "credit_note"]
        if notes:
            row = f"document: {self.dice.choice(notes)}, by: b, on: {self.today}, reason: r"
            if not any(row.split(",")[0] in other for other in self.terms.get("refunds", [])):
                self._add("refunds", row)

    def catalog(self) -> Catalog:
        catalog = super().catalog()
        if self.locked is None:
            return catalog
        if (key := (catalog.digest, self.locked)) not in _locked:
            settings = f"{catalog.files['instance.yaml']}locked_through: {self.locked}\n"
            _locked[key] = parse_catalog({**catalog.files, "instance.yaml": settings})
        return _locked[key]

    def edit(self, name: str) -> None:
        kept = self.state
        getattr(self, name)()
        try:
            self.catalog()
        except CatalogInvalid:
            self.state = kept
        self.forget()


def priced(life: Financed) -> duckdb.DuckDBPyConnection:
    """The tables of a build from nothing, and the views over them."""
    con = duckdb.connect()
    catalog = life.catalog()
    life.fill(con, set(life.used))
    price_build(con, life.instance, catalog, life.ledger, charged_segments(catalog, life.now_us), life.now_us)
    create_views(con)
    return con


class Lived(NamedTuple):
    """What a life came to: how many cut-offs were looked at, what its checks found, and the tables at its end."""

    life: Financed
    con: duckdb.DuckDBPyConnection
    cut_offs: int
    faults: list[dict[str, int]]


def lived(home: Path, seed: int, months: int) -> Lived:
    life, faults = Financed(home, seed), []
    for name in ("coupon", "coupon", "credit", "credit", "credit"):
        life.edit(name)
    if seed % 2:
        life.tax()
    con = duckdb.connect()
    for _ in range(months):
        kept = life.state
        for _ in range(10):
            life.edit(life.dice.choice(STEPS))
        life.today = (life.today.replace(day=1) + timedelta(days=31)).replace(day=5)
        try:
            priced(life).close()
        except PeriodClosed:
            life.state = kept
            life.forget()
        life.close()
        con.close()
        con = priced(life)
        faults.append({name: rows for name in TESTS if (rows := found_by(con, name))})
        if seed % 2:
            life.locked = life.today.replace(day=1) - timedelta(days=1)
    return Lived(life, con, tied(life, con), faults)


Sums = dict[tuple[str, date], Decimal]


def net_by_date(life: Financed) -> Sums:
    """What documents say before tax, by seller and date of issue, from their own text."""
    found: Sums = defaultdict(Decimal)
    for row in life.ledger.documents():
        body = json.loads(row.body)
        net = Decimal(body["total"]) - Decimal(body["tax"])
        found[row.entity, date.fromisoformat(body["issue_date"])] += net
    return found


def tied(life: Financed, con: duckdb.DuckDBPyConnection) -> int:
    """Every cut-off day against sums made one by one; returns the number of them."""
    documents = net_by_date(life)
    parts = con.execute(
        "SELECT entity, booked_day, issue_date, sum(net) FROM (SELECT entity, booked_day, issue_date, net "
        "FROM marts.billed_daily UNION ALL SELECT entity, booked_day, NULL, unbilled FROM marts.unbilled_daily) "
        "GROUP BY ALL"
    ).fetchall()
    rows = con.execute(
        "SELECT entity, cut_off, sum(earned), sum(billed), sum(accrued), sum(deferred) FROM marts.revenue_positions "
        "GROUP BY entity, cut_off ORDER BY entity, cut_off"
    ).fetchall()
    for entity, cut_off, earned, billed, accrued, deferred in rows:
        assert billed == sum(net for (who, day), net in documents.items() if who == entity and day < cut_off)
        mine = [(day, issued, net) for who, day, issued, net in parts if who == entity]
        assert earned == sum(net for day, _, net in mine if day < cut_off)
        assert accrued == sum(net for day, at, net in mine if day < cut_off and (at is None or at >= cut_off))
        assert deferred == sum(net for day, at, net in mine if day >= cut_off and at is not None and at < cut_off)
        assert accrued - deferred == earned - billed
    for cut_off in (life.today, life.today.replace(day=1), life.today - timedelta(days=45)):
        said = {entity: (accrued, deferred) for entity, day, _, _, accrued, deferred in rows if day == cut_off}
        for by_day in (False, True):
            told: dict[str, list[Decimal]] = {entity: [Decimal(0), Decimal(0)] for entity in said}
            for row in position_rows(con, cut_off, by_day=by_day):
                told[row.entity][0] += row.accrued
                told[row.entity][1] += row.deferred
            assert {entity: tuple(sums) for entity, sums in told.items()} == said
    return len(rows)


@pytest.fixture(scope="module")
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    found = lived(tmp_path_factory.mktemp("life"), request.param, 3)
    yield found
    found.con.close()
    found.life.ledger.close()


HAPPENED = {
    "corrections": "SELECT count(*) FROM record.billed_lines WHERE kind = 'correction' AND amount <> 0",
    "reductions": "SELECT count(*) FROM record.billed_lines WHERE reduced <> 0",
    "moved by coupons and credits": "SELECT count(DISTINCT kind) > 2 FROM record.roll_forward WHERE used <> 0",
    "expired": "SELECT count(*) FROM record.roll_forward WHERE expired <> 0",
    "carried": "SELECT count(*) FROM record.roll_forward WHERE opening <> 0",
    "deferred": "SELECT count(*) FROM marts.revenue_positions WHERE deferred > 0",
    "accrued": "SELECT count(*) FROM marts.revenue_positions WHERE accrued > 0",
}


@pytest.mark.parametrize("life", [1, 2], indirect=True)
def test_credits_roll_forward_and_revenue_is_tied_to_documents_at_every_cut_off(life: Lived) -> None:
    assert life.faults == [{}] * 3
    assert life.cut_offs > 200
    happened = {what: life.con.execute(query).fetchall()[0][0] for what, query in HAPPENED.items()}
    assert all(happened.values()), happened


@pytest.mark.parametrize("life", [1], indirect=True)
@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name in TESTS for fault in FAULTS[name]])
def test_a_planted_error_is_found_by_the_check_that_is_there_for_it(life: Lived, name: str, fault: str) -> None:
    life.con.execute("BEGIN")
    life.con.execute(fault)
    found = found_by(life.con, name)
    life.con.execute("ROLLBACK")
    assert found > 0


@pytest.mark.parametrize("life", [1], indirect=True)
def test_what_corrects_locked_months_is_booked_in_the_first_open_one(life: Lived) -> None:
    rows = life.con.execute(
        "SELECT local_day, booked_day, locked_through FROM marts.billed_daily "
        "JOIN record.billed_lines USING (number, position, subscription, charge, value) "
        "WHERE billed_daily.kind IN ('correction', 'adjustment')"
    ).fetchall()
    assert rows
    for day, on, locked in rows:
        assert on == (day if locked is None or day > locked else locked + timedelta(days=1))
