"""One life over three closes: what comes late is billed once, what contradicts itself parks whom it names."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faultkit import (
    CATALOG,
    NOVEMBER_NOW,
    REPOSITORY,
    Box,
    ForkServer,
    boundary_instants,
    differences,
    log_line,
    token_event,
)

JANUARY_NOW = "2027-01-05T09:00:00Z"
MID_NOVEMBER = datetime(2026, 11, 15, 12, tzinfo=UTC)


@dataclass
class Life:
    box: Box
    seen: dict[str, Any]


@pytest.fixture(scope="module")
def life(october: Box, tmp_path_factory: pytest.TempPathFactory) -> Life:
    box = october.copy(tmp_path_factory.mktemp("life") / "home", NOVEMBER_NOW)
    seen: dict[str, Any] = {}
    late = token_event("late", datetime(2026, 10, 20, tzinfo=UTC), "bengal", 10_000)
    clash = [token_event("clash", MID_NOVEMBER, who, 7) for who in ("hudson", "line")]
    box.put("tokens/2026-11.jsonl", late + "".join(clash))
    ghost = "".join(log_line(MID_NOVEMBER + timedelta(minutes=n), "ghost", "") for n in range(5))
    box.put("gw/c/access.log", ghost + ghost[: ghost.index("\n") + 1])
    seen["run"] = box.do("run")
    seen["rerun"] = box.do("run")
    seen["drafts"] = box.sql("SELECT customer, charge, amount FROM marts.invoice_draft_lines WHERE kind = 'correction'")
    seen["unattributed"] = box.sql("SELECT credential, events FROM marts.unattributed_usage")
    seen["close"] = box.do("close", "2026-11")
    after = box.ledger_dump()
    seen["reclose"] = box.do("close", "2026-11")
    assert box.ledger_dump() == after
    box = box.at(JANUARY_NOW)
    box.catalog("credentials.csv", CATALOG["credentials.csv"] + "key_ghost,bengal\n")
    seen["december"] = box.do("close", "2026-12")
    seen["unattributed_after"] = box.sql("SELECT sum(events) FROM marts.unattributed_usage")
    return Life(box, seen)


def corrections(box: Box) -> list[tuple[str, str, str, str, str]]:
    return [
        (body["buyer"]["customer"], body["cut_off"], line["charge"], line["period_start"], line["amount"])
        for body in box.documents()
        for line in body["lines"]
        if line["kind"] == "correction" and body["cut_off"] > "2026-11-01"
    ]


def test_F25_ten_that_come_late_and_are_found_by_two_runs_and_three_closes_are_billed_once(life: Life) -> None:
    assert "nothing was built" in life.seen["rerun"]
    assert [(c, k, str(a)) for c, k, a in life.seen["drafts"]] == [("bengal", "tokens", "10.0000")]
    found = [c for c in corrections(life.box) if c[2] == "tokens"]
    assert found == [("bengal", "2026-12-01", "tokens", "2026-10-01", "10.00")]
    (line,) = [x for x in life.box.lines("bengal", "2026-12-01", "tokens") if x["kind"] == "correction"]
    assert line["correction"] == {
        "document": "SEL-2026-000004",
        "cause": "late usage",
        "before": {"amount": "0.62", "measured": "615", "quantity": "615"},
        "after": {"amount": "10.62", "measured": "10615", "quantity": "10615"},
    }


def test_F33_a_conflict_parks_the_two_customers_that_it_names_and_nobody_else(life: Life) -> None:
    said = life.seen["close"]
    assert "1 document(s) issued" in said
    for customer in ("hudson", "line"):
        assert f"parked: {customer}: conflict on event 'clash' of '/model' on 2026-11-15" in said
    assert "parked: bengal" not in said
    assert "conflict: 1" in life.seen["run"]
    assert [d["buyer"]["customer"] for d in life.box.documents() if d["cut_off"] == "2026-12-01"] == ["bengal"]
    verdicts = life.box.sql("SELECT customer, counted FROM marts.conflicts ORDER BY customer")
    assert sorted(flag for _, flag in verdicts) == [False, True]
    assert [customer for customer, _ in verdicts] == ["hudson", "line"]


def test_F36_usage_of_nobody_is_reported_and_billed_once_when_its_credential_is_known(life: Life) -> None:
    assert life.seen["unattributed"] == [("key_ghost", 6)]
    assert life.seen["unattributed_after"] == [(None,)]
    (line,) = life.box.lines("bengal", "2026-12-01", "requests")
    assert (line["period_start"], line["quantity"], line["amount"]) == ("2026-11-01", "0", "0.00")
    # Six equal or near lines of one log are six requests: a line has no id but its place.
    found = [c for c in corrections(life.box) if c[2] == "requests"]
    assert found == [("bengal", "2027-01-01", "requests", "2026-11-01", "0.60")]


def test_D1_after_all_this_every_document_follows_from_the_raw_files(life: Life) -> None:
    assert "0 document(s) issued" in life.seen["reclose"]
    life.box.do("verify")


def test_F32_the_same_event_a_thousand_times_is_counted_once(life: Life, october: Box, tmp_path: Path) -> None:
    """A10 and A11 alike: duplicates are no error, and equal times are no identity."""
    from orchestration.catalog import load_catalog
    from orchestration.ingest import ingest
    from orchestration.ledger.store import Ledger
    from orchestration.settings import parse_instant

    box = october.copy(tmp_path / "home", NOVEMBER_NOW)
    same = token_event("again", MID_NOVEMBER, "line", 3)
    box.put("tokens/many.jsonl", same * 1000)
    box.put("tokens/more.jsonl", same + "".join(token_event(f"tie{n}", MID_NOVEMBER, "line", 3) for n in range(50)))
    catalog = load_catalog(box.home / "catalog")
    with Ledger.open(box.home) as ledger:
        report = ingest(box.home, ledger, catalog.settings, catalog.sources, parse_instant(NOVEMBER_NOW, ""))
        assert (report.lines, report.accepted, report.duplicate, report.conflict) == (1051, 51, 1000, 0)
        box.put(
            "tokens/repacked.jsonl", "".join(token_event(f"tie{n}", MID_NOVEMBER, "line", 3) for n in range(50)[::-1])
        )
        report = ingest(box.home, ledger, catalog.settings, catalog.sources, parse_instant(NOVEMBER_NOW, ""))
        assert (report.lines, report.accepted, report.duplicate, report.exit_code) == (50, 0, 50, 0)


PLACES = {
    "utc": "UTC",
    "bengal": "Asia/Kolkata",
    "hudson": "America/New_York",
    "line": "Pacific/Kiritimati",
    "niue": "Pacific/Niue",
    "mover": "America/New_York",
}


@pytest.fixture(scope="module")
def edges(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """Events a microsecond around both ends of October in five zones, and a customer who changes plan in its middle."""
    box = Box.new(server, tmp_path_factory.mktemp("edges") / "home", NOVEMBER_NOW)
    head = "customer,name,address,country,zone,entity\n"
    box.catalog("customers.csv", head + "".join(f"{k},{k},A,XX,{zone},seller\n" for k, zone in PLACES.items()))
    box.catalog("credentials.csv", "credential,customer\n" + "".join(f"key_{k},{k}\n" for k in PLACES))
    plain = "".join(f"sub-{k},{k},basic,2026-09-01,\n" for k in PLACES if k != "mover")
    moves = "sub-m,mover,basic,2026-09-01,2026-10-16\nsub-m,mover,dear,2026-10-16,\n"
    box.catalog("subscriptions.csv", "subscription,customer,plan,start,end\n" + plain + moves)
    dear = CATALOG["plans/basic.yaml"].replace("key: basic", "key: dear").replace('price: "0.001"', 'price: "1"')
    box.catalog("plans/dear.yaml", dear.replace('price: "1.00"', 'price: "7.00"'))
    events = [
        token_event(f"{who}-{month}-{n}", moment, who, 1)
        for who, zone in PLACES.items()
        if who != "mover"
        for month in (10, 11)
        for n, moment in enumerate(boundary_instants(zone, 2026, month))
    ]
    turn = datetime(2026, 10, 16, 4, tzinfo=UTC)  # midnight in New York
    events += [token_event(f"m{n}", turn + timedelta(microseconds=n), "mover", 1) for n in range(-5, 7)]
    box.put("tokens/edges.jsonl", "".join(events))
    visits = [
        log_line(turn + timedelta(hours=n), "mover", user) for n, user in [(-2, "a"), (-1, "b"), (1, "b"), (2, "c")]
    ]
    box.put("gw/a/access.log", "".join(visits))
    box.do("close", "2026-11")
    return box


@pytest.mark.parametrize("customer", [k for k in PLACES if k != "mover"])
def test_F30_B1_B10_an_event_at_the_end_of_a_local_month_is_in_exactly_one_period(customer: str, edges: Box) -> None:
    found = {x["period_start"]: x["quantity"] for x in edges.lines(customer, "2026-12-01", "tokens")}
    assert found == {"2026-09-01": "1", "2026-10-01": "3", "2026-11-01": "2"}
    days = edges.sql(
        f"SELECT local_day::VARCHAR, quantity::INTEGER FROM marts.usage_daily WHERE customer = '{customer}' "
        "AND meter = 'tokens' ORDER BY 1"
    )
    assert days == [("2026-09-30", 1), ("2026-10-01", 2), ("2026-10-31", 1), ("2026-11-01", 2)]


def test_A17_a_change_of_plan_in_the_month_bills_each_event_and_each_user_once(edges: Box) -> None:
    tokens = {
        (x["plan"], x["start"], x["end"]): (x["quantity"], x["amount"])
        for x in edges.lines("mover", "2026-12-01", "tokens")
        if x["period_start"] == "2026-10-01"
    }
    assert tokens == {
        ("basic", "2026-10-01", "2026-10-16"): ("5", "0.01"),
        ("dear", "2026-10-16", "2026-11-01"): ("7", "7.00"),
    }
    users = {
        x["plan"]: (x["quantity"], x["amount"])
        for x in edges.lines("mover", "2026-12-01", "users")
        if x["period_start"] == "2026-10-01"
    }
    assert users == {"basic": ("2", "2.00"), "dear": ("1", "7.00")}


def test_the_second_reading_of_the_raw_files_agrees_at_every_edge(edges: Box) -> None:
    edges.do("verify")


FEBRUARY_NOW = "2027-02-05T09:00:00Z"
MARCH_NOW = "2027-03-05T09:00:00Z"
PERSON = "hudson1"
ELSEWHERE = {"TALLYSTICK_THREADS": "1", "TZ": "Pacific/Kiritimati", "LANG": "de_DE.UTF-8", "LC_ALL": "C"}
KNOWN_NOW = (
    "SELECT subscription, charge, period_start, start, value, amount FROM record.rated_lines "
    "WHERE period_start < DATE '2027-02-01' ORDER BY ALL"
)
"""Amounts of the lines of closed periods, as they are priced with all that is known."""


@pytest.fixture(scope="module")
def reviewed(life: Life, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """The same life after the conflict was decided, an event of October was retracted, and January was closed."""
    box = life.box.copy(tmp_path_factory.mktemp("reviewed") / "home", FEBRUARY_NOW)
    [(chosen,)] = box.sql("SELECT payload_hash FROM marts.conflicts WHERE event_id = 'clash' AND customer = 'hudson'")
    who = "by: lee, on: 2027-02-01, reason: asked the sender"
    box.catalog("decisions.yaml", f"conflicts:\n  - {{source: /model, id: clash, counts: {chosen}, {who}}}\n")
    box.catalog("retractions.yaml", f"retractions:\n  - {{source: /model, id: t10-line-2, {who}}}\n")
    box.do("close", "2027-01")
    return box


@pytest.fixture(scope="module")
def erased(reviewed: Box, tmp_path_factory: pytest.TempPathFactory) -> tuple[Box, dict[str, str]]:
    """After a user's lines were erased, and further ones that came afterwards; with what the commands said."""
    box = reviewed.copy(tmp_path_factory.mktemp("erased") / "home", MARCH_NOW)
    told = {"hash": with_input(f"{PERSON}\n", "erase", "--hash", "--home", str(box.home))}
    user = told["hash"].split()[1]
    row = f"name: gone, user: {user}, feed: gateway, by: lee, on: 2027-03-01, reason: asked to be forgotten"
    box.catalog("erasures.yaml", f"erasures:\n  - {{{row}}}\n")
    before = box.ledger_dump()
    told["dry run"] = box.do("erase", "gone", "--dry-run")
    assert box.ledger_dump() == before and holding(box)
    told["erasure"] = box.do("erase", "gone")
    told["again"] = box.do("erase", "gone")
    assert not holding(box)
    box.put("gw/d/access.log", log_line(datetime(2027, 2, 20, tzinfo=UTC), "hudson", PERSON) * 2)
    told["run"] = box.do("run")
    return box, told


