"""JSON lines of any make: one object on a line, and the source says where its fields are.

Fields and properties are dotted paths, with [n] into arrays (`request.headers.Accept[0]`). `time` has to be mapped;
where it is a number, the mapping says of what: `time: ts as epoch_ms` (or `epoch_s`, `epoch_us`, `epoch_ns`, `clf`).
Without an `id` events are known by place.
"""

from __future__ import annotations

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.formats.jsonlog import JsonLog, parse_path
from orchestration.ingest.formats.jsontext import member, read_exactly


class JsonLines(JsonLog):
    """Format 'json_lines'."""

    def __init__(self) -> None:
        super().__init__("json_lines", {})

    def check(self, source: Source) -> list[Problem]:
        problems = super().check(source)
        if "time" not in source.fields:
            problems.append(Problem("no_time_field", "no field is mapped to 'time'", f"source '{source.name}'"))
        return problems

    def recognises(self, source: Source, lines: list[str]) -> int:
        """Objects that have the time where the source says."""
        path = parse_path(source.fields.get("time", "").split(" as ")[0])
        return sum(member(read_exactly(line)[1], path)[1] is not None for line in lines) if path else 0


FORMAT = JsonLines()
