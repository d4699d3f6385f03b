"""What each event pays, by the macro that the warehouse sums it with and by hand: random lists, and worked examples."""

from __future__ import annotations

import itertools
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import jinja2
import pytest
from event_parts import Terms, amount, parts

from orchestration.settings import REPOSITORY

MACROS = REPOSITORY / "dbt_project" / "macros"
FIRST = date(2026, 10, 1)
LINES = 400


class _Dispatch:
    """What dbt gives to macros, as far as these ask for it."""

    def __init__(self) -> None:
        self.module: Any = None

    def dispatch(self, name: str, _: str) -> Any:
        return getattr(self.module, f"duckdb__{name}")


class _Dbt:
    @staticmethod
    def listagg(measure: str, delimiter: str, order: str) -> str:
        return f"listagg({measure}, {delimiter} {order})"


def macro(name: str, *arguments: str) -> str:
    """The SQL of one macro of the project."""
    adapter = _Dispatch()
    made = jinja2.Environment(extensions=["jinja2.ext.do"])
    made.globals.update(adapter=adapter, dbt=_Dbt(), **{"return": lambda value: value})
    text = "".join((MACROS / file).read_text() for file in ("dialect.sql", "parts.sql"))
    adapter.module = made.from_string(text).module
    return str(getattr(adapter.module, name)(*arguments))


def connection() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE lines (line_id VARCHAR, customer VARCHAR, meter VARCHAR, measure VARCHAR, start_day DATE, "
        "end_day DATE, line_per VARCHAR, currency_field VARCHAR, currency VARCHAR, split VARCHAR, free_events BIGINT, "
        "free_amount DECIMAL(38, 9))"
    )
    con.execute(
        "CREATE TABLE events (customer VARCHAR, meter VARCHAR, dimensions VARCHAR, local_day DATE, time_us BIGINT, "
        "source VARCHAR, event_id VARCHAR, value DECIMAL(38, 9))"
    )
    con.execute(
        "CREATE TABLE prices (line_id VARCHAR, from_day DATE, end_day DATE, rate DECIMAL(38, 12), "
        "fixed DECIMAL(38, 12), min_per_event DECIMAL(38, 12), max_per_event DECIMAL(38, 12), matrix VARCHAR)"
    )
    return con


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    names = ", ".join(f"unnest(${n + 1})" for n in range(len(rows[0])))
    con.execute(f"INSERT INTO {table} SELECT {names}", [list(column) for column in zip(*rows, strict=True)])


class Case:
    """A line at random: its terms, the prices that a later version gives, and its events in order, by value."""

    def __init__(self, dice: random.Random, number: int) -> None:
        self.line = f"line-{number}"
        free = {
            "free_events": dice.choice((None, None, 0, 1, 2, 5)),
            "free_amount": dice.choice((None, None, "0", "30", "30.5", "100")),
        }
        self.terms = self._prices(dice, **free)
        self.later = self._prices(dice) if dice.random() < 0.4 else None
        self.change = FIRST + timedelta(days=dice.randrange(1, 5))
        self.line_per = dice.choice((None, None, "shop"))
        self.events = [self._event(dice, place) for place in range(dice.randrange(0, 13))]

    @staticmethod
    def _prices(dice: random.Random, **free: Any) -> Terms:
        least, most = dice.choice(
            ((None, None), ("0.5", None), (None, "1.25"), ("0.5", "1.25"), ("1", "1"), (None, "0"))
        )
        rate = dice.choice(("0.029", "0.01", "0", "0.123456789012"))
        return Terms(rate, dice.choice((None, "0.3", "0.25")), least=least, most=most, **free)

    def _event(self, dice: random.Random, place: int) -> tuple[date, int, str, str, str, str, str]:
        """(day, instant, source, id, currency, shop, value), many at one instant."""
        day = dice.randrange(6)
        value = dice.choice(("0", "10", "30", "0.5", "25", "100", "12.345678901", "60.000000001", "1000", "-20"))
        instant = day * 1000 + dice.randrange(3)
        currency = "EUR" if dice.random() < 0.9 else dice.choice(("USD", "eur"))
        return FIRST + timedelta(days=day), instant, dice.choice("ab"), f"e{place}", currency, dice.choice("xy"), value

    def prices_on(self, day: date) -> Terms:
        return self.later if self.later is not None and day >= self.change else self.terms

    def expected(self) -> Iterator[tuple[tuple[Any, ...], tuple[Fraction, int]]]:
        """By (line, day, value, part): money and events."""
        by_value: dict[str, list[tuple[date, Terms, str]]] = defaultdict(list)
        unmeasured: dict[date, list[Fraction]] = defaultdict(list)
        for day, _, _, _, currency, shop, value in sorted(self.events, key=lambda e: (e[1], e[2], e[3])):
            if currency != "EUR":
                unmeasured[day].append(Fraction(value))
            else:
                by_value[shop if self.line_per else ""].append((day, self.prices_on(day), value))
        for shop, events in by_value.items():
            for (day, part), found in parts(self.terms, events).items():
                yield (self.line, day, shop, part), found
        for day, values in unmeasured.items():
            yield (self.line, day, "", "unmeasured"), (sum(values, Fraction(0)), len(values))

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        end = FIRST + timedelta(days=31)
        spans = [(self.terms, FIRST, end)]
        if self.later is not None:
            spans = [(self.terms, FIRST, self.change), (self.later, self.change, end)]
        line = (self.line, self.line, "money", "events", FIRST, end, self.line_per, "currency", "EUR", None)
        return {
            "lines": [(*line, self.terms.free_events, self.terms.free_amount)],
            "prices": [(self.line, a, b, t.rate, t.fixed, t.least, t.most, None) for t, a, b in spans],
            "events": [
                (self.line, "money", f'{{"currency":"{c}","shop":"{s}"}}', day, us, source, key, value)
                for day, us, source, key, c, s, value in self.events
            ],
        }


