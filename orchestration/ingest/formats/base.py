"""What a format is: a compiler from a source's mapping to SQL that reads most lines, and Python that reads the rest.

The SQL lane flags the lines that it can't judge (`slow`): escapes, repeated names, quoted delimiters. They go through
`Reader.slow`, line by line. Which lane a line takes depends on its bytes alone, so its neighbours never matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from orchestration.catalog.models import Source
from orchestration.errors import Problem

TARGETS = (
    "id",
    "time",
    "source",
    "event_type",
    "credential",
    "user",
    "method",
    "path",
    "status",
    "bytes",
    "address",
    "agent",
    "extra",
)
"""The canonical fields that a source's `fields` and `constants` may fill."""

PROPERTY = "p_"
"""Prefix of the lake columns, and targets, of a source's properties."""

SlowResult = tuple[str | None, tuple[str | None, ...]]
"""Reason of refusal or None, and the values of the reader's targets in order."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How the lines of one file are read.

    `sql` selects `line, text, slow, grammar, f_<target>...` from a relation `src(line, text)`; for a table format
    from the file whose path is the engine's variable `raw_path`.
    """

    targets: tuple[str, ...]
    sql: str
    slow: Callable[[str], SlowResult]
    time_style: Literal["iso", "clf"] = "iso"


class Format(Protocol):
    """One log format. Instances hold no state."""

    name: str
    header: bool
    """Whether line 1 names the columns."""
    table: bool
    """Whether the file is read whole by the engine, rows being its lines."""

    def positional(self, source: Source) -> bool:
        """Whether events have no id of their own and are known by their place."""
        ...

    def check(self, source: Source) -> list[Problem]:
        """What in the source's mapping this format can't offer."""
        ...

    def reader(self, source: Source, head: str) -> Reader:
        """Compile the mapping. `head` is the text of line 1, without its end. Raises inflate.Refused."""
        ...


def wanted(source: Source, defaults: Mapping[str, str]) -> dict[str, str]:
    """Target to the format's own field name: defaults, overridden by the source, less what is constant."""
    fields = {**defaults, **source.fields}
    chosen = {t: fields[t] for t in TARGETS if t in fields and t not in source.constants}
    return chosen | {PROPERTY + name: source.properties[name] for name in sorted(source.properties)}


def check_names(source: Source, offered: Callable[[str], bool], what: str) -> list[Problem]:
    """Problems with the mapping's targets, and with names on its right side that `offered` refuses."""
    where = f"source '{source.name}'"
    problems = [
        Problem("unknown_target", f"'{name}' is not one of {', '.join(TARGETS)}", where)
        for name in (*source.fields, *source.constants)
        if name not in TARGETS
    ]
    for name in (*source.fields.values(), *source.properties.values()):
        if not offered(name):
            problems.append(Problem("unknown_field", f"'{name}' is not {what}", where))
    return problems
