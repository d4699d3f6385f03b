"""CloudEvents 1.0 in binary mode, as Kafka sinks export the records: one JSON object on a line.

The attributes are the record's headers `ce_<name>` (HTTP exports: `ce-<name>`), the data its value. Read are the
layouts of the sinks in use:

- `headers` as an object, as a list of {key, value} or [key, value], or as a flat list of keys and values in turn;
- header texts plain, or all of them in base64: `specversion` tells, which is "1.0" or its base64;
- the value under `value`, `payload`, `message` or `data`, as JSON, as text of JSON, or as base64 of it.

Names are those of format `cloudevents` (`id`, `subject`, `plan`, `data.usage.tokens`), and `record.<path>` for the
record itself (`record.offset`, `record.topic`). Python reads every line.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.formats.base import LATENCY, PROPERTY, LineFormat, Reader, SlowResult, check_names, wanted
from orchestration.ingest.formats.jsontext import NOT_JSON, Path, any_text, member, read_exactly, scalar_text

NOT_BINARY = "not_cloudevents_binary"
_DEFAULTS = {"id": "id", "source": "source", "event_type": "type", "time": "time", "credential": "subject"}
_VALUES = ("value", "payload", "message", "data")
_HEADER = re.compile(r"ce[_-]([a-z0-9]+)", re.IGNORECASE)
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class CloudEventsBinary(LineFormat):
    """Format 'cloudevents_binary'."""

    name = "cloudevents_binary"
    defaults: Mapping[str, str] = _DEFAULTS

    def positional(self, source: Source) -> bool:
        return False

    def check(self, source: Source) -> list[Problem]:
        return check_names(source, lambda name: all(name.split(".")), "a dotted path of plain names")

    def paths_read(self, source: Source) -> list[Path]:
        """Where the mapping looks in what `unwrapped` gives."""
        return [tuple(name.split(".")) for name in wanted(source, _DEFAULTS).values()]

    def recognises(self, source: Source, lines: list[str]) -> int:
        return sum("specversion" in (_attributes(read_exactly(line)[1]) or {}) for line in lines)

    def reader(self, source: Source, head: str) -> Reader:
        paths: dict[str, Path] = {target: tuple(name.split(".")) for target, name in wanted(source, _DEFAULTS).items()}
        fields = "".join(f", CAST(NULL AS VARCHAR) AS f_{target}" for target in paths)
        sql = f"SELECT line, text, true AS slow, CAST(NULL AS VARCHAR) AS grammar{fields} FROM src"
        return Reader(tuple(paths), sql, lambda text: _slow(text, paths))


def _slow(text: str, paths: dict[str, Path]) -> SlowResult:
    nothing: tuple[str | None, ...] = (None,) * len(paths)
    reason, record = read_exactly(text)
    if reason is not None:
        return reason, nothing
    attributes = _attributes(record)
    if attributes is None or "specversion" not in attributes:
        return NOT_BINARY, nothing
    if "\0" in attributes:
        return "duplicate_key", nothing
    data = _data(record) if any(path[0] == "data" for path in paths.values()) else None
    values: list[str | None] = []
    for target, path in paths.items():
        root, rest = path[0], path[1:]
        if root in ("data", "record"):
            repeated, value = member(data if root == "data" else record, rest)
            if repeated and not target.startswith(LATENCY):
                return "duplicate_key", nothing
            values.append(any_text(value) if target.startswith(PROPERTY) else scalar_text(value))
        else:
            values.append(attributes.get(str(root)) if not rest else None)
    return None, tuple(values)


def unwrapped(record: Any) -> dict[str, Any] | None:
    """A record under the names by which it is mapped: attributes, `data` and `record`; None if it is no event."""
    attributes = _attributes(record)
    if attributes is None or "specversion" not in attributes:
        return None
    rest = {name: value for name, value in record.items() if name not in ("headers", *_VALUES)}
    return {**attributes, "data": _data(record), "record": rest}


def _attributes(record: Any) -> dict[str, str] | None:
    """Context attributes by name; the name "\\0" marks that one of them came twice. None: the record has no headers."""
    if not isinstance(record, dict) or not isinstance(record.get("headers"), dict | list):
        return None
    found: dict[str, str] = {}
    for key, value in _headers(record["headers"]):
        match = _HEADER.fullmatch(key)
        if match and isinstance(value, str):
            name = match[1].lower()
            found["\0" if name in found else name] = str(value)
    if found.get("specversion", "1").startswith("1"):
        return found
    return {name: _decoded(value) for name, value in found.items()}


def _headers(headers: Any) -> Iterator[tuple[str, Any]]:
    """Names and values; a name that an object repeats comes twice."""
    if isinstance(headers, dict):
        for key, value in headers.items():
            yield key, value[0] if isinstance(value, list) and len(value) == 1 else value
            if member(headers, (key,))[0]:
                yield key, value
    elif all(isinstance(item, str) for item in headers):
        yield from zip(headers[::2], headers[1::2], strict=False)
    else:
        for item in headers:
            pair = [item.get("key"), item.get("value")] if isinstance(item, dict) else item
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
                yield pair[0], pair[1]


def _decoded(text: str) -> str:
    """The text that base64 stands for, or the text itself if it is none."""
    if _BASE64.fullmatch(text):
        try:
            return base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pass
    return text


def _data(record: Any) -> Any:
    """The event's data: the record's value, read as JSON where it is text or base64 of it."""
    value = next((record[name] for name in _VALUES if record.get(name) is not None), None)
    if not isinstance(value, str):
        return value
    for text in (str(value), _decoded(str(value))):
        reason, data = read_exactly(text)
        if reason != NOT_JSON:
            return data
    return None


FORMAT = CloudEventsBinary()
