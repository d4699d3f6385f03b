"""How the project makes tables and views, on a small project of its own: in place, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from orchestration.errors import TallystickError
from orchestration.pipeline.project import PROJECT
from orchestration.pipeline.transform import invoke
from orchestration.settings import offer_build

ROWS = "select rows.* from control.rows as rows semi join control.touched_days using (customer, local_day)"
TOUCHED = (
    "{{{{ config(materialized='incremental', incremental_strategy='erase_touched', on_schema_change='{change}', "
    "touched_by='days', touched_keys=['customer', 'local_day']) }}}}\n" + ROWS
)
MODELS = {
    "models/kept.sql": TOUCHED.format(change="fail"),
    "models/wide.sql": TOUCHED.format(change="sync_all_columns"),
    "models/either.sql": "{{ config(materialized='view') }} select 1 as n",
    "models/solid.sql": "{{ config(materialized='table') }} select count(*) as n from control.rows",
    "models/left_over.sql": "{{ config(materialized='table') }} -- {{ ref('kept') }} {{ ref('wide') }}\n"
    "select table_name from duckdb_tables() where temporary",
    "models/sources.yml": "sources: [{name: control, schema: control, tables: [{name: touched_days}]}]",
    "dbt_project.yml": "name: small\nprofile: tallystick\nflags: {send_anonymous_usage_stats: false}\n",
}
A, B = ("a", "2026-01-01"), ("b", "2026-01-01")


class Small:
    """A project of five models and the database that it builds."""

    def __init__(self, home: Path) -> None:
        self.home, self.project = home, home / "project"
        (home / "build").mkdir(parents=True)
        shutil.copytree(PROJECT / "macros", self.project / "macros")
        for name, text in MODELS.items():
            self.write(name, text)
        self.sql("CREATE SCHEMA control; CREATE TABLE control.touched_days (customer VARCHAR, local_day DATE)")
        self.sql("CREATE TABLE control.rows (customer VARCHAR, local_day DATE, n BIGINT)")

    def write(self, name: str, text: str) -> None:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def sql(self, query: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.home / "build" / "tallystick.duckdb")) as con:
            return con.execute(query).fetchall()

    def given(self, rows: dict[tuple[str, str], int], touched: list[tuple[str, str]]) -> None:
        days = ", ".join(f"('{customer}', DATE '{day}')" for customer, day in touched)
        values = ", ".join(f"('{customer}', DATE '{day}', {n})" for (customer, day), n in rows.items())
        self.sql(f"DELETE FROM control.touched_days; INSERT INTO control.touched_days VALUES {days}")
        self.sql(
            "DELETE FROM control.rows"
            + (f"; INSERT INTO control.rows (customer, local_day, n) VALUES {values}" if rows else "")
        )

    def build(self, *more: str) -> None:
        offer_build(self.home, self.home / "build" / "tallystick.duckdb")
        folders = {"--project-dir": self.project, "--profiles-dir": PROJECT, "--target-path": self.home / "target"}
        options = [part for option, path in folders.items() for part in (option, str(path))]
        invoke(["build", *options, "--log-path", str(self.home / "logs"), "--log-level", "none", *more])

    def rows(self, model: str) -> list[tuple[object, ...]]:
        return self.sql(f"SELECT customer, n FROM main.{model} ORDER BY ALL")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = Small(tmp_path_factory.mktemp("small") / "home")
    small.given({A: 1, B: 2}, [A, B])
    small.build()
    return small.home


@pytest.fixture
def small(built: Path, tmp_path: Path) -> Small:
    shutil.copytree(built, tmp_path / "home")
    copy = Small.__new__(Small)
    copy.home, copy.project = tmp_path / "home", tmp_path / "home" / "project"
    return copy


def test_what_was_touched_is_written_again_what_has_no_successor_goes_and_the_rest_stays(small: Small) -> None:
    assert small.rows("kept") == small.rows("wide") == [("a", 1), ("b", 2)]
    small.given({A: 5, B: 6}, [A])
    small.build("--select", "kept", "wide", "left_over")
    assert small.rows("kept") == small.rows("wide") == [("a", 5), ("b", 2)]
    assert small.sql("SELECT * FROM main.left_over") == [], "copies of rows stay in memory for the rest of a build"
    small.given({B: 6}, [A])
    small.build("--select", "kept")
    assert small.rows("kept") == [("b", 2)]
    small.given({A: 8}, [A])
    small.build("--select", "kept", "--full-refresh")
    assert small.rows("kept") == [("a", 8)]


def test_a_column_that_comes_is_refused_or_taken_up_as_the_model_says(small: Small) -> None:
    small.sql("ALTER TABLE control.rows ADD COLUMN more INTEGER DEFAULT 7")
    with pytest.raises(TallystickError, match="on_schema_change"):
        small.build("--select", "kept")
    assert small.rows("kept") == [("a", 1), ("b", 2)]
    small.given({A: 5}, [A])
    small.build("--select", "wide")
    assert small.sql("SELECT customer, n, more FROM main.wide ORDER BY ALL") == [("a", 5, 7), ("b", 2, None)]
    small.sql("ALTER TABLE control.rows DROP COLUMN n")
    small.sql("UPDATE control.rows SET more = 9")
    small.build("--select", "wide")
    assert small.sql("SELECT COLUMNS(* EXCLUDE local_day) FROM main.wide ORDER BY ALL") == [("a", 9), ("b", None)]


def test_a_column_that_is_another_type_is_refused(small: Small) -> None:
    small.sql("ALTER TABLE control.rows ALTER n TYPE DECIMAL(38, 9)")
    with pytest.raises(TallystickError, match="on_schema_change"):
        small.build("--select", "kept")
    assert small.rows("kept") == [("a", 1), ("b", 2)]


def test_a_view_becomes_a_table_and_a_view_again(small: Small) -> None:
    query = "SELECT table_type FROM information_schema.tables WHERE table_name = 'either'"
    kinds = small.sql(query)
    for kind in ("table", "view"):
        small.write("models/either.sql", f"{{{{ config(materialized='{kind}') }}}} select 2 as n")
        small.build("--select", "either")
        kinds += small.sql(query)
        assert small.sql("SELECT n FROM main.either") == [(2,)]
    assert kinds == [("VIEW",), ("BASE TABLE",), ("VIEW",)]


def test_a_model_that_fails_leaves_the_table_that_was_there(small: Small) -> None:
    small.write("models/solid.sql", "{{ config(materialized='table') }} select error('no') as n from control.rows")
    with pytest.raises(TallystickError, match="solid"):
        small.build("--select", "solid")
    assert small.sql("SELECT n FROM main.solid") == [(2,)]
