"""A file is there whole or not at all: what is synced when, what a broken disk leaves, and locks that are none."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration import durable
from orchestration.durable import Point, publish, write_file
from orchestration.engine import connect, is_exhausted
from orchestration.errors import ConfigInvalid, OutOfResources
from orchestration.ledger.store import Ledger
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens to the disk, in its order: syncs, renames, and the moments of steps."""
    found: list[str] = []
    fsync, replace, rename = os.fsync, Path.replace, Path.rename

    def synced(descriptor: int) -> None:
        found.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def named(how: Any) -> Any:
        def call(path: Path, target: Path) -> Path:
            found.append(f"name {Path(target).name}")
            return how(path, target)

        return call

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named(replace))
    monkeypatch.setattr(Path, "rename", named(rename))
    monkeypatch.setattr(durable, "observer", found.append)
    return found


def test_F8_bytes_are_on_the_disk_before_their_name_and_the_name_before_the_step_is_done(
    told: list[str], tmp_path: Path
) -> None:
    """What was not synced is lost with the power: a name that came first would stand for half a file."""
    write_file(tmp_path / "new" / "a.txt", b"a", Point.EXPORT_NAMED)
    assert told == [
        f"sync {tmp_path.name}",
        "sync .a.txt.tmp",
        "export_named.before",
        "name a.txt",
        "sync new",
        "export_named.after",
    ]


def test_F4_F8_a_generation_is_synced_before_it_is_named_and_named_before_it_is_linked(
    told: list[str], tmp_path: Path
) -> None:
    from orchestration.pipeline.generation import publish as publish_generation
    from orchestration.pipeline.generation import start_build

    instance = Instance(tmp_path)
    start_build(instance, fresh=True)
    instance.build_db.write_bytes(b"")
    publish_generation(instance)
    assert told[2:] == [
        "generation_named.before",
        "sync tallystick.duckdb.sha256",
        "sync tallystick.duckdb",
        "sync build",
        "name gen-000001",
        "sync warehouse",
        "generation_named.after",
        "generation_linked.before",
        "name current",
        "sync warehouse",
        "generation_linked.after",
    ]


@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC])
def test_F10_a_sync_that_fails_is_named_with_its_file_and_never_tried_again_on_the_same_one(
    fault: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After a failed sync the kernel forgets what it could not write, and says yes the second time."""
    target, tried = tmp_path / "a.txt", []
    write_file(target, b"before", Point.EXPORT_NAMED)
    fsync = os.fsync

    def broken(descriptor: int) -> None:
        tried.append(os.fstat(descriptor).st_ino)
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match=r"a\.txt") as caught:
        write_file(target, b"after", Point.EXPORT_NAMED)
    assert (caught.value.errno, len(tried)) == (fault, 1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.txt": b"before"}
    monkeypatch.setattr(os, "fsync", fsync)
    write_file(target, b"after", Point.EXPORT_NAMED)
    assert target.read_bytes() == b"after"


def test_a_step_that_fails_is_not_told_as_done(told: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.tmp").write_text("a")
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        publish(tmp_path / "a.tmp", tmp_path / "a", Point.EXPORT_NAMED)
    assert told[-1] == "name a" and "export_named.after" not in told


def test_F9_a_ledger_that_finds_no_room_says_so_with_its_path_and_keeps_what_it_had(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        [(pages,)] = ledger._db.execute("PRAGMA page_count").fetchall()
        ledger._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OutOfResources, match="full") as caught, ledger.transaction(Point.CLOSE_COMMITTED):
            ledger.archive_catalog("digest", b"x" * 1_000_000)
        assert caught.value.where == str(tmp_path / "ledger.sqlite")
        assert ledger._db.execute("SELECT count(*) FROM catalogs").fetchone() == (0,)


def test_F11_work_over_the_memory_limit_goes_by_the_disk_or_ends_as_out_of_memory(tmp_path: Path) -> None:
    query = "SELECT count(*), count(DISTINCT x) FROM (SELECT hash(range) AS x FROM range(1000000) ORDER BY x)"
    with connect(None, threads=1, memory="60MB", temp=tmp_path / "temp") as con:
        assert con.execute(query).fetchone() == (1_000_000, 1_000_000)
    with connect(None, threads=1, memory="2MB", temp=tmp_path / "temp") as con:
        with pytest.raises(duckdb.Error) as caught:
            con.execute(query).fetchone()
        assert is_exhausted(caught.value)


def test_F13_a_folder_in_which_locks_do_not_exclude_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On some shared file systems everybody gets the lock, on others nobody."""

    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    for flock in (lambda *_: None, refused):
        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(ConfigInvalid, match="lock") as caught, instance_lock(tmp_path, "run"):
            raise AssertionError("the instance was worked on without a lock")
        assert (caught.value.exit_code, caught.value.where) == (2, str(tmp_path / ".lock"))