def with_input(text: str, *argv: str) -> str:
    """What the command says that reads `text`."""
    command = [sys.executable, "-m", "orchestration.cli", *argv]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout


def holding(box: Box) -> list[str]:
    """Raw files in which the person is named."""
    found = []
    for path in sorted(path for path in (box.home / "raw").rglob("*") if path.is_file()):
        data = path.read_bytes()
        found += [path.name] if PERSON.encode() in (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data) else []
    return found


def test_a_conflict_that_is_decided_and_an_event_that_is_retracted_are_billed_with_the_next_close(
    reviewed: Box,
) -> None:
    found = {(c[0], c[2], c[3]): c[4] for c in corrections(reviewed) if c[1] == "2027-02-01"}
    # 102 tokens of October at 0.001 less, of 615: 0.62 becomes 0.51.
    assert found["line", "tokens", "2026-10-01"] == "-0.11"
    november = {who: x["quantity"] for who in ("hudson", "line") for x in reviewed.lines(who, "2027-02-01", "tokens")
                if x["kind"] == "usage" and x["period_start"] == "2026-11-01"}  # fmt: skip
    assert november == {"hudson": "7", "line": "0"}


def test_I8_raw_files_alone_give_what_the_ledger_knows_now(reviewed: Box, server: ForkServer, tmp_path: Path) -> None:
    """Another ledger, in which nothing is late and the decision stands from the beginning."""
    box = Box(server, tmp_path / "home", reviewed.now)
    shutil.copytree(reviewed.home / "catalog", box.home / "catalog")
    shutil.copy2(reviewed.home / "instance.key", box.home / "instance.key")
    for sha256, path in reviewed.ledger("SELECT sha256, path FROM files ORDER BY file_id DESC"):
        older = (box.home / "inbox" / path).exists()
        box.put(f"{path}.1" if older else path, (reviewed.home / "raw" / sha256[:2] / sha256).read_bytes())
    box.do("run")
    assert box.sql(KNOWN_NOW) == reviewed.sql(KNOWN_NOW) != []
    revised = (
        "SELECT subscription, charge, period_start, sum(amount) FROM marts.period_revisions GROUP BY ALL ORDER BY ALL"
    )
    now = {row[:3]: row[3] for row in reviewed.sql(revised)}
    lines = box.sql(
        "SELECT subscription, charge, period_start, sum(amount) FROM record.rated_lines GROUP BY ALL ORDER BY ALL"
    )
    assert now == {row[:3]: row[3] for row in lines if row[:3] in now}


