"""One stage of dbt as Dagster events: in this process by default, or as a subprocess, which is Dagster's stock way.

The conversion of dbt's events is not public API of dagster-dbt: its version is pinned, and a test compares both ways.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource
from dagster_dbt.asset_utils import get_subset_selection_for_context
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage
from google.protobuf.json_format import MessageToDict

from orchestration.errors import IntegrityFailure, TallystickError
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.project import PROJECT
from orchestration.pipeline.transform import Stage, build_arguments, selected, transform
from orchestration.settings import offer_build

RESULTS = ("LogModelResult", "LogTestResult")
Manifest = dict[str, Any]


def part_selected(
    context: dg.AssetExecutionContext, manifest: Manifest, translator: DagsterDbtTranslator
) -> list[str] | None:
    """dbt's arguments for the models and tests that this run selected; None when that is the whole stage."""
    if _is_whole(context.assets_def):
        return None
    arguments, indirect = get_subset_selection_for_context(
        context=context,
        manifest=manifest,
        select=None,
        exclude=None,
        selector=None,
        dagster_dbt_translator=translator,
        current_dbt_indirect_selection_env=None,
    )
    # A test that also looks at models outside the part would compare new rows with old ones.
    return [*arguments, "--indirect-selection", indirect or "buildable"]


def _is_whole(assets: dg.AssetsDefinition) -> bool:
    return (
        assets.keys_by_output_name == assets.node_keys_by_output_name
        and assets.check_specs_by_output_name == assets.node_check_specs_by_output_name
    )


def in_process(
    context: dg.AssetExecutionContext,
    instance: Instance,
    stage: Stage,
    *,
    fresh: bool,
    selection: Sequence[str] | None,
    manifest: Manifest,
    translator: DagsterDbtTranslator,
) -> Iterator[Any]:
    """Run a stage inside this process. Yields what came of every model and test, then raises if one failed."""
    messages: list[DbtCoreCliEventMessage] = []

    def listen(event: Any) -> None:
        if event.info.name in RESULTS:
            raw = MessageToDict(event, preserving_proto_field_name=True)
            messages.append(DbtCoreCliEventMessage(raw_event=raw, event_history_metadata={}))
            context.log.info(raw["info"]["msg"])

    failure: TallystickError | None = None
    try:
        transform(instance, stage, fresh=fresh, on_event=listen, selection=selection)
    except TallystickError as error:
        failure = error
    for message in messages:
        yield from message.to_default_asset_events(manifest, dagster_dbt_translator=translator, context=context)
    if failure is not None:
        raise failure


def subprocess(
    context: dg.AssetExecutionContext,
    instance: Instance,
    stage: Stage,
    *,
    fresh: bool,
    selection: Sequence[str] | None,
    manifest: Manifest,
    translator: DagsterDbtTranslator,
) -> Iterator[Any]:
    """Run a stage as `dbt build` in a process of its own."""
    offer_build(instance.home, instance.build_db)
    resource = DbtCliResource(
        project_dir=str(PROJECT), profiles_dir=str(PROJECT), dbt_executable=str(Path(sys.executable).with_name("dbt"))
    )
    arguments = build_arguments(instance, stage, fresh, selection or selected(instance, stage))
    # The resource reads dbt's events from its output and names the folders itself.
    for option in ("--project-dir", "--profiles-dir", "--target-path", "--log-level"):
        place = arguments.index(option)
        del arguments[place : place + 2]
    invocation = resource.cli(
        arguments,
        raise_on_error=False,
        manifest=manifest,
        dagster_dbt_translator=translator,
        target_path=instance.home / "dbt" / "target",
    )
    yield from _events(invocation, context)
    if not invocation.is_successful():
        raise IntegrityFailure(
            "the warehouse did not pass: dbt names what failed in the log of this step",
            where="warehouse/build",
            not_done="nothing was priced or published; the generation published before stays",
            next_step="look at the failing rows with the SQL in dbt/target/compiled, mend the cause and run again",
        )


def _events(invocation: Any, context: dg.AssetExecutionContext) -> Iterator[Any]:
    # Without a context the invocation leaves our arguments alone; its events still have to know the assets.
    for message in invocation.stream_raw_events():
        yield from message.to_default_asset_events(
            invocation.manifest, dagster_dbt_translator=invocation.dagster_dbt_translator, context=context
        )
