"""What a test does to a process at its durable steps: kill it, fill its disk, stop it for a while, write them down.

By name, in the environment of a process that calls `watch`: `KILL_AT`, `FULL_AT` and `PAUSE_AT` take a moment such as
`raw_named.before`, or a node of dbt such as `dbt:daily.start`; `STEPS_TO` a file that gets a line for each moment.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Mapping
from typing import Any

from orchestration import durable
from orchestration.durable import Point

MOMENTS = tuple(f"{point}.{side}" for point in Point for side in ("before", "after"))
START = "start"
"""A disk that is full from the first moment has room for the name of who holds the lock, and little else."""
PAUSE = 0.25
"""Seconds: long enough to aim at."""


def watch(environ: Mapping[str, str]) -> None:
    """Listen to the steps of this process from now on."""
    told: list[str] = []
    steps = os.open(environ["STEPS_TO"], os.O_WRONLY | os.O_CREAT | os.O_APPEND) if "STEPS_TO" in environ else None

    def observe(moment: str) -> None:
        told.append(moment)
        if steps is not None:
            os.write(steps, f"{moment}\n".encode())
        if environ.get("KILL_AT") == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        if environ.get("FULL_AT") == moment:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        if environ.get("PAUSE_AT") == moment and told.count(moment) == 1:
            time.sleep(PAUSE)

    durable.observer = observe
    if environ.get("FULL_AT") == START:
        resource.setrlimit(resource.RLIMIT_FSIZE, (256, resource.RLIM_INFINITY))
    if environ.get("KILL_AT", "").startswith("dbt:"):
        _watch_dbt(observe)


def _watch_dbt(observe: Any) -> None:
    """Each node of dbt is told, too, as it starts and ends."""
    from orchestration.pipeline import run

    transform = run.transform

    def watched(*arguments: Any, **options: Any) -> None:
        def on_event(event: Any) -> None:
            side = {"NodeStart": "start", "NodeFinished": "end"}.get(event.info.name)
            if side is not None:
                observe(f"dbt:{event.data.node_info.node_name}.{side}")

        transform(*arguments, **options | {"on_event": on_event})

    run.transform = watched
