"""YAML as plain data with the line of every node, in the part of YAML that has one reading.

Refused: anchors and aliases, duplicate keys, unquoted floats, dates, and the words that YAML 1.1 takes for booleans
(`no`, `on`), which stay text. `1e3` and `0x10` stay text as well.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from orchestration.errors import Problem

Path = tuple[str | int, ...]
Lines = dict[Path, int]

_INT = re.compile(r"-?(0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"[-+]?(\d[\d_]*)?\.\d*([eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|[-+]?\.(inf|nan)", re.IGNORECASE)


UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Characters that SQL, documents or a terminal can't take. Tabs and line ends are left to those who write files."""


class UnquotedFloat(str):
    """A number with a point that was not quoted; kept as text, so that the model can say what is wrong with it."""


def parse_yaml(text: str, name: str) -> tuple[Any, Lines, list[Problem]]:
    """Data, the line (from 1) of each path in it, and what is wrong. `name` is how problems call the file."""
    lines: Lines = {}
    problems: list[Problem] = []
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        return None, lines, [Problem("bad_yaml", str(getattr(error, "problem", None) or error), where)]
    if node is None:
        return None, lines, problems
    if "&" in text or "*" in text:
        problems += _anchors(text, name)
    if problems:
        # Aliases may make the tree endless, or larger than any memory.
        return None, lines, problems
    return _build(node, (), lines, name, problems), lines, problems


def _anchors(text: str, name: str) -> list[Problem]:
    found = []
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            where = f"{name}:{token.start_mark.line + 1}"
            found.append(Problem("yaml_anchor", "anchors and aliases are not used: write the value out", where))
    return found


def _build(node: yaml.Node, path: Path, lines: Lines, name: str, problems: list[Problem]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in result:
                where = f"{name}:{key_node.start_mark.line + 1}"
                problems.append(Problem("duplicate_key", f"'{key}' is written twice", where))
            result[key] = _build(value_node, (*path, key), lines, name, problems)
            lines[(*path, key)] = key_node.start_mark.line + 1
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), lines, name, problems) for index, item in enumerate(node.value)]
    value = _scalar(node)
    if isinstance(value, str) and UNFIT.search(value):
        where = f"{name}:{lines[path]}"
        problems.append(Problem("bad_text", "control characters and lone surrogates have no place in text", where))
    return value


def _scalar(node: yaml.Node) -> Any:
    value = str(node.value)
    if getattr(node, "style", None) is not None:
        return value
    if value in ("true", "false"):
        return value == "true"
    if value in ("", "null", "~"):
        return None
    if _INT.fullmatch(value):
        return int(value)
    return UnquotedFloat(value) if _FLOAT.fullmatch(value) else value
