"""What a format is: a compiler from a source's mapping to SQL that reads most lines, and Python that reads the rest.

The SQL lane flags the lines that it can't judge (`slow`): escapes, repeated names, quoted delimiters. They go through
`Reader.slow`, line by line. Which lane a line takes depends on its bytes alone, so its neighbours never matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from orchestration.catalog.sources import Source
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

REQUEST_TARGETS = {
    "time": "time",
    "credential": "remote_user",
    "method": "method",
    "path": "path",
    "status": "status",
    "bytes": "bytes",
    "address": "remote_addr",
    "agent": "agent",
}
"""Which raw field of an access log fills which target, unless the format or the source says otherwise."""

PROPERTY = "p_"
"""Prefix of the lake columns, and targets, of a source's properties."""

LATENCY = "latency_"
"""Prefix of the targets of the time that a request took: `latency_<unit>`, or `latency_<unit>_<n>` for parts of it."""

SlowResult = tuple[str | None, tuple[str | None, ...]]
"""Reason of refusal or None, and the values of the reader's targets in order."""

TimeStyle = Literal["iso", "clf", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"]
"""How times are written. `clf` takes an `iso` time too, and an epoch style, where it is no number, either."""

_AS = " as "


@dataclass(frozen=True, slots=True)
class Shape:
    """How a line's objects are laid out: few kinds in a file, so that each is looked at once and not each line.

    `sql` over `text` gives the names of the members of each object on the way to a field, NULL where there is none.
    A line of a shape that `repeats` goes to `Reader.slow`.
    """

    sql: str
    repeats: Callable[[Sequence[Sequence[str] | None]], bool]


@dataclass(frozen=True, slots=True)
class Reader:
    """How the lines of one file are read.

    `sql` selects `line, text, slow, grammar, f_<target>...` from a relation `src(line, text)`; for a table format
    from the file whose path is the engine's variable `raw_path`. Lines that begin with `comment` count as blank.
    """

    targets: tuple[str, ...]
    sql: str
    slow: Callable[[str], SlowResult]
    time_style: TimeStyle = "iso"
    comment: str | None = None
    shape: Shape | None = None


class Format(Protocol):
    """One log format. Instances hold no state."""

    name: str
    header: bool
    """Whether line 1 names the columns."""
    table: bool
    """Whether the file is read whole by the engine, rows being its lines."""
    record_a_line: bool
    """Whether `unpack` leaves the bytes as they are."""
    head: int
    """How many lines from the file's beginning `reader` has to see."""
    defaults: Mapping[str, str]
    """Which raw field fills which target, unless the source says otherwise."""
    time_style: TimeStyle
    """How times are written, unless the source's mapping says otherwise."""

    def positional(self, source: Source) -> bool:
        """Whether events have no id of their own and are known by their place."""
        ...

    def check(self, source: Source) -> list[Problem]:
        """What in the source's mapping this format can't offer."""
        ...

    def reader(self, source: Source, head: str) -> Reader:
        """Compile the mapping. `head` is the text of the first `head` lines. Raises inflate.Refused."""
        ...

    def unpack(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """From the file's inflated bytes to those in which each record is a line."""
        ...

    def recognises(self, source: Source, lines: list[str]) -> int:
        """How many of a file's first lines, none of them blank, are surely in this format."""
        ...


class LineFormat:
    """What formats share that have a record on each line, and no header."""

    header = False
    table = False
    record_a_line = True
    head = 0
    defaults: Mapping[str, str] = {}
    time_style: TimeStyle = "iso"

    def unpack(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        return iter(chunks)


def wanted(source: Source, defaults: Mapping[str, str]) -> dict[str, str]:
    """Target to the format's own field name: defaults, overridden by the source, less what is constant."""
    fields = {**defaults, **source.fields}
    chosen = {t: fields[t] for t in TARGETS if t in fields and t not in source.constants}
    chosen |= _latency(source, defaults)
    return chosen | {PROPERTY + name: source.properties[name] for name in sorted(source.properties)}


def _latency(source: Source, defaults: Mapping[str, str]) -> dict[str, str]:
    if "latency" in source.drop:
        return {}
    if source.latency is not None:
        return {LATENCY + source.latency.unit: source.latency.field}
    return {target: raw for target, raw in defaults.items() if target.startswith(LATENCY)}


def time_unit(chosen: dict[str, str], style: TimeStyle) -> TimeStyle:
    """The style of the field mapped to `time`, and that field's bare name put into `chosen`.

    A mapping may say how its time is written: `time: ts as epoch_ms`.
    """
    name, said, unit = chosen.get("time", "").rpartition(_AS)
    for known in get_args(TimeStyle):
        if said and unit == known:
            chosen["time"] = name
            style = known
    return style


def check_names(source: Source, offered: Callable[[str], bool], what: str, *, units: bool = False) -> list[Problem]:
    """Problems with the mapping's targets, and with names on its right side that `offered` refuses.

    With `units`, the name mapped to `time` may end in ` as <style>`.
    """
    where = f"source '{source.name}'"
    problems = [
        Problem("unknown_target", f"'{name}' is not one of {', '.join(TARGETS)}", where)
        for name in (*source.fields, *source.constants)
        if name not in TARGETS
    ]
    fields = dict(source.fields)
    if units:
        time_unit(fields, "iso")
    latency = [source.latency.field] if source.latency is not None else []
    for name in (*fields.values(), *source.properties.values(), *latency):
        if not offered(name):
            problems.append(Problem("unknown_field", f"'{name}' is not {what}", where))
    return problems


def check_positional(source: Source, name: str) -> list[Problem]:
    """Problems with a mapping that names an id where lines carry none."""
    if "id" in source.fields or "id" in source.constants:
        return [Problem("no_id", f"lines of format '{name}' carry no id", f"source '{source.name}'")]
    return []
