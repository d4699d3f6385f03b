"""What can notice a mutant: the cases of the sample and the unit tests of billing, with the lines that each reaches.

A change of a statement can only be noticed by what runs the statement. So each check is run once with a trace, and a
mutant is shown to the checks that reach it, the shortest first. Checks that take long are left out: they would take
longer than all the others, and what only they notice is noticed late.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from price_bridge import differences
from price_sample import sample

ROOT = Path(__file__).resolve().parents[2]
BILLING = str(ROOT / "orchestration" / "billing")
TESTS = ("billing", "test_drafts.py", "test_issued.py", "test_stored_lines.py")
"""Of tests/unit, those that call functions of billing."""
SLOW = float(os.environ.get("MUTANTS_SLOW") or 2)
"""After how many seconds of CPU, traced, a check is left out."""
Line = tuple[str, int]
"""A file and a line of it."""


class _Slow(BaseException):
    """A check takes long."""


@dataclass(frozen=True)
class Check:
    """`noticed` says whether anything is wrong; `kind` is what kills a mutant, as the report names it."""

    name: str
    kind: str
    noticed: Callable[[], bool]


@dataclass(frozen=True)
class Reach:
    """The lines of billing that a check ran, and the seconds of CPU that it took, traced."""

    lines: frozenset[Line]
    seconds: float


def checks_of_sample(cases: int) -> list[Check]:
    """One check a case: the program's answer is the second computation's."""
    return [
        Check(f"case {number}", "the sample", lambda case=case, expected=expected: bool(differences(case, expected)))  # type: ignore[misc]
        for number, (case, expected) in enumerate(sample(cases))
    ]


class Collected:
    """A plugin of pytest: it collects the unit tests once and gives them to `use` as checks instead of running them."""

    def __init__(self, use: Callable[[list[Check]], None]) -> None:
        self.use = use
        self.failed = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise pytest.UsageError("not all tests could be collected")
        self.use([Check(item.nodeid, "unit tests", lambda item=item: self._fails(item)) for item in session.items])  # type: ignore[misc]
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def _fails(self, item: pytest.Item) -> bool:
        self.failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return self.failed


def with_unit_tests(use: Callable[[list[Check]], None]) -> None:
    """Calls `use` with the unit tests as checks."""
    quiet = ["--capture=no", "-p", "no:terminal", "-p", "no:cacheprovider"]
    tests = [f"tests/unit/{name}" for name in TESTS]
    os.chdir(ROOT)
    status = pytest.main(["-o", "addopts=--import-mode=importlib", "-n0", *quiet, *tests], plugins=[Collected(use)])
    if status:
        raise SystemExit(f"the unit tests could not be collected or run: {status!r}; nothing was measured")


def reaches(checks: Sequence[Check]) -> list[tuple[Check, Reach]]:
    """Runs each check once, in a child: what it leaves in memory is no mutant's. A check that fails is an error."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        silent()
        with os.fdopen(sink, "wb") as stream:
            pickle.dump([_reach(check) for check in checks], stream)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as stream:
        found: list[Reach | None] = pickle.load(stream)
    os.waitpid(child, 0)
    failing = [check.name for check, reach in zip(checks, found, strict=True) if reach is None]
    if failing:
        raise SystemExit(f"fails without any mutant: {', '.join(failing)}; nothing was measured")
    return [(check, reach) for check, reach in zip(checks, found, strict=True) if reach and reach.seconds < SLOW]


def _reach(check: Check) -> Reach | None:
    lines: set[Line] = set()
    begun = time.process_time()
    with _traced(lines, begun + SLOW), contextlib.suppress(_Slow):
        noticed = check.noticed()
    seconds = time.process_time() - begun
    return None if seconds < SLOW and noticed else Reach(frozenset(lines), seconds)


@contextmanager
def _traced(lines: set[Line], until: float) -> Iterator[None]:
    def of_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return of_line

    def of_call(frame: FrameType, _: str, __: Any) -> Any:
        if not frame.f_code.co_filename.startswith(BILLING):
            return None
        if time.process_time() > until:
            raise _Slow
        return of_line

    sys.settrace(of_call)
    try:
        yield
    finally:
        sys.settrace(None)


def silent() -> None:
    """What a child writes goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
