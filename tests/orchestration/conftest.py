"""Shared by the tests of Dagster: definitions are loaded once, and two tiny instances are run the two ways."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import tiny
from dagster_runs import Launch, Ran, context_of

from orchestration.automation.manifest import prepare_manifest
from orchestration.pipeline import run
from orchestration.pipeline.close import close, parse_cut_off


@pytest.fixture(scope="session")
def defs() -> dg.Definitions:
    prepare_manifest()
    from orchestration.definitions import defs

    return defs


@pytest.fixture(scope="session")
def launch(defs: dg.Definitions) -> Launch:
    """Run a job in this process, as an executor of Dagster would."""

    def launched(job: str, home: Path, *, ops: dict[str, Any] | None = None, dbt: str = "in_process", **options: Any):
        config = {"resources": {"tallystick": {"config": {"home": str(home), "now": tiny.NOW, "dbt": dbt}}}}
        return defs.resolve_job_def(job).execute_in_process(
            run_config={**config, "ops": ops or {}}, raise_on_error=False, **options
        )

    return launched


@pytest.fixture(scope="session")
def by_dagster(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("dagster")
    home, begun = tiny.make(folder / "home"), folder / "begun"
    daily = launch("daily", home)
    shutil.copytree(home, begun, symlinks=True)
    closed = launch("close", home, partition_key=f"{tiny.MONTH}-01")
    return Ran(home, begun, daily, closed, launch("daily", home))


@pytest.fixture(scope="session")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by the functions that the command calls."""
    home = tiny.make(tmp_path_factory.mktemp("command"))
    run.run(context_of(home))
    close(context_of(home), parse_cut_off(tiny.MONTH))
    return home