def test_an_erasure_is_shown_first_done_once_and_done_again_to_what_comes_later(
    erased: tuple[Box, dict[str, str]],
) -> None:
    box, told = erased
    user = told["hash"].split()[1]
    assert told["hash"].startswith("user: ") and len(user) == 32
    assert "row 'gone' by lee of 2027-03-01: asked to be forgotten" in told["dry run"]
    # Calls 1, 4, 7 and 10 of a month: in the log of September, in what it grew into, and 1 and 4 in the other.
    assert f"{4 + 8 + 2} line(s) in 3 raw object(s)" in told["dry run"]
    assert "erased " not in told["dry run"] and "journal entry" in told["erasure"]
    assert told["again"].splitlines()[-1] == "nothing is left to erase"
    assert not holding(box)
    entries = box.ledger("SELECT body FROM journal WHERE kind = 'erasure' ORDER BY seq")
    assert [json.loads(body)["name"] for (body,) in entries] == ["gone", "gone"]
    assert json.loads(entries[1][0])["lines"] == "2"
    # They count all the same: two requests of one user.
    assert box.sql(
        "SELECT quantity::INTEGER FROM marts.usage_monthly WHERE customer = 'hudson' AND meter = 'requests' "
        "AND month_start = DATE '2027-02-01'"
    ) == [(2,)]


