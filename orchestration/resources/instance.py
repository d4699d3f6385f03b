"""The instance as a Dagster resource: locked for writing from the first step of a run to the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field, PrivateAttr

from orchestration.errors import ConfigInvalid
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock
from orchestration.settings import clock_us, parse_instant, read_environment

IN_PROCESS = ("in_process", "execute_in_process_executor")
"""Names of the executors that run all steps in one process, and so under one lock."""


class TallystickInstance(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One instance, held under its lock while a run lasts. What is left empty comes from the environment."""

    home: str = Field(default="", description="Folder of the instance. Empty: TALLYSTICK_HOME, or data/.")
    now: str = Field(
        default="",
        description="The run's now, RFC 3339, e.g. 2026-11-05T09:00:00Z. Empty: TALLYSTICK_NOW, or the clock.",
    )
    dbt: Literal["in_process", "subprocess"] = Field(
        default="in_process",
        description="How dbt is run. `subprocess` is Dagster's stock way; it builds the same tables and takes longer.",
    )

    _now_us: int = PrivateAttr(default=0)
    _instance: Instance = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[TallystickInstance]:
        """Read the environment and hold the instance. Raises ConfigInvalid or LockHeld; the run then fails at once."""
        environment = read_environment()
        if self.home:
            environment = replace(environment, home=Path(self.home).absolute())
        self._instance = Instance.of(environment)
        given = parse_instant(self.now, "resources.tallystick.config.now") if self.now else environment.now_us
        self._now_us = clock_us() if given is None else given
        run = context.run
        with instance_lock(self._instance.home, f"Dagster run {run.run_id}" if run else "a step of Dagster"):
            yield self

    def context(self, step: Any) -> Context:
        """What the pipeline's functions want to know, with progress written to the log of `step`.

        Raises ConfigInvalid under an executor that would give each step a process, and so a lock, of its own.
        """
        executor = step.job_def.executor_def.name
        if executor not in IN_PROCESS:
            raise ConfigInvalid(
                f"the executor '{executor}' runs steps in processes of their own, and the lock would not last from one "
                "to the next",
                where=f"job {step.job_name}",
                not_done="nothing was read or changed",
                next_step="use dagster.in_process_executor for every job of this code location",
            )
        return Context(self._instance, self._now_us, step.log.info)
