"""A mapping that was wrong over a close: mended and retried, the usage is billed as if it had been right, once."""

from __future__ import annotations

import shutil
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from faultkit import (
    CATALOG,
    OCTOBER_NOW,
    SEPTEMBER_NOW,
    Box,
    ForkServer,
    deliver_october,
    deliver_september,
    differences,
    tree,
)

from orchestration.catalog import load_catalog
from orchestration.ingest import ingest
from orchestration.ledger.store import Ledger
from orchestration.settings import parse_instant

KILLED = -9
POINTS = ("lake_file_named.after", "batch_committed.before", "batch_committed.after")
WRONG = CATALOG["sources.yaml"].replace("data.tokens", "data.tokns")


@pytest.fixture(scope="module")
def misread(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """September is closed without any tokens, as their name was misspelt; that is mended, October is delivered."""
    box = Box.new(server, tmp_path_factory.mktemp("misread") / "home", SEPTEMBER_NOW, sources=WRONG)
    deliver_september(box)
    box.do("close", "2026-09")
    assert box.sql("SELECT quarantined FROM marts.ingest_balance WHERE level = 'source' AND source = 'tokens'") == [
        (18,)
    ]
    box.catalog("sources.yaml", CATALOG["sources.yaml"])
    deliver_october(box)
    return box.at(OCTOBER_NOW)


def take_again(box: Box) -> None:
    catalog = load_catalog(box.home / "catalog")
    with Ledger.open(box.home) as ledger:
        ingest(box.home, ledger, catalog.settings, catalog.sources, parse_instant(OCTOBER_NOW, "test"))


def retry(box: Box, *options: str, code: int = 0, **env: str) -> str:
    return box.do("quarantine", "retry", "--now", box.now, *options, code=code, **env)


@pytest.fixture(scope="module")
def retried(misread: Box, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """The same after an undisturbed retry. Never written to: copy it."""
    box = misread.copy(tmp_path_factory.mktemp("retried") / "home")
    said = retry(box)
    assert "18 line(s) of 1 file(s) left the quarantine" in said
    assert "bad_quantity, now accepted: 18" in said
    assert "`tallystick run`" in said
    return box


def charged(box: Box) -> dict[tuple[str, str], Decimal]:
    """Amounts on all documents, by customer and charge."""
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for body in box.documents():
        for line in body["lines"]:
            totals[body["buyer"]["customer"], line["charge"]] += Decimal(line["amount"])
    return totals


def counted(box: Box) -> dict[str, list[tuple[Any, ...]]]:
    """Usage and where every line is, without the numbers of files and batches."""
    return {
        "usage": box.sql("SELECT * FROM marts.usage_daily ORDER BY ALL"),
        "months": box.sql("SELECT * FROM marts.usage_monthly ORDER BY ALL"),
        "sources": box.sql(
            "SELECT * EXCLUDE taken_day FROM marts.ingest_balance WHERE level IN ('source', 'total') ORDER BY ALL"
        ),
        "files": box.sql("SELECT * EXCLUDE (file_id, batch_id, taken_day) FROM marts.ingest_files ORDER BY ALL"),
        "bad": box.sql("SELECT * EXCLUDE file_id FROM marts.quarantine ORDER BY ALL"),
        "conflicts": box.sql("SELECT * EXCLUDE file_id FROM marts.conflicts ORDER BY ALL"),
    }


def test_retried_usage_of_a_closed_month_is_billed_with_the_next_one_and_comes_back_from_raw_files(
    retried: Box, october: Box, tmp_path: Path
) -> None:
    box = retried.copy(tmp_path / "home")
    before = charged(box)
    assert not any(charge == "tokens" and amount for (_, charge), amount in before.items())
    box.do("close", "2026-10")
    assert counted(box) == counted(october)
    assert charged(box) == charged(october)
    tokens = [line for body in box.documents() for line in body["lines"] if line["charge"] == "tokens"]
    assert sum(line["kind"] == "correction" for line in tokens) == 3
    assert "7 raw files, 198 lines, 6 documents (recomputed from raw files)" in box.do("verify")
    derived = box.fingerprint()
    for folder in ("lake", "warehouse"):
        shutil.rmtree(box.home / folder)
    box.do("run")
    assert differences(derived, box.fingerprint()) == []


def test_F2_a_kill_at_any_point_of_a_retry_loses_nothing_and_doubles_nothing(
    misread: Box, retried: Box, tmp_path: Path
) -> None:
    box = misread.copy(tmp_path / "home")
    committed = box.ledger_dump()
    for point in POINTS:
        retry(box, code=KILLED, KILL_AT=point)
        assert (box.ledger_dump() == committed) == (point != "batch_committed.after")
    assert "0 line(s)" in retry(box)
    assert box.ledger_dump() == retried.ledger_dump()
    assert tree(box.home / "lake") == tree(retried.home / "lake")


def test_the_quarantine_can_be_looked_at_and_a_dry_run_changes_nothing(
    misread: Box, retried: Box, tmp_path: Path
) -> None:
    box = misread.copy(tmp_path / "home")
    before = (box.ledger_dump(), tree(box.home / "lake"))
    listing = box.do("quarantine", "list")
    assert all(text in listing for text in ("tokens/2026-09.jsonl", "bad_quantity", "18"))
    assert "no line is quarantined" in box.do("quarantine", "list", "--reason", "not_json")
    shown = box.do("quarantine", "show", "tokens/2026-09.jsonl", "--line", "2")
    assert '  2: bad_quantity: {"specversion": "1.0", "id": "t9-hudson-0"' in shown
    raw = box.do("quarantine", "show", "tokens/2026-09.jsonl", "--raw")
    assert raw == (box.home / "inbox/tokens/2026-09.jsonl").read_text()
    assert "no such line" in box.do("quarantine", "show", "nowhere.log", code=2)
    assert "18 line(s) of 1 file(s) would leave the quarantine" in retry(box, "--dry-run")
    assert (box.ledger_dump(), tree(box.home / "lake")) == before
    assert "no line is quarantined" in retried.copy(tmp_path / "retried").do("quarantine", "list")


def test_control_characters_of_a_quarantined_line_do_not_reach_the_terminal(misread: Box, tmp_path: Path) -> None:
    box = misread.copy(tmp_path / "home")
    bad = b"\x1b]0;owned\x07 [red]\xc2\x9b\xff\n"
    box.put("gw/a/access.log", (box.home / "inbox/gw/a/access.log").read_bytes() + bad)
    take_again(box)
    shown = box.do("quarantine", "show", "gw/a/access.log")
    assert r"\x1b]0;owned\x07 [red]\x9b\xff" in shown
    assert not any(ord(c) < 32 and c != "\n" for c in shown)
