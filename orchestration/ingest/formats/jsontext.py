"""Reading JSON without loss: numbers stay the text that was written, repeated names are seen.

The engine reads most objects. It turns fractions into doubles, takes the first of two equal names, and accepts
trailing commas and NaN. `shape` and `suspicion` are the SQL that finds the texts in which any of that could matter;
they are read here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from orchestration.ingest.formats.base import Shape
from orchestration.sqltext import literal

NOT_JSON = "not_json"
TOO_DEEP = "too_deep"
MAX_DEPTH = 100
"""Objects and arrays within one another that are read here. Python's own limit depends on who calls."""
Path = tuple[str | int, ...]
"""Names of members, and indexes into arrays, from the outermost object on."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_SIGN = re.compile(r'[\[{}\]]|"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)


class Number(str):
    """A JSON number, as written."""

    __slots__ = ()


class _Object(dict[str, Any]):
    """A JSON object that remembers which names, letter case aside, occurred more than once."""

    __slots__ = ("repeated",)
    repeated: frozenset[str]


_NONE: frozenset[str] = frozenset()


_SUSPICIOUS = (
    r"\\[u/]",
    r",\s*(?:[}\]]|-?(?i:nan|inf)|-0\s*[,}\]])",
    r":\s*(?:-?(?i:nan|inf)|-0\s*[,}\]])",
    r"\[\s*(?:-?(?i:nan|inf)|-0\s*[,}\]])",
)
"""Escapes, trailing commas, NaN, infinity and minus zero. Each begins with one sign: that is searched fast."""


def suspicion() -> str:
    """SQL over `text`: whether the engine's reading could differ from what was written, repeated names aside."""
    return "(" + " OR ".join(f"regexp_matches(text, {literal(expression)})" for expression in _SUSPICIOUS) + ")"


def shape(paths: Sequence[Path], body: str = "text") -> Shape:
    """The names in every object on the way to `paths`, and whether one that is needed is there twice, case aside.

    `body` is the SQL expression over `text` for the JSON in it.
    """
    needed: dict[Path, set[str]] = {}
    for path in paths:
        for depth, step in enumerate(path):
            if isinstance(step, str):
                needed.setdefault(path[:depth], set()).add(step.lower())
    names = list(needed.values())

    def repeats(objects: Sequence[Sequence[str] | None]) -> bool:
        for wanted, found in zip(names, objects, strict=True):
            folded = [name.lower() for name in found or ()]
            if any(folded.count(name) > 1 for name in wanted):
                return True
        return False

    listed = ", ".join(path_literal(path) for path in needed)
    return Shape(f"try(json_keys({body}, [{listed}]))", repeats)


def path_literal(segments: Path) -> str:
    """SQL literal of a JSON path to a member. Names hold no quote and no backslash."""
    return literal("$" + "".join(f"[{s}]" if isinstance(s, int) else f'."{s}"' for s in segments))


def extracted(paths: Sequence[Path], body: str = "text") -> str:
    """SQL: `line, raw, text, slow, v` from `src`; v is the list of the JSON values at `paths`, NULL if not an object.

    `raw` is the line, `text` the JSON in it: the SQL expression `body` over `text`.
    """
    listed = ", ".join(path_literal(path) for path in paths)
    indexed = [n for n, path in enumerate(paths, 1) if isinstance(path[-1], int)]
    # A fraction in an array can't be found again in the text by the name before it.
    lost = "".join(f" OR coalesce(regexp_matches(v[{n}], '^-?[0-9]+[.eE]'), false)" for n in indexed)
    return f"""
        SELECT line, raw, text, slow{lost} AS slow, v FROM (
            SELECT line, raw, text, slow,
                CASE WHEN NOT slow AND (starts_with(text, '{{') OR regexp_matches(text, '^[ \\t]+\\{{'))
                    THEN CAST(try(json_extract(text, [{listed}])) AS VARCHAR[]) END AS v
            FROM (
                SELECT line, raw, text, {suspicion()} AS slow
                FROM (SELECT line, text AS raw, {body} AS text FROM src)
            )
        )"""


def scalar(value: str, leaf: str | int) -> str:
    """SQL for the text of the JSON scalar `value`: a string's content, a number as written; NULL for the rest."""
    number = literal(f'"{re.escape(str(leaf))}"\\s*:\\s*(-?[0-9][0-9.eE+-]*)')
    return (
        f"CASE WHEN starts_with({value}, '\"') THEN {_unquoted(value)} "
        f"WHEN NOT regexp_matches({value}, '^[-0-9]') THEN NULL "
        f"WHEN regexp_matches({value}, '[.eE]') THEN regexp_extract(text, {number}, 1) ELSE {value} END"
    )


def anything(value: str, leaf: str | int) -> str:
    """SQL like `scalar`, but true, false, arrays and objects give their JSON text."""
    return f"coalesce({scalar(value, leaf)}, nullif({value}, 'null'))"


def _unquoted(value: str) -> str:
    return (
        f"CASE WHEN contains({value}, {literal(chr(92))}) THEN json_extract_string({value}, '$') "
        f"ELSE substr({value}, 2, length({value}) - 2) END"
    )


def read_exactly(text: str) -> tuple[str | None, _Object | None]:
    """Reason of refusal or None, and the object."""
    if "\\u0000" in text and _NUL.search(text):
        return "nul_byte", None
    if _is_too_deep(text):
        return TOO_DEEP, None
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
    except ValueError:
        return NOT_JSON, None
    return (None, value) if isinstance(value, _Object) else (NOT_JSON, None)


def _is_too_deep(text: str) -> bool:
    depth = 0
    if text.count("{") + text.count("[") > MAX_DEPTH:
        for found in _SIGN.finditer(text):
            depth += (found[0] in "{[") - (found[0] in "}]")
            if depth > MAX_DEPTH:
                return True
    return False


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    if len({name.lower() for name, _ in pairs}) == len(pairs):
        plain = _Object(pairs)
        plain.repeated = _NONE
        return plain
    result = _Object()
    folded: set[str] = set()
    repeated: set[str] = set()
    for name, value in pairs:
        low = name.lower()
        (repeated if low in folded else folded).add(low)
        result.setdefault(name, value)
    result.repeated = frozenset(repeated)
    return result


def member(value: Any, segments: Path) -> tuple[bool, Any]:
    """Whether a name on the way is repeated, and the member or None."""
    for segment in segments:
        if isinstance(segment, int):
            if not isinstance(value, list) or segment >= len(value):
                return False, None
            value = value[segment]
            continue
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
