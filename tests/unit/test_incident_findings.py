"""Incidents hold drafts until somebody approves what was seen; what was said of one is journalled, once, and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from incident_tables import NOON, NOW, ROWS, SPIKE, TEXTS, incident, plant

from orchestration.audit.verify import verify
from orchestration.billing.due import DueLine, Group
from orchestration.billing.rating import Line
from orchestration.canonical import canonical_bytes
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.durable import Point
from orchestration.errors import ConfigInvalid, InputHeld, IntegrityFailure
from orchestration.ledger.findings import decided, findings, labels
from orchestration.ledger.store import Ledger
from orchestration.money import Money
from orchestration.pipeline.findings import find, record
from orchestration.pipeline.incidents import Known, held_drafts, holds, local_hour, require_watched, standing
from orchestration.settings import parse_instant


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home") as opened:
        yield opened


def catalog(**files: str) -> Catalog:
    return parse_catalog(TEXTS | {f"{name}.yaml": text for name, text in files.items()})


def known(ledger: Ledger, rows: Sequence[Sequence[Any]] = ROWS, catalog: Catalog | None = None) -> list[Known]:
    with duckdb.connect() as con:
        plant(con, rows)
        return standing(con, holds(catalog or parse_catalog(TEXTS)), ledger.journal())


def due(customer: str, start: str, end: str, kind: str = "usage") -> Group:
    days = date.fromisoformat(start), date.fromisoformat(end)
    amount = Money(Decimal("1.00"), "USD")
    line = Line(
        *("s", customer, "basic", "calls", "Calls", "calls", "arrears", "USD", *days, *days),
        *(Decimal(4), Decimal(4), "call", amount, {}),
        kind=kind,  # type: ignore[arg-type]
    )
    return Group(customer, "seller", "USD", [DueLine(line, amount)])


OCTOBER = [due("acme", "2026-10-01", "2026-11-01"), due("birch", "2026-10-01", "2026-11-01")]


def say(ledger: Ledger, name: str, says: str, by: str = "ana", reason: str = "load test", **given: Any) -> bool:
    rows, texts = given.get("rows", ROWS), given.get("catalog") or parse_catalog(TEXTS)
    row = find(known(ledger, rows, texts), name)
    return record(ledger, texts, row, says, by, reason, given.get("now_us", NOW))[1]


def waiting(ledger: Ledger, rows: Sequence[Sequence[Any]] = ROWS, groups: Sequence[Group] = OCTOBER) -> list[str]:
    return list(held_drafts(parse_catalog(TEXTS), known(ledger, rows), groups)[0])


def test_a_configured_kind_holds_the_drafts_of_its_days_and_says_how_to_decide(ledger: Ledger) -> None:
    reasons, approvals = held_drafts(catalog(), known(ledger), OCTOBER)
    assert reasons == {
        "acme": "incident aaaa00000001 (traffic_spike, 2026-10-14T14:00+02:00) waits for a decision: look with "
        "`tallystick anomalies show aaaa00000001`, then `tallystick anomalies approve aaaa00000001 --by WHO "
        '--reason "WHY"`, or reject it',
        "birch": "incident bbbb00000003 (scraping, 2026-10-14T08:00-04:00) waits for a decision: look with "
        "`tallystick anomalies show bbbb00000003`, then `tallystick anomalies approve bbbb00000003 --by WHO "
        '--reason "WHY"`, or reject it',
    }
    assert approvals == ()


@pytest.mark.parametrize(
    ("first", "start", "end", "kind", "held"),
    [
        ("2026-09-30T22:00:00Z", "2026-10-01", "2026-11-01", "usage", True),  # 1 October, 00:00 in Berlin
        ("2026-09-30T20:00:00Z", "2026-10-01", "2026-11-01", "usage", False),  # its two hours are of September there
        ("2026-09-30T21:00:00Z", "2026-10-01", "2026-11-01", "usage", True),  # the second of them is not
        ("2026-10-31T22:00:00Z", "2026-10-01", "2026-11-01", "usage", True),
        ("2026-10-31T23:00:00Z", "2026-10-01", "2026-11-01", "usage", False),  # 1 November, 00:00 in Berlin
        ("2026-10-14T12:00:00Z", "2026-10-01", "2026-11-01", "adjustment", False),
        ("2026-08-14T12:00:00Z", "2026-10-01", "2026-11-01", "usage", False),
    ],
)
def test_days_are_the_customers_own(first: str, start: str, end: str, kind: str, held: bool, ledger: Ledger) -> None:
    rows = [incident("aaaa00000001", "acme", "traffic_spike", parse_instant(first, "test"))]
    assert waiting(ledger, rows, [due("acme", start, end, kind)]) == (["acme"] if held else [])


def test_a_label_releases_nothing_and_an_approval_releases_its_own_incident_alone(ledger: Ledger) -> None:
    assert say(ledger, "aaaa00000001", "false")
    assert waiting(ledger) == ["acme", "birch"]
    assert say(ledger, "aaaa00000001", "approve", by="lee", reason="announced")
    assert waiting(ledger) == ["birch"]
    _, [row] = held_drafts(catalog(), known(ledger), OCTOBER)
    assert row == {
        "customer": "acme", "incident": "aaaa00000001", "kind": "traffic_spike", "first_us": "2026-10-14T12:00:00Z",
        "last_us": "2026-10-14T13:00:00Z", "by": "ana", "approved_by": "lee", "on": "2026-11-04",
        "reason": "announced", "label": "false", "entry": "2",
    }  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        incident("aaaa00000001", "acme", "traffic_spike", NOON, hours=3),  # it went on
        incident("aaaa00000001", "acme", "traffic_spike", NOON, observed="99000"),  # more came late
        incident("aaaa00000009", "acme", "traffic_spike", NOON),  # another one
        incident("aaaa00000001", "acme", "scraping", NOON),
    ],
)
def test_an_approval_is_of_what_was_seen_and_of_nothing_else(changed: list[Any], ledger: Ledger) -> None:
    say(ledger, "aaaa00000001", "approve")
    assert waiting(ledger, [SPIKE]) == []
    assert waiting(ledger, [changed]) == ["acme"]


def test_limits_that_a_label_moved_leave_an_approval_in_force(ledger: Ledger) -> None:
    say(ledger, "aaaa00000001", "approve")
    moved = [*SPIKE]
    moved[8], moved[9] = 50, 170
    assert waiting(ledger, [moved]) == []


def test_a_rejection_keeps_the_draft_and_says_what_next_until_an_approval(ledger: Ledger) -> None:
    say(ledger, "aaaa00000001", "reject", by="ana")
    reasons, _ = held_drafts(catalog(), known(ledger), OCTOBER)
    assert (
        "was rejected by ana: retract its usage or adjust the bill, then `tallystick anomalies approve"
        in (reasons["acme"])
    )
    assert waiting(ledger, []) == ["acme"], "its usage was retracted and the incident is gone; nobody has approved yet"
    assert say(ledger, "aaaa00000001", "approve", rows=[], reason="retracted")
    assert waiting(ledger, []) == []


def test_a_false_alarm_whose_label_made_it_vanish_still_waits_for_an_approval(ledger: Ledger) -> None:
    say(ledger, "aaaa00000001", "false")
    [gone] = known(ledger, [])
    assert (gone.hold, gone.gone, gone.open) == ("held", True, True)
    again = incident("aaaa00000009", "acme", "traffic_spike", NOON, hours=1)
    found = {row.seen.incident: row.hold for row in known(ledger, [again])}
    assert found == {"aaaa00000001": "", "aaaa00000009": "held"}, "another one stands in its place"


def test_the_same_said_again_is_not_written_again_and_the_last_label_counts(ledger: Ledger) -> None:
    assert [say(ledger, "aaaa00000002", says) for says in ("false", "false", "real")] == [True, False, True]
    assert [say(ledger, "aaaa00000001", says) for says in ("approve", "approve", "reject")] == [True, False, True]
    entries = ledger.journal()
    assert [entry.kind for entry in entries] == ["label", "label", "hold", "hold"]
    assert labels(entries) == [("acme", "new_country", True, NOW)]
    assert {name: found.says for name, found in decided(entries).items()} == {"aaaa00000001": "reject"}
    body = json.loads(entries[0].body)
    assert {name: body[name] for name in ("customer", "kind", "says", "by", "first_us", "observed", "upper")} == {
        "customer": "acme", "kind": "new_country", "says": "false", "by": "ana", "first_us": str(NOON),
        "observed": "412", "upper": "150",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "says", "by", "reason", "said"),
    [
        ("aaaa", "approve", "ana", "x", r"begins the ids of 2 incidents: .*aaaa00000001 \(acme, traffic_spike\)"),
        ("cccc", "approve", "ana", "x", "no incident 'cccc'"),
        ("", "approve", "ana", "x", "no incident ''"),
        ("aaaa00000002", "approve", "ana", "x", "'new_country' is none of the kinds that do"),
        ("bbbb", "real", " ", "x", "--by is a line of 1 to 500"),
        ("bbbb", "real", "ana", "", "--reason is a line of 1 to 500"),
        ("bbbb", "real", "ana", "two\nlines", "--reason is a line of 1 to 500"),
        ("bbbb", "real", "ana", "x" * 501, "--reason is a line of 1 to 500"),
    ],
)
def test_what_can_not_be_said_is_refused_and_nothing_is_written(
    name: str, says: str, by: str, reason: str, said: str, ledger: Ledger
) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        say(ledger, name, says, by, reason)
    assert ledger.journal() == []


def test_from_the_day_of_two_persons_on_whoever_labelled_an_incident_can_not_release_it(ledger: Ledger) -> None:
    two = catalog(instance=f"{TEXTS['instance.yaml']}approvals_since: 2026-11-04\n")
    before = parse_instant("2026-11-03T23:59:59Z", "test")
    assert say(ledger, "bbbb", "approve", catalog=two, now_us=before), "the rule isn't in force yet"
    with pytest.raises(ConfigInvalid, match="nobody has said what incident aaaa00000001 was"):
        say(ledger, "aaaa00000001", "approve", catalog=two)
    say(ledger, "aaaa00000001", "false", by="Ana", catalog=two)
    with pytest.raises(ConfigInvalid, match="'ana' has labelled"):
        say(ledger, "aaaa00000001", "approve", by=" ana", catalog=two)
    assert say(ledger, "aaaa00000001", "reject", by="ana", catalog=two), "anybody may hold it back"
    assert say(ledger, "aaaa00000001", "approve", by="lee", catalog=two)


def test_without_monitoring_or_before_its_first_run_the_command_says_what_to_do(ledger: Ledger) -> None:
    with pytest.raises(ConfigInvalid, match="the catalog watches nothing"):
        require_watched(parse_catalog({k: v for k, v in TEXTS.items() if k != "monitoring.yaml"}))
    with duckdb.connect() as con, pytest.raises(InputHeld, match="knows no incidents"):
        standing(con, catalog(), [])


def test_a_kind_that_is_off_holds_nothing(ledger: Ledger) -> None:
    texts = catalog(monitoring="holds: [traffic_spike, scraping]\noff: [scraping]\n")
    assert [row.hold for row in known(ledger, ROWS, texts)] == ["", "held", ""]


def test_hours_are_shown_by_the_clock_of_the_zone_that_was_in_force() -> None:
    moved = "Europe/Berlin 2026-11-01 Asia/Tokyo"
    assert local_hour(moved, NOON) == "2026-10-14T14:00+02:00"
    assert local_hour(moved, parse_instant("2026-11-02T00:00:00Z", "test")) == "2026-11-02T09:00+09:00"


def test_a_changed_label_or_decision_is_named_by_verify(ledger: Ledger, tmp_path: Path) -> None:
    say(ledger, "aaaa00000001", "false")
    say(ledger, "aaaa00000001", "approve", by="lee")
    first, second = ledger.journal()
    home = tmp_path / "home"

    def problems() -> list[str]:
        return [str(p) for p in verify(home, home / "exports", tmp_path / "scratch", fast=True).problems]

    assert problems() == []
    for entry, old, new in ((first, '"says":"false"', '"says":"real"'), (second, '"by":"lee"', '"by":"eve"')):
        assert old in entry.body
        with pytest.raises(IntegrityFailure, match=f"a {entry.kind} in the journal can't be read"):
            findings([replace(entry, body="{}")])
        ledger._db.execute("DROP TRIGGER IF EXISTS journal_is_final")
        ledger._db.execute("UPDATE journal SET body = ? WHERE seq = ?", (entry.body.replace(old, new), entry.seq))
        assert any(f"journal entry {entry.seq}: hash is" in text for text in problems())
        ledger._db.execute("UPDATE journal SET body = ? WHERE seq = ?", (entry.body, entry.seq))


def test_an_approval_that_a_close_lists_and_nobody_gave_is_named_by_verify(ledger: Ledger, tmp_path: Path) -> None:
    say(ledger, "aaaa00000001", "approve")
    _, [row] = held_drafts(catalog(), known(ledger), OCTOBER)
    home = tmp_path / "home"
    for listed, found in (([row], False), ([{**row, "by": "eve"}], True)):
        with ledger.transaction(Point.CLOSE_COMMITTED):
            body = {"documents": [], "root": "", "last_batch": "0", "catalog": "", "approvals": listed}
            body |= {"input_digest": "", "batch_hash": "", "files": "0", "lines": "0", "accepted": "0"}
            ledger.append_journal("close", canonical_bytes(body))
        said = verify(home, home / "exports", tmp_path / "scratch", fast=True).problems
        assert any("its 'approvals' are not those of the journal" in str(problem) for problem in said) == found
