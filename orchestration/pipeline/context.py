"""What every step of a run shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestration.pipeline.instance import Instance

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Context:
    """What every step of one run shares. `now_us` is the run's now; `report` is told what is being done."""

    instance: Instance
    now_us: int
    report: Report = field(default=lambda _: None)
