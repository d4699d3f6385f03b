"""The prepared manifest of the dbt project: made once by `dbt parse`, read when the definitions are loaded.

    python -m orchestration.automation.manifest

makes it, or leaves it alone when the models have not changed since. Parsing takes seconds, so no import does it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestration.errors import ConfigInvalid, TallystickError
from orchestration.pipeline.project import PROJECT, TARGET, keep_manifest, sources_digest
from orchestration.pipeline.transform import invoke
from orchestration.settings import offer_build

MANIFEST = TARGET / "manifest.json"
STAMP = TARGET / "manifest.sources"
COMMAND = "python -m orchestration.automation.manifest"


def prepared_manifest() -> Path:
    """Path of the manifest. Raises ConfigInvalid when there is none, or when the models have changed since."""
    if not MANIFEST.exists() or not STAMP.exists():
        raise _not_ready("the manifest of the dbt project has not been prepared")
    if STAMP.read_text() != sources_digest():
        raise _not_ready("the dbt project has changed since its manifest was prepared")
    return MANIFEST


def prepare_manifest() -> bool:
    """Parse the dbt project, unless its manifest is up to date. Returns whether it was parsed."""
    wanted = sources_digest()
    if MANIFEST.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return False
    STAMP.unlink(missing_ok=True)
    # Parsing opens no database; the profile only needs a name for it, the same as every build has.
    offer_build(TARGET, TARGET / "tallystick.duckdb")
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    logs = ["--target-path", str(TARGET), "--log-path", str(PROJECT / "logs"), "--log-level", "none"]
    # What dbt keeps from one parse for the next can't be trusted once a description has moved to another file.
    keep_manifest(invoke(["parse", "--no-partial-parse", *folders, *logs]))
    STAMP.write_text(wanted)
    return True


def _not_ready(message: str) -> ConfigInvalid:
    return ConfigInvalid(
        message,
        where=str(MANIFEST.relative_to(PROJECT.parent)),
        not_done="the definitions were not loaded",
        next_step=f"run `{COMMAND}` (`make ui` does it), then reload",
    )


def main() -> int:
    try:
        done = "prepared" if prepare_manifest() else "up to date"
    except TallystickError as error:
        sys.stderr.write(f"{error.render()}\n")
        return error.exit_code
    sys.stdout.write(f"manifest of the dbt models: {done}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
