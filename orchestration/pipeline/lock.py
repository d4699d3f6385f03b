"""One writer an instance: an advisory lock of the kernel, which the death of its holder frees at once."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from orchestration.durable import naming
from orchestration.errors import ConfigInvalid, LockHeld


@contextmanager
def instance_lock(home: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the instance for writing.

    Raises LockHeld, naming the holder, if another process has it, and ConfigInvalid where locks don't exclude.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = home / ".lock"
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise LockHeld(
                f"another process works on this instance: {_holder(path)}",
                where=str(path),
                not_done="nothing was read or changed",
                next_step="wait for it to end, or run again with --wait",
            ) from error
        except OSError as error:
            raise _no_locks(path, error.strerror or str(error)) from error
        _refuse_shared(path)
        handle.seek(0)
        handle.truncate()
        with naming(path):
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "doing": what}, handle)
            handle.flush()
        try:
            yield
        finally:
            handle.seek(0)
            handle.truncate()


def _refuse_shared(path: Path) -> None:
    """The lock is held: a second one, through another handle, must not be had. Raises ConfigInvalid if it is."""
    with path.open("a") as other, suppress(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise _no_locks(path, "it gives one lock twice")


def _no_locks(path: Path, why: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"the file system of this instance does not lock files: {why}",
        where=str(path),
        not_done="nothing was read or changed",
        next_step="keep the instance on a local disk, on which one process at a time can work",
    )


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
        since = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        return f"process {held['pid']} on {held['host']}, doing {held['doing']} since {since:%Y-%m-%dT%H:%M:%SZ}"
    except (OSError, ValueError, KeyError):
        return "its holder left no name"
