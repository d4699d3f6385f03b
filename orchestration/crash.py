"""Places at which a test kills the process, one before or after each durable step.

`TALLYSTICK_CRASH_AT` names one of them; without it a crash point does nothing.
"""

from __future__ import annotations

import os
import signal

CRASH_POINTS: tuple[str, ...] = (
    "raw_partly_written",
    "raw_written",
    "raw_renamed",
    "lake_file_written",
    "lake_batch_written",
    "ingest_before_commit",
    "ingest_after_commit",
    "generation_before_rename",
    "generation_before_link",
    "generation_after_link",
    "close_before_journal",
    "close_before_commit",
    "close_after_commit",
    "erase_objects_written",
    "erase_before_commit",
    "erase_after_commit",
    "erase_before_end",
)
"""Every name that `crash_point` is called with. A test kills at each of them and runs again."""


def crash_point(name: str) -> None:
    """Kill this process, as a power cut would, if `TALLYSTICK_CRASH_AT` is `name`."""
    if name not in CRASH_POINTS:
        raise AssertionError(f"crash point '{name}' is not registered")
    if os.environ.get("TALLYSTICK_CRASH_AT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
