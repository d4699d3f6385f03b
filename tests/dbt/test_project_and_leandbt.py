"""What is kept of dbt's parsing is that of the same text; what is left out of dbt is what nobody hears."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.pipeline import project
from orchestration.pipeline.leandbt import make_lean


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(project, "TARGET", tmp_path / "target")
    return tmp_path / "target"


def test_a_kept_manifest_is_not_taken_for_other_text_or_by_another_dbt(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.contracts.graph.manifest import Manifest

    assert project.kept_manifest() is None
    project.keep_manifest(Manifest())
    assert project.kept_manifest() is not None
    with monkeypatch.context() as patch:
        patch.setattr(project, "sources_digest", lambda: "another")
        assert project.kept_manifest() is None
        project.keep_manifest(Manifest())
    assert len(list((target / "kept").iterdir())) == 1, "older ones are left behind"
    project.keep_manifest(Manifest())
    monkeypatch.setattr(project, "version", lambda name: "another")
    assert project.kept_manifest() is None


def test_a_kept_manifest_that_is_broken_or_can_not_be_written_is_done_without(target: Path) -> None:
    from dbt.contracts.graph.manifest import Manifest

    project.keep_manifest(Manifest())
    [kept] = (target / "kept").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    assert project.kept_manifest() is None
    kept.unlink()
    (target / "kept").rmdir()
    (target / "kept").write_text("no folder")
    project.keep_manifest(Manifest())
    assert project.kept_manifest() is None


def test_callbacks_hear_results_warnings_and_when_a_node_begins_and_no_other_debug_event() -> None:
    make_lean()
    from dbt.adapters.events.types import SQLQuery
    from dbt.events.types import NodeStart
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.types import Formatting, Note

    manager, heard = EventManager(), []
    manager.add_callback(lambda message: heard.append((message.info.name, message.info.level)))
    manager.fire_event(SQLQuery(conn_name="c", sql="select 1"))
    manager.fire_event(Note(msg="quiet"), level=EventLevel.DEBUG)
    manager.fire_event(Note(msg="loud"), level=EventLevel.WARN)
    manager.fire_event(Formatting("said"))
    manager.fire_event(NodeStart(node_info={"node_name": "n"}))
    assert heard == [("Note", "warn"), ("Formatting", "info"), ("NodeStart", "debug")]


def test_an_event_has_what_it_was_made_of_when_it_is_read_later() -> None:
    make_lean()
    from dbt.adapters.events.types import SQLQuery

    event = SQLQuery(conn_name="c", sql="select 1")
    assert "pb_msg" not in event.__dict__
    assert (event.sql, event.conn_name) == ("select 1", "c")
    assert "select 1" in event.message()


def test_a_warning_that_is_an_error_is_raised_although_nobody_listens() -> None:
    make_lean()
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.types import Note
    from dbt_common.exceptions.events import EventCompilationError

    manager = EventManager()
    manager.warn_error = True
    with pytest.raises(EventCompilationError, match="careful"):
        manager.fire_event(Note(msg="careful"), level=EventLevel.WARN, force_warn_or_error_handling=True)


def test_a_macro_is_that_of_the_package_then_of_the_project_then_of_the_adapter_then_of_dbt() -> None:
    make_lean()
    from dbt.clients.jinja import MacroStack
    from dbt.context.macros import MacroNamespaceBuilder

    names = {"dbt": "abcd", "dbt_duckdb": "bcd", "project": "cd", "package": "d"}
    given = {package: {n: SimpleNamespace(name=n, package_name=package) for n in names[package]} for package in names}
    context, node, stack = {"this": 1}, object(), MacroStack()
    builder = MacroNamespaceBuilder("project", "package", stack, ["dbt_duckdb", "dbt"], node)
    found = builder.build_namespace(given, context)
    assert {n: found[n].macro.package_name for n in "abcd"} == {
        "a": "dbt",
        "b": "dbt_duckdb",
        "c": "project",
        "d": "package",
    }
    assert found.get_from_package("dbt", "d").macro.package_name == "dbt_duckdb"
    assert found.get_from_package("project", "d").macro.package_name == "project"
    assert set(found) == {*"abcd", "dbt", "project", "package"}
    assert found["d"].context is context and found["d"].node is node and found["d"].stack is stack
