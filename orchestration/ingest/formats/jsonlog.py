"""What the formats share whose lines are JSON objects: raw fields by the places where they are found.

The engine reads most lines; Python reads those in which a name repeats or an escape could matter, and those that the
engine can't read at all. A container runtime's prefix before the object is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.formats.base import (
    LATENCY,
    PROPERTY,
    REQUEST_TARGETS,
    LineFormat,
    Reader,
    SlowResult,
    TimeStyle,
    check_names,
    time_unit,
    wanted,
)
from orchestration.ingest.formats.jsontext import (
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
from orchestration.ingest.formats.nonrequests import NOT_A_REQUEST, is_no_request
from orchestration.ingest.formats.textlog import CRI
from orchestration.sqltext import literal

_CRI = re.compile(CRI)
_BODY = f"CASE WHEN starts_with(text, '{{') THEN text ELSE regexp_replace(text, {literal('^' + CRI)}, '') END"
"""SQL: a line without the prefix."""
_STEP = re.compile(r'([^"\\*.\[\]]+)((?:\[[0-9]{1,4}\])*)')

Place = str | tuple[str, str]
"""A dotted path, with [n] into arrays; or a path and an expression whose group 1 is the part that is meant."""


VERSION = r"^HTTP/([0-9.]+)$"
"""Part of a protocol that is its version."""
URL_TARGET = r"^(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?([/?][^#]*)"
URL_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(\[[^\]]*\]|[^/?#:]*)"
"""Parts of an absolute URL: path and query, and the host without its port."""
LAST_OF_LIST = r"(?:^|[, ])([^, ]+) *$"
PORT = r"^(?:\[[^\]]+\]|[^:\[\]]+):([0-9]+)$"


def host_of(path: str) -> tuple[Place, ...]:
    """Places of the host in `10.0.0.1:80`, `[::1]:80`, `10.0.0.1` or `::1`."""
    return (
        (path, r"^\[([^\]]+)\](?::[0-9]+)?$"),
        (path, r"^([^:\[\]]+)(?::[0-9]+)?$"),
        (path, r"^([^\[\]:]*:[^\[\]:]*:[^\[\]]*)$"),
    )


@dataclass(frozen=True, slots=True)
class Field:
    """A raw field: the first of its places that has a value. With `dash`, "-" and "" are none."""

    places: tuple[tuple[Path, str | None], ...]
    dash: bool
    structured: bool
    """Whether true, false, arrays and objects count, as their JSON text."""


def parse_path(name: str) -> Path | None:
    """`request.headers.Accept[0]` as its steps; None if it is no path."""
    steps: list[str | int] = []
    for part in name.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            return None
        steps.append(match[1])
        steps += [int(index) for index in match[2].strip("[]").split("][") if index]
    return tuple(steps)


class JsonLog(LineFormat):
    """A format of JSON objects.

    Args:
        fields: raw fields by name. A source may also map any other place in the object, as a path.
        defaults: what differs from the usual mapping of targets to raw fields.
        any_of: raw fields of which a request has at least one; none at all means all objects are records.
        only: raw fields that, where present, match an expression as a whole in a request.
        signs: paths that an object of this format has, for detection.
    """

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Sequence[Place]],
        *,
        time_style: TimeStyle = "iso",
        defaults: Mapping[str, str] | None = None,
        any_of: Sequence[str] = (),
        only: Mapping[str, str] | None = None,
        signs: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.fields = {raw: tuple(_place(place) for place in places) for raw, places in fields.items()}
        self.time_style = time_style
        chosen = {**REQUEST_TARGETS, **(defaults or {})}
        self.defaults = {target: raw for target, raw in chosen.items() if raw in self.fields}
        self._any_of = tuple(self._field(raw, structured=True) for raw in any_of)
        self._only = tuple((self._field(raw, structured=True), text) for raw, text in (only or {}).items())
        self._signs = tuple(_known_path(path) for path in signs)

    def positional(self, source: Source) -> bool:
        return "id" not in source.fields

    def check(self, source: Source) -> list[Problem]:
        what = f"a field of format '{self.name}', nor a dotted path"
        return check_names(source, lambda name: name in self.fields or parse_path(name) is not None, what, units=True)

    def paths_read(self, source: Source) -> list[Path]:
        """Where the mapping looks in an object; of several places for one field, all."""
        chosen = wanted(source, self.defaults)
        time_unit(chosen, self.time_style)
        return [path for raw in chosen.values() for path, _ in self._field(raw, structured=False).places]

    def recognises(self, source: Source, lines: list[str]) -> int:
        return sum(self._is_ours(read_exactly(without_prefix(line))[1]) for line in lines)

    def _is_ours(self, value: Any) -> bool:
        return bool(self._signs) and all(member(value, path)[1] is not None for path in self._signs)

    def reader(self, source: Source, head: str) -> Reader:
        chosen = wanted(source, self.defaults)
        style = time_unit(chosen, self.time_style)
        fields = {target: self._field(raw, structured=target.startswith(PROPERTY)) for target, raw in chosen.items()}
        paths = self._paths(fields)
        sql, found = self._sql(fields, paths), shape(paths, _BODY)
        spared = self._spared(fields)
        return Reader(tuple(fields), sql, lambda text: self._slow(text, fields, paths, spared), style, shape=found)

    def _field(self, raw: str, *, structured: bool) -> Field:
        if raw in self.fields:
            return Field(self.fields[raw], True, structured)
        return Field(((_known_path(raw), None),), False, structured)

    # -- the engine's lane ---------------------------------------------------------------------------------------

    def _sql(self, fields: Mapping[str, Field], paths: Sequence[Path]) -> str:
        columns = "".join(f", {_value_sql(field, paths)} AS f_{target}" for target, field in fields.items())
        refused = [f"NOT regexp_full_match({_value_sql(f, paths)}, {literal(text)})" for f, text in self._only]
        if self._any_of:
            refused.append(f"coalesce({', '.join(_value_sql(f, paths) for f in self._any_of)}, NULL) IS NULL")
        grammar = f"CASE WHEN NOT slow AND ({' OR '.join(refused)}) THEN '{NOT_A_REQUEST}' END" if refused else "NULL"
        return f"""
            SELECT line, raw AS text, slow, CAST({grammar} AS VARCHAR) AS grammar{columns}
            FROM (SELECT line, raw, text, slow OR v IS NULL AS slow, v FROM ({extracted(paths, _BODY)}))"""

    # -- Python's lane -------------------------------------------------------------------------------------------

    def _slow(
        self, text: str, fields: Mapping[str, Field], paths: Sequence[Path], spared: Collection[Path]
    ) -> SlowResult:
        nothing: tuple[str | None, ...] = (None,) * len(fields)
        reason, event = read_exactly(without_prefix(text))
        if reason is not None:
            return (NOT_A_REQUEST if is_no_request(text) else reason), nothing
        found: dict[Path, Any] = {}
        for path in paths:
            repeated, found[path] = member(event, path)
            if repeated and path not in spared:
                return "duplicate_key", nothing
        for field, expected in self._only:
            value = _value(found, field)
            if value is not None and re.fullmatch(expected, value) is None:
                return NOT_A_REQUEST, nothing
        if self._any_of and all(_value(found, field) is None for field in self._any_of):
            return NOT_A_REQUEST, nothing
        return None, tuple(_value(found, field) for field in fields.values())

    def _spared(self, fields: Mapping[str, Field]) -> set[Path]:
        """Where only the latency is read: a name that comes twice there leaves it out, and not the line."""
        latency = {target: field for target, field in fields.items() if target.startswith(LATENCY)}
        rest = {target: field for target, field in fields.items() if target not in latency}
        return set(self._paths(latency)) - set(self._paths(rest))

    def _paths(self, fields: Mapping[str, Field]) -> list[Path]:
        every = [*fields.values(), *self._any_of, *(field for field, _ in self._only)]
        return list(dict.fromkeys(path for field in every for path, _ in field.places)) or [("",)]


def _place(place: Place) -> tuple[Path, str | None]:
    return (_known_path(place), None) if isinstance(place, str) else (_known_path(place[0]), place[1])


def _known_path(name: str) -> Path:
    path = parse_path(name)
    if path is None:
        raise ValueError(f"'{name}' is no dotted path")
    return path


def without_prefix(text: str) -> str:
    return text if text.startswith("{") else _CRI.sub("", text, count=1)


def _value_sql(field: Field, paths: Sequence[Path]) -> str:
    values = []
    for path, part in field.places:
        read = anything if field.structured else scalar
        value = read(f"v[{paths.index(path) + 1}]", path[-1])
        if part is not None:
            value = f"nullif(regexp_extract({value}, {literal(part)}, 1), '')"
        if field.dash:
            value = f"nullif(nullif({value}, ''), '-')"
        values.append(value)
    return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"


def _value(found: Mapping[Path, Any], field: Field) -> str | None:
    for path, part in field.places:
        value = any_text(found[path]) if field.structured else scalar_text(found[path])
        if value is not None and part is not None:
            match = re.search(part, value)
            value = (match[1] or None) if match else None
        if value is not None and not (field.dash and value in ("", "-")):
            return value
    return None
