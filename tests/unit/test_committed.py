"""Which commit of the catalog a close was made under, and a catalog that git doesn't hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestration.catalog.models import Settings
from orchestration.errors import PeriodClosed
from orchestration.pipeline.committed import catalog_commit, require_committed

SELLER = {"entities": [{"key": "e", "name": "E", "address": "A"}]}


def git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=ana", "-c", "user.email=ana@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *names, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    catalog = tmp_path / "home" / "catalog"
    catalog.mkdir(parents=True)
    (catalog / "meters.yaml").write_text("meters: []\n")
    return catalog


def committed(folder: Path) -> str:
    git(folder, "init", "--quiet", str(folder.parent))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "catalog")
    return git(folder, "rev-parse", "HEAD")


def test_a_catalog_in_no_work_tree_is_said_so_and_goes_on(folder: Path) -> None:
    found = require_committed(folder, Settings.model_validate(SELLER), allow=False)
    assert found == {"state": "none", "commit": "", "what": "the catalog is in no git work tree"}


def test_the_commit_is_named_whatever_else_the_work_tree_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = committed(folder)
    (folder.parent / "inbox.log").write_text("new\n")
    # As within a hook of another repository.
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert catalog_commit(folder) == {"state": "committed", "commit": commit, "what": ""}


@pytest.mark.parametrize("change", ["edited", "new", "removed", "staged"])
def test_an_uncommitted_catalog_is_refused_unless_told_otherwise(folder: Path, change: str) -> None:
    commit = committed(folder)
    name = "voids.yaml" if change == "new" else "meters.yaml"
    if change == "removed":
        (folder / name).unlink()
    else:
        (folder / name).write_text("voids: []\n")
    if change == "staged":
        git(folder, "add", ".")
    settings = Settings.model_validate(SELLER)
    with pytest.raises(PeriodClosed, match=f"not committed: .*{name}") as caught:
        require_committed(folder, settings, allow=False)
    assert "--allow-uncommitted" in caught.value.next_step
    allowed = Settings.model_validate({**SELLER, "uncommitted_catalog": "allow"})
    for found in (
        require_committed(folder, settings, allow=True), require_committed(folder, allowed, allow=False)
    ):  # fmt: skip
        assert (found["state"], found["commit"]) == ("uncommitted", commit)
        assert name in found["what"]


def test_a_repository_without_a_commit_and_an_ignored_catalog(folder: Path) -> None:
    git(folder, "init", "--quiet", str(folder.parent))
    assert catalog_commit(folder)["state"] == "uncommitted"
    (folder.parent / ".gitignore").write_text("catalog/\n")
    assert catalog_commit(folder) == {"state": "none", "commit": "", "what": "git ignores the catalog"}
