"""One run of the example month for all tests of the session; tests that change it work on a copy."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestration.demo import DemoResult, demo
from orchestration.pipeline.instance import Instance


@dataclass
class Clock:
    """Times the steps that a run reports. Figures only: how long a step takes passes or fails nothing."""

    title: str
    marks: list[tuple[float, str]] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.marks.append((time.monotonic(), text))

    @contextmanager
    def running(self) -> Iterator[Clock]:
        self("start")
        yield self
        self("end")

    @property
    def table(self) -> str:
        pairs = zip(self.marks, self.marks[1:], strict=False)
        steps = "\n".join(f"  {after - before:7.2f} s  {text}" for (before, text), (after, _) in pairs)
        return f"\n{self.title}: {self.marks[-1][0] - self.marks[0][0]:.1f} s in all\n{steps}"


@dataclass(frozen=True)
class Month:
    """The example month after its close."""

    home: Path
    result: DemoResult


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory, show: Callable[[str], None]) -> Month:
    """The demo at its usual size: generated, run, October closed."""
    home = tmp_path_factory.mktemp("month") / "home"
    with Clock("the example month").running() as clock:
        result = demo(Instance(home), clock, scale=100)
    show(clock.table)
    return Month(home, result)


@pytest.fixture
def copied(month: Month, tmp_path: Path) -> Path:
    """The month's folder, for a test that changes it."""
    return copy_of(month.home, tmp_path / "home")


def copy_of(home: Path, target: Path) -> Path:
    """A copy of an instance with its links and times."""
    shutil.copytree(home, target, symlinks=True)
    return target
