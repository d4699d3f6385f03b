"""dbt's own connection is shut in: SQL in a model reaches the instance's folder and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.errors import TallystickError
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.project import PROJECT
from orchestration.pipeline.transform import invoke, load_project
from orchestration.settings import offer_build


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory):
    home: Path = tmp_path_factory.mktemp("hardened")
    (home / "warehouse" / "build").mkdir(parents=True)
    offer_build(home, home / "warehouse" / "build" / "tallystick.duckdb")
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    folders += ["--target-path", str(home / "target"), "--log-path", str(home / "logs"), "--log-level", "none"]

    manifest = load_project(Instance(home))

    def run(query: str) -> None:
        # dbt adds the query to the manifest, which other tests of the process use.
        invoke(["show", "--inline", query, *folders], manifest=manifest.deepcopy())

    run.home = home  # type: ignore[attr-defined]
    return run


def test_a_file_of_the_instance_can_be_read(show) -> None:
    (show.home / "inside.csv").write_text("a\n1\n")
    show(f"select * from read_csv('{show.home}/inside.csv')")


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/hostname')",
        "select * from glob('/etc/*')",
        "select * from read_parquet('/tmp/*.parquet')",
    ],
)
def test_S6_a_model_cannot_reach_outside_of_the_instance(show, query: str) -> None:
    with pytest.raises(TallystickError, match=r"Permission Error|disabled by configuration"):
        show(query)
