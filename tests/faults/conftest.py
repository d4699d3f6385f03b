"""Fixtures of the fault tests: one fork server a session, and instances that are built once and copied."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faultkit import Box, ForkServer, billed_september
from inbox import instance, make_source

__all__ = ["instance", "make_source"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """A process that has imported everything and forks the command."""
    with ForkServer(tmp_path_factory.mktemp("forkserver")) as running:
        yield running


@pytest.fixture(scope="session")
def september(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """September is closed; October and late lines of September are delivered, not taken. Never written to: copy it."""
    return billed_september(server, tmp_path_factory.mktemp("september") / "home")


@pytest.fixture(scope="session")
def october_run(september: Box, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """The same after an undisturbed `run`. Never written to: copy it."""
    box = september.copy(tmp_path_factory.mktemp("october_run") / "home")
    box.do("run")
    return box


@pytest.fixture(scope="session")
def october(october_run: Box, tmp_path_factory: pytest.TempPathFactory) -> Box:
    """The same after an undisturbed `close 2026-10`. Never written to: copy it."""
    box = october_run.copy(tmp_path_factory.mktemp("october") / "home")
    box.do("close", "2026-10")
    return box
