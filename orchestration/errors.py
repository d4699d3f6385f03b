"""Typed errors: what is wrong, where, what was not done, and what to do next.

Every error carries the exit code that the command ends with:
0 ok, 2 configuration, 3 input held, 4 lock held, 5 integrity, 6 resources, 7 period closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, with its place. Problems are data: stages return them, they are not raised midway."""

    code: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.code}]" if self.where else f"{self.message} [{self.code}]"


class TallystickError(Exception):
    """Base of all errors that a person is meant to read."""

    exit_code = 1
    code = "error"

    def __init__(self, message: str, *, where: str = "", not_done: str, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.not_done = not_done
        self.next_step = next_step

    def render(self) -> str:
        """The error as the command prints it: four short lines, never a traceback."""
        lines = [f"error[{self.code}]: {self.message}"]
        if self.where:
            lines.append(f"  at: {self.where}")
        lines.append(f"  not done: {self.not_done}")
        lines.append(f"  next: {self.next_step}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render()


class ConfigInvalid(TallystickError):
    """A setting or the command line is wrong."""

    exit_code = 2
    code = "config_invalid"


class CatalogInvalid(ConfigInvalid):
    """The catalog does not load; holds every problem found, not the first."""

    code = "catalog_invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        listing = "\n".join(f"    {p}" for p in self.problems)
        super().__init__(
            f"{len(self.problems)} problem(s) in the catalog\n{listing}",
            not_done="nothing was read, priced or published",
            next_step="correct the lines named above, then run `tallystick validate`",
        )


class InputHeld(TallystickError):
    """Some input could not be taken, or blocks what was asked for."""

    exit_code = 3
    code = "input_held"


class LockHeld(TallystickError):
    """Another process is working on this instance."""

    exit_code = 4
    code = "lock_held"


class IntegrityFailure(TallystickError):
    """Something that must be equal is not: a hash, a sum, a number, a recomputed document."""

    exit_code = 5
    code = "integrity_failure"


class OutOfResources(TallystickError):
    """Disk, memory or descriptors ran out."""

    exit_code = 6
    code = "out_of_resources"


class PeriodClosed(TallystickError):
    """What was asked for would change a closed period."""

    exit_code = 7
    code = "period_closed"
