"""CloudEvents 1.0 as JSON lines, in structured mode.

Identity is the event's own (source, id); a numeric id is taken as its exact text. Fields and properties are dotted
paths (`data.usage.tokens`). Names are case-sensitive; a name that is read may occur once, in one letter case.
"""

from __future__ import annotations

from orchestration.catalog.models import Source
from orchestration.errors import Problem
from orchestration.ingest.formats.base import PROPERTY, Reader, SlowResult, check_names, wanted
from orchestration.ingest.formats.jsontext import (
    NOT_JSON,
    any_text,
    anything,
    member,
    path_literal,
    read_exactly,
    scalar,
    scalar_text,
    suspicion,
)

_DEFAULTS = {"id": "id", "source": "source", "event_type": "type", "time": "time", "credential": "subject"}


class CloudEvents:
    """Format 'cloudevents'."""

    name = "cloudevents"
    header = False
    table = False

    def positional(self, source: Source) -> bool:
        return False

    def check(self, source: Source) -> list[Problem]:
        return check_names(source, _is_path, "a dotted path of plain names")

    def reader(self, source: Source, head: str) -> Reader:
        paths = {target: tuple(name.split(".")) for target, name in wanted(source, _DEFAULTS).items()}
        return Reader(tuple(paths), _sql(paths), lambda text: _slow(text, paths))


def _is_path(name: str) -> bool:
    return all(part and not set(part) & set('"\\*') for part in name.split("."))


def _sql(paths: dict[str, tuple[str, ...]]) -> str:
    listed = ", ".join(path_literal(path) for path in paths.values())
    fields = ""
    for number, (target, path) in enumerate(paths.items(), 1):
        read = anything if target.startswith(PROPERTY) else scalar
        fields += f", {read(f'v[{number}]', path[-1])} AS f_{target}"
    names = [segment for path in paths.values() for segment in path]
    return f"""
        SELECT line, text, slow, CASE WHEN NOT slow AND v IS NULL THEN '{NOT_JSON}' END AS grammar{fields} FROM (
            SELECT line, text, slow,
                CASE WHEN NOT slow AND (starts_with(text, '{{') OR regexp_matches(text, '^[ \\t]+\\{{'))
                    THEN CAST(try(json_extract(text, [{listed}])) AS VARCHAR[]) END AS v
            FROM (SELECT line, text, {suspicion(names)} AS slow FROM src)
        )"""


def _slow(text: str, paths: dict[str, tuple[str, ...]]) -> SlowResult:
    nothing: tuple[str | None, ...] = (None,) * len(paths)
    reason, event = read_exactly(text)
    if reason is not None:
        return reason, nothing
    values: list[str | None] = []
    for target, path in paths.items():
        repeated, value = member(event, path)
        if repeated:
            return "duplicate_key", nothing
        values.append(any_text(value) if target.startswith(PROPERTY) else scalar_text(value))
    return None, tuple(values)


FORMAT = CloudEvents()
