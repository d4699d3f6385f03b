"""The catalog's commit: which state of its repository a close was made under, as git tells it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from orchestration.catalog.models import Settings
from orchestration.errors import PeriodClosed


def catalog_commit(folder: Path) -> dict[str, str]:
    """`state` is committed, uncommitted (`what` differs), or none (`what` says why git has nothing to say); `commit` is
    the hash of the commit that is checked out, empty without one."""
    try:
        inside = _git(folder, "rev-parse", "--is-inside-work-tree")
    except FileNotFoundError:
        return {"state": "none", "commit": "", "what": "git is not installed"}
    if inside.returncode != 0 and "not a git repository" in inside.stderr:
        return {"state": "none", "commit": "", "what": "the catalog is in no git work tree"}
    if inside.returncode != 0:
        return {"state": "uncommitted", "commit": "", "what": inside.stderr.strip().splitlines()[0]}
    if _git(folder, "check-ignore", "--quiet", ".").returncode == 0:
        return {"state": "none", "commit": "", "what": "git ignores the catalog"}
    commit = _git(folder, "rev-parse", "--quiet", "--verify", "HEAD").stdout.strip()
    changed = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".").stdout.splitlines()
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        what = ", ".join(line[3:] for line in changed[:5]) + more
        return {"state": "uncommitted", "commit": commit, "what": what}
    return {"state": "committed", "commit": commit, "what": ""}


def require_committed(folder: Path, settings: Settings, *, allow: bool) -> Mapping[str, str]:
    """What git says of the catalog, for the journal. Raises PeriodClosed for one with changes that it doesn't hold."""
    found = catalog_commit(folder)
    if found["state"] == "uncommitted" and not allow and settings.uncommitted_catalog == "refuse":
        raise PeriodClosed(
            f"the catalog has changes that are not committed: {found['what']}",
            where=str(folder),
            not_done="nothing was taken, priced or issued",
            next_step="commit them, or close with --allow-uncommitted, which is journalled",
        )
    return found


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # What a surrounding git process has set is about its own repository.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env={**kept, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
