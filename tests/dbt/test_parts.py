"""Usage in parts that are priced apart, end to end from files: worked examples, two ways, and what touches a line."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import parts
import pytest

from orchestration.audit.charged import charged_spans
from orchestration.audit.requantify import requantify
from orchestration.billing.documents import DueLine, Group
from orchestration.catalog import load_catalog
from orchestration.closing.rated import Quantities, Quantity, rate_all
from orchestration.engine import connect
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.pipeline import run
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.parking import parked
from orchestration.pipeline.price import read_quantities
from orchestration.pipeline.transform import transform
from orchestration.settings import parse_instant

NOW_US = parse_instant(parts.NOW, "test")
MODELS = ["+charge_quantities", "+unmeasured_daily", "+conflicts"]
EDITS = {"free_events: 3": "free_events: 1", '"12"': '"11"', "model: b, region: us": "model: c, region: eu"}
ADDED = '      - {key: more, name: x, model: percentage, meter: tokens, rate: "0.1", fixed: "1"}\n'
SELECTION = ["--select", *MODELS, "--indirect-selection", "cautious"]


def build(home: Path) -> None:
    """Usage alone, up to the quantities of lines; nothing is priced."""
    context = Context(Instance(home), NOW_US)
    catalog = load_catalog(home / "catalog")
    with Ledger.open(home) as ledger:
        run.take_files(context, catalog, ledger)
        plan = run.begin_build(context, catalog, ledger)
        assert plan is not None
        transform(context.instance, "usage", fresh=plan.fresh, selection=SELECTION)
        run.publish_build(context)


def by_models(home: Path) -> Quantities:
    path = Instance(home).published_db()
    assert path is not None
    with connect(path, temp=home / "scratch", read_only=True) as con:
        return dict(read_quantities(con))


def again(home: Path, scratch: Path) -> Quantities:
    """The same, from the single events of the lake."""
    catalog = load_catalog(home / "catalog")
    with Ledger.open(home) as ledger, connect(None, folders=[home, scratch], temp=scratch / "temp") as con:
        files = [file for file in ledger.files() if file.min_us is not None]
        return requantify(con, catalog, charged_spans(catalog, NOW_US), home / "lake", files, scratch / "rows")


def differences(one: Quantities, other: Quantities) -> Mapping[str, object]:
    found = {}
    for key in sorted(one.keys() | other.keys()):
        mine, theirs = list(one.get(key, ())), list(other.get(key, ()))
        if mine != theirs:
            found[key] = [q for q in mine if q not in theirs], [q for q in theirs if q not in mine]
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = parts.make(tmp_path_factory.mktemp("parts"))
    build(made)
    return made


Rows = list[tuple[str, str, int | None, str, int, str]]
HOUR = int(parts.datetime(2026, 11, 3, 8, tzinfo=parts.UTC).timestamp()) * 1_000_000
AFTER = HOUR + 3_600_000_000


def measured(home: Path, charge: str) -> Rows:
    """(value, cell, hour, part, events, quantity) of November."""
    rows = by_models(home)[f"s-hand/{charge}/2026-11-01"]
    assert {row.day for row in rows} == {date(2026, 11, 3)}
    return [(r.value, r.cell, r.hour_us, r.part, r.events, f"{r.quantity.normalize():f}") for r in rows]


@pytest.mark.parametrize(
    ("charge", "expected"),
    [
        # 50 and 100 are free, 100 of the 250 too.
        ("pay", [("", "", None, "free", 2, "250"), ("", "", None, "units", 2, "550")]),
        # 50 x 2.99 % = 1.495 lies below 1.75, 250 and 100 between, 400 x 2.99 % = 11.96 below 12.
        (
            "bounded",
            [
                ("x", "", None, "at_min", 1, "50"),
                ("x", "", None, "units", 1, "250"),
                ("y", "", None, "units", 2, "500"),
            ],
        ),
        (
            "passed-on",
            [("", "", None, "units", 0, "800"), ("", '{"cur":"USD","shop":"x"}', None, "unmeasured", 1, "999")],
        ),
        # Six calls of the first hour, three of the second, and one that no cell takes.
        (
            "by-model",
            [
                ("", '{"model":"c","region":"eu"}', None, "unmeasured", 1, "1"),
                ("", '{"model":"a","region":"eu"}', HOUR, "units", 0, "3"),
                ("", '{"model":"b","region":"us"}', HOUR, "units", 0, "3"),
                ("", '{"model":"a","region":"us"}', AFTER, "units", 0, "3"),
            ],
        ),
        ("by-shop", [("", "", None, "units", 0, "4"), ("x", "", None, "units", 0, "36")]),
    ],
)
def test_worked_examples_are_measured_in_their_parts(home: Path, charge: str, expected: Rows) -> None:
    assert measured(home, charge) == expected


def test_A17_users_of_the_first_half_count_once_after_a_change_to_a_charge_of_another_name(home: Path) -> None:
    found = by_models(home)
    assert [(q.day, q.quantity) for q in found["s-moves/people/2026-11-01"]] == [(date(2026, 11, 3), Decimal(100))]
    assert "s-moves/humans/2026-11-16" not in found


def test_every_part_is_the_same_from_models_and_from_single_events(home: Path, tmp_path: Path) -> None:
    found = by_models(home)
    assert differences(found, again(home, tmp_path)) == {}
    rows = [(key, row) for key, quantities in found.items() if key.startswith("s-c") for row in quantities]
    assert len({key for key, _ in rows}) > 600
    counted = {
        part: sum(row.part == part for _, row in rows) for part in ("units", "free", "at_min", "at_max", "unmeasured")
    }
    assert min(counted.values()) > 100, counted
    assert sum(row.hour_us is not None for _, row in rows) > 500
    assert len({row.value for _, row in rows}) >= 8


def test_late_sales_and_other_prices_measure_again_what_they_touch_as_from_nothing(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "home"
    shutil.copytree(home, mine, symlinks=True)
    parts.deliver(mine, "late.jsonl", parts.late())
    hand = mine / "catalog" / "plans" / "hand.yaml"
    text = hand.read_text()
    for old, new in (
        ("free_events: 3", "free_events: 1"),
        ('"12"', '"11"'),
        ("model: b, region: us", "model: c, region: eu"),
    ):
        assert old in text
        text = text.replace(old, new)
    hand.write_text(text + ADDED)
    build(mine)
    edited = by_models(mine)
    changed = differences(edited, by_models(home))
    # What came late is of others; a price of no part, and a charge with another meter, measure nothing again.
    assert {key.split("/")[1] for key in changed if key.startswith("s-hand/")} == {"pay", "bounded", "by-model", "more"}
    assert len(changed) > 100
    assert differences(edited, again(mine, tmp_path / "scratch")) == {}
    shutil.rmtree(mine / "warehouse")
    build(mine)
    assert differences(edited, by_models(mine)) == {}


def test_an_amount_is_on_the_line_of_its_currency_and_in_no_other(home: Path) -> None:
    found = by_models(home)
    for subscription, expected in (("s-euros", [("units", 1)]), ("s-dollars", [("units", 110)])):
        rows = found[f"{subscription}/passed-on/2026-11-01"]
        assert [(row.part, row.quantity) for row in rows if row.part != "unmeasured"] == expected
        assert sum(row.quantity for row in rows) == 1111


def lines(home: Path, customer: str) -> list[object]:
    catalog = load_catalog(home / "catalog")
    charged = [item for item in charged_segments(catalog, NOW_US) if item.segment.customer == customer]
    november = [item for item in charged if item.segment.period_start == date(2026, 11, 1)]
    return list(rate_all(catalog, november, by_models(home)))


def test_events_that_no_price_takes_park_their_customer_and_nobody_else(home: Path) -> None:
    catalog = load_catalog(home / "catalog")
    charged = [i for i in charged_segments(catalog, NOW_US) if i.terms.charge.key in ("people", "humans")]
    rated = list(rate_all(catalog, charged, {}))
    groups = [Group(line.customer, "seller", "EUR", [DueLine(line, line.amount)]) for line in rated]
    path = Instance(home).published_db()
    assert path is not None
    with connect(path, temp=home / "scratch", read_only=True) as con:
        found = parked(con, catalog, groups, date(2026, 12, 1))
    assert found == {
        # That it has dollars on the one and euros on the other line is as it should be; the pounds are on none.
        "both": "1 unmeasured event(s) for 'amounts' on 2026-11-03",
        "hand": "1 unmeasured event(s) for 'amounts' on 2026-11-03; 1 unmeasured event(s) for 'calls' on 2026-11-03",
    }


def test_parts_are_priced_as_by_hand(home: Path) -> None:
    """Three of the five included calls go to the first cell of the first hour, two to the second."""
    found: Sequence[tuple[str, str, str]] = [(ln.charge, ln.value, ln.amount.text) for ln in lines(home, "hand")]
    assert found == [
        ("pay", "", "11.15"),  # 550 x 1.3 % + 2 x 2
        ("bounded", "x", "9.23"),  # 1.75 + 7.475
        ("bounded", "y", "14.95"),  # 2.99 + 11.96
        ("passed-on", "", "880.00"),
        ("by-model", "", "19.00"),  # 1 x 10 + 3 x 3
        ("by-shop", "", "4.00"),
        ("by-shop", "x", "23.00"),  # 10 x 1 + 26 x 0.5
        ("people", "", "0.00"),
    ]


def test_a_value_without_usage_has_no_line_and_one_that_vanishes_none_any_more(home: Path) -> None:
    catalog = load_catalog(home / "catalog")
    [item] = [
        i
        for i in charged_segments(catalog, NOW_US)
        if (i.segment.customer, i.terms.charge.key, str(i.segment.start)) == ("hand", "by-shop", "2026-11-01")
    ]
    day, some = date(2026, 11, 3), Decimal(4)
    assert list(rate_all(catalog, [item], {})) == []
    both = {item.line_id: [Quantity(day, some, value="x"), Quantity(day, some, value="y")]}
    assert [(line.key.value, line.amount.text) for line in rate_all(catalog, [item], both)] == [
        ("x", "4.00"),
        ("y", "4.00"),
    ]
    unmeasured = {
        item.line_id: [Quantity(day, some, value="y"), Quantity(day, some, cell="{}", events=1, part="unmeasured")]
    }
    assert [line.key.value for line in rate_all(catalog, [item], unmeasured)] == ["y"]
