"""The only reader of the environment. An unknown `TALLYSTICK_` variable is an error, never ignored."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestration.errors import ConfigInvalid

_KNOWN = {
    "TALLYSTICK_HOME": "folder of the instance (default: data)",
    "TALLYSTICK_NOW": "the run's now, RFC 3339 with an offset (default: the clock)",
    "TALLYSTICK_THREADS": "threads of the engine (default: 2)",
    "TALLYSTICK_MEMORY": "memory limit of the engine (default: 2GB)",
    "TALLYSTICK_SHARED": "outside data for the tests",
    "TALLYSTICK_BUILD_DB": "set by the program for dbt",
    "TALLYSTICK_BUILD_HOME": "set by the program for dbt",
}
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says. `now_us` is None where the clock decides."""

    home: Path
    now_us: int | None
    threads: int
    memory: str


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Read all settings at once. Raises ConfigInvalid for an unknown or malformed one."""
    env = os.environ if environ is None else environ
    for name in sorted(env):
        if name.startswith("TALLYSTICK_") and name not in _KNOWN:
            known = "\n".join(f"    {key}  {text}" for key, text in _KNOWN.items())
            raise _invalid(f"unknown setting {name}; known are\n{known}", name)
    threads = env.get("TALLYSTICK_THREADS", "2")
    if not re.fullmatch("[0-9]{1,3}", threads) or not 1 <= int(threads) <= 256:
        raise _invalid(f"'{threads}' is not a number of threads", "TALLYSTICK_THREADS")
    now = env.get("TALLYSTICK_NOW")
    home = Path(env.get("TALLYSTICK_HOME") or REPOSITORY / "data")
    return Environment(
        home=home.absolute(),
        now_us=parse_instant(now, "TALLYSTICK_NOW") if now else None,
        threads=int(threads),
        memory=env.get("TALLYSTICK_MEMORY", "2GB"),
    )


def read_build_environment() -> Environment:
    """The instance that a running build works on, as dbt's process sees it."""
    home = os.environ.get("TALLYSTICK_BUILD_HOME")
    if not home:
        raise _invalid("dbt runs inside a build; start it with `tallystick run`", "TALLYSTICK_BUILD_HOME")
    return replace(read_environment(), home=Path(home))


def read_webhook(name: str, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """The URL that a variable of the catalog's choice holds, and the secret beside it; empty where it isn't set."""
    env = os.environ if environ is None else environ
    return env.get(name, ""), env.get(f"{name}_SECRET", "")


def offer_build(home: Path, database: Path) -> None:
    """Tell dbt, which reads the environment, where the build is."""
    os.environ["TALLYSTICK_BUILD_HOME"] = str(home)
    os.environ["TALLYSTICK_BUILD_DB"] = str(database)


def parse_instant(text: str, where: str) -> int:
    """RFC 3339 with an offset -> microseconds since 1970 UTC. Raises ConfigInvalid."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid(f"'{text}' is not a time: {error}", where) from error
    if moment.tzinfo is None:
        raise _invalid(f"'{text}' has no offset; write e.g. 2026-11-05T09:00:00Z", where)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def clock_us() -> int:
    """The machine's clock, in microseconds since 1970 UTC. Only the outermost layer asks it."""
    return parse_instant(datetime.now(UTC).isoformat(), "clock")


def _invalid(message: str, where: str) -> ConfigInvalid:
    next_step = "correct the setting and run again"
    return ConfigInvalid(message, where=where, not_done="nothing was run", next_step=next_step)
