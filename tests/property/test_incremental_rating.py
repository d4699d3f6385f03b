"""Rating what changed equals rating everything: random lives of an instance, without an engine run for usage.

Each step changes usage (of closed periods too), the catalog or the clock, or closes a month. After it the tables of the
build that is carried along must be those of one that starts from nothing, and the drafts those of the plain way.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.closing.close import Knowledge, due_groups, issue
from orchestration.closing.edits import last_close, refuse_edits
from orchestration.closing.issued import issued_so_far, last_issued
from orchestration.closing.rated import Quantities, Quantity, rate_all
from orchestration.engine import load_rows
from orchestration.errors import PeriodClosed
from orchestration.ledger.store import Ledger
from orchestration.metering.control import ChargedSegment, charged_segments
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.issued import issued_heads, read_issued
from orchestration.pipeline.price import drafts_of
from orchestration.pipeline.pricing import price_build
from orchestration.pipeline.rated import read_lines
from orchestration.zones import DAY_US, local_date

ZONES = ("Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles")
PLAN = """
key: usual
name: Usual
currency: {currency}
versions:
  - effective: 2026-01-01
    charges:
      - {{key: fee, name: Fee, model: flat, amount: "31.00", due: advance}}
      - {{key: base, name: Base, model: flat, amount: "10.00"}}
      - {{key: calls, name: Calls, model: graduated, meter: calls,
         tiers: [{{up_to: "100", price: "0.10"}}, {{up_to: "200", price: "0.07", flat_fee: "1"}}, {{price: "0.05"}}]}}
      - {{key: tokens, name: Tokens, model: per_unit, meter: tokens, price: "0.00{tokens}"}}
      - {{key: load, name: Load, model: per_unit, meter: load, price: "3"}}
{more}
"""
LATER = """
  - effective: {day}
    charges:
      - {{key: fee, name: Fee, model: flat, amount: "31.00", due: advance}}
      - {{key: base, name: Base, model: flat, amount: "10.00"}}
      - {{key: calls, name: Calls, model: graduated, meter: calls,
         tiers: [{{up_to: "100", price: "0.11"}}, {{up_to: "200", price: "0.08", flat_fee: "1"}}, {{price: "0.06"}}]}}
      - {{key: tokens, name: Tokens, model: per_unit, meter: tokens, price: "0.004"}}
      - {{key: load, name: Load, model: per_unit, meter: load, price: "4"}}
"""
BEGIN = date(2026, 8, 1)
MEASURED = {
    "line_id": "VARCHAR",
    "local_day": "DATE",
    "quantity": "DECIMAL(38, 9)",
    "window_us": "BIGINT",
    "windows": "BIGINT",
    "rank": "BIGINT",
}
_EPOCH = date(1970, 1, 1)
_TABLES = ("rated_lines", "rated_groups", "billed_days", "draft_lines", "draft_documents", "issued_documents")
TABLES = (*_TABLES, "issued_lines", "issued_taxes", "issued_reductions", "issued_totals", "issued_through", "grants")


UNBALANCED = """
SELECT * FROM record.issued_totals AS i FULL JOIN record.rated_lines AS l
    USING (subscription, charge, period_start, "start", "value")
LEFT JOIN record.billed_days AS b USING (subscription, charge, period_start, "start", "value")
WHERE coalesce(list_sum(CAST(l.daily AS DECIMAL(38, 4)[])), 0) <> coalesce(l.amount, 0)
    OR coalesce(list_sum(CAST(coalesce(b.daily, l.daily) AS DECIMAL(38, 4)[])), 0) <> i.amount
