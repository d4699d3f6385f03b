"""From concrete paths to route templates, in SQL: a few keys made of a path, each looked up in a table of templates.

Templates that have text in the same places make one mask. For a path of n parts a mask gives one key, the path's
parts in those places, so a thousand templates cost as many lookups as they have masks for one n, mostly one or two.
The narrowest comes first: slot 1 holds the key of the first mask that could fit, and so on.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestration.catalog.templates import ANY_METHOD, OTHER, UNMATCHED, Kind, Part, Routes, Template, of_source
from orchestration.sqltext import literal

ROUTES = {"route_key": "VARCHAR", "endpoint": "VARCHAR"}
ROUTE_SLOTS = {"slot": "INTEGER"}
ROUTE_TEMPLATES = {"source": "VARCHAR", "method": "VARCHAR", "path": "VARCHAR"}

Mask = tuple[Part, ...]
_LITERAL = Part(Kind.LITERAL, "")

LONGEST = 40
SHAPE_PARTS = 12
"""A shape has at most so many parts, of so many characters; what is longer is not told apart."""


@dataclass(slots=True)
class _Masked:
    """The templates of one mask, by their literal parts: for single methods, and for any."""

    name: str
    single: dict[str, str] = field(default_factory=dict)
    every: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteSql:
    """How endpoints are looked up.

    `slots` are expressions over feed, method, path, `parts` (the path split at its slashes) and `n` (how many come
    after the first slash; NULL for a path without one): each gives a key of `rows`, or NULL. The first that is found
    has the endpoint; `unrouted` is it where none is.
    """

    slots: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    unrouted: str

    def keyed(self, relation: str) -> str:
        """A query that adds to the rows of `relation` its keys (`route_<slot>`), `unrouted` and the path's shape."""
        keys = "".join(f"{expression} AS route_{slot}, " for slot, expression in enumerate(self.slots, 1))
        return (
            f"SELECT * EXCLUDE (parts, n), {keys}{self.unrouted} AS unrouted, {shape_sql('parts')} AS shape FROM ("
            "SELECT *, CASE WHEN starts_with(path, '/') THEN len(parts) - 1 END AS n FROM ("
            f"SELECT *, string_split(path, '/') AS parts FROM {relation}))"
        )

    def endpoint(self, relation: str) -> tuple[str, str]:
        """The endpoint of a row of `relation`, which `keyed` gave, and the joins that it needs."""
        found = "".join(f"r{slot}.endpoint, " for slot in range(1, len(self.slots) + 1))
        joins = "".join(
            f" LEFT JOIN control.routes AS r{slot} ON {relation}.route_{slot} = r{slot}.route_key"
            for slot in range(1, len(self.slots) + 1)
        )
        return f"coalesce({found}{relation}.unrouted)", joins


def compile_routes(routes: Routes) -> RouteSql:
    """The lookups of a catalog's templates."""
    groups: dict[tuple[Template, ...], int] = {}
    for templates in routes.values():
        groups.setdefault(templates, len(groups))
    rows: list[dict[str, str]] = []
    slots_of: dict[int, list[str]] = {}
    for templates, number in groups.items():
        masks = _masks(templates, str(number))
        slots_of[number] = _slots(masks)
        for masked in masks.values():
            rows += [
                {"route_key": key, "endpoint": path} for key, path in [*masked.single.items(), *masked.every.items()]
            ]
    count = max(map(len, slots_of.values()), default=0)
    slots = [
        _by_feed(
            routes, {n: (listed[slot] if slot < len(listed) else "NULL") for n, listed in slots_of.items()}, groups
        )
        for slot in range(count)
    ]
    every = routes.get(None) is not None
    named = ", ".join(literal(name) for name in sorted(name for name in routes if name is not None))
    routed = "true" if every else f"feed IN ({named})" if named else "false"
    unrouted = f"CASE WHEN path IS NULL THEN NULL WHEN {routed} THEN {literal(UNMATCHED)} ELSE {literal(OTHER)} END"
    return RouteSql(tuple(slots), tuple(rows), unrouted)


def _by_feed(routes: Routes, by_group: dict[int, str], groups: dict[tuple[Template, ...], int]) -> str:
    named = [(name, by_group[groups[routes[name]]]) for name in sorted(n for n in routes if n is not None)]
    rest = by_group[groups[routes[None]]] if None in routes else "NULL"
    whens = "".join(f"WHEN feed = {literal(name)} THEN {expression} " for name, expression in named)
    return f"CASE {whens}ELSE CAST({rest} AS VARCHAR) END" if whens else f"CAST({rest} AS VARCHAR)"


