"""An incident's drafts wait at the close, with the reason, until somebody approves; nobody else waits for them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from faultkit import OCTOBER_NOW, Box
from incident_tables import incident, plant_published

from orchestration.catalog import load_catalog
from orchestration.ledger.store import Ledger
from orchestration.pipeline.anomalies import say
from orchestration.pipeline.close import issue_due
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.settings import parse_instant

NOON = parse_instant("2026-10-14T12:00:00Z", "test")
INCIDENTS = [
    incident("aaaa00000001", "hudson", "traffic_spike", NOON),
    incident("bbbb00000002", "bengal", "traffic_spike", NOON),
]
USED_UP = "entitlements:\n  - {plan: basic, meter: requests, limit: '0', per: month}\n"


def test_a_close_parks_whom_an_incident_holds_and_lists_the_approval_that_let_another_go(
    october_run: Box, tmp_path: Path
) -> None:
    box = october_run.copy(tmp_path / "home")
    box.catalog("monitoring.yaml", "holds: [traffic_spike]\nwebhooks: [{name: desk, url_from: DESK_URL}]\n")
    box.catalog("entitlements.yaml", USED_UP)
    instance, now_us = Instance(box.home), parse_instant(OCTOBER_NOW, "test")
    plant_published(box.home, INCIDENTS)
    say(instance, "aaaa", "approve", "lee", "announced", now_us)
    said = box.do("run")
    assert "look at: webhook 'desk': " in said and "not posted: DESK_URL is not set" in said
    # What a build says of usage is told elsewhere: here it is as planted.
    plant_published(box.home, INCIDENTS)
    assert "bengal: 1 incident(s) that hold drafts wait for a decision: `tallystick anomalies`" in box.do("status")
    with Ledger.open(box.home) as ledger:
        result = issue_due(Context(instance, now_us), load_catalog(instance.catalog), ledger, date(2026, 11, 1))
    assert list(result.parked) == ["bengal"]
    assert result.parked["bengal"].startswith("incident bbbb00000002 (traffic_spike, 2026-10-14T")
    assert "hudson" in [document.customer for document in result.documents]
    [body] = box.ledger("SELECT body FROM journal WHERE kind = 'close' ORDER BY seq DESC LIMIT 1")
    entry = json.loads(body[0])
    assert list(entry["parked"]) == ["bengal"]
    assert [(row["incident"], row["by"], row["reason"]) for row in entry["approvals"]] == [
        ("aaaa00000001", "lee", "announced")
    ]
    box.do("run")
    waivers = "SELECT applies_to, done_by, reason FROM marts.audit_waivers WHERE kind = 'incident_approval'"
    assert box.sql(waivers) == [("hudson, aaaa00000001", "lee", "announced")]
    assert box.sql("SELECT done_by FROM marts.audit_journal WHERE kind = 'hold'") == [("lee",)]
    box.do("verify", "--fast")
