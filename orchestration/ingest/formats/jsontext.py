"""Reading JSON without loss: numbers stay the text that was written, repeated names are seen.

The engine reads most objects. It turns fractions into doubles, takes the first of two equal names, and accepts trailing
commas and NaN; `suspicion` is the SQL that finds the texts in which any of that could matter, and they are read here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from orchestration.sqltext import literal

NOT_JSON = "not_json"
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Number(str):
    """A JSON number, as written."""

    __slots__ = ()


class _Object(dict[str, Any]):
    """A JSON object that remembers which names, letter case aside, occurred more than once."""

    repeated: frozenset[str]


def suspicion(names: Iterable[str]) -> str:
    """SQL over `text`: whether the engine's reading of these names could differ from what was written."""
    repeated = []
    for name in sorted(set(names)):
        quoted = f'(?i:"{re.escape(name)}")\\s*:'
        repeated.append(f"{quoted}.*{quoted}")
    special = [r"\\[u/]", r",\s*[}\]]", r"[:\[,]\s*-?(?i:nan|inf)", r"[:\[,]\s*-0\s*[,}\]]"]
    return f"regexp_matches(text, {literal('|'.join(special + repeated))})"


def path_literal(segments: Sequence[str]) -> str:
    """SQL literal of a JSON path to a member. Segments hold no quote and no backslash."""
    return literal("$" + "".join(f'."{segment}"' for segment in segments))


def scalar(value: str, leaf: str) -> str:
    """SQL for the text of the JSON scalar `value`: a string's content, a number as written; NULL for the rest."""
    number = literal(f'"{re.escape(leaf)}"\\s*:\\s*(-?[0-9][0-9.eE+-]*)')
    return (
        f"CASE WHEN starts_with({value}, '\"') THEN {_unquoted(value)} "
        f"WHEN NOT regexp_matches({value}, '^[-0-9]') THEN NULL "
        f"WHEN regexp_matches({value}, '[.eE]') THEN regexp_extract(text, {number}, 1) ELSE {value} END"
    )


def anything(value: str, leaf: str) -> str:
    """SQL like `scalar`, but true, false, arrays and objects give their JSON text."""
    return f"coalesce({scalar(value, leaf)}, nullif({value}, 'null'))"


def _unquoted(value: str) -> str:
    return (
        f"CASE WHEN contains({value}, {literal(chr(92))}) THEN json_extract_string({value}, '$') ELSE {value}[2:-2] END"
    )


def read_exactly(text: str) -> tuple[str | None, _Object | None]:
    """Reason of refusal or None, and the object."""
    if _NUL.search(text):
        return "nul_byte", None
    try:
        value = json.loads(
            text,
            parse_float=Number,
            parse_int=Number,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return NOT_JSON, None
    return (None, value) if isinstance(value, _Object) else (NOT_JSON, None)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object()
    folded: set[str] = set()
    repeated: set[str] = set()
    for name, value in pairs:
        low = name.lower()
        (repeated if low in folded else folded).add(low)
        result.setdefault(name, value)
    result.repeated = frozenset(repeated)
    return result


def member(value: Any, segments: Sequence[str]) -> tuple[bool, Any]:
    """Whether a name on the way is repeated, and the member or None."""
    for segment in segments:
        if not isinstance(value, _Object):
            return False, None
        if segment.lower() in value.repeated:
            return True, None
        value = value.get(segment)
    return False, value


def scalar_text(value: Any) -> str | None:
    """The text of a string or number, None for the rest."""
    return str(value) if isinstance(value, str) else None


def any_text(value: Any) -> str | None:
    """Like `scalar_text`, but true, false, arrays and objects give their JSON text."""
    return scalar_text(value) if value is None or isinstance(value, str) else _render(value)


def _render(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_render(str(k))}:{_render(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_render(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)
