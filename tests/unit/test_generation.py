"""Generations: readers see one whole state, a failed build changes nothing, old ones stay for those who read them."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import duckdb
import pytest

from orchestration.pipeline.generation import KEPT, publish, start_build
from orchestration.pipeline.instance import Instance


def build(instance: Instance, value: int, *, fresh: bool = False) -> None:
    start_build(instance, fresh=fresh)
    with duckdb.connect(str(instance.build_db)) as con:
        con.execute("CREATE TABLE IF NOT EXISTS t (v INTEGER)")
        con.execute("INSERT INTO t SELECT ? FROM range(1000)", [value])


def values(path: Path) -> list[int]:
    with duckdb.connect(str(path), read_only=True) as con:
        return [row[0] for row in con.execute("SELECT DISTINCT v FROM t ORDER BY v").fetchall()]


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


def database(instance: Instance) -> Path:
    path = instance.published_db()
    assert path is not None
    return path


def test_F3_a_build_that_is_not_published_is_never_seen(instance: Instance) -> None:
    assert instance.published_db() is None
    build(instance, 1)
    assert instance.published_db() is None
    publish(instance)
    before = database(instance).read_bytes()
    build(instance, 2)
    assert database(instance).read_bytes() == before
    assert values(database(instance)) == [1]


def test_a_build_begins_with_the_published_rows_or_with_none(instance: Instance) -> None:
    build(instance, 1)
    publish(instance)
    build(instance, 2)
    publish(instance)
    assert values(database(instance)) == [1, 2]
    build(instance, 3, fresh=True)
    publish(instance)
    assert values(database(instance)) == [3]


def test_F3_leftovers_of_a_broken_build_are_not_built_upon(instance: Instance) -> None:
    build(instance, 1)
    publish(instance)
    build(instance, 9)
    (instance.build_folder / "tallystick.duckdb.wal").write_bytes(b"half")
    (instance.warehouse / "current.next").symlink_to("nowhere")
    build(instance, 2)
    publish(instance)
    assert values(database(instance)) == [1, 2]
    assert sorted(p.name for p in instance.warehouse.iterdir()) == ["current", "gen-000001", "gen-000002"]


def test_a_published_generation_is_one_file_that_nobody_writes_to_and_its_hash(instance: Instance) -> None:
    build(instance, 1)
    (instance.build_folder / "tallystick.duckdb.wal").write_bytes(b"")
    folder = publish(instance)
    assert sorted(p.name for p in folder.iterdir()) == ["tallystick.duckdb", "tallystick.duckdb.sha256"]
    assert stat.S_IMODE((folder / "tallystick.duckdb").stat().st_mode) == 0o444
    assert instance.current.is_symlink() and instance.current.readlink() == Path(folder.name)


def test_F14_a_reader_of_an_old_generation_is_not_disturbed_and_old_ones_are_dropped_in_the_end(
    instance: Instance,
) -> None:
    build(instance, 1)
    publish(instance)
    with duckdb.connect(str(database(instance)), read_only=True) as reader:
        for value in range(2, KEPT + 3):
            build(instance, value)
            publish(instance)
            assert reader.execute("SELECT max(v), count(*) FROM t").fetchone() == (1, 1000)
    kept = sorted(p.name for p in instance.warehouse.iterdir() if p.name.startswith("gen-"))
    assert kept == [f"gen-{n:06}" for n in range(3, KEPT + 3)]
    assert instance.published_db() == (instance.warehouse / f"gen-{KEPT + 2:06}" / "tallystick.duckdb")


def test_F4_a_number_is_never_used_twice_even_if_a_kill_left_one_that_was_not_linked(instance: Instance) -> None:
    build(instance, 1)
    publish(instance)
    (instance.warehouse / "gen-000007").mkdir()
    build(instance, 2)
    assert publish(instance).name == "gen-000008"


def test_F14_every_read_during_publications_is_of_one_generation(instance: Instance) -> None:
    build(instance, 0, fresh=True)
    publish(instance)
    seen: list[list[int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(values(database(instance)))

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(1, 9):
        build(instance, value, fresh=True)
        publish(instance)
    done.set()
    reader.join()
    assert seen and all(len(found) == 1 for found in seen)
    assert [found[0] for found in seen] == sorted(found[0] for found in seen)
