"""Two closed months under another catalog: other prices, a meter that was never measured, other customers."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from instances import file_hashes, ledger_rows
from typer.testing import CliRunner

from orchestration.catalog import load_catalog
from orchestration.cli import app
from orchestration.ledger.store import Ledger
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock
from orchestration.pipeline.run import take_files
from orchestration.settings import parse_instant

NOW = parse_instant("2026-11-05T09:00:00Z", "test")
PLAN = "key: %s\nname: %s\ncurrency: USD\nversions:\n  - effective: 2026-01-01\n%s    charges:\n"
BASE = "      - {key: base, name: Base, model: flat, amount: '%s', due: arrears}\n"
USAGE = "      - {key: %s, name: C, model: per_unit, meter: %s, price: '%s'}\n"
COMMITMENT = "    commitment: {amount: '50.00'}\n"
SOURCE = "sources:\n  - {name: feed, path: '*.jsonl', format: cloudevents%s}\n"
METERS = "meters:\n  - {key: calls, name: C, event_type: t, aggregation: count}\n"
SUM = "  - {key: %s, name: S, event_type: t, aggregation: sum, value: %s}\n"
CUSTOMERS = {
    "ash": 'ash,"=1+1",A,XX,UTC,seller\n',
    "birch": "birch,Birch,A,XX,Pacific/Auckland,seller\n",
    "cedar": "cedar,Cedar,A,XX,UTC,seller\n",
    "dogwood": "dogwood,Dogwood,A,XX,UTC,seller\n",
}


def sold_to(*names: str) -> dict[str, str]:
    plans = {name: "pro" if name == "birch" else "basic" for name in names}
    return {
        "customers.csv": "customer,name,address,country,zone,entity\n" + "".join(CUSTOMERS[name] for name in names),
        "credentials.csv": "credential,customer\n" + "".join(f"key_{name},{name}\n" for name in names),
        "subscriptions.csv": "subscription,customer,plan,start\n"
        + "".join(f"sub-{name},{name},{plan},2026-09-01\n" for name, plan in plans.items()),
    }


CURRENT = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A, series: S}\n",
    "sources.yaml": SOURCE % ", properties: {n: data.n}",
    "meters.yaml": METERS + SUM % ("tokens", "n"),
    "plans/basic.yaml": PLAN % ("basic", "Basic", "") + BASE % "10.00" + USAGE % ("tokens", "tokens", "1.00"),
    "plans/pro.yaml": PLAN % ("pro", "Pro", COMMITMENT) + BASE % "20.00" + USAGE % ("tokens", "tokens", "1.00"),
    **sold_to("ash", "birch", "cedar"),
}
FIRST = CURRENT | {
    "sources.yaml": SOURCE % "",
    "meters.yaml": METERS,
    "plans/basic.yaml": PLAN % ("basic", "Basic", "") + BASE % "10.00",
    "plans/pro.yaml": PLAN % ("pro", "Pro", "") + BASE % "20.00",
}
"""Under which the files were taken: `n` is mapped since, and is taken from the raw files."""
OTHER = CURRENT | {
    "sources.yaml": SOURCE % ", properties: {n: data.n, cached: data.cached}",
    "meters.yaml": METERS + SUM % ("tokens", "n") + SUM % ("cached", "cached"),
    "plans/basic.yaml": PLAN % ("basic", "Basic", "") + BASE % "10.00" + USAGE % ("tokens", "tokens", "2.00"),
    "plans/pro.yaml": CURRENT["plans/pro.yaml"] + USAGE % ("cached", "cached", "0.10"),
    **sold_to("ash", "birch", "dogwood"),
}
"""Tokens of `basic` cost the double; `pro` prices what was never measured; cedar is gone, dogwood was never there."""


def event(i: str, who: str, time: str, **data: object) -> str:
    body = {"id": i, "source": "app", "type": "t", "time": time, "subject": f"key_{who}", "data": data}
    return json.dumps(body) + "\n"


EVENTS = (
    event("a1", "ash", "2026-09-10T12:00:00Z", n=1, cached=7)
    + event("a2", "ash", "2026-09-20T12:00:00Z", n=2)
    + event("a3", "ash", "2026-10-05T12:00:00Z", n=4)
    + event("a4", "ash", "2026-11-02T12:00:00Z", n=100)
    # September in Auckland, and no more October.
    + event("b0", "birch", "2026-08-31T13:00:00Z", n=1, cached=10)
    + event("b1", "birch", "2026-09-15T12:00:00Z", n=4, cached=30)
    + event("b2", "birch", "2026-10-10T12:00:00Z", n=6, cached="0.5")
    + event("b3", "birch", "2026-10-31T12:00:00Z", n=50, cached=99)
    + event("c1", "cedar", "2026-09-10T12:00:00Z", n=2)
    + event("d1", "dogwood", "2026-10-10T12:00:00Z", n=1)
)


def write(folder: Path, catalog: dict[str, str]) -> Path:
    for name, text in catalog.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def state(home: Path) -> tuple[dict[str, str], str]:
    """Hashes of all that an instance keeps or has published, and which generation that is."""
    kept = {name: of for name, of in file_hashes(home).items() if not name.startswith(("dbt/", ".lock"))}
    return kept, (home / "warehouse" / "current").resolve().name


def command(home: Path, other: Path, *argv: str) -> Result:
    return CliRunner().invoke(app, ["simulate", "--home", str(home), "--catalog", str(other), *argv])


@dataclass(frozen=True)
class Told:
    """What a simulation of September and October left, and the state of the instance before and after it."""

    home: Path
    other: Path
    result: Result
    csv: Path
    before: tuple[dict[str, str], str]
    after: tuple[dict[str, str], str]

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.csv.read_bytes().decode(), newline=""), strict=True))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("simulate")
    home, other, table = folder / "home", write(folder / "other", OTHER), folder / "out" / "difference.csv"
    write(home / "catalog", FIRST)
    (home / "inbox").mkdir()
    (home / "inbox" / "events.jsonl").write_text(EVENTS)
    context = Context(Instance(home), NOW)
    with Ledger.open(home) as ledger:
        take_files(context, load_catalog(home / "catalog"), ledger)
    write(home / "catalog", CURRENT)
    close(context, parse_cut_off("2026-10"))
    before = state(home)
    result = command(home, other, "--from", "2026-09", "--to", "2026-10", "--csv", str(table))
    return Told(home, other, result, table, before, state(home))


def test_each_charge_differs_by_exactly_what_its_price_or_its_new_meter_makes_of_it(told: Told) -> None:
    """A price that doubles, doubles its charge; what a new meter adds, the true-up of the commitment gives back."""
    assert told.result.exit_code == 0, told.result.output
    columns = ("customer", "plan", "charge", "before", "after", "difference", "percent", "only_in")
    assert [tuple(row[column] for column in columns) for row in told.rows] == [
        ("dogwood", "basic", "base", "0.00", "20.00", "20.00", "", "other"),
        ("dogwood", "basic", "tokens", "0.00", "2.00", "2.00", "", "other"),
        ("ash", "basic", "base", "20.00", "20.00", "0.00", "0.00", ""),
        ("ash", "basic", "tokens", "7.00", "14.00", "7.00", "100.00", ""),
        ("birch", "pro", "base", "40.00", "40.00", "0.00", "0.00", ""),
        ("birch", "pro", "cached", "0.00", "4.05", "4.05", "", "other"),
        ("birch", "pro", "tokens", "11.00", "11.00", "0.00", "0.00", ""),
        ("birch", "pro", "true_up", "49.00", "44.95", "-4.05", "-8.27", ""),
        ("cedar", "basic", "base", "20.00", "0.00", "-20.00", "-100.00", "current"),
        ("cedar", "basic", "tokens", "2.00", "0.00", "-2.00", "-100.00", "current"),
    ]


def test_customers_who_would_pay_much_more_come_first_and_no_name_is_a_formula(told: Told) -> None:
    heads = {(row["customer"], row["customer_name"], row["much_more"], row["customer_percent"]) for row in told.rows}
    assert heads == {
        ("dogwood", "Dogwood", "yes", ""),
        ("ash", "'=1+1", "yes", "25.93"),
        ("birch", "Birch", "", "0.00"),
        ("cedar", "Cedar", "", "-100.00"),
    }


def test_the_tables_sum_to_the_plans_and_say_who_is_in_one_catalog_alone(told: Told) -> None:
    said = [line.strip("│ ") for line in told.result.output.splitlines()]
    cells = [[cell.strip() for cell in line.split("│")] for line in said]
    assert ["basic", "USD", "49.00", "56.00", "7.00", "14.29"] in cells
    assert ["pro", "USD", "100.00", "100.00", "0.00", "0.00"] in cells
    assert ["total", "USD", "149.00", "156.00", "7.00", "4.70"] in cells
    assert "only in the current catalog: customers: cedar" in said
    assert "only in the other catalog: subscriptions: sub-dogwood" in said
    assert any(
        line.startswith("customers: 2 would pay over 20 % more, 0 others more, 1 less, 1 the same") for line in said
    )


def test_what_a_new_meter_cannot_measure_is_told(told: Told) -> None:
    """Two events of ash and one of dogwood lack the property; that of November is in no month of the simulation."""
    assert "meter 'cached' can't measure or price 3 event(s) of 2 customer(s)" in told.result.output


def test_ledger_lake_and_published_generation_keep_every_byte(told: Told) -> None:
    assert told.after == told.before
    assert any(name.startswith("lake/extracted/") for name in told.before[0])
    assert {"ledger.sqlite", f"warehouse/{told.before[1]}/tallystick.duckdb"} <= told.before[0].keys()
    assert ledger_rows(told.home, "SELECT count(*) FROM documents") == [(3,)]
    assert not (told.home / "scratch" / "simulate").exists()


def test_months_choose_periods_by_their_last_day_and_the_same_catalog_changes_nothing(
    told: Told, tmp_path: Path
) -> None:
    table = tmp_path / "october.csv"
    argv = ["--from", "2026-10", "--to", "2026-10", "--csv", str(table)]
    result = command(told.home, told.home / "catalog", *argv)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(table.read_text(), newline="")))
    assert {(row["customer"], row["charge"]): (row["before"], row["difference"]) for row in rows} == {
        ("ash", "base"): ("10.00", "0.00"),
        ("ash", "tokens"): ("4.00", "0.00"),
        ("birch", "base"): ("20.00", "0.00"),
        ("birch", "tokens"): ("6.00", "0.00"),
        ("birch", "true_up"): ("24.00", "0.00"),
        ("cedar", "base"): ("10.00", "0.00"),
        ("cedar", "tokens"): ("0.00", "0.00"),
    }
    assert "customers: 0 would pay over 20 % more, 0 others more, 0 less, 3 the same" in result.output


def test_what_cannot_be_compared_is_refused_with_its_exit_code(told: Told, tmp_path: Path) -> None:
    """A month that goes on (2), a broken catalog (2, with file and line), an instance at work (4), a stale one (3)."""
    span = ("--from", "2026-09", "--to", "2026-10")
    found = [command(told.home, told.other, "--from", "2026-10", "--to", "2026-11")]
    broken = write(
        tmp_path / "broken", OTHER | {"plans/basic.yaml": OTHER["plans/basic.yaml"].replace("'2.00'", "2.00")}
    )
    found.append(command(told.home, broken, *span))
    with instance_lock(told.home, "a test"):
        found.append(command(told.home, told.other, *span))
    edited = tmp_path / "home"
    shutil.copytree(told.home, edited, symlinks=True)
    write(edited / "catalog", {"plans/pro.yaml": CURRENT["plans/pro.yaml"].replace("Pro", "Professional")})
    found.append(command(edited, told.other, *span))
    errors = [result.exception for result in found]
    assert [getattr(error, "exit_code", None) for error in errors] == [2, 2, 4, 3]
    said = [str(error) for error in errors]
    assert "2026-11 was not over in every customer's zone" in said[0]
    assert f"{broken}/plans/basic.yaml:8" in said[1]
    assert "does not know all that the ledger and the catalog hold" in said[3]
    assert state(told.home) == told.before
