"""A simulation's words and files: months, percentages, the CSV and the tables, without a build."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal

import pytest

from orchestration import console_simulation
from orchestration.billing.comparison import Comparison, Sold, compare
from orchestration.cli import main
from orchestration.errors import ConfigInvalid
from orchestration.exports.comparison import COLUMNS, comparison_csv
from orchestration.money import Money
from orchestration.pipeline.simulate import Months, Simulation, parse_months, parse_percent

NAMES = {"=cmd": "[bold]=1+1[/bold]", "birch": "Birch, Inc."}


def compared() -> Comparison:
    amounts = [("=cmd", "calls", "5.00", "10.00"), ("birch", "calls", "3.00", "2.00"), ("birch", "fee", "7.00", "7.00")]
    before = {Sold(who, "basic", what, "USD"): Money.of(Decimal(a), "USD") for who, what, a, _ in amounts}
    after = {Sold(who, "basic", what, "USD"): Money.of(Decimal(b), "USD") for who, what, _, b in amounts}
    return compare(before, after | {Sold("birch", "basic", "new", "USD"): Money.zero("USD")}, Decimal("20"))


def test_months_are_whole_and_both_included() -> None:
    assert parse_months("2026-07", "2026-09") == Months(date(2026, 7, 1), date(2026, 10, 1))
    assert parse_months("2026-12", "2026-12") == Months(date(2026, 12, 1), date(2027, 1, 1))


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-10", "2026-09", "2026-09 is before 2026-10"),
        ("2026-7", "2026-09", "'2026-7' is not a month"),
        ("2026-07-01", "2026-09", "'2026-07-01' is not a month"),
        ("2026-07", "2026-13", "'2026-13' is not a month"),
        ("2026-07", "9999-12", "'9999-12' is not a month"),
        ("2026-07", "२०२६-०९", "is not a month"),
    ],
)
def test_what_is_no_span_of_months_is_refused(first: str, last: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        parse_months(first, last)


@pytest.mark.parametrize("text", ["-1", "20%", "1e3", "", "٣", "NaN", "20.00001"])
def test_a_limit_that_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="is not a percentage"):
        parse_percent(text)


def test_a_limit_is_exact() -> None:
    assert parse_percent("7.5") == Decimal("7.5")


def test_the_csv_has_each_row_once_with_exact_amounts_and_executes_nothing() -> None:
    data = comparison_csv(compared(), NAMES)
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    assert header == list(COLUMNS)
    assert rows == [
        ["yes", "'=cmd", "[bold]=1+1[/bold]", "basic", "calls", "USD", "5.00", "10.00", "5.00", "100.00", "100.00", ""],
        ["", "birch", "Birch, Inc.", "basic", "calls", "USD", "3.00", "2.00", "-1.00", "-33.33", "-10.00", ""],
        ["", "birch", "Birch, Inc.", "basic", "fee", "USD", "7.00", "7.00", "0.00", "0.00", "-10.00", ""],
        ["", "birch", "Birch, Inc.", "basic", "new", "USD", "0.00", "0.00", "0.00", "", "-10.00", "other"],
    ]


def test_the_tables_say_what_is_in_them_and_take_no_name_for_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Simulation(
        months=parse_months("2026-07", "2026-09"),
        generation="gen-000007",
        comparison=compared(),
        names=NAMES,
        unmeasured={"calls": (1200, 3)},
        only_current={"customers": ("[red]x",)},
        only_other={},
    )
    monkeypatch.setattr(console_simulation, "SHOWN", 1)
    console_simulation.print_simulation(found, Decimal("20"))
    said = capsys.readouterr().out
    assert "periods that ended in 2026-07 to 2026-09, as gen-000007 knows them" in said
    assert "before coupons, credits, adjustments and tax" in said
    assert "only in the current catalog: customers: [red]x" in said
    assert "meter 'calls' can't measure or price 1,200 event(s) of 3 customer(s)" in said
    assert "customers: 1 would pay over 20 % more, 0 others more, 1 less, 0 the same" in said
    assert "[bold]=1+1[/bold]" in said and "Birch" not in said
    assert "and 1 more rows: see them all with --csv" in said
    assert "15.00" in said and "19.00" in said and "26.67" in said


@pytest.mark.parametrize(
    "argv",
    [
        ["--from", "2026-10", "--to", "2026-09"],
        ["--from", "2026-09", "--to", "2026-10", "--much-more", "lots"],
        ["--from", "2026-09", "--to", "2026-10", "--home", "/nowhere/at/all"],
    ],
)
def test_a_wrong_command_ends_with_2_and_makes_nothing(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--catalog", "/nowhere", *argv])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
