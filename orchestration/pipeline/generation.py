"""Generations of the warehouse: built aside under one fixed name, published by a rename and a link.

Readers open the published folder; they never meet a lock or a half-built table. A failed build leaves the link alone.
Beside a generation stands the hash of its file, by which `verify` knows it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from orchestration.durable import Point, naming, step, sync_file, sync_folder
from orchestration.pipeline.instance import Instance

KEPT = 3
"""Published generations that stay on disk, for readers that still have one open."""
_NAME = re.compile(r"gen-(\d+)")


def start_build(instance: Instance, *, fresh: bool) -> None:
    """An empty build folder, or one that holds a copy of the published generation."""
    published = instance.published_db()
    with step(Point.BUILD_BEGUN):
        shutil.rmtree(instance.build_folder, ignore_errors=True)
        instance.build_folder.mkdir(parents=True)
        if not fresh and published is not None:
            with naming(instance.build_db):
                shutil.copyfile(published, instance.build_db)
            instance.build_db.chmod(0o600)


def publish(instance: Instance) -> Path:
    """Make the closed build the published generation. Returns its folder."""
    number = 1 + max((int(m[1]) for m in map(_match, instance.warehouse.iterdir()) if m), default=0)
    target = instance.warehouse / f"gen-{number:06d}"
    instance.build_db.chmod(0o444)
    link = instance.warehouse / "current.next"
    with step(Point.GENERATION_NAMED):
        for path in sorted(instance.build_folder.iterdir()):
            if path != instance.build_db:
                path.unlink()
        hashed = instance.build_db.with_name(f"{instance.build_db.name}.sha256")
        with instance.build_db.open("rb") as file:
            hashed.write_text(hashlib.file_digest(file, "sha256").hexdigest() + "\n")
        sync_file(hashed)
        sync_file(instance.build_db)
        sync_folder(instance.build_folder)
        instance.build_folder.rename(target)
        sync_folder(instance.warehouse)
    with step(Point.GENERATION_LINKED):
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)
        link.rename(instance.current)
        sync_folder(instance.warehouse)
    _drop_old(instance, target)
    return target


def _drop_old(instance: Instance, newest: Path) -> None:
    generations = sorted(path for path in instance.warehouse.iterdir() if _match(path) and path != newest)
    for path in generations[: max(0, len(generations) - KEPT + 1)]:
        with step(Point.GENERATION_DROPPED):
            shutil.rmtree(path, ignore_errors=True)


def _match(path: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(path.name)
