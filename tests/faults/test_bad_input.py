"""Bad input in each place, through the real command: the stated error, nothing lost, the rest goes on."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from faultkit import (
    CATALOG,
    OCTOBER_NOW,
    REPOSITORY,
    Box,
    ForkServer,
    deliver_september,
    log_line,
    token_event,
    tree,
)

AT = datetime(2026, 10, 10, tzinfo=UTC)
GOOD = log_line(AT, "bengal", "u") * 4
PACKED = gzip.compress(GOOD.encode(), mtime=0)


@dataclass
class Spoiled:
    box: Box
    run: str
    close: str
    outside: Path


@pytest.fixture(scope="module")
def spoiled(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Spoiled:
    """Good September files, and in October one of each kind of bad file beside good ones."""
    folder = tmp_path_factory.mktemp("spoiled")
    box = Box.new(server, folder / "home", OCTOBER_NOW)
    deliver_september(box)
    box.put("gw/a/access.log.1", GOOD)
    box.put("gw/t/access.log.gz", PACKED[:-1])
    box.put("gw/u/access.log.gz", PACKED[:-6] + b"\0" + PACKED[-5:])
    box.put("gw/v/access.log", GOOD + GOOD[:50])
    box.put("tokens/broken.jsonl", token_event("g1", AT, "line", 3) + "{\n" + token_event("g2", AT, "line", "1e3"))
    outside = folder / "outside.log"
    outside.write_text(GOOD)
    inbox = box.home / "inbox" / "gw"
    for name in ("w", "x", "y"):
        (inbox / name).mkdir()
    (inbox / "w" / "access.log").symlink_to(outside)
    os.mkfifo(inbox / "x" / "access.log")
    (inbox / "y" / "access.log.gz").mkdir()
    run = box.do("run", code=3)
    return Spoiled(box, run, box.do("close", "2026-10", code=3), outside)


def test_held_files_are_named_with_the_reason_and_the_rest_is_counted_priced_and_published(spoiled: Spoiled) -> None:
    for path, reason in [
        ("gw/t/access.log.gz", "bad_gzip: truncated"),
        ("gw/u/access.log.gz", "bad_gzip: incorrect"),
        ("gw/v/access.log", "unterminated: the last line has no newline"),
    ]:
        assert f"gateway: {path}: {reason}" in spoiled.run
    assert "error[input_held]" in spoiled.run and "Traceback" not in spoiled.run
    buckets = spoiled.box.ledger("SELECT sum(lines), sum(accepted), sum(quarantined), sum(blank) FROM files")
    # September: 36 requests, 18 token events, 7 lines of CSV with its header; October: 4 requests, 3 token lines.
    assert buckets == [(36 + 18 + 7 + 4 + 3, 36 + 18 + 6 + 4 + 1, 2, 1)]
    rows = spoiled.box.sql("SELECT path, line, reason FROM marts.quarantine ORDER BY line")
    assert [(line, reason) for _, line, reason in rows] == [(2, "not_json"), (3, "bad_quantity")]
    drafts = dict(spoiled.box.sql("SELECT customer, quantity::INTEGER FROM marts.invoice_draft_lines WHERE "
                                  "charge = 'requests' AND period_start = DATE '2026-10-01'"))  # fmt: skip
    assert drafts == {"bengal": 4, "hudson": 0, "line": 0}


def test_nothing_of_a_held_file_is_kept_as_read(spoiled: Spoiled) -> None:
    paths = {path for (path,) in spoiled.box.ledger("SELECT path FROM files")}
    assert paths == {
        "gw/a/access.log", "gw/a/access.log.1", "tokens/2026-09.jsonl", "storage/2026-09.csv", "tokens/broken.jsonl",
    }  # fmt: skip


def test_links_pipes_and_folders_are_never_opened_and_never_passed_over_in_silence(spoiled: Spoiled) -> None:
    for path, kind in [
        ("gw/w/access.log", "symbolic_link"),
        ("gw/x/access.log", "fifo"),
        ("gw/y/access.log.gz", "folder"),
    ]:
        assert f"{path}: {kind}" in spoiled.run
    assert len(tree(spoiled.box.home / "raw")) == 5


def test_a_close_waits_for_held_files_until_a_reason_is_journalled(spoiled: Spoiled, tmp_path: Path) -> None:
    assert "3 input(s) were not counted" in spoiled.close and "--waive" in spoiled.close
    assert spoiled.box.ledger("SELECT count(*) FROM documents") == [(0,)]
    box = spoiled.box.copy_without_pipes(tmp_path / "home")
    said = box.do("close", "2026-10", "--waive", "gateway t, u, v were down for tests")
    assert "3 document(s) issued" in said
    ((entry,),) = box.ledger("SELECT body FROM journal")
    assert "gateway t, u, v were down for tests" in entry
    assert "gateway: gw/t/access.log.gz: bad_gzip: truncated" in entry
    box.do("verify")


def test_a_source_that_can_not_be_listed_blocks_the_close_like_a_held_file(server: ForkServer, tmp_path: Path) -> None:
    box = Box.new(server, tmp_path / "home", OCTOBER_NOW)
    box.catalog("sources.yaml", CATALOG["sources.yaml"].replace("name: gateway,", "name: gateway, root: mounted,"))
    box.put("storage/a.csv", "id,at,account,gb\n")
    said = box.do("close", "2026-10", code=3)
    assert "gateway: .: no_such_folder: mounted" in said and "--waive" in said
    assert box.ledger("SELECT count(*) FROM documents") == [(0,)]


def test_a_file_that_may_not_be_read_is_held_and_the_others_are_taken(tmp_path: Path) -> None:
    """Root reads everything, so the ingest runs as a user without rights."""
    script = """
