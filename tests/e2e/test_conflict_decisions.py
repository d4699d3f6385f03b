"""One life of an instance with conflicts: parked, decided, waived, decided again after the close; billed once each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from instances import documents, ledger_rows, rows

from orchestration.audit.verify import verify
from orchestration.catalog import load_catalog
from orchestration.ingest import ingest
from orchestration.ingest.lake import Lake
from orchestration.ledger.store import Ledger
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.contested import OpenConflict
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.overview import Unattributed, overview
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

NAMES = ("ash", "birch", "cedar", "dogwood")
CATALOG = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A, series: S, zero_invoices: skip}\n",
    "sources.yaml": (
        "sources:\n  - {name: feed, path: '*.jsonl', format: cloudevents, properties: {n: data.n}, quantity: n}\n"
    ),
    "meters.yaml": "meters:\n  - {key: tokens, name: T, event_type: t, aggregation: sum, value: n}\n",
    "plans/basic.yaml": (
        "key: basic\nname: Basic\ncurrency: USD\nversions:\n  - effective: 2026-01-01\n    charges:\n"
        "      - {key: tokens, name: Tokens, model: per_unit, meter: tokens, price: '1.00'}\n"
    ),
    "customers.csv": "customer,name,address,country,zone,entity\n"
    + "".join(f"{n},{n},A,XX,UTC,seller\n" for n in NAMES),
    "credentials.csv": "credential,customer,valid_from,valid_to\n"
    + "".join(f"key_{n},{n},,\n" for n in NAMES)
    + "key_moved,ash,,2026-10-15T00:00:00Z\nkey_moved,birch,2026-10-15T00:00:00Z,\n"
    + "key_late,cedar,2026-10-20T00:00:00Z,\n",
    "subscriptions.csv": "subscription,customer,plan,start\n"
    + "".join(f"sub-{n},{n},basic,2026-10-01\n" for n in NAMES),
}
WHO = "by: reviewer, on: 2026-11-05, reason: asked the sender"


def event(i: str, who: str, n: int, day: int) -> str:
    time = f"2026-10-{day:02d}T12:00:00Z"
    body = {"id": i, "source": "app", "type": "t", "time": time, "subject": f"key_{who}", "data": {"n": n}}
    return json.dumps(body) + "\n"


@dataclass
class Life:
    home: Path
    seen: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, text: str) -> None:
        path = self.home / "inbox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def decide(self, **found: str) -> None:
        """Write the reviewed rows: by event id the rest of its row."""
        text = "".join(f"  - {{source: app, id: {i}, {what}, {WHO}}}\n" for i, what in found.items())
        (self.home / "catalog" / "decisions.yaml").write_text(f"conflicts:\n{text}")

    def context(self, day: str) -> Context:
        return Context(Instance(self.home), parse_instant(f"{day}T09:00:00Z", "test"))

    def billed(self, cut_off: str) -> dict[str, Decimal]:
        return {d["buyer"]["customer"]: Decimal(d["total"]) for d in documents(self.home, cut_off)}


def hashes_in_advance(folder: Path, home: Path, *texts: str) -> list[str]:
    """The hashes of events' payloads as the source computes them, from an instance that is thrown away."""
    aside = Life(folder)
    aside.put("rivals.jsonl", "".join(text.replace('"n": ', '"n": 9') for text in texts))
    with Ledger.open(folder) as ledger:
        catalog = load_catalog(home / "catalog")
        for _ in range(2):
            ingest(folder, ledger, catalog.settings, catalog.sources, parse_instant("2026-11-05T09:00:00Z", "test"))
            aside.put("texts.jsonl", "".join(texts))
    found = duckdb.execute(f"SELECT payload_hash FROM '{Lake(folder / 'lake').verdicts(2)}' ORDER BY line").fetchall()
    return [str(value) for (value,) in found]


CORRECTIONS = (
    "SELECT customer, amount::INTEGER, period_start::VARCHAR FROM marts.invoice_draft_lines "
    "WHERE kind = 'correction' ORDER BY customer"
)
USED = "SELECT customer, quantity::INTEGER FROM marts.usage_monthly ORDER BY customer"
BALANCE = (
    "SELECT level, lines, accepted, duplicate, conflict, quarantined, blank, decided, events FROM marts.ingest_balance "
    "WHERE level IN ('source', 'total') ORDER BY level"
)