def by_macro(con: duckdb.DuckDBPyConnection) -> dict[tuple[Any, ...], tuple[Decimal, int]]:
    query = macro("event_parts", "lines", "events", "prices")
    found: dict[tuple[Any, ...], tuple[Decimal, int]] = {}
    for line, day, value, part, quantity, events in con.execute(
        f"SELECT line_id, local_day, value, part, sum(quantity)::DECIMAL(38, 9), sum(events)::BIGINT FROM ({query}) "
        "GROUP BY ALL"
    ).fetchall():
        found[line, day, value, part] = quantity, events
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_events_of_random_lines_pay_what_they_pay_by_hand(seed: int) -> None:
    dice, con = random.Random(seed), connection()
    cases = [Case(dice, number) for number in range(LINES)]
    for table in ("lines", "prices", "events"):
        insert(con, table, [row for case in cases for row in case.rows()[table]])
    expected = {key: found for case in cases for key, found in case.expected()}
    by_models = {key: (Fraction(money), count) for key, (money, count) in by_macro(con).items()}
    keys = expected.keys() | by_models.keys()
    assert {k: (expected.get(k), by_models.get(k)) for k in keys if expected.get(k) != by_models.get(k)} == {}
    seen = defaultdict(int)
    for *_, part in expected:
        seen[part] += 1
    assert min(seen[part] for part in ("units", "free", "at_min", "at_max", "unmeasured")) >= 100, dict(seen)


@pytest.mark.parametrize(
    ("terms", "values", "expected"),
    [
        (Terms("0.013", "2", 3, "250"), ("50", "100", "250", "400"), "11.15"),
        (Terms("0.013", "2", 3, "500"), ("50", "100", "250", "400"), "7.2"),
        (Terms("0.013", "2", 5), ("50", "100", "250", "0"), "0"),
        (Terms("0.013", "2"), ("50", "100", "250", "400"), "18.4"),
        (Terms("0.0299", "0", None, "30", "1.75", "12"), ("10", "80", "10000"), "13.794"),
        (Terms("0.0299", "2", None, "0", "1.75", "12"), ("10", "80", "10000"), "18.691"),
        (Terms("0.0299", "0", 3, "10000", "1.75", "12"), ("10", "80", "10000"), "2.691"),
        # An amount that ends exactly with an event is over for the next one, also of 0.
        (Terms("0.01", "1", None, "30"), ("30", "0", "10"), "2.1"),
        (Terms("0.01", "1", None, None, "13"), ("0",), "13"),
        # Money that is paid back has its rate back, no fee and no minimum; while it is free, nothing.
        (Terms("0.01", "1", 1, None, "13"), ("-50", "-50", "2000"), "20.5"),
        # The greatest amount and the finest rate that can be written, to the last digit.
        (Terms("0.999999999999", "0.3"), ("999999999999999.999999999",), "999999999999000.299999999000000000001"),
    ],
)
def test_worked_examples_of_prices_by_event(terms: Terms, values: tuple[str, ...], expected: str) -> None:
    assert amount(terms, values) == Fraction(expected)
    con = connection()
    case = Case(random.Random(0), 0)
    case.terms, case.later, case.line_per = terms, None, None
    case.events = [(FIRST, n, "a", "e", "EUR", "x", value) for n, value in enumerate(values)]
    for table, rows in case.rows().items():
        insert(con, table, rows)
    total = Fraction(0)
    for (*_, part), (money, count) in by_macro(con).items():
        bounds = {"at_min": terms.least, "at_max": terms.most}
        if part == "units":
            total += Fraction(money) * Fraction(terms.rate) + count * Fraction(terms.fixed or 0)
        elif part != "free":
            total += count * Fraction(bounds[part] or 0)
    assert total == Fraction(expected)


