"""Edits of the catalog measure again what they concern, and nothing else, and give the rows of a build from nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny
from instances import content, tables

from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import preview, run
from orchestration.settings import parse_instant


def taken(home: Path, now: str = tiny.NOW) -> list[str]:
    said: list[str] = []
    run(Context(Instance(home), parse_instant(now, "test"), said.append))
    return said


def edit(home: Path, name: str, *changes: tuple[str, str]) -> None:
    path = home / "catalog" / name
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def same_as_from_nothing(home: Path, scratch: Path, now: str = tiny.NOW) -> dict[str, tuple[int, int, int]]:
    """Compare every table with those of a copy without a warehouse."""
    names = tables(home, "marts", "metering")
    mine = content(home, names)
    other = scratch / "fresh"
    shutil.copytree(home, other, symlinks=True)
    shutil.rmtree(other / "warehouse")
    assert any("from nothing" in line for line in taken(other, now))
    fresh = content(other, tables(other, "marts", "metering"))
    shutil.rmtree(other)
    assert {n: (mine.get(n), fresh.get(n)) for n in names if mine.get(n) != fresh.get(n)} == {}
    return mine


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tiny.make(tmp_path_factory.mktemp("touched") / "home")
    taken(home)
    return home


@pytest.fixture
def home(built: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(built, tmp_path / "home", symlinks=True)
    yield tmp_path / "home"


def hand_over(home: Path) -> None:
    edit(
        home,
        "credentials.csv",
        ("ak_birch,birch,,,\n", "ak_birch,birch,,,2024-10-03T00:00:00Z\nak_birch,cedar,,2024-10-03T00:00:00Z,\n"),
    )


def move_zone(home: Path) -> None:
    edit(home, "customers.csv", ("Asia/Tokyo", "Australia/Lord_Howe"))


def add_meter(home: Path) -> None:
    edit(
        home,
        "meters.yaml",
        ("meters:\n", "meters:\n  - {key: all_requests, name: All, event_type: request, aggregation: count}\n"),
    )


def change_meter(home: Path) -> None:
    edit(home, "meters.yaml", ("{field: status, op: ne, value: 429}", "{field: status, op: eq, value: 429}"))


def another_aggregation(home: Path) -> None:
    edit(
        home,
        "meters.yaml",
        (
            "name: Bytes served, unit: byte, event_type: request, aggregation: sum",
            "name: Bytes served, unit: byte, event_type: request, aggregation: unique_count",
        ),
    )
    edit(home, "plans/basic.yaml", ('price: "0.0001"', 'price: "0.0002"'))


def change_plan(home: Path) -> None:
    (home / "catalog/plans/other.yaml").write_text(
        (home / "catalog/plans/basic.yaml").read_text().replace("key: basic", "key: other")
    )
    edit(
        home,
        "subscriptions.csv",
        (
            "sub-alder,alder,basic,2024-10-01,,",
            "sub-alder,alder,basic,2024-10-01,2024-10-02,\nsub-alder,alder,other,2024-10-02,,",
        ),
    )


EDITS: list[list[Callable[[Path], None]]] = [
    [hand_over, move_zone],
    [add_meter, change_meter],
    [another_aggregation],
    [change_plan],
]


def test_what_is_measured_again_is_said_before_it_is_done(home: Path) -> None:
    published = (home / "warehouse" / "current").resolve()
    context = Context(Instance(home), parse_instant(tiny.NOW, "test"), (said := []).append)
    assert not preview(context)
    add_meter(home)
    assert preview(context)
    assert "meter 'all_requests' is new: 6 days of 3 customers are measured again from the lake" in said
    assert (home / "warehouse" / "current").resolve() == published
    assert not Instance(home).build_folder.exists()


def test_edits_one_after_the_other_give_the_rows_of_a_build_from_nothing(home: Path, tmp_path: Path) -> None:
    for edits in EDITS:
        before = content(home, ["marts.usage_daily"])
        for change in edits:
            change(home)
        names = [change.__name__ for change in edits]
        assert "building the warehouse: 0 new file(s)" in taken(home), names
        assert content(home, ["marts.usage_daily"]) != before, names
    same_as_from_nothing(home, tmp_path)
