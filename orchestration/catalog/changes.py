"""What differs between two versions of the catalog: object by object and field by field, from their text alone.

Formatting and comments are no change. A file that is no table and no list of objects (an API description, a list of
events) is told by its hash.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from orchestration.canonical import sha256_hex
from orchestration.catalog.load import CSV_FILES, YAML_FILES
from orchestration.catalog.yamltext import parse_yaml

Objects = dict[str, dict[str, str]]
"""By key of an object its fields as text; "" holds the fields that are of no object."""

_NAMES = ("key", "name", "id", "effective", "document", "file")
_SINCE = ("valid_from", "start")
_SECRET = "credentials.csv"


class Change(NamedTuple):
    """One field of an object. An object that was added or removed is one change without `field`, with all of it as
    JSON; `before` or `after` is None where there is nothing."""

    file: str
    key: str
    field: str
    before: str | None
    after: str | None


def archived_texts(blob: bytes) -> dict[str, str]:
    """The files of an archived catalog, by name, without reading what they say."""
    texts: dict[str, str] = json.loads(zlib.decompress(blob))
    return texts


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    """What turns one version's files into another's, by file, key and field."""
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was != now:
            yield from _of_file(
                name, {} if was is None else _objects(name, was), {} if now is None else _objects(name, now)
            )


def listed(texts: Mapping[str, str], file: str, key: str) -> list[dict[str, Any]]:
    """The objects of one list of a YAML file; none where there is no such file."""
    data, _, _ = parse_yaml(texts.get(file, ""), file)
    rows: list[dict[str, Any]] = (data or {}).get(key) or []
    return rows


def _of_file(name: str, was: Objects, now: Objects) -> Iterator[Change]:
    for key in sorted({*was, *now}):
        left, right = was.get(key), now.get(key)
        if key and (left is None or right is None):
            yield Change(name, key, "", _whole(left), _whole(right))
            continue
        old, new = left or {}, right or {}
        for field in sorted({*old, *new}):
            if old.get(field) != new.get(field):
                yield Change(name, key, field, old.get(field), new.get(field))


def _whole(fields: Mapping[str, str] | None) -> str | None:
    return None if fields is None else json.dumps(fields, sort_keys=True, ensure_ascii=False)


def _objects(name: str, text: str) -> Objects:
    if name in CSV_FILES:
        return _table(name, text)
    if name in YAML_FILES or name.startswith("plans/"):
        data, _, problems = parse_yaml(text, name)
        if not problems and isinstance(data, dict):
            return _mapping(data)
    return {"": {"sha256": sha256_hex(text.encode())}}


def _table(name: str, text: str) -> Objects:
    """Rows by their first column; rows of the same are told apart by the day since which they hold, then by place."""
    rows = list(csv.DictReader(io.StringIO(text)))
    first = next(iter(rows[0])) if rows else ""
    several = Counter(row[first] for row in rows)
    found: Objects = {}
    for row in rows:
        key = row[first]
        since = next((row[column] for column in _SINCE if row.get(column)), "")
        # A credential is a secret: here it is its hash.
        shown = f"sha256:{sha256_hex(key.encode())[:16]}" if name == _SECRET else key
        label = f"{shown} from {since}" if several[key] > 1 and since else shown
        fields = {c: v for c, v in row.items() if v and not (name == _SECRET and c == first)}
        found[_free(label, found)] = fields
    return found


def _free(label: str, taken: Mapping[str, object]) -> str:
    place, found = 1, label
    while found in taken:
        place += 1
        found = f"{label} #{place}"
    return found


def _mapping(data: Mapping[str, Any]) -> Objects:
    """A list of objects is told object by object, whatever else there is field by field."""
    found: Objects = {"": {}}
    for name, value in data.items():
        if _is_objects(value):
            for label, item in zip(_labels(value), value, strict=True):
                found[f"{name}.{label}"] = dict(_leaves(item, ""))
        else:
            found[""].update(_leaves(value, name))
    return found


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _labels(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """What names the items apart: a field that all of them have, each with another value; else their places."""
    for name in _NAMES:
        values = [item.get(name) for item in items]
        if None not in values and len(set(map(str, values))) == len(values):
            return [str(value) for value in values]
    return [str(place) for place in range(1, len(items) + 1)]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every plain value below a node with its path; a list of plain values is one value."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif _is_objects(value):
        for label, inner in zip(_labels(value), value, strict=True):
            yield from _leaves(inner, f"{path}.{label}")
    elif isinstance(value, str):
        yield path, value
    elif value is not None:
        yield path, json.dumps(value, ensure_ascii=False)
