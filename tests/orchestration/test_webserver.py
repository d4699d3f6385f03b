"""The web server: runs launched from it give the command's bytes; the UI shows the assets and asks nobody else."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import tiny
from instances import content, file_hashes, ledger_rows, tables
from webserver import ask, launch, launch_and_wait, webserver, working

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def address(defs: dg.Definitions, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environment = {"TALLYSTICK_HOME": str(home), "TALLYSTICK_NOW": tiny.NOW}
    with webserver(tmp_path_factory.mktemp("dagster_home"), environment) as address:
        yield address


def test_F6_runs_launched_from_the_server_give_the_bytes_of_the_command_also_after_one_was_killed(
    address: str, home: Path, by_command: Path
) -> None:
    """The first is killed as it works; what it has left is taken up by the next, and nothing is doubled."""
    launch(address, "daily")
    os.kill(working(home), signal.SIGKILL)
    assert launch_and_wait(address, "daily") == "SUCCESS"
    assert launch_and_wait(address, "close", {"dagster/partition": f"{tiny.MONTH}-01"}) == "SUCCESS"
    for folder in ("lake", "raw", "exports"):
        assert file_hashes(home / folder) == file_hashes(by_command / folder) != {}
    names = tables(by_command, "marts", "metering")
    assert content(home, names) == content(by_command, names)
    documents = "SELECT number, body FROM documents ORDER BY number"
    assert ledger_rows(home, documents) == ledger_rows(by_command, documents) != []


def test_the_schedule_is_there_and_off(address: str) -> None:
    query = """{ schedulesOrError(
        repositorySelector: {repositoryLocationName: "tallystick", repositoryName: "__repository__"})
      { ... on Schedules { results { name cronSchedule scheduleState { status } } } } }"""
    [schedule] = ask(address, query)["schedulesOrError"]["results"]
    assert schedule == {"name": "daily_schedule", "cronSchedule": "0 5 * * *", "scheduleState": {"status": "STOPPED"}}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the UI is not looked at")
def test_the_browser_shows_the_assets_and_asks_nobody_else(address: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the UI is not looked at")
    asked: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=CHROMIUM,
            args=FLAGS.split(),
            viewport={"width": 1600, "height": 900},
        )
        try:
            page = browser.new_page()
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"{address}/locations/tallystick/asset-groups/closing", timeout=60_000)
            for name in ("issued_invoices", "invoice_exports"):
                page.get_by_text(name, exact=False).first.wait_for(timeout=60_000)
            page.goto(f"{address}/assets/published_warehouse", timeout=60_000)
            page.get_by_text("published_warehouse", exact=False).first.wait_for(timeout=60_000)
        finally:
            browser.close()
    foreign = {
        url for url in asked if not url.startswith((address, "data:", "blob:", address.replace("http", "ws", 1)))
    }
    assert len(asked) > 10
    assert foreign == set()
