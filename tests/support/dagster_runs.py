"""Runs of jobs in this process, and what Dagster tells of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import tiny

from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.settings import parse_instant

Launch = Callable[..., dg.ExecuteInProcessResult]


def context_of(home: Path) -> Context:
    return Context(Instance(home), parse_instant(tiny.NOW, "test"))


@dataclass(frozen=True)
class Ran:
    """An instance that was run, closed and run again; `daily` is the first run as Dagster tells it.

    `begun` is a copy of the instance after that run: copy it again to write to it.
    """

    home: Path
    begun: Path
    daily: dg.ExecuteInProcessResult
    close: dg.ExecuteInProcessResult
    again: dg.ExecuteInProcessResult


def failed_steps(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.step_key for event in result.all_events if event.is_step_failure and event.step_key}


def started_steps(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.step_key for event in result.all_events if event.is_step_start and event.step_key}


def error_text(result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(str(event.event_specific_data) for event in result.all_events if event.is_failure)
