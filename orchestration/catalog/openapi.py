"""Route templates of an OpenAPI 3 document. Only `servers`, and the paths with their methods, are read.

A server's URL gives the path that stands before every template; its variables have their default values. A path item
that names no methods itself, such as a reference, is taken for any method.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from orchestration.catalog.templates import ANY_METHOD, Template, template
from orchestration.errors import Problem

MAX_BYTES = 16 << 20
MAX_DEPTH = 100
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_OPENAPI_3 = re.compile(r"3\.[0-9]+(\..*)?")

Found = tuple[list[tuple[Template, str]], list[Problem]]
"""Templates with the `file:line` where each stands, and what is wrong."""


def read_openapi(text: str, name: str) -> Found:
    """The templates of the document `text`; `name` is how places call the file, JSON if it ends so, else YAML."""
    try:
        document, line_of = _json(text) if name.endswith(".json") else _yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        return [], [Problem("bad_openapi", str(getattr(error, "problem", None) or error), where)]
    version = document.get("openapi") if isinstance(document, dict) else None
    if not isinstance(version, str) or not _OPENAPI_3.fullmatch(version):
        message = "no OpenAPI 3 document: it has no `openapi: 3.x` at its top"
        return [], [Problem("bad_openapi", message, f"{name}:1")]
    paths = document.get("paths")
    if not isinstance(paths, dict) or not paths:
        return [], [Problem("bad_openapi", "the document has no `paths`", f"{name}:1")]
    found: list[tuple[Template, str]] = []
    problems: list[Problem] = []
    for path, item in paths.items():
        where = f"{name}:{line_of(path)}"
        try:
            found += [(made, where) for made in _templates(document, path, item) if path.startswith("/")]
        except ValueError as error:
            problems.append(Problem("bad_template", str(error), where))
    return found, problems


def _templates(document: dict[str, Any], path: str, item: Any) -> Iterator[Template]:
    """One for each server and method of a path."""
    operations = item if isinstance(item, dict) and not {"$ref", "<<"} & item.keys() else {}
    methods = [m for m in METHODS if m in operations]
    for method in methods or [ANY_METHOD]:
        operation = operations.get(method)
        own = operation.get("servers") if isinstance(operation, dict) else None
        servers = own or operations.get("servers") or document.get("servers")
        for base in _bases(servers):
            yield template(method.upper(), base + path)


def _bases(servers: Any) -> list[str]:
    """What the servers' URLs put before every path, each once."""
    listed = [server for server in servers if isinstance(server, dict)] if isinstance(servers, list) else []
    return list(dict.fromkeys(_base(server) for server in listed)) or [""]


def _base(server: dict[str, Any]) -> str:
    variables = server.get("variables")

    def value(match: re.Match[str]) -> str:
        variable = variables.get(match[1]) if isinstance(variables, dict) else None
        if not isinstance(variable, dict) or not isinstance(variable.get("default"), str):
            raise ValueError(f"server '{server.get('url')}': variable '{match[1]}' has no default")
        return str(variable["default"])

    path = urlsplit(_VARIABLE.sub(value, str(server.get("url", "")))).path.rstrip("/")
    return path if path.startswith("/") or not path.strip(".") else f"/{path}"


def _json(text: str) -> tuple[Any, Callable[[str], int]]:
    def line_of(path: str) -> int:
        return text.count("\n", 0, max(0, text.find(json.dumps(path, ensure_ascii=False)))) + 1

    return json.loads(text), line_of


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read: where it is, and the key whose value comes next."""

    into: list[Any] | dict[str, Any]
    place: tuple[str, ...]
    key: str | None = None


def _yaml(text: str) -> tuple[Any, Callable[[str], int]]:
    """The document as far as it is read here: everything else is passed over, however deep it is or often repeated."""
    lines: dict[str, int] = {}
    whole: list[Any] = []
    stack: list[_Frame] = []
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.DocumentEndEvent):
            break
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            top = stack[-1] if stack else _Frame(whole, ())
            if isinstance(top.into, list) or top.key is not None:
                _value(event, top, stack)
            elif isinstance(event, yaml.ScalarEvent):
                top.key = event.value
                if top.place == ("paths",):
                    lines[event.value] = _line(event)
            else:
                raise ValueError(f"line {_line(event)}: a key is plain text")
    return whole[0] if whole else None, lambda path: lines.get(path, 1)


def _value(event: yaml.NodeEvent, top: _Frame, stack: list[_Frame]) -> None:
    """Put a value where it belongs, and go into it if it is a list or a mapping."""
    line = _line(event)
    made: Any = event.value if isinstance(event, yaml.ScalarEvent) else {}
    if isinstance(event, yaml.SequenceStartEvent):
        made = []
    place = top.place if top.key is None else (*top.place, top.key)
    if isinstance(event, yaml.AliasEvent) and "servers" in (place[0:1] + place[2:4]):
        raise ValueError(f"line {line}: servers are written out, not as an alias")
    if _is_read(place):
        if isinstance(top.into, dict):
            top.into[str(top.key)] = made
        else:
            top.into.append(made)
    top.key = None
    if isinstance(event, yaml.CollectionStartEvent):
        if len(stack) == MAX_DEPTH:
            raise ValueError(f"line {line} is nested deeper than {MAX_DEPTH} levels")
        stack.append(_Frame(made, place))


def _is_read(place: Sequence[str]) -> bool:
    """Whether a value is looked at later: version, servers, and of paths the methods and their servers."""
    if place[:1] == ("paths",):
        return len(place) <= 3 or "servers" in place[2:4]
    return place[:1] in ((), ("openapi",), ("servers",))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