def _masks(templates: tuple[Template, ...], group: str) -> dict[Mask, _Masked]:
    """The templates by mask, the narrower masks first."""
    by_mask: dict[Mask, list[Template]] = defaultdict(list)
    for template in templates:
        mask = tuple(_LITERAL if part.kind == Kind.LITERAL else part for part in template.parts)
        by_mask[mask].append(template)
    masks: dict[Mask, _Masked] = {}
    for number, mask in enumerate(sorted(by_mask, key=lambda m: [part.order for part in m])):
        masked = masks[mask] = _Masked(f"{group}.{number}")
        for template in by_mask[mask]:
            words = [part.text for part in template.parts if part.kind == Kind.LITERAL]
            if template.method == ANY_METHOD:
                masked.every["/".join([f"{masked.name}*", *words])] = template.path
            else:
                masked.single["/".join([masked.name, *words, template.method])] = template.path
    return masks


def _slots(masks: dict[Mask, _Masked]) -> list[str]:
    """Expressions of the keys, by slot: for each number of parts what could fit, in order."""
    longest = max(len(mask) for mask in masks)
    by_count = {n: [key for mask, m in masks.items() for key in _keys(mask, m, n)] for n in range(1, longest + 2)}
    slots = []
    for slot in range(max(map(len, by_count.values()))):
        whens = [
            f"WHEN n {'>' if n > longest else '='} {min(n, longest)} THEN {keys[slot]}"
            for n, keys in by_count.items()
            if slot < len(keys)
        ]
        slots.append(f"CASE {' '.join(whens)} END")
    return slots


def _keys(mask: Mask, masked: _Masked, n: int) -> Iterator[str]:
    """The keys that a path of `n` parts may have under a mask: with its method, and for any."""
    open_end = mask[-1].kind == Kind.REST
    if n != len(mask) and not (open_end and n > len(mask)):
        return
    words, tests = "", []
    for number, part in enumerate(mask, 2):
        text = f"parts[{number}]"
        if part.kind == Kind.LITERAL:
            words += f" || '/' || {text}"
        elif part.kind == Kind.MIXED:
            tests.append(f"regexp_full_match({text}, {literal(part_pattern(part))}, 's')")
        elif part.kind == Kind.PARAMETER or n == len(mask):
            tests.append(f"{text} <> ''")
    for present, name, method in (
        (masked.single, masked.name, " || '/' || method"),
        (masked.every, f"{masked.name}*", ""),
    ):
        if present:
            key = f"{literal(name)}{words}{method}"
            yield f"CASE WHEN {' AND '.join(tests)} THEN {key} END" if tests else key


def part_pattern(part: Part) -> str:
    """A mixed part as an expression of RE2 and of Python."""
    return ".+".join(re.escape(text) for text in part.text.split("{}"))


def template_rows(routes: Routes, sources: Iterator[str] | list[str]) -> Iterator[dict[str, Any]]:
    """Rows of `control.route_templates`: the templates of each source of the catalog."""
    for name in sources:
        for template in of_source(routes, name):
            yield {"source": name, "method": template.method, "path": template.path}


def shape_sql(parts: str) -> str:
    """Of a path's parts, what they look like but for numbers, identifiers and tokens: `/orders/{n}/items/{uuid}`."""
    digits = "regexp_matches(part, '[0-9]')"
    kinds = [
        ("regexp_full_match(part, '[0-9]+')", "'{n}'"),
        ("regexp_full_match(part, '(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')", "'{uuid}'"),
        (f"regexp_full_match(part, '(?i)[0-9a-f]{{8,}}') AND {digits}", "'{hex}'"),
        ("contains(part, '@') OR contains(lower(part), '%40')", "'{email}'"),
        (f"regexp_full_match(part, '[A-Za-z0-9_=~.-]{{16,}}') AND {digits}", "'{token}'"),
        (f"length(part) > {LONGEST}", "'{long}'"),
    ]
    whens = " ".join(f"WHEN {test} THEN {name}" for test, name in kinds)
    numbered = "regexp_replace(part, '[0-9]{2,}', '{n}', 'g')"
    shaped = f"list_transform({parts}[1:{SHAPE_PARTS + 1}], lambda part: CASE {whens} ELSE {numbered} END)"
    more = f"CASE WHEN len({parts}) > {SHAPE_PARTS + 1} THEN '/{{more}}' ELSE '' END"
    return f"array_to_string({shaped}, '/') || {more}"
