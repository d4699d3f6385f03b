"""One life of an instance with retractions: before a close, after it, taken back, and proven from raw files."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from instances import content, documents, ledger_rows, rows, tables
from typer.testing import CliRunner

from orchestration.audit.verify import verify
from orchestration.cli import app
from orchestration.errors import CatalogInvalid, ConfigInvalid, PeriodClosed
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.overview import overview
from orchestration.pipeline.retract import write_list
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

NAMES = ("ash", "birch", "cedar", "dogwood")
CATALOG = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A, series: S, zero_invoices: skip}\n",
    "sources.yaml": (
        "sources:\n  - {name: feed, path: '*.jsonl', format: cloudevents, fields: {path: data.path},"
        " properties: {n: data.n, kind: data.kind}}\n"
    ),
    "meters.yaml": (
        "meters:\n  - {key: tokens, name: T, event_type: t, aggregation: sum, value: n}\n"
        "  - {key: users, name: U, event_type: t, aggregation: unique_count, value: source}\n"
    ),
    "routes.yaml": "routes:\n  - patterns: ['/v1/chat', '/v1/files/{id}']\n",
    "plans/basic.yaml": (
        "key: basic\nname: Basic\ncurrency: USD\nversions:\n  - effective: 2026-01-01\n    charges:\n"
        "      - {key: tokens, name: Tokens, model: per_unit, meter: tokens, price: '1.00'}\n"
    ),
    "customers.csv": "customer,name,address,country,zone,entity\n"
    + "".join(f"{n},{n},A,XX,UTC,seller\n" for n in NAMES),
    "credentials.csv": "credential,customer\n" + "".join(f"key_{n},{n}\n" for n in NAMES),
    "subscriptions.csv": "subscription,customer,plan,start\n"
    + "".join(f"sub-{n},{n},basic,2026-10-01\n" for n in NAMES),
}
WHO = "by: reviewer, on: 2026-11-04, reason: a test of theirs"
CHOSEN = "name: probes, filter: {field: endpoint, op: eq, value: '/v1/chat'}, from: '2026-10-12T00:00:00Z', feed: feed"
FIRST = ("source: app, id: ash-x", "path: one.jsonl, line: 7")


def event(i: str, who: str, n: int | str, day: int, **data: str) -> str:
    time = f"2026-10-{day:02d}T12:00:00Z"
    body = {"id": i, "source": "app", "type": "t", "time": time, "subject": f"key_{who}", "data": {"n": n, **data}}
    return json.dumps(body) + "\n"


@dataclass
class Life:
    home: Path
    seen: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, text: str) -> None:
        path = self.home / "inbox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def review(self, *found: str) -> None:
        text = "".join(f"  - {{{row}, {WHO}}}\n" for row in found)
        (self.home / "catalog" / "retractions.yaml").write_text(f"retractions:\n{text}")

    def context(self, day: str) -> Context:
        return Context(Instance(self.home), parse_instant(f"{day}T09:00:00Z", "test"))


USED = "SELECT customer, quantity::INTEGER FROM marts.usage_monthly WHERE meter = 'tokens' ORDER BY customer"
BALANCE = "SELECT lines, accepted, duplicate, retracted, events FROM marts.ingest_balance WHERE level = 'total'"
ROWS = (
    "SELECT place, action, events, in_force, first_event::DATE::VARCHAR, last_event::DATE::VARCHAR, problem "
    "FROM marts.retractions ORDER BY row_number"
)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """October closed with an event of ash and one of nobody retracted; then one of birch, and that of ash restored."""
    life = Life(tmp_path_factory.mktemp("retractions") / "home")
    for name, text in CATALOG.items():
        path = life.home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    seen, folder = life.seen, life.home / "catalog"
    base = "".join(event(f"base-{who}", who, 100, 5, path="/v1/chat") for who in NAMES)
    mine = event("ash-x", "ash", "nonsense", 10) + event("birch-y", "birch", 7, 15, path="/v1/chat")
    life.put("one.jsonl", base + mine + event("stray", "nobody", 9, 11))
    life.review(*FIRST)
    close(life.context("2026-11-05"), parse_cut_off("2026-10"))
    seen["balance"], seen["rows"] = rows(life.home, BALANCE), rows(life.home, ROWS)
    seen["unattributed"] = rows(life.home, "SELECT count(*) FROM marts.unattributed_usage")
    seen["retracted"] = rows(life.home, "SELECT file_id, line, source, event_id FROM record.retracted")
    seen["view"] = overview(Instance(life.home))

    life.review(*FIRST, CHOSEN, "source: app, id: nothing", "name: probes")
    with pytest.raises(CatalogInvalid) as unlisted:
        run(life.context("2026-11-20"))
    seen["unlisted"] = unlisted.value
    seen["listed"] = CliRunner().invoke(app, ["retract", "probes", "--home", str(life.home)])
    seen["list"] = (folder / "retractions" / "probes.jsonl").read_text().splitlines()[1:]
    with pytest.raises(ConfigInvalid, match="listed already"):
        write_list(life.context("2026-11-20"), "probes")
    copies = event("birch-y", "birch", 7, 15, path="/v1/chat") + event("ash-x", "ash", "nonsense", 10)
    life.put("two.jsonl", copies + event("late-dogwood", "dogwood", 3, 20, path="/v1/chat"))
    seen["run"] = run(life.context("2026-11-20"))
    seen["used"] = rows(life.home, USED)
    seen["later rows"] = rows(life.home, ROWS)
    names = [n for n in tables(life.home, "marts", "metering", "record") if n != "metering.touched_days"]
    life.put("three.jsonl", event("late-cedar", "cedar", 2, 15) + event("birch-y", "birch", 7, 15, path="/v1/chat"))
    run(life.context("2026-11-21"))
    seen["incremental"] = content(life.home, names)
    shutil.rmtree(life.home / "warehouse")
    run(life.context("2026-11-21"))
    seen["fresh"] = content(life.home, names)

    close(life.context("2026-12-05"), parse_cut_off("2026-11"))
    life.put("four.jsonl", event("later-birch", "birch", 1, 16) + event("later-ash", "ash", 4, 16))
    life.review(*FIRST, CHOSEN, "source: app, id: nothing", "name: probes", "name: probes, restore: true")
    close(life.context("2027-01-05"), parse_cut_off("2026-12"))
    return life


def lines(home: Path, cut_off: str) -> dict[str, tuple[str, str, str]]:
    """By customer: kind, amount and cause of the lines of October that a close issued."""
    return {
        body["buyer"]["customer"]: (line["kind"], line["amount"], line.get("correction", {}).get("cause", ""))
        for body in documents(home, cut_off)
        for line in body["lines"]
        if line["period_start"] == "2026-10-01"
    }


def test_a_retracted_event_is_not_billed_and_parks_nobody(life: Life) -> None:
    """The event of ash can't be measured: were it not retracted, ash would wait."""
    expected = {"ash": "100.00", "birch": "107.00", "cedar": "100.00", "dogwood": "100.00"}
    assert {who: amount for who, (_, amount, _) in lines(life.home, "2026-11-01").items()} == expected