DAYS = (
    "SELECT level, taken_day::VARCHAR, files, lines, accepted, conflict, decided FROM marts.ingest_balance ORDER BY ALL"
)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """October closed with one conflict decided, one waived and one open; a decision that waits for its payload."""
    life = Life(tmp_path_factory.mktemp("conflicts") / "home")
    for name, text in CATALOG.items():
        path = life.home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    seen = life.seen
    base = "".join(event(f"base-{who}", who, 100, 5) for who in NAMES)
    first = event("e1", "ash", 5, 10) + event("e2", "cedar", 1, 10) + event("e4", "ash", 3, 11)
    keys = event("m1", "moved", 1000, 14) + event("m2", "moved", 2000, 15)
    keys += event("l1", "late", 4000, 10) + event("l2", "late", 8000, 21)
    life.put("one.jsonl", base + first + event("e5", "dogwood", 6, 10) + keys + "not json\n")
    second, later = event("e1", "birch", 7, 20), event("e4", "birch", 40, 20)
    life.put("two.jsonl", second + event("e2", "cedar", 2, 12) + event("e5", "dogwood", 8, 12))
    hashes = hashes_in_advance(tmp_path_factory.mktemp("aside"), life.home, second, later)
    decided, awaited = (f"counts: {found}" for found in hashes)

    life.decide(e1=decided, e2="waive: true", e4=awaited)
    seen["october"] = close(life.context("2026-11-05"), parse_cut_off("2026-10"))
    seen["nothing new"] = run(life.context("2026-11-06"))
    seen["view"] = overview(Instance(life.home))
    seen["balance"] = rows(life.home, BALANCE)
    seen["by file"] = rows(life.home, "SELECT path, accepted, conflict, decided, events FROM marts.ingest_files")
    hashes = rows(life.home, "SELECT event_id, counted, payload_hash FROM marts.conflicts")
    seen["hashes"] = {(event_id, counted): found for event_id, counted, found in hashes}

    life.put("three.jsonl", later + second + event("e1", "cedar", 9, 15))
    seen["late run"] = run(life.context("2026-11-25"))
    seen["late balance"] = rows(life.home, DAYS)
    seen["late drafts"], seen["late usage"] = rows(life.home, CORRECTIONS), rows(life.home, USED)

    other, same = (f"counts: {seen['hashes'][key]}" for key in (("e2", False), ("e5", True)))
    life.decide(e1="waive: true", e2=other, e4=awaited, e5=same)
    credentials = CATALOG["credentials.csv"].replace("cedar,2026-10-20", "cedar,2026-10-01")
    (life.home / "catalog" / "credentials.csv").write_text(credentials)
    seen["november"] = close(life.context("2026-12-05"), parse_cut_off("2026-11"))
    return life


def test_33_until_a_decision_the_customers_of_both_payloads_wait_and_nobody_else(life: Life) -> None:
    waiting = "conflict on event 'e5' of 'app' on 2026-10-10; conflict on event 'e5' of 'app' on 2026-10-12"
    assert life.seen["october"].parked == {"dogwood": waiting}


def test_33_a_decision_bills_the_named_payload_and_a_waiver_the_first(life: Life) -> None:
    # e1 leaves ash and comes to birch; e2 is waived: its 1 stays; the second payload of e4 has not come yet.
    # The thousands are of keys that moved, or began: those of test 36.
    expected = {"ash": Decimal("1103.00"), "birch": Decimal("2107.00"), "cedar": Decimal("8101.00")}
    assert life.billed("2026-11-01") == expected


def test_33_status_shows_what_a_decision_has_to_name(life: Life) -> None:
    view, hashes = life.seen["view"], life.seen["hashes"]
    assert view.conflicts == {"open": 1, "decided": 1, "waived": 1}
    assert view.open_conflicts == (OpenConflict("app", "e5", hashes["e5", True], (hashes["e5", False],), ("dogwood",)),)
    assert view.quarantined == {"not_json": 1}