"""
"""Lines whose days sum to another amount, or to another than was issued for them."""


_known: dict[str, Catalog] = {}


def _parsed(texts: dict[str, str]) -> Catalog:
    if (name := repr(texts)) not in _known:
        _known[name] = parse_catalog(texts)
    return _known[name]


class Life:
    """An instance whose usage is a dictionary: line, day, quantity."""

    def __init__(self, home: Path, seed: int) -> None:
        self.dice, self.home = random.Random(seed), home
        self.instance = Instance(home)
        self.ledger = Ledger.open(home)
        self.today = BEGIN + timedelta(days=12)
        self.used: dict[str, dict[date, Decimal]] = {}
        self.touched: set[str] = set()
        self.tokens, self.versions, self.retired = 3, [], False
        self.phases = [[f"s{n}", f"c{n}", "usual", BEGIN, None] for n in range(3)]
        self.generation = 0
        self.refused = 0

    @property
    def now_us(self) -> int:
        return (self.today - _EPOCH).days * DAY_US + self.today.day * 3_600_000_000 // 2

    def catalog(self) -> Catalog:
        customers = sorted({row[1] for row in self.phases})
        rows = "".join(
            f"{name},{customer},{plan},{start},{end or ''}\n" for name, customer, plan, start, end in self.phases
        )
        more = "".join(LATER.format(day=day) for day in sorted(self.versions))
        return _parsed(
            {
                "instance.yaml": 'entities: [{key: seller, name: Seller, address: "1 Quay", series: T}]\n',
                "meters.yaml": "meters:\n  - {key: calls, name: Calls, event_type: c, aggregation: count}\n"
                "  - {key: tokens, name: Tokens, event_type: c, aggregation: sum, value: bytes}\n"
                "  - {key: load, name: Load, event_type: c, aggregation: weighted_sum, value: bytes}\n",
                "sources.yaml": "sources:\n  - {name: logs, path: '*.log', format: combined, event_type: c}\n",
                "plans/usual.yaml": PLAN.format(currency="USD", tokens=self.tokens, more=more),
                "plans/other.yaml": PLAN.replace("usual", "other").format(currency="USD", tokens=7, more=""),
                "customers.csv": "customer,name,address,country,zone,entity,terms_days\n"
                + "".join(f"{key},{key},1 Road,DE,{ZONES[int(key[1:]) % 3]},seller,30\n" for key in customers),
                "credentials.csv": "credential,customer\n",
                "subscriptions.csv": "subscription,customer,plan,start,end\n" + rows,
            }
        )

    def quantities(self) -> Quantities:
        return {
            line: [Quantity(day, days[day]) for day in sorted(days)] for line, days in sorted(self.used.items()) if days
        }

    # -- what may happen ------------------------------------------------------------------------------------------

    def usage(self) -> None:
        lines = [i for i in charged_segments(self.catalog(), self.now_us) if i.terms.charge.meter is not None]
        for item in self.dice.sample(lines, min(len(lines), self.dice.randrange(1, 6))):
            self._use(item)

    def _use(self, item: ChargedSegment) -> None:
        day = item.segment.start + timedelta(days=self.dice.randrange(item.segment.days))
        days = self.used.setdefault(item.line_id, {})
        whole = item.divisor != 1
        days[day] = Decimal(self.dice.randrange(10**13 if whole else 120 * 10**9)).scaleb(0 if whole else -9)
        if self.dice.random() < 0.2:
            del days[day]
        self.touched.add(item.line_id)

    def time(self) -> None:
        self.today += timedelta(days=self.dice.choice([1, 1, 2, 20]))

    def version(self) -> None:
        day = self.today + timedelta(days=self.dice.randrange(-3, 20))
        self.versions = sorted({*self.versions, day})

    def price(self) -> None:
        """Refused, once a line that it prices is closed."""
        self.tokens = self.dice.choice([3, 5])

    def end(self) -> None:
        row = self._last_phase()
        row[4] = None if row[4] is not None else max(self.today - timedelta(days=2), row[3] + timedelta(days=1))
        self._forget()

    def change(self) -> None:
        row = self._last_phase()
        if row[4] is None and self.today > row[3]:
            row[4] = self.today
            self.phases.append([row[0], row[1], "other" if row[2] == "usual" else "usual", self.today, None])
            self._forget()

    def _last_phase(self) -> list[Any]:
        of = self.dice.choice(self.phases)[0]
        return max((row for row in self.phases if row[0] == of), key=lambda row: row[3])

    def customer(self) -> None:
        number = len({row[1] for row in self.phases})
        self.phases.append([f"s{number}", f"c{number}", "usual", self.today - timedelta(days=5), None])

    def close(self) -> None:
        catalog = self.catalog()
        cut_off = self.today.replace(day=1)
        charged = charged_segments(catalog, self.now_us)
        lines = rate_all(catalog, charged, self.quantities())
        if not self.closes or cut_off >= self.closes:
            issue(
                catalog,
                self.ledger,
                due_groups(catalog, self.ledger, lines, cut_off),
                cut_off,
                {},
                Knowledge(self.now_us, 0, "code"),
            )

    @property
    def closes(self) -> date | None:
        last = last_close(self.ledger)
        return None if last is None else last.cut_off

    def _forget(self) -> None:
        """Usage of days that a segment no longer has is measured for none."""
        segments = {i.line_id: i.segment for i in charged_segments(self.catalog(), self.now_us)}
        for line, days in self.used.items():
            kept = {d: q for d, q in days.items() if line in segments and d < segments[line].end}
            if kept != days:
                self.used[line] = kept
                self.touched.add(line)

    # -- the two ways ---------------------------------------------------------------------------------------------

    def fill(self, con: duckdb.DuckDBPyConnection, touched: set[str]) -> None:
        """What a build measured."""
        rows = [
            {"line_id": line, "local_day": row.day.isoformat(), "quantity": f"{row.quantity:f}", "windows": 1}
            for line, days in self.quantities().items()
            for row in days
        ]
        load_rows(con, "marts.charge_quantities", MEASURED, rows, self.instance.scratch)
        lines = [{"line_id": line} for line in sorted(touched)]
        load_rows(con, "control.touched_lines", {"line_id": "VARCHAR"}, lines, self.instance.scratch)

    def priced(self, con: duckdb.DuckDBPyConnection, touched: set[str]) -> dict[str, list[Any]] | None:
        """The tables after pricing; None where it is refused."""
        self.fill(con, touched)
        catalog = self.catalog()
        charged = charged_segments(catalog, self.now_us)
        try:
            price_build(con, self.instance, catalog, self.ledger, charged, self.now_us)
        except PeriodClosed:
            return None
        return {name: con.execute(f"FROM record.{name} ORDER BY ALL").fetchall() for name in TABLES}

    def checked(self) -> None:
        with duckdb.connect(self._copy()) as con, duckdb.connect() as other:
            carried = self.priced(con, self.touched)
            anew = self.priced(other, set(self.used))
            assert carried == anew
            assert (anew is None) == self.is_refused()
            if anew is not None:
                self._same_as_plain(con)
        if anew is None:
            # As a person would: the edit is taken back, and the published generation stays.
            self.refused += 1
        else:
            self.generation, self.touched = self.generation + 1, set()

    def _copy(self) -> str:
        """The database of the next generation, which begins as that of the last."""
        old, new = (self.home / f"{number}.duckdb" for number in (self.generation, self.generation + 1))
        new.unlink(missing_ok=True)
        if old.exists():
            shutil.copyfile(old, new)
        return str(new)

    def is_refused(self) -> bool:
        last, catalog = last_close(self.ledger), self.catalog()
        if last is None:
            return False
        lines = list(rate_all(catalog, charged_segments(catalog, self.now_us), self.quantities()))
        try:
            issued = issued_so_far(self.ledger)
            refuse_edits(last.catalog, catalog, self.quantities(), lines, issued, last.cut_off, self.now_us)
        except PeriodClosed:
            return True
        return False

    def _same_as_plain(self, con: duckdb.DuckDBPyConnection) -> None:
        catalog = self.catalog()
        lines = list(rate_all(catalog, charged_segments(catalog, self.now_us), self.quantities()))
        assert sorted(read_lines(con), key=lambda line: line.key) == sorted(lines, key=lambda line: line.key)
        issued = issued_so_far(self.ledger)
        folded = read_issued(con)
        assert {key: before for key, (_, before) in folded.items()} == issued
        assert {key: (seq, before.line) for key, (seq, before) in folded.items()} == last_issued(self.ledger)
        assert con.execute(UNBALANCED).fetchall() == []
        today = {key: local_date(customer.zone, self.now_us) for key, customer in catalog.customers.items()}
        tomorrow = local_date("UTC", self.now_us) + timedelta(days=1)
        plain = [
            (
                group.entity,
                group.customer,
                group.currency,
                cut_off,
                len(group.lines),
                group.total.amount,
                expected.amount,
            )
            for cut_off, group, expected in drafts_of(catalog, lines, issued, today, tomorrow)
        ]
        assert con.execute("FROM record.draft_documents ORDER BY ALL").fetchall() == sorted(plain)
        assert {head.line["customer"] for head in issued_heads(self.instance, self.ledger).values()} == {
            before.line["customer"] for before in issued.values()
        }


@pytest.fixture
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    begun = Life(tmp_path / "home", request.param)
    yield begun
    begun.ledger.close()


STEPS = ("usage", "usage", "usage", "time", "time", "close", "version", "price", "end", "change", "customer")


@pytest.mark.parametrize("life", range(3), indirect=True)
def test_rating_what_changed_gives_the_tables_and_drafts_of_rating_everything(life: Life) -> None:
    life.usage()
    life.checked()
    for _ in range(12):
        kept = [list(row) for row in life.phases], life.tokens, list(life.versions)
        step = life.dice.choice(STEPS)
        getattr(life, step)()
        before = life.refused
        life.checked()
        if life.refused > before:
            life.phases, life.tokens, life.versions = kept
            life.checked()


@pytest.mark.parametrize("life", [7], indirect=True)
def test_usage_that_comes_late_for_a_line_issued_at_nothing_is_unbilled_on_its_days(life: Life) -> None:
    life.checked()
    life.today = date(2026, 9, 6)
    life.close()
    life.checked()
    late = next(i for i in charged_segments(life.catalog(), life.now_us) if i.line_id == f"s0/calls/{BEGIN}")
    life.used[late.line_id] = {date(2026, 8, 10): Decimal(150)}
    life.touched.add(late.line_id)
    life.checked()
    with duckdb.connect(str(life.home / f"{life.generation}.duckdb")) as con:
        query = "SELECT subscription, charge, amount, kind FROM record.draft_lines WHERE kind = 'correction'"
        assert con.execute(query).fetchall() == [("s0", "calls", Decimal("14.5"), "correction")]
        query = "SELECT daily FROM record.billed_days WHERE subscription = 's0' AND charge = 'calls'"
        assert con.execute(query).fetchall() == [("[]",)]
    life.close()
    life.checked()
    with duckdb.connect(str(life.home / f"{life.generation}.duckdb")) as con:
        assert con.execute("SELECT count(*) FROM record.draft_lines WHERE kind = 'correction'").fetchall() == [(1,)]
    life.today = date(2026, 10, 5)
    life.close()
    life.checked()
    with duckdb.connect(str(life.home / f"{life.generation}.duckdb")) as con:
        assert con.execute("SELECT count(*) FROM record.draft_lines WHERE kind = 'correction'").fetchall() == [(0,)]
        assert con.execute("SELECT count(*) FROM record.billed_days").fetchall() == [(0,)]
