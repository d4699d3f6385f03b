"""How far a build has come, kept beside it on disk: only a whole build is published, made in one run or in several."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from orchestration.catalog import Catalog
from orchestration.errors import ConfigInvalid
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.state import BuildPlan, State, plan_build

STEPS = ("usage", "accounting", "drafts", "watching", "finance")
"""What follows the preparation of a build, in order. Each rests on those before it."""


@dataclass(frozen=True, slots=True)
class Build:
    """An open build: what it knows, and which of `STEPS` have been done on it and passed."""

    state: State
    fresh: bool
    usage_changed: bool
    done: tuple[str, ...] = ()


def begin(instance: Instance, plan: BuildPlan) -> Build:
    """Note that a build has been prepared. Where usage stays as it was published, its steps are done already."""
    carried = () if plan.usage_changed else ("usage", "accounting")
    return _write(instance, Build(plan.state, plan.fresh, plan.usage_changed, carried))


def open_build_of(context: Context, catalog: Catalog, ledger: Ledger) -> tuple[Context, Build | None]:
    """The open build, and the context with the now that it was begun with; None when there is nothing to build.

    Raises ConfigInvalid when there is no build but something to do, or when the inputs have changed since it began.
    """
    build = _read(context.instance)
    if build is None:
        if _plan(context, catalog, ledger) is None:
            return context, None
        raise ConfigInvalid(
            "no build is open on this instance",
            where=str(context.instance.build_folder),
            not_done="nothing was built or published",
            next_step="materialise 'warehouse_build' and everything downstream of it, or launch the job 'daily'",
        )
    context = replace(context, now_us=build.state.now_us)
    plan = _plan(context, catalog, ledger)
    if plan is None or plan.state != build.state:
        raise ConfigInvalid(
            "files, catalog or program have changed since this build was begun",
            where=str(context.instance.build_folder),
            not_done="nothing was built or published",
            next_step="materialise 'warehouse_build' and everything downstream of it, or launch the job 'daily'",
        )
    return context, build


@contextmanager
def step(instance: Instance, build: Build, name: str, *, whole: bool = True) -> Iterator[None]:
    """Do one step of a build. It and the later ones count as not done until it has ended well, and as a whole."""
    place = STEPS.index(name)
    missing = [s for s in STEPS[:place] if s not in build.done]
    if missing:
        raise _incomplete(f"'{name}' rests on {', '.join(missing)}, which this build has not passed", instance)
    before = _write(instance, replace(build, done=STEPS[:place]))
    yield
    if whole:
        _write(instance, replace(before, done=STEPS[: place + 1]))


def require_whole(instance: Instance, build: Build) -> None:
    """Raise ConfigInvalid unless every step has been done on this build and every check passed."""
    missing = [s for s in STEPS if s not in build.done]
    if missing:
        raise _incomplete(f"this build has not passed: {', '.join(missing)}", instance)


def _incomplete(message: str, instance: Instance) -> ConfigInvalid:
    return ConfigInvalid(
        message,
        where=str(instance.build_folder),
        not_done="nothing was published; the generation published before stays",
        next_step="materialise those assets with all their checks as well, or launch the job 'daily'",
    )


def _plan(context: Context, catalog: Catalog, ledger: Ledger) -> BuildPlan | None:
    charged = charged_segments(catalog, context.now_us)
    return plan_build(context.instance, catalog, ledger, charged, context.now_us)


def _write(instance: Instance, build: Build) -> Build:
    path = instance.build_folder / "progress.json"
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(asdict(build)))
    aside.replace(path)
    return build


def _read(instance: Instance) -> Build | None:
    path = instance.build_folder / "progress.json"
    if not path.exists() or not instance.build_db.exists():
        return None
    held = json.loads(path.read_text())
    return Build(State(**held["state"]), held["fresh"], held["usage_changed"], tuple(held["done"]))
