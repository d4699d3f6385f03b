"""From route sets to the templates of each source, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from orchestration.catalog.fields import Key, Model
from orchestration.catalog.meters import Meter, filter_conditions
from orchestration.catalog.monitoring import Monitoring
from orchestration.catalog.openapi import read_openapi
from orchestration.catalog.places import Places
from orchestration.catalog.sources import Source
from orchestration.catalog.templates import OTHER, UNMATCHED, Routes, Template, of_source, ordered, parse_route
from orchestration.catalog.throttles import Throttle
from orchestration.catalog.yamltext import parse_yaml
from orchestration.errors import Problem


def _route(value: str) -> str:
    parse_route(value)
    return value


OPENAPI_FILE = r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9][A-Za-z0-9_-]*)*\.(yaml|yml|json)$"
RouteText = Annotated[str, AfterValidator(_route)]


class RouteSet(Model):
    """Endpoints of the named sources, or of all: templates that stand for the paths of requests.

    `patterns` are `/v1/users/{id}` or `GET /v1/users`; `openapi` is a file of the catalog's folder, an OpenAPI 3
    document. The narrowest template that fits a request's method and path is its endpoint.
    """

    sources: tuple[Key, ...] = ()
    patterns: tuple[RouteText, ...] = ()
    openapi: str | None = Field(default=None, pattern=OPENAPI_FILE)

    @model_validator(mode="after")
    def _not_empty(self) -> RouteSet:
        if not self.patterns and self.openapi is None:
            raise ValueError("a route set has patterns, an openapi document, or both")
        return self


Placed = list[tuple[Template, str]]
"""Templates with the `file:line` where each stands."""


def openapi_files(text: str) -> list[str]:
    """Names of the documents that a `routes.yaml` asks for; what is wrong with it is said when it is read."""
    data = parse_yaml(text, "")[0]
    sets = data.get("routes") if isinstance(data, dict) else None
    names = [item.get("openapi") for item in (sets if isinstance(sets, list) else []) if isinstance(item, dict)]
    return [name for name in names if isinstance(name, str) and re.fullmatch(OPENAPI_FILE, name)]


def build_routes(
    sets: Sequence[RouteSet], sources: Sequence[Source], texts: Mapping[str, str], prefix: str, places: Places
) -> tuple[Routes, list[Problem]]:
    """The templates of each source that a set names, under None those of all others; and every problem."""
    known, problems = {source.name for source in sources}, list[Problem]()
    written: list[tuple[RouteSet, Placed]] = []
    for item in sets:
        for number, name in enumerate(item.sources):
            if name not in known:
                message = f"routes are for unknown source '{name}' (known: {', '.join(sorted(known)) or 'none'})"
                problems.append(Problem("unknown_source", message, places.of(item, "sources", number)))
        placed, wrong = _written(item, texts, prefix, places)
        written.append((item, placed))
        problems += wrong
    routes: dict[str | None, tuple[Template, ...]] = {}
    for source in (None, *sorted({name for item in sets for name in item.sources})):
        mine = [entry for item, placed in written if not item.sources or source in item.sources for entry in placed]
        if mine:
            problems += _ambiguous(mine)
            routes[source] = ordered(template for template, _ in mine)
    return routes, list(dict.fromkeys(problems))


def _written(item: RouteSet, texts: Mapping[str, str], prefix: str, places: Places) -> tuple[Placed, list[Problem]]:
    placed = [(parse_route(text), places.of(item, "patterns", n)) for n, text in enumerate(item.patterns)]
    if item.openapi is None:
        return placed, []
    if item.openapi not in texts:
        message = f"'{item.openapi}' is not in the catalog's folder"
        return placed, [Problem("missing_file", message, places.of(item, "openapi"))]
    found, problems = read_openapi(texts[item.openapi], prefix + item.openapi)
    return placed + found, problems


def _ambiguous(placed: Placed) -> Iterator[Problem]:
    """Of two templates of one shape and method no path could tell which is meant."""
    seen: dict[object, tuple[Template, str]] = {}
    for template, where in placed:
        first, there = seen.setdefault((template.method, template.parts), (template, where))
        if first is not template:
            yield Problem("ambiguous_route", f"'{template}' fits the same requests as '{first}' at {there}", where)


def check_endpoints(
    meters: Sequence[Meter],
    throttles: Sequence[Throttle],
    watching: Monitoring | None,
    sources: Sequence[Source],
    routes: Routes,
    places: Places,
) -> Iterator[Problem]:
    """What compares `endpoint` with what is no template would never take an event, limit a request, or be seen."""
    names = {None, *routes} | {source.name for source in sources}
    known = {t.path for name in names for t in routes.get(name, ())} | {UNMATCHED, OTHER}
    for meter in meters:
        for value in sorted(endpoints_named(meter) - known):
            message = f"meter '{meter.key}' compares 'endpoint' with '{value}', which is no route of routes.yaml"
            yield Problem("unknown_endpoint", message, places.of(meter))
    for row in throttles:
        for value in sorted(set(row.endpoints) - known):
            message = f"policy '{row.key}' names the endpoint '{value}', which is no route of routes.yaml"
            yield Problem("unknown_endpoint", message, places.of(row, "endpoints"))
    if watching is not None:
        for value in sorted(set(watching.deprecated) - known):
            message = f"'{value}' is deprecated, and is no route of routes.yaml"
            yield Problem("unknown_endpoint", message, places.of(watching, "deprecated"))


def endpoints_named(meter: Meter) -> set[str]:
    """The texts with which a meter's filter compares the endpoint."""
    found = [c.value for c in filter_conditions(meter.filter) if c.field == "endpoint" and c.value is not None]
    return {str(value) for values in found for value in (values if isinstance(values, tuple) else (values,))}


def moves_endpoints(meter: Meter, was: Routes, now: Routes) -> bool:
    """Whether requests may stand under other endpoints than before, as far as the meter can see.

    Only templates that could fit a path of an endpoint that the meter names can move it to or from there.
    """
    named = endpoints_named(meter)
    whole = meter.value == "endpoint" or bool(named & {UNMATCHED, OTHER})

    def seen(templates: Iterable[Template]) -> list[Template]:
        listed = list(templates)
        chosen = [t for t in listed if t.path in named]
        return [t for t in listed if whole or any(t.overlaps(other) for other in chosen)]

    return any(seen(of_source(was, name)) != seen(of_source(now, name)) for name in {"", *filter(None, [*was, *now])})
