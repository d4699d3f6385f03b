"""CloudEvents 1.0 as JSON lines, in structured mode.

Identity is the event's own (source, id); a numeric id is taken as its exact text. Fields and properties are dotted
paths (`data.usage.tokens`). Names are case-sensitive; a name that is read may occur once, in one letter case.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.formats.base import LATENCY, PROPERTY, LineFormat, Reader, SlowResult, check_names, wanted
from orchestration.ingest.formats.jsontext import (
    NOT_JSON,
    Path,
    any_text,
    anything,
    extracted,
    member,
    read_exactly,
    scalar,
    scalar_text,
    shape,
)

_DEFAULTS = {"id": "id", "source": "source", "event_type": "type", "time": "time", "credential": "subject"}


class CloudEvents(LineFormat):
    """Format 'cloudevents'."""

    name = "cloudevents"
    defaults: Mapping[str, str] = _DEFAULTS

    def positional(self, source: Source) -> bool:
        return False

    def check(self, source: Source) -> list[Problem]:
        return check_names(source, _is_path, "a dotted path of plain names")

    def reader(self, source: Source, head: str) -> Reader:
        paths: dict[str, Path] = {target: tuple(name.split(".")) for target, name in wanted(source, _DEFAULTS).items()}
        found = shape(list(paths.values()))
        return Reader(tuple(paths), _sql(paths), lambda text: _slow(text, paths), shape=found)

    def paths_read(self, source: Source) -> list[Path]:
        """Where the mapping looks in an event."""
        return [tuple(name.split(".")) for name in wanted(source, _DEFAULTS).values()]

    def recognises(self, source: Source, lines: list[str]) -> int:
        return sum(is_event(read_exactly(line)[1]) for line in lines)


def is_event(value: object) -> bool:
    """Whether a JSON value has what every event in structured mode has."""
    return isinstance(value, dict) and {"specversion", "id", "source", "type"} <= value.keys()


def _is_path(name: str) -> bool:
    return all(part and not set(part) & set('"\\*') for part in name.split("."))


def _sql(paths: dict[str, Path]) -> str:
    fields = ""
    for number, (target, path) in enumerate(paths.items(), 1):
        read = anything if target.startswith(PROPERTY) else scalar
        fields += f", {read(f'v[{number}]', path[-1])} AS f_{target}"
    return f"""
        SELECT line, raw AS text, slow, CASE WHEN NOT slow AND v IS NULL THEN '{NOT_JSON}' END AS grammar{fields}
        FROM ({extracted(list(paths.values()))})"""


def _slow(text: str, paths: dict[str, Path]) -> SlowResult:
    nothing: tuple[str | None, ...] = (None,) * len(paths)
    reason, event = read_exactly(text)
    if reason is not None:
        return reason, nothing
    values: list[str | None] = []
    for target, path in paths.items():
        repeated, value = member(event, path)
        if repeated and not target.startswith(LATENCY):
            return "duplicate_key", nothing
        values.append(any_text(value) if target.startswith(PROPERTY) else scalar_text(value))
    return None, tuple(values)


FORMAT = CloudEvents()
