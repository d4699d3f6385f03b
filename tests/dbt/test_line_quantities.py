"""Quantities of lines, end to end from files: the worked examples, and every measure by two ways."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import measures
import pytest
from instances import rows

from orchestration.audit.charged import charged_spans
from orchestration.audit.requantify import requantify
from orchestration.catalog import load_catalog
from orchestration.closing.rated import Quantities, Quantity
from orchestration.engine import connect
from orchestration.ledger.store import Ledger
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

NOW_US = parse_instant(measures.NOW, "test")


def measured(home: Path) -> dict[str, list[Quantity]]:
    """What the published generation has, by line."""
    found: dict[str, list[Quantity]] = defaultdict(list)
    columns = "line_id, local_day, quantity, window_us, windows, rank, value"
    query = f"SELECT {columns} FROM marts.charge_quantities ORDER BY line_id, local_day, value, rank, quantity"
    for line_id, *quantity in rows(home, query):
        found[line_id].append(Quantity(*quantity))
    return dict(found)


def again(home: Path, scratch: Path) -> Quantities:
    """The same, from the single events of the lake."""
    catalog = load_catalog(home / "catalog")
    with Ledger.open(home) as ledger, connect(None, folders=[home, scratch], temp=scratch / "temp") as con:
        files = [file for file in ledger.files() if file.min_us is not None]
        return requantify(con, catalog, charged_spans(catalog, NOW_US), home / "lake", files, scratch / "rows")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = measures.make(tmp_path_factory.mktemp("measures"))
    run(Context(Instance(made), NOW_US))
    return made


def lines(home: Path, customer: str, charge: str) -> list[tuple[Decimal, str]]:
    """(quantity, amount) of the drafts' lines of November, by the day on which they begin."""
    query = (
        "SELECT quantity, cast(amount AS DECIMAL(38, 2))::VARCHAR FROM marts.invoice_draft_lines "
        f"WHERE customer = '{customer}' AND charge = '{charge}' AND period_start = '2026-11-01' ORDER BY service_start"
    )
    return rows(home, query)


@pytest.mark.parametrize(
    ("customer", "charge", "expected"),
    [
        ("worked", "level-time", [(50, "50.00"), (50, "50.00")]),
        ("worked", "users", [(100, "100.00"), (0, "0.00")]),
        # The quarter of the second plan begins on the day of the first one's month, and is another period.
        ("longer", "users", [(5, "5.00"), (5, "10.00")]),
        ("worked", "users-by-line", [(100, "100.00")]),
        ("worked", "peak-by-line", [(100, "100.00"), (100, "200.00")]),
        ("worked", "seats", [(50, "50.00"), (50, "100.00")]),
        ("worked", "gauge-kept", [(100, "50.00"), (100, "100.00")]),
        ("worked", "last-kept", [(100, "50.00"), (100, "100.00")]),
        ("worked", "daily-users", [(100, "100.00"), (100, "200.00")]),
        ("worked", "weekly-users", [(100, "100.00"), (100, "200.00")]),
        ("steady", "burst", [(300, "150.00")]),
        ("steady", "traffic", [(504_000, "504000.00")]),
    ],
)
def test_worked_examples_end_to_end(home: Path, customer: str, charge: str, expected: list[tuple[int, str]]) -> None:
    assert lines(home, customer, charge) == expected


def differences(one: Mapping[str, list[Quantity]], other: Quantities) -> dict[str, tuple[object, object]]:
    keys = sorted(one.keys() | other.keys())
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def test_every_measure_is_the_same_from_models_and_from_single_events(home: Path, tmp_path: Path) -> None:
    by_models = measured(home)
    assert differences(by_models, again(home, tmp_path)) == {}
    # The 95th of a hundred sparse windows is 0, which is no quantity: that mark stands on the steady customer's line.
    charges = {line_id.split("/")[1] for line_id in by_models if not line_id.startswith(("s-worked", "s-longer"))}
    assert charges == set(measures.CHARGES)


def test_late_events_measure_the_lines_again_that_they_touch_as_from_nothing(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "home"
    shutil.copytree(home, mine, symlinks=True)
    measures.deliver(mine, "late.jsonl", measures.late())
    run(Context(Instance(mine), NOW_US))
    grown = measured(mine)
    assert differences(grown, measured(home)) != {}
    shutil.rmtree(mine / "warehouse")
    run(Context(Instance(mine), NOW_US))
    assert differences(grown, measured(mine)) == {}
    assert differences(grown, again(mine, tmp_path / "scratch")) == {}
