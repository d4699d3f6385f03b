"""dbt, inside this process: the models of one stage, then their tests. Nothing is published by it.

`invoke` is what the command uses; the assets pass their own `on_event`. dbt is imported when a model must run, because
that alone takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from orchestration.catalog.entitlements import FILE as ENTITLEMENTS
from orchestration.catalog.monitoring import FILE as MONITORING
from orchestration.engine import says_exhausted
from orchestration.errors import IntegrityFailure, OutOfResources, TallystickError
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.leandbt import make_lean
from orchestration.pipeline.project import PROJECT, keep_manifest, kept_manifest
from orchestration.settings import offer_build

Stage = Literal["usage", "finance"]
SELECTION: dict[Stage, list[str]] = {
    "usage": ["path:models/staging", "path:models/metering", "path:models/marts"],
    "finance": ["path:models/finance"],
}
"""What each stage builds. Pricing stands between the two: it reads the marts and feeds the finance models."""
WATCHED: dict[Stage, dict[str, str]] = {
    "usage": {"path:models/monitoring": MONITORING, "path:models/clients": MONITORING},
    "finance": {"path:models/health": MONITORING, "path:models/entitled": ENTITLEMENTS},
}
"""What a stage builds besides where the catalog has a file: who watches nothing pays for none of it."""


def selected(instance: Instance, stage: Stage) -> list[str]:
    """dbt's arguments for the folders of models of a stage, by the catalog's files, and the tests of these alone."""
    left_out = unwatched(instance, stage)
    folders = [*SELECTION[stage], *(path for path in WATCHED[stage] if path not in left_out)]
    return ["--select", " ".join(folders), "--indirect-selection", "buildable"]


def unwatched(instance: Instance, stage: Stage) -> list[str]:
    """The folders that the catalog doesn't ask for."""
    return [path for path, file in WATCHED[stage].items() if not (instance.catalog / file).exists()]


def build_arguments(
    instance: Instance, stage: Stage, fresh: bool = False, selection: Sequence[str] | None = None
) -> list[str]:
    """The command line of dbt for one stage, as data. `selection` replaces the stage's own, to build a part of it."""
    return [
        "build",
        *(selected(instance, stage) if selection is None else selection),
        "--exclude-resource-type",
        "unit_test",
        *_folders(instance),
        *(["--full-refresh"] if fresh else []),
    ]


def _folders(instance: Instance) -> list[str]:
    folders = {
        "project-dir": PROJECT,
        "profiles-dir": PROJECT,
        "target-path": instance.home / "dbt" / "target",
        "log-path": instance.home / "dbt" / "logs",
    }
    # Nobody reads dbt's account of a run (a manifest and its graph, of megabytes), and writing it takes a second.
    told = ["--log-level", "none", "--no-write-json"]
    return [*(part for name, path in folders.items() for part in (f"--{name}", str(path))), *told]


def transform(
    instance: Instance,
    stage: Stage,
    *,
    fresh: bool,
    on_event: Callable[[Any], None] | None = None,
    selection: Sequence[str] | None = None,
) -> None:
    """Run the models of a stage and every test on them. Raises IntegrityFailure naming each test that failed."""
    offer_build(instance.home, instance.build_db)
    arguments = build_arguments(instance, stage, fresh, selection)
    try:
        invoke(arguments, on_event=on_event, manifest=load_project(instance))
    except OutOfResources as error:
        error.where = str(instance.build_folder)
        raise


def load_project(instance: Instance) -> Any:
    """dbt's manifest of the project; the first call of a process imports dbt, which takes seconds, as parsing does."""
    if not _manifest:
        _manifest.append(kept_manifest() or _parsed(instance))
    return _manifest[0]


def _parsed(instance: Instance) -> Any:
    try:
        manifest = invoke(["parse", *_folders(instance)])
    except IntegrityFailure:
        # What dbt keeps from one parse for the next may be that of another version of the program.
        manifest = invoke(["parse", "--no-partial-parse", *_folders(instance)])
    keep_manifest(manifest)
    return manifest


_manifest: list[Any] = []
"""dbt's manifest, parsed once a process: no text of a model changes while a program runs, and no catalog enters it."""


def invoke(arguments: Sequence[str], *, on_event: Callable[[Any], None] | None = None, manifest: Any = None) -> Any:
    """Run dbt with a command line and return its result. Raises a TallystickError that names what failed."""
    from dbt.cli.main import dbtRunner

    make_lean()
    try:
        result = dbtRunner(manifest=manifest, callbacks=[on_event] if on_event else []).invoke(list(arguments))
    finally:
        _close_connections()
    if result.success:
        return result.result
    if result.exception is not None:
        raise _failure([str(result.exception)])
    raise _failure([_describe(r) for r in getattr(result.result, "results", []) if r.status in ("error", "fail")])


def _describe(result: Any) -> str:
    rows = f", {result.failures} rows" if result.failures else ""
    return f"{result.node.resource_type} {result.node.name}: {result.status}{rows}: {(result.message or '').strip()}"


def _failure(what: Sequence[str]) -> TallystickError:
    message = "the warehouse did not pass:\n" + "\n".join(f"    {w}" for w in what)
    kind = OutOfResources if any(map(says_exhausted, what)) else IntegrityFailure
    return kind(
        message,
        where="warehouse/build",
        not_done="nothing was priced or published; the generation published before stays",
        next_step="look at the failing rows with the SQL in dbt/target/compiled, mend the cause and run again",
    )


def _close_connections() -> None:
    """dbt keeps its handle on the database; the next connection of this process would get a stale instance."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    with suppress(AttributeError):
        DuckDBConnectionManager.close_all_connections()
