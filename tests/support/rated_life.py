"""An instance that lives at random: its usage is a dictionary, its catalog has all that plans and terms can say.

What a build would measure is written into its tables straight away, so a step costs no engine run for usage.
"""

from __future__ import annotations

import random
import shutil
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.closing.close import Knowledge, due_groups, issue
from orchestration.closing.edits import last_close
from orchestration.closing.rated import Quantities, Quantity, rate_all
from orchestration.engine import load_rows
from orchestration.ledger.store import Ledger
from orchestration.metering.control import ChargedSegment, charged_segments
from orchestration.pipeline.instance import Instance
from orchestration.zones import DAY_US

ZONES = ("Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles")
PLAN = """
key: {key}
name: Plan
currency: USD
interval: {interval}
trial_days: {trial}
versions:
  - effective: 2026-01-01
    charges:
{charges}
{bounds}
{more}
"""
CHARGES = """
      - {{key: fee, name: Fee, model: flat, amount: "31.00", due: advance}}
      - {{key: base, name: Base, model: flat, amount: "10.00", discount_percent: "12.5"}}
      - {{key: calls, name: Calls, model: graduated, meter: calls, included: "20.5", minimum: "3",
         tiers: [{{up_to: "100", price: "{calls}"}}, {{up_to: "200", price: "0.07", flat_fee: "1"}},
                 {{price: "0.05"}}]}}
      - {{key: tokens, name: Tokens, model: per_unit, meter: tokens, price: "0.00{tokens}",
         convert: {{divide_by: "7", unit: seven, rounding: half_even, decimals: 1}}}}
      - {{key: load, name: Load, model: per_unit, meter: load, price: "3"}}
      - {{key: cells, name: Cells, model: matrix, meter: sales, default: "0.003", maximum: "4.01",
         cells: [{{match: {{shop: x}}, price: "0.01"}}, {{match: {{shop: y}}, price: "0.{cells}"}}]}}
      - {{key: paid, name: Paid, model: percentage, meter: sales, rate: "0.0{paid}", fixed: "0.3",
         min_per_event: "0.31"}}
      - {{key: shops, name: Shops, model: volume, meter: calls, line_per: shop,
         tiers: [{{up_to: "50", price: "0.013"}}, {{price: "0.011"}}]}}
{more}
"""
MONTHLY = '      - {key: monthly, name: Monthly, model: flat, amount: "2.35", interval: month}\n'
BOUNDS = {
    "usual": "",
    "capped": '    cap: "{cap}"',
    "bound": '    commitment: {{amount: "{cap}0", interval: year}}\n    cap: "195"',
}
MEASURED = {
    "line_id": "VARCHAR",
    "local_day": "DATE",
    "quantity": "DECIMAL(38, 9)",
    "window_us": "BIGINT",
    "windows": "BIGINT",
    "rank": "BIGINT",
    "value": "VARCHAR",
    "cell": "VARCHAR",
    "hour_us": "BIGINT",
    "events": "BIGINT",
    "part": "VARCHAR",
}
PARTS: dict[str, list[dict[str, Any]]] = {
    "cells": [{"cell": '{"shop":"x"}'}, {"cell": '{"shop":"y"}'}, {"cell": '{"shop":"z"}'}],
    "paid": [{"part": "at_min", "events": 2}, {"part": "units", "events": 3}, {"part": "unmeasured", "events": 1}],
    "shops": [{"value": "x"}, {"value": "y"}, {"value": ""}],
}
"""By charge the parts into which the usage of a day may go."""
BEGIN = date(2026, 8, 1)
_EPOCH = date(1970, 1, 1)
_known: dict[str, Catalog] = {}


def _parsed(texts: dict[str, str]) -> Catalog:
    if (name := repr(texts)) not in _known:
        _known[name] = parse_catalog(texts)
    return _known[name]