def test_every_part_of_an_event_is_on_one_row_and_nothing_is_lost() -> None:
    """The money of all parts is the money of all events: what a line shows as measured."""
    dice, con = random.Random(9), connection()
    cases = [Case(dice, number) for number in range(100)]
    for table in ("lines", "prices", "events"):
        insert(con, table, [row for case in cases for row in case.rows()[table]])
    (events,) = con.execute("SELECT (sum(value), count(*)) FROM events").fetchall()[0]
    parts_sum = sum(money for money, _ in by_macro(con).values())
    assert parts_sum == events[0] and parts_sum > 0


VALUES = {"model": ("a", "b", None), "region": ("eu", 'a "us"\t\\', "as", None), "shop": ("x", "", None)}


def _json(values: Mapping[str, str | None]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


class CellCase:
    """A matrix at random, with a default or without, and what was used."""

    def __init__(self, dice: random.Random, number: int) -> None:
        self.line = f"line-{number}"
        self.names = dice.choice((["model", "region"], ["region"]))
        stated = itertools.product(*([value for value in VALUES[name] if value] for name in self.names))
        self.cells = [dict(zip(self.names, values, strict=True)) for values in dice.sample(list(stated), 2)]
        self.has_default, self.line_per = dice.random() < 0.4, dice.choice((None, "shop"))
        self.used = [self._used(dice) for _ in range(12)]

    @staticmethod
    def _used(dice: random.Random) -> tuple[date, int | None, dict[str, str | None], Decimal, int]:
        values = {name: dice.choice(choices) for name, choices in VALUES.items()}
        day, quantity = FIRST + timedelta(days=dice.randrange(3)), Decimal(dice.randrange(1000)) / 8
        return day, dice.choice((None, 5, 6)), values, quantity, dice.randrange(1, 4)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        end, split = FIRST + timedelta(days=31), json.dumps(self.names)
        line = (self.line, self.line, "m", "cells", FIRST, end, self.line_per, None, None, split, None, None)
        used = [(self.line, day, hour, _json(values), money, n) for day, hour, values, money, n in self.used]
        price = (self.line, FIRST, end, None, None, None, None, self.line)
        return {
            "lines": [line],
            "used": used,
            "prices": [] if self.has_default else [price],
            "cells": [] if self.has_default else [(self.line, _json(cell)) for cell in self.cells],
        }

    def expected(self) -> Iterator[tuple[tuple[Any, ...], tuple[Fraction, int]]]:
        for day, hour, values, money, events in self.used:
            if self.has_default or any(cell.items() <= values.items() for cell in self.cells):
                shop = (values["shop"] or "") if self.line_per else ""
                cell = _json({name: values[name] for name in self.names})
                yield (self.line, day, shop, cell, hour, "units"), (Fraction(money), 0)
            else:
                yield (self.line, day, "", _json(values), None, "unmeasured"), (Fraction(money), events)


@pytest.mark.parametrize("seed", [1, 2])
def test_usage_falls_in_the_one_cell_that_takes_it_or_is_unmeasured(seed: int) -> None:
    """Over values that are missing, or need escapes in JSON."""
    dice, con = random.Random(seed), connection()
    con.execute("CREATE TABLE cells (matrix VARCHAR, cell VARCHAR)")
    con.execute("CREATE TABLE splits (split VARCHAR, dimension VARCHAR)")
    con.execute(
        "CREATE TABLE used (line_id VARCHAR, local_day DATE, hour_us BIGINT, dimensions VARCHAR, "
        "quantity DECIMAL(38, 9), events BIGINT)"
    )
    insert(con, "splits", [(json.dumps(names), n) for names in (["model", "region"], ["region"]) for n in names])
    cases = [CellCase(dice, number) for number in range(200)]
    for table in ("lines", "used", "prices", "cells"):
        insert(con, table, [row for case in cases for row in case.rows()[table]])
    expected: dict[tuple[Any, ...], tuple[Fraction, int]] = {}
    for key, (money, count) in (row for case in cases for row in case.expected()):
        before = expected.get(key, (Fraction(0), 0))
        expected[key] = before[0] + money, before[1] + count
    query = macro("cell_parts", "lines", "used", "prices", "cells", "splits")
    found = {
        (line, day, value, cell, hour, part): (Fraction(quantity), events)
        for line, day, value, cell, hour, part, quantity, events in con.execute(f"FROM ({query})").fetchall()
    }
    keys = expected.keys() | found.keys()
    assert {k: (expected.get(k), found.get(k)) for k in keys if expected.get(k) != found.get(k)} == {}
    assert sum(key[-1] == "unmeasured" for key in expected) > 200