def test_F58_I8_replayed_from_ledger_and_raw_files_elsewhere_everything_is_the_same(
    erased: tuple[Box, dict[str, str]], server: ForkServer, tmp_path: Path
) -> None:
    """Late files, a conflict and its decision, a retraction, two erasures, five closes; another folder, zone, locale,
    hash seed, number of threads and file mode; a process of its own."""
    lived, _ = erased
    box = Box(server, tmp_path / "another place", lived.now)
    (box.home / "inbox").mkdir(parents=True)
    for name in ("ledger.sqlite", "instance.key"):
        shutil.copy2(lived.home / name, box.home / name)
    for name in ("raw", "catalog"):
        shutil.copytree(lived.home / name, box.home / name)
    command = [sys.executable, "-m", "orchestration.cli", "run", "--home", str(box.home), "--now", box.now]
    environment = {**os.environ, **ELSEWHERE, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(
        command, env=environment, cwd=tmp_path, umask=0o077, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    box.do("export", "invoices", **ELSEWHERE)
    lived.do("export", "invoices")
    expected, found = lived.fingerprint(), box.fingerprint()
    assert differences(expected, found) == []
    assert len(expected["exports"]) > 20 and len(expected["marts"]) > 50
    assert "erased on 2027-03-05" in box.do("verify", **ELSEWHERE)
