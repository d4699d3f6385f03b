"""What stops a run: a failed check before pricing, a part of a build, the lock, another executor, no manifest."""

import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import duckdb
import pytest
import tiny
from dagster_runs import Launch, Ran, context_of, error_text, failed_steps, started_steps

from orchestration.assets.metadata import cell
from orchestration.errors import ConfigInvalid, LockHeld
from orchestration.pipeline.lock import instance_lock
from orchestration.pipeline.project import PROJECT
from orchestration.resources.instance import TallystickInstance

AFTER_CHECKS = {"drafts", "incidents", "finance_models", "published_warehouse"}


@pytest.fixture(scope="module")
def home(by_dagster: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance with one published generation."""
    assert by_dagster.daily.success
    home = tmp_path_factory.mktemp("blocking") / "home"
    shutil.copytree(by_dagster.begun, home, symlinks=True)
    return home


def _published(home: Path) -> str:
    return (home / "warehouse" / "current").resolve().name


def _lose_quarantined_lines(home: Path) -> Path:
    [path] = (home / "lake" / "quarantine").rglob("*.parquet")
    duckdb.execute(f"COPY (SELECT * FROM read_parquet('{path}') WHERE false) TO '{path}.new' (FORMAT parquet)")
    path.chmod(0o600)
    Path(f"{path}.new").replace(path)
    return path


def test_a_failed_dbt_test_stops_the_run_before_pricing(launch: Launch, home: Path) -> None:
    before = _published(home)
    tiny.write_log(home, "access-2.log", 4)
    lost = _lose_quarantined_lines(home)
    result = launch("daily", home)
    assert not result.success
    assert failed_steps(result) == {"usage_models"}
    assert not AFTER_CHECKS & started_steps(result)
    failed = {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}
    assert failed == {"quarantined_lines_are_kept"}
    assert "quarantined_lines_are_kept" in error_text(result)
    assert _published(home) == before

    # The failed build can't be published, or priced, by selecting only the rest of it.
    part = launch("daily", home, asset_selection=[dg.AssetKey("published_warehouse")])
    assert "has not passed: usage, accounting, drafts, watching, finance" in error_text(part)
    part = launch("daily", home, asset_selection=[dg.AssetKey("drafts")])
    assert "rests on usage, accounting" in error_text(part)
    assert _published(home) == before

    # Raw files are the record: the lake file is made again from them, and the run goes through.
    lost.unlink()
    assert launch("daily", home).success
    assert _published(home) != before


def test_the_check_across_layers_blocks_pricing(launch: Launch, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.checks import accounting
    from orchestration.errors import Problem

    before = _published(home)
    tiny.write_log(home, "access-3.log", 5)
    lost = Problem("hours", "expected 3, found 2", tiny.HOSTILE)
    monkeypatch.setattr(accounting, "unbalanced", lambda con: [lost])
    result = launch("daily", home)
    assert not result.success
    assert not AFTER_CHECKS & started_steps(result)
    [failed] = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed.check_name == "everything_is_accounted_for"
    assert "<img" not in str(failed.metadata["problems"].value)
    assert _published(home) == before
    monkeypatch.undo()

    # The same build goes on from where it stood, part by part, and is published once it is whole.
    folders = ("finance", "health", "entitled")
    models = [path.stem for folder in folders for path in (PROJECT / "models" / folder).glob("*.sql")]
    rest = ["drafts", "incidents", *(f"marts/{name}" for name in models)]
    keys = [dg.AssetKey(name.split("/")) for name in rest]
    assert "rests on accounting" in error_text(launch("daily", home, asset_selection=keys))
    usage = {k for k in result.job_def.asset_layer.selected_asset_keys if k.path[0] in ("staging", "metering", "marts")}
    assert launch("daily", home, asset_selection=sorted(usage - set(keys))).success
    assert _published(home) == before
    assert launch("daily", home, asset_selection=[*keys, dg.AssetKey("published_warehouse")]).success
    assert _published(home) != before


def test_a_part_of_the_models_is_built_but_not_published(launch: Launch, home: Path) -> None:
    before = _published(home)
    tiny.write_log(home, "access-4.log", 6)
    models = [["staging", "stg_events"], ["staging", "stg_requests"], ["metering", "metered_hours"]]
    names = [["raw_files"], ["lake"], ["warehouse_build"], *models]
    result = launch("daily", home, asset_selection=[dg.AssetKey(name) for name in names])
    assert result.success
    assert {m.asset_key.to_user_string() for m in result.get_asset_materialization_events()} == {
        "/".join(name) for name in names
    }
    assert "has not passed" in error_text(launch("daily", home, asset_selection=[dg.AssetKey("published_warehouse")]))
    assert _published(home) == before
    (home / "catalog" / "monitoring.yaml").write_text("sensitivity: '1'\n")
    (home / "catalog" / "entitlements.yaml").write_text(
        "entitlements:\n  - {plan: basic, meter: requests, limit: '9', per: month}\n"
    )
    watched = launch("daily", home)
    assert watched.success
    made = [event.materialization for event in watched.get_asset_materialization_events()]
    told = {each.asset_key.path[-1]: each.metadata for each in made}
    assert told["integration_health"]["struggling_last_7_days"].value == 0
    assert told["integration_health"]["dagster/row_count"].value > 0
    warned = {check.check_name for check in watched.get_asset_check_evaluations()}
    assert {"no_integration_struggles", "no_api_level_has_shifted", "no_entitlement_is_reached"} <= warned


def test_without_a_build_a_step_says_how_to_begin_one(launch: Launch, home: Path) -> None:
    (home / "catalog" / "routes.yaml").write_text('routes: [{patterns: ["/v1/items/{item}"]}]\n')
    result = launch("daily", home, asset_selection=[dg.AssetKey("drafts")])
    assert "no build is open" in error_text(result)
    assert "materialise 'warehouse_build'" in error_text(result)


def test_a_locked_instance_is_left_alone_and_its_holder_named(launch: Launch, home: Path) -> None:
    before = _published(home)
    with instance_lock(home, "tallystick run"):
        result = launch("daily", home)
    assert not result.success
    assert "doing tallystick run" in error_text(result)
    assert started_steps(result) == set()
    assert _published(home) == before


def test_the_lock_is_held_from_the_first_step_to_the_last(tmp_path: Path) -> None:
    tiny.make(tmp_path)
    refused: list[bool] = []
    seen: list[int] = []

    def try_lock(context: dg.AssetExecutionContext, tallystick: TallystickInstance) -> None:
        seen.append(tallystick.context(context).now_us)
        thread = threading.Thread(target=lambda: refused.append(_is_locked(tmp_path)))
        thread.start()
        thread.join()

    first = dg.asset(name="first")(try_lock)
    second = dg.asset(name="second", deps=[first])(try_lock)
    assert dg.materialize([first, second], resources={"tallystick": TallystickInstance(home=str(tmp_path))}).success
    assert refused == [True, True]
    assert seen[0] == seen[1], "one run has one now"
    assert not _is_locked(tmp_path)


def _is_locked(home: Path) -> bool:
    try:
        with instance_lock(home, "test"):
            return False
    except LockHeld:
        return True


def test_an_executor_with_a_process_for_each_step_is_refused() -> None:
    step = SimpleNamespace(job_def=SimpleNamespace(executor_def=dg.multiprocess_executor), job_name="mine")
    with pytest.raises(ConfigInvalid, match="in_process_executor for every job"):
        TallystickInstance().context(step)


def test_a_close_too_early_issues_nothing_and_says_when_to_come_back(launch: Launch, home: Path) -> None:
    result = launch("close", home, partition_key="2025-01-01")
    assert not result.success
    assert "may be closed 3 day(s) after" in error_text(result)
    assert context_of(home).instance.exports.exists() is False


def test_a_missing_or_old_manifest_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from orchestration.automation import manifest

    monkeypatch.setattr(manifest, "sources_digest", lambda: "another")
    with pytest.raises(ConfigInvalid, match="has changed since") as error:
        manifest.prepared_manifest()
    assert manifest.COMMAND in error.value.next_step


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (tiny.HOSTILE, "&lt;img src=x onerror=alert(1)&gt; \\| \\*Birch\\* \\[x\\](https\\://example.org) \\`b\\`"),
        ("a\nb\u2028| c\x00\u202e", "a b \\| c"),
        ("x" * 200, "x" * 79 + "…"),
        ("www.example.org", "www\\.example.org"),
        (None, ""),
    ],
)
def test_text_of_a_customer_can_not_become_markup(text: str | None, shown: str) -> None:
    assert cell(text) == shown
