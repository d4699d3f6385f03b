"""What commands have in common: their options, and the instance and now that these name."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from orchestration.errors import ConfigInvalid
from orchestration.settings import Environment, clock_us, parse_instant, read_environment

Home = Annotated[Path | None, typer.Option(help="Folder of the instance. Default: TALLYSTICK_HOME, or `data`.")]
Now = Annotated[str | None, typer.Option(help="The run's now, e.g. 2026-11-05T09:00:00Z. Default: the clock.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait while another process works on the instance.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def environment_of(home: Path | None) -> Environment:
    """The settings of the process, with the instance that the command line names."""
    environment = read_environment()
    return replace(environment, home=home.absolute()) if home is not None else environment


def now_of(environment: Environment, now: str | None) -> int:
    """The run's now, in microseconds since 1970: that of the command line, of the settings, or the clock's."""
    if now is not None:
        return parse_instant(now, "--now")
    return environment.now_us if environment.now_us is not None else clock_us()


def day_of(text: str, where: str, not_done: str) -> date:
    """A day that the command line names. Raises ConfigInvalid for any other text."""
    if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise ConfigInvalid(f"'{text}' is no day", where=where, not_done=not_done, next_step="write e.g. 2026-10-01")
