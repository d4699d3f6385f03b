"""Fixtures of the fault tests: one fork server a session, and instances that both workers copy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faultkit import OCTOBER_NOW, Box, ForkServer, billed_september
from inbox import instance, make_source
from shared import shared_home

__all__ = ["instance", "make_source"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """A process that has imported everything and forks the command."""
    with ForkServer(tmp_path_factory.mktemp("forkserver")) as running:
        yield running


@pytest.fixture(scope="session")
def september(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """September is closed; October and late lines of September are delivered, not taken. Never written to: copy it."""
    home = shared_home(tmp_path_factory, "september", lambda home: billed_september(server, home))
    return Box(server, home, OCTOBER_NOW)


@pytest.fixture(scope="session")
def october_run(september: Box, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """The same after an undisturbed `run`. Never written to: copy it."""
    home = shared_home(tmp_path_factory, "october_run", lambda home: september.copy(home).do("run"))
    return Box(september.server, home, OCTOBER_NOW)


@pytest.fixture(scope="session")
def october(october_run: Box, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """The same after an undisturbed `close 2026-10`. Never written to: copy it."""
    home = shared_home(tmp_path_factory, "october", lambda home: october_run.copy(home).do("close", "2026-10"))
    return Box(october_run.server, home, OCTOBER_NOW)
