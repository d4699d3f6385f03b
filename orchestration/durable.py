"""What outlives the process: every such effect is a step with a name, and a file is there whole or not at all.

A power cut or a kill may come before or after each step; the next run must go on from there. So a test kills at all of
them, and a house rule finds what is renamed, linked, removed or committed outside of a step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path


class Point(StrEnum):
    """The steps that change what is on the disk, in the order of a life. Each is reached, and killed at, by a test."""

    INSTANCE_KEY = "instance_key"
    LEDGER_CREATED = "ledger_created"
    RAW_CLEANED = "raw_cleaned"  # what an interrupted run left half written is removed
    LAKE_CLEANED = "lake_cleaned"  # what it left of a batch that never was
    LAKE_EMPTIED = "lake_emptied"  # another engine made it, or nobody yet
    LAKE_BEGUN = "lake_begun"
    RAW_RECEIVED = "raw_received"  # a block of a file that has no name yet
    RAW_NAMED = "raw_named"
    LAKE_FILE_NAMED = "lake_file_named"
    LAKE_FILE_DROPPED = "lake_file_dropped"  # of a file that is held after all
    BATCH_COMMITTED = "batch_committed"
    DELIVERIES_COMMITTED = "deliveries_committed"  # held files and second copies
    BUILD_BEGUN = "build_begun"
    EXTRACT_DROPPED = "extract_dropped"  # properties that no plan asks for any more
    BUILD_PREPARED = "build_prepared"
    USAGE_BUILT = "usage_built"
    DRAFTS_PRICED = "drafts_priced"
    USAGE_WATCHED = "usage_watched"
    FINANCE_BUILT = "finance_built"
    GENERATION_NAMED = "generation_named"
    GENERATION_LINKED = "generation_linked"  # from here on readers see it
    GENERATION_DROPPED = "generation_dropped"  # an old one
    CLOSE_COMMITTED = "close_committed"
    FINDING_COMMITTED = "finding_committed"  # what somebody said of an incident
    EXPORT_NAMED = "export_named"
    CHECKPOINT_KEY = "checkpoint_key"
    CHECKPOINT_PUBLIC_KEY = "checkpoint_public_key"
    CHECKPOINT_REMEMBERED = "checkpoint_remembered"
    CHECKPOINT_EXPORTED = "checkpoint_exported"
    CHECKPOINT_NEXT_KEY = "checkpoint_next_key"
    KEY_HANDED_OVER = "key_handed_over"  # from here on the new one signs
    CHECKPOINT_KEY_REPLACED = "checkpoint_key_replaced"
    EVENTS_NAMED = "events_named"  # the events behind a line, for whoever asks
    BUNDLE_NAMED = "bundle_named"
    RETRACTION_LISTED = "retraction_listed"
    ERASURE_MARKED = "erasure_marked"  # new objects are there; what is derived will have to go
    ERASURE_COMMITTED = "erasure_committed"
    ERASED_REMOVED = "erased_removed"  # the old objects, and all that was made from them
    ERASURE_ENDED = "erasure_ended"


observer: Callable[[str], None] = lambda moment: None  # noqa: E731
"""Told `<point>.before` and `<point>.after`. Tests put something else here; a run has nobody who listens."""


@contextmanager
def step(point: Point) -> Iterator[None]:
    """Do a durable step inside."""
    observer(f"{point}.before")
    yield
    observer(f"{point}.after")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error of the disk the file's name: the system leaves it out where it was handed a descriptor."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def sync_file(path: Path) -> None:
    """Force the file's bytes to the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Force a folder's entries to the disk, or a rename in it could come undone."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Create `path` and the folders above it, each synced into its parent."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def publish(temporary: Path, path: Path, point: Point) -> None:
    """Give the finished file `temporary` its name. After this it survives a power cut."""
    sync_file(temporary)
    with step(point):
        temporary.replace(path)
        sync_folder(path.parent)


def write_file(path: Path, data: bytes, point: Point, *, mode: int = 0o600) -> None:
    """Replace `path` by `data` in one step; a link planted there is replaced, never followed.

    Killed halfway, or on a full disk, what was at `path` is there as before.
    """
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.tmp")
    aside.unlink(missing_ok=True)
    try:
        with naming(path):
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
        publish(aside, path, point)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