class Life:
    """`terms` are rows of files that may be absent, by name; `used` what was measured by line, day and part."""

    def __init__(self, home: Path, seed: int) -> None:
        self.dice, self.home = random.Random(seed), home
        self.instance = Instance(home)
        self.ledger = Ledger.open(home)
        self.today = BEGIN + timedelta(days=12)
        self.used: dict[str, dict[tuple[date, int], Quantity]] = {}
        self.touched: set[str] = set()
        self.numbers = count(1)
        self.prices = {"calls": "0.10", "tokens": 3, "cells": 20, "paid": 29, "cap": 60}
        self.versions: list[date] = []
        plans = ("usual", "capped", "bound")
        self.phases: list[list[Any]] = [[f"s{n}", f"c{n}", plans[n], BEGIN, None] for n in range(3)]
        self.moves: list[tuple[str, date]] = []
        self.terms: dict[str, list[str]] = {}
        self.generation = 0
        self.refused = 0
        self.said = False

    @property
    def now_us(self) -> int:
        return (self.today - _EPOCH).days * DAY_US + self.today.day * 3_600_000_000 // 2

    @property
    def state(self) -> tuple[Any, ...]:
        """What steps change of the catalog."""
        terms = {name: list(rows) for name, rows in self.terms.items()}
        return [list(row) for row in self.phases], dict(self.prices), list(self.versions), list(self.moves), terms

    @state.setter
    def state(self, was: tuple[Any, ...]) -> None:
        self.phases, self.prices, self.versions, self.moves, self.terms = was

    def catalog(self) -> Catalog:
        customers = sorted({row[1] for row in self.phases})
        head = "customer,name,address,country,zone,entity,terms_days,valid_from\n"
        rows = [f"{key},{key},1 Road,DE,{ZONES[int(key[1:]) % 3]},{_seller(key)},30,\n" for key in customers]
        rows += [f"{key},{key},2 Road,DE,{ZONES[int(key[1:]) % 3]},third,30,{day}\n" for key, day in self.moves]
        subscriptions = "".join(
            f"{name},{customer},{plan},{start},{end or ''}\n" for name, customer, plan, start, end in self.phases
        )
        entities = ", ".join(
            f'{{key: {key}, name: S, address: "1 Quay", series: {key[0].upper()}, rounding: {rounding}, '
            f"zero_invoices: {zero}}}"
            for key, rounding, zero in (
                ("seller", "half_away", "issue"),
                ("other", "half_even", "skip"),
                ("third", "half_even", "issue"),
            )
        )
        return _parsed(
            {
                "instance.yaml": f"entities: [{entities}]\n",
                "meters.yaml": "meters:\n  - {key: calls, name: Calls, event_type: c, aggregation: count, "
                "dimensions: [shop]}\n"
                "  - {key: tokens, name: Tokens, event_type: c, aggregation: sum, value: bytes}\n"
                "  - {key: sales, name: Sales, event_type: c, aggregation: sum, value: bytes, dimensions: [shop]}\n"
                "  - {key: load, name: Load, event_type: c, aggregation: weighted_sum, value: bytes}\n",
                "sources.yaml": "sources:\n  - {name: logs, path: '*.jsonl', format: cloudevents, "
                "properties: {shop: data.shop, bytes: data.bytes}}\n",
                **{f"plans/{key}.yaml": self._plan(key) for key in BOUNDS},
                "customers.csv": head + "".join(rows),
                "credentials.csv": "credential,customer\n",
                "subscriptions.csv": "subscription,customer,plan,start,end\n" + subscriptions,
                **{
                    f"{name}.yaml": f"{'rates' if name == 'taxes' else name}:\n" + "".join(rows)
                    for name, rows in self.terms.items()
                },
            }
        )

    def _plan(self, key: str) -> str:
        now = {name: price for name, price in self.prices.items() if name != "cap"}
        charges = CHARGES.format(**now, more=MONTHLY if key == "bound" else "")
        later = CHARGES.format(calls="0.11", tokens=4, cells=21, paid=31, more=MONTHLY if key == "bound" else "")
        bounds = BOUNDS[key].format(cap=self.prices["cap"])
        versions = "".join(f"  - effective: {day}\n    charges:\n{later}\n{bounds}\n" for day in sorted(self.versions))
        interval = "quarter" if key == "bound" else "month"
        return PLAN.format(
            key=key, interval=interval, trial=4 if key == "usual" else 0, charges=charges, bounds=bounds, more=versions
        )

    def quantities(self) -> Quantities:
        return {
            line: [rows[place] for place in sorted(rows, key=lambda p: _order(rows[p]))]
            for line, rows in sorted(self.used.items())
            if rows
        }

    # -- what may happen ------------------------------------------------------------------------------------------

    def usage(self) -> None:
        lines = [i for i in charged_segments(self.catalog(), self.now_us) if i.terms.charge.meter is not None]
        for item in self.dice.sample(lines, min(len(lines), self.dice.randrange(1, 9))):
            self._use(item)

    def _use(self, item: ChargedSegment) -> None:
        day = item.segment.start + timedelta(days=self.dice.randrange(item.segment.days))
        rows = self.used.setdefault(item.line_id, {})
        parts = PARTS.get(item.terms.charge.key, [{}])
        place = self.dice.randrange(len(parts))
        whole = item.divisor != 1
        most = 10**13 if whole else 120 * 10**9
        quantity = Decimal(self.dice.randrange(most)).scaleb(0 if whole else -9)
        rows[day, place] = Quantity(day, quantity)._replace(**parts[place])
        if self.dice.random() < 0.2:
            del rows[day, place]
        self.touched.add(item.line_id)

    def time(self) -> None:
        self.today += timedelta(days=self.dice.choice([1, 1, 2, 20]))

    def version(self) -> None:
        day = self.today + timedelta(days=self.dice.randrange(-3, 20))
        self.versions = sorted({*self.versions, day})

    def price(self) -> None:
        """Refused, once a line that it prices is closed."""
        name = self.dice.choice(sorted(self.prices))
        self.prices[name] = {"calls": "0.12", "tokens": 5, "cells": 23, "paid": 32, "cap": 70}[name]

    def end(self) -> None:
        row = self._last_phase()
        row[4] = None if row[4] is not None else max(self.today - timedelta(days=2), row[3] + timedelta(days=1))

    def change(self) -> None:
        row = self._last_phase()
        if row[4] is None and self.today > row[3]:
            row[4] = self.today
            after = self.today + timedelta(days=self.dice.choice([0, 0, 9]))
            plan = self.dice.choice([key for key in BOUNDS if key != row[2]])
            self.phases.append([row[0], row[1], plan, after, None])

    def _last_phase(self) -> list[Any]:
        of = self.dice.choice(self.phases)[0]
        return max((row for row in self.phases if row[0] == of), key=lambda row: row[3])

    def customer(self) -> None:
        number = len({row[1] for row in self.phases})
        plan = self.dice.choice(list(BOUNDS))
        self.phases.append([f"s{number}", f"c{number}", plan, self.today - timedelta(days=5), None])

    def beside(self) -> None:
        """Another subscription of a customer, so that its documents show both; meters are priced once."""
        row = self.dice.choice(self.phases)
        row[4] = row[4] or max(self.today, row[3] + timedelta(days=1))
        later = max(phase[4] or date.max for phase in self.phases if phase[1] == row[1])
        if later < date.max:
            number = next(self.numbers)
            self.phases.append([f"{row[0]}-{number}", row[1], self.dice.choice(list(BOUNDS)), later, None])

    def move(self) -> None:
        customer = self.dice.choice(self.phases)[1]
        if customer not in dict(self.moves):
            self.moves.append((customer, self.today + timedelta(days=self.dice.randrange(-9, 9))))

    def contract(self) -> None:
        row, number = self.dice.choice(self.phases), next(self.numbers)
        priced = self.dice.choice(['charge: tokens, price: "0.002"', 'charge: base, amount: "9.99"'])
        day = self.today + timedelta(days=self.dice.randrange(-9, 9))
        self._add("overrides", f"customer: {row[1]}, plan: {row[2]}, {priced}, start: {day}, "
                  f"end: {day + timedelta(days=20)}, contract: K{number}")  # fmt: skip

    def coupon(self) -> None:
        row, number = self.dice.choice(self.phases), next(self.numbers)
        what = self.dice.choice(['percent: "12.5", lasts: forever', 'percent: "10", lasts: 2',
                                 'amount: "7.77", currency: USD', 'percent: "50"'])  # fmt: skip
        day = self.today - timedelta(days=self.dice.randrange(20))
        self._add("coupons", f"id: k{number}, customer: {row[1]}, issued: {day}, {what}")

    def credit(self) -> None:
        row, number = self.dice.choice(self.phases), next(self.numbers)
        kind = self.dice.choice(["promotional", "prepaid"])
        day, amount = self.today - timedelta(days=9), f'"{self.dice.randrange(90)}.01", currency: USD'
        self._add("credits", f"id: g{number}, customer: {row[1]}, kind: {kind}, amount: {amount}, granted: {day}")

    def adjustment(self) -> None:
        row, number = self.dice.choice(self.phases), next(self.numbers)
        day = self.today - timedelta(days=self.dice.randrange(30))
        amount = f'"{self.dice.randrange(-50, 20)}.05", currency: USD, reason: r, by: b, on: {day}'
        self._add("adjustments", f"id: a{number}, customer: {row[1]}, day: {day}, amount: {amount}")

    def tax(self) -> None:
        """From the beginning, or not at all: a tax that begins later would be one of billed days."""
        if not self.said and self.closes is None:
            self._add("taxes", 'category: standard, name: VAT, percent: "19"')
            self._add("taxes", 'category: standard, name: Levy, percent: "0.7", entity: other')
        self.said = True

    def _add(self, name: str, row: str) -> None:
        self.terms.setdefault(name, []).append(f"  - {{{row}}}\n")

    def close(self) -> None:
        catalog = self.catalog()
        cut_off = self.today.replace(day=1)
        lines = rate_all(catalog, charged_segments(catalog, self.now_us), self.quantities())
        if not self.closes or cut_off >= self.closes:
            groups = due_groups(catalog, self.ledger, lines, cut_off)
            issue(catalog, self.ledger, groups, cut_off, {}, Knowledge(self.now_us, 0, "code"))

    @property
    def closes(self) -> date | None:
        last = last_close(self.ledger)
        return None if last is None else last.cut_off

    def forget(self) -> None:
        """Usage of days that a segment no longer has is measured for none."""
        segments = {i.line_id: i.segment for i in charged_segments(self.catalog(), self.now_us)}
        for line, rows in self.used.items():
            kept = {p: q for p, q in rows.items() if line in segments and p[0] < segments[line].end}
            if kept != rows:
                self.used[line] = kept
                self.touched.add(line)

    # -- a build --------------------------------------------------------------------------------------------------

    def fill(self, con: duckdb.DuckDBPyConnection, touched: set[str]) -> None:
        """What a build measured."""
        rows = [
            {"line_id": line, "local_day": row.day.isoformat(), **row._asdict(), "quantity": f"{row.quantity:f}"}
            for line, days in self.quantities().items()
            for row in days
        ]
        load_rows(con, "marts.charge_quantities", MEASURED, rows, self.instance.scratch)
        lines = [{"line_id": line} for line in sorted(touched)]
        load_rows(con, "control.touched_lines", {"line_id": "VARCHAR"}, lines, self.instance.scratch)

    def copy(self) -> str:
        """The database of the next generation, which begins as that of the last."""
        old, new = (self.home / f"{number}.duckdb" for number in (self.generation, self.generation + 1))
        new.unlink(missing_ok=True)
        if old.exists():
            shutil.copyfile(old, new)
        return str(new)


def _seller(customer: str) -> str:
    return ("seller", "other")[int(customer[1:]) % 2]


def _order(row: Quantity) -> tuple[Any, ...]:
    return row.day, row.value, row.cell, row.part, row.quantity
