"""An instance whose October was issued, made once; a test that writes copies it."""

from __future__ import annotations

import shutil
from pathlib import Path

import issued_home
import pytest

from orchestration.audit.prove import prove
from orchestration.ledger.store import Ledger


@pytest.fixture(scope="session")
def october(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The instance's folder. Never written to: copy it."""
    home = tmp_path_factory.mktemp("october") / "home"
    issued_home.make(home).close()
    return home


@pytest.fixture(scope="session")
def bundles(october: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By customer, what its invoice was proved by. Never written to: copy it."""
    folder = tmp_path_factory.mktemp("bundles")
    home = folder / "home"
    shutil.copytree(october, home)
    with Ledger.open(home) as ledger:
        rows = list(ledger.documents())
        for row in rows:
            prove(ledger, row.number, folder / row.customer, folder / "scratch")
    return {row.customer: folder / row.customer for row in rows} | {"home": home}


@pytest.fixture(scope="session")
def november(october: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after late usage of October was issued as corrections with November. Never written to: copy it."""
    home = tmp_path_factory.mktemp("november") / "home"
    shutil.copytree(october, home)
    issued_home.deliver_late(home)
    with Ledger.open(home) as ledger:
        issued_home.close(home, ledger, "2026-12")
    return home