import os, sys
from pathlib import Path
from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.sources import Source
from orchestration.ingest import ingest
from orchestration.ledger.store import Ledger
home = Path(sys.argv[1])
if os.getuid() == 0:
    os.chown(home, 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
source = Source(name="gw", root="../inbox", path="**/*.log", format="common")
with Ledger.open(home) as ledger:
    report = ingest(home, ledger, settings, [source], 1_800_000_000_000_000)
print(report.exit_code, report.files, report.lines, [f"{e.path}: {e.reason}" for e in report.held + report.unreadable])
"""
    home, inbox = tmp_path / "home", tmp_path / "inbox"
    line = '1.1.1.1 - k [10/Oct/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1\n'
    (inbox / "shut").mkdir(parents=True)
    home.mkdir()
    for name in ("a.log", "secret.log", "z.log", "shut/b.log"):
        (inbox / name).write_text(line + f"{name}\n")
    (inbox / "secret.log").chmod(0)
    (inbox / "shut").chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if os.getuid() == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(home)], capture_output=True, text=True, cwd=REPOSITORY, check=False
        )
    finally:
        (inbox / "shut").chmod(0o700)
    if "Permission denied" in done.stderr and "site-packages" in done.stderr:
        pytest.skip("another user can't read this Python")
    assert done.stdout == (
        "3 2 4 ['secret.log: unreadable: Permission denied', 'shut/: unreadable: Permission denied']\n"
    ), done.stderr


MISTAKES = {
    "plans/basic.yaml": [("meter: egress", "meter: outgress"), ('amount: "10.00"', "amount: 10.00")],
    "customers.csv": [("Asia/Kolkata", "Asia/Calcuta")],
    "credentials.csv": [("key_line,line", "key_line,ghost")],
    "subscriptions.csv": [("sub-line,line", "sub-line,phantom")],
}


def test_every_mistake_of_a_catalog_is_said_at_once_and_nothing_is_touched(server: ForkServer, tmp_path: Path) -> None:
    box = Box.new(server, tmp_path / "home", OCTOBER_NOW)
    for name, swaps in MISTAKES.items():
        text = CATALOG[name]
        for old, new in swaps:
            assert old in text
            text = text.replace(old, new)
        box.catalog(name, text)
    deliver_september(box)
    before = tree(box.home)
    for command in (["validate"], ["run"], ["close", "2026-09"]):
        said = box.do(*command, code=2)
        where = box.home / "catalog"
        for place, message in [
            ("plans/basic.yaml:8", "write it as quoted text"),
            ("customers.csv:2", "unknown IANA time zone 'Asia/Calcuta'"),
            ("credentials.csv:4", "unknown customer 'ghost'"),
            ("subscriptions.csv:4", "unknown customer 'phantom'"),
        ]:
            assert [x for x in said.splitlines() if f"{where}/{place}: " in x and message in x], said
        assert "not done: nothing was read, priced or published" in said and "Traceback" not in said
    after = tree(box.home)
    after.pop(".lock", None)
    assert after == before


def test_an_unknown_setting_ends_with_2(server: ForkServer, tmp_path: Path) -> None:
    box = Box.new(server, tmp_path / "home", OCTOBER_NOW)
    said = box.do("run", code=2, TALLYSTICK_TREADS="4")
    assert "unknown setting TALLYSTICK_TREADS" in said and "TALLYSTICK_THREADS" in said


def test_one_bad_catalog_edit_after_months_changes_nothing_that_is_published(october: Box, tmp_path: Path) -> None:
    box = october.copy(tmp_path / "home")
    before = (box.ledger_dump(), tree(box.home / "warehouse"), tree(box.home / "exports"))
    box.catalog("plans/basic.yaml", CATALOG["plans/basic.yaml"].replace("currency: USD", "currency: EUR"))
    said = box.do("run", code=7)
    assert "in USD" in said
    box.catalog("plans/basic.yaml", CATALOG["plans/basic.yaml"])
    box.catalog("subscriptions.csv", "subscription,customer,plan,start\nsub-bengal,bengal,basic,2026-09-01\n")
    box.catalog("credentials.csv", "credential,customer\nkey_bengal,bengal\n")
    gone = "\n".join(CATALOG["customers.csv"].splitlines()[:2]) + "\n"
    box.catalog("customers.csv", gone)
    said = box.do("run", code=7)
    assert "gone from the catalog" in said
    after = {name: digest for name, digest in tree(box.home / "warehouse").items() if not name.startswith("build/")}
    assert (box.ledger_dump(), after, tree(box.home / "exports")) == before