def test_the_waiver_is_journalled_by_the_close_that_it_let_through(life: Life) -> None:
    bodies = [json.loads(body) for (body,) in ledger_rows(life.home, "SELECT body FROM journal ORDER BY seq")]
    waived = [[(row["id"], row["by"], row["reason"]) for row in body["waived_conflicts"]] for body in bodies]
    assert waived == [[("e2", "reviewer", "asked the sender")], [("e1", "reviewer", "asked the sender")]]


def test_the_balance_keeps_the_lines_of_the_ledger_and_shows_what_was_decided(life: Life) -> None:
    whole = (16, 12, 0, 3, 1, 0, 0, 12)
    assert life.seen["balance"] == [("source", *whole), ("total", *whole)]
    assert sorted(life.seen["by file"]) == [("one.jsonl", 12, 0, -1, 11), ("two.jsonl", 0, 3, 1, 1)]


def test_the_balance_holds_at_every_level(life: Life) -> None:
    first, second, whole = (2, 16, 12, 3, -1), (1, 3, 0, 3, 1), (3, 19, 12, 6, 0)
    assert life.seen["late balance"] == [
        ("day", "2026-11-05", *first),
        ("day", "2026-11-25", *second),
        ("source", None, *whole),
        ("source_day", "2026-11-05", *first),
        ("source_day", "2026-11-25", *second),
        ("total", None, *whole),
    ]


def test_36_usage_goes_to_whose_key_it_was_at_the_time_and_to_nobody_before_it_was_anybodys(life: Life) -> None:
    """A key that moved bills each half to its holder; one that is valid later bills nothing until it says otherwise."""
    assert life.seen["view"].unattributed == Unattributed(events=1, bytes=0, credentials=1)
    assert rows(life.home, "SELECT count(*) FROM marts.unattributed_usage") == [(0,)]


def test_a_decision_that_names_nothing_known_is_reported_by_each_run_and_bills_nothing(life: Life) -> None:
    assert not life.seen["nothing new"].built
    [problem] = [p for p in life.seen["nothing new"].problems if "decisions.yaml" in p]
    assert problem.startswith("decisions.yaml:4: event 'e4' of 'app': no conflict is known of this event")
    assert life.seen["view"].unmet_decisions == (problem,)
    assert life.seen["late run"].problems == []


def test_33_a_payload_decided_for_before_it_came_takes_the_place_of_the_first_on_an_untouched_day(life: Life) -> None:
    """The day of the first payload lies in no new file; were it not built again, both payloads would be billed."""
    assert life.seen["late usage"] == [("ash", 1100), ("birch", 2147), ("cedar", 8101), ("dogwood", 106)]
    assert life.seen["late drafts"] == [("ash", -3, "2026-10-01"), ("birch", 40, "2026-10-01")]


def test_33_a_decision_after_the_close_is_billed_as_a_difference_and_no_forbidden_edit(life: Life) -> None:
    """e1 is waived now, which gives its 5 back to ash; e2 counts with its second payload; e5 is settled as it was; the
    4000 of a key that is valid from an earlier day come once."""
    assert life.seen["november"].parked == {}
    found = {
        (body["buyer"]["customer"], line["kind"], line["period_start"]): line["amount"]
        for body in documents(life.home, "2026-12-01")
        for line in body["lines"]
        if line["amount"] != "0.00"
    }
    assert found == {
        ("ash", "correction", "2026-10-01"): "2.00",
        ("birch", "correction", "2026-10-01"): "33.00",
        ("cedar", "correction", "2026-10-01"): "4001.00",
        ("dogwood", "usage", "2026-10-01"): "106.00",
    }
    assert rows(life.home, USED) == [("ash", 1105), ("birch", 2140), ("cedar", 12102), ("dogwood", 106)]


def test_every_document_follows_from_the_raw_files_under_the_decisions_of_its_close(life: Life) -> None:
    assert verify(life.home, life.home / "exports", life.home / "scratch" / "verify").problems == ()