def test_a_retracted_event_stays_in_the_accounting(life: Life) -> None:
    assert life.seen["balance"] == [(7, 7, 0, 2, 5)]
    assert life.seen["unattributed"] == [(0,)]
    assert life.seen["retracted"] == [(1, 5, "app", "ash-x"), (1, 7, "app", "stray")]
    assert (life.seen["view"].retractions, life.seen["view"].retracted) == (2, 2)


def test_the_mart_has_each_row_with_its_events_and_what_names_nothing(life: Life) -> None:
    first = [
        ("retractions.yaml:2", "retract", 1, 1, "2026-10-10", "2026-10-10", None),
        ("retractions.yaml:3", "retract", 1, 1, "2026-10-11", "2026-10-11", None),
    ]
    assert life.seen["rows"] == first
    assert life.seen["later rows"] == [
        *first,
        ("retractions.yaml:4", "retract", 1, 0, "2026-10-15", "2026-10-15", None),
        ("retractions.yaml:5", "retract", 0, 0, None, None, "no such event is known"),
        ("retractions.yaml:6", "retract", 1, 1, "2026-10-15", "2026-10-15", None),
    ]
    assert life.seen["run"].problems == ["retractions.yaml:5: no such event is known; the row changes nothing"]


def test_a_filter_without_its_list_stops_a_run_which_names_the_command_that_makes_it(life: Life) -> None:
    assert "run `tallystick retract probes`" in str(life.seen["unlisted"])
    assert life.seen["unlisted"].exit_code == 2
    assert life.seen["listed"].exit_code == 0, life.seen["listed"].output
    assert life.seen["list"] == ['["app", "birch-y"]']


def test_what_comes_after_the_list_was_made_is_not_on_it_and_copies_of_what_is_add_nothing(life: Life) -> None:
    """A later event that the filter would choose counts; a copy of a retracted one does not."""
    assert life.seen["used"] == [("ash", 100), ("birch", 100), ("cedar", 100), ("dogwood", 103)]


def test_incremental_is_fresh_with_retractions(life: Life) -> None:
    assert {n: v for n, v in life.seen["incremental"].items() if life.seen["fresh"][n] != v} == {}
    assert life.seen["fresh"]["record.retracted"][0] == 3


def test_after_a_close_the_difference_is_a_correction_with_its_cause(life: Life) -> None:
    assert lines(life.home, "2026-12-01") == {
        "birch": ("correction", "-7.00", "retraction"),
        "cedar": ("correction", "2.00", "late usage"),
        "dogwood": ("correction", "3.00", "late usage"),
    }
    assert lines(life.home, "2027-01-01") == {
        "ash": ("correction", "4.00", "late usage"),
        "birch": ("correction", "8.00", "retraction"),
    }


def test_every_document_follows_from_raw_files_under_the_rows_of_its_close(life: Life) -> None:
    assert len(ledger_rows(life.home, "SELECT 1 FROM journal WHERE kind = 'close'")) == 3
    assert verify(life.home, life.home / "exports", life.home / "scratch" / "verify").problems == ()


@pytest.mark.parametrize("kept", [FIRST[:1], FIRST[::-1], (*FIRST, CHOSEN)])
def test_a_row_that_a_close_knew_is_neither_removed_nor_edited(life: Life, kept: tuple[str, ...]) -> None:
    path = life.home / "catalog" / "retractions.yaml"
    text, generation = path.read_text(), (life.home / "warehouse" / "current").resolve()
    lists = life.home / "catalog" / "retractions"
    if CHOSEN not in kept:
        lists.rename(life.home / "aside")
    life.review(*kept)
    try:
        with pytest.raises(PeriodClosed, match="retraction_edited"):
            run(life.context("2027-01-06"))
    finally:
        path.write_text(text)
        if not lists.exists():
            (life.home / "aside").rename(lists)
    assert (life.home / "warehouse" / "current").resolve() == generation
    assert {Decimal(d["total"]) for d in documents(life.home, "2027-01-01")} == {Decimal("4.00"), Decimal("8.00")}
