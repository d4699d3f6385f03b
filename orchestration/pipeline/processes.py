"""Processes that work for this one, and end with it however it ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any


def pool(processes: int, begin: Callable[..., object], *arguments: Any) -> ProcessPoolExecutor:
    """Workers, each of which calls `begin` with the arguments before its first task.

    They are not forked: threads of the engine may hold locks that nobody would open again in a copy.
    """
    return ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin, initargs=(begin, *arguments))


def _begin(begin: Callable[..., object], *arguments: Any) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    begin(*arguments)


def _end_with_parent() -> None:
    """A run that was killed leaves nothing behind that still writes its files."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
