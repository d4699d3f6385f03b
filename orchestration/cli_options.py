"""Options that commands share, and the environment as the command line sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from orchestration.settings import Environment, read_environment

Home = Annotated[Path | None, typer.Option(help="Folder of the instance. Default: TALLYSTICK_HOME, or `data`.")]
Now = Annotated[str | None, typer.Option(help="The run's now, e.g. 2026-11-05T09:00:00Z. Default: the clock.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait while another process works on the instance.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def environment_of(home: Path | None) -> Environment:
    """What the environment says, with the instance that `--home` names."""
    environment = read_environment()
    return replace(environment, home=home.absolute()) if home is not None else environment
