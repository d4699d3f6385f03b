"""Route templates: how one is written, which of several is the narrower, and whether two could fit one path.

A template is compared with a path part by part, between slashes, as the bytes stand in the log: nothing is decoded or
folded, and a slash at the end makes another path. `{name}` stands for one part or for a piece of one
(`{id}.json`), `{name+}` at the end for the whole rest; neither stands for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import zip_longest

ANY_METHOD = "*"
UNMATCHED = "(unmatched)"
"""Endpoint of a path that fits no template of its source."""
OTHER = "(other)"
"""Endpoint of a path whose source has no templates."""

_METHOD = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
_NAME = r"\{[^{}/+*]+\}"
_PART = re.compile(rf"(?:[^{{}}/?#*\s]|{_NAME})*")
_PARAMETER = re.compile(_NAME)
_REST = re.compile(r"\{[^{}/+*]+\+\}")
MAX_PARTS = 32


class Kind(IntEnum):
    """What a part of a template is. Of two templates the one that is lower at the first difference is the narrower."""

    LITERAL = 0
    MIXED = 1
    PARAMETER = 2
    REST = 3


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between two slashes. `text` is written without the names of parameters, which tell nothing apart."""

    kind: Kind
    text: str

    @property
    def order(self) -> tuple[int, int, str]:
        """The narrower part first: of mixed ones the one with more of its text given."""
        return self.kind, -len(self.text), self.text

    def overlaps(self, other: Part) -> bool:
        """Whether some part of a path could fit both; of mixed ones it is taken for granted."""
        if self.kind == other.kind == Kind.LITERAL:
            return self.text == other.text
        return "" not in (self.text, other.text) or Kind.LITERAL not in (self.kind, other.kind)


@dataclass(frozen=True, slots=True)
class Template:
    """A route: a method (or `*`) and a path in parts, e.g. GET /v1/users/{id}."""

    method: str
    path: str
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return self.path if self.method == ANY_METHOD else f"{self.method} {self.path}"

    @property
    def order(self) -> tuple[object, ...]:
        """The narrower template first; of one shape, the one for a single method."""
        return tuple(part.order for part in self.parts), self.method == ANY_METHOD, self.method

    def overlaps(self, other: Template) -> bool:
        """Whether some path, whatever its method, could fit both."""
        for mine, theirs in zip_longest(self.parts, other.parts):
            if mine is None or theirs is None:
                return False
            if Kind.REST in (mine.kind, theirs.kind):
                return True
            if not mine.overlaps(theirs):
                return False
        return True


Routes = Mapping[str | None, tuple[Template, ...]]
"""Templates by source, the narrower first; under None those of every source that isn't named."""


def of_source(routes: Routes, source: str) -> tuple[Template, ...]:
    """The templates that hold for a source."""
    return routes.get(source, routes.get(None, ()))


def parse_route(text: str) -> Template:
    """A template with or without a method before it: `/v1/users/{id}`, `GET /v1/users`. Raises ValueError."""
    method, space, path = text.partition(" ")
    if not space:
        return template(ANY_METHOD, text)
    if not _METHOD.fullmatch(method):
        raise ValueError(f"'{method}' is no method: write it in capitals before the path, or leave it out for any")
    return template(method, path)


def template(method: str, path: str) -> Template:
    """A template of a path. Raises ValueError saying what is wrong with it."""
    if not path.startswith("/"):
        raise ValueError(f"'{path}' doesn't begin with a slash")
    texts = path[1:].split("/")
    if len(texts) > MAX_PARTS:
        raise ValueError(f"'{path}' has more than {MAX_PARTS} parts")
    parts = [_part(text, path, last=number == len(texts)) for number, text in enumerate(texts, 1)]
    return Template(method, path, tuple(parts))


def _part(text: str, path: str, *, last: bool) -> Part:
    if _REST.fullmatch(text):
        if not last:
            raise ValueError(f"'{path}': '{text}' stands for the whole rest, so it comes last")
        return Part(Kind.REST, "{+}")
    if not _PART.fullmatch(text):
        raise ValueError(
            f"'{path}': '{text}' is neither plain text nor {{name}}, nor {{name+}} for the whole rest "
            "(no query, no blanks, no *)"
        )
    if _PARAMETER.fullmatch(text):
        return Part(Kind.PARAMETER, "{}")
    bare = _PARAMETER.sub("{}", text)
    return Part(Kind.MIXED if bare != text else Kind.LITERAL, bare)


def ordered(templates: Iterable[Template]) -> tuple[Template, ...]:
    """The narrower first: a path belongs to the first that fits it."""
    return tuple(sorted(templates, key=lambda t: t.order))
