"""Reading the files of a catalog into its objects: problems and places are collected on the way, none is raised."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestration.catalog.fields import Model
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Customer
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Plan
from orchestration.catalog.sources import Source
from orchestration.catalog.yamltext import UNFIT, Lines, parse_yaml
from orchestration.errors import Problem

M = TypeVar("M", bound=Model)
_NAMED_BY: dict[type[Model], str] = {Plan: "key", Meter: "key", Customer: "customer", Source: "name"}


class Reader:
    """Collects `problems`, `places` and the names of what is `broken` while files are read."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.problems: list[Problem] = []
        self.places = Places()
        self.broken: set[str] = set()

    def one(self, model: type[M], name: str, texts: Mapping[str, str]) -> M | None:
        """A file that holds one object."""
        data, lines, problems = parse_yaml(texts[name], self.prefix + name)
        self.problems += problems
        if data is None and not problems:
            self.problems.append(Problem("empty_file", "the file is empty", self.prefix + name))
        return self._make(model, data, name, lines, ()) if data is not None else None

    def each(self, model: type[M], folder: str, texts: Mapping[str, str]) -> list[M]:
        """The files of a folder, each of which holds one object."""
        made = [self.one(model, name, texts) for name in sorted(texts) if name.startswith(folder)]
        return [item for item in made if item is not None]

    def listed(self, model: type[M], name: str, key: str, texts: Mapping[str, str]) -> list[M]:
        """A file that holds a list under one key."""
        if name not in texts:
            return []
        data, lines, problems = parse_yaml(texts[name], self.prefix + name)
        self.problems += problems
        items = data.get(key) if isinstance(data, dict) else None
        if not isinstance(items, list) or set(data) != {key}:
            if not problems:
                message = f"the file is one list under the key '{key}'"
                self.problems.append(Problem("bad_shape", message, self.prefix + name))
            return []
        made = [self._make(model, item, name, lines, (key, index)) for index, item in enumerate(items)]
        return [item for item in made if item is not None]

    def table(self, model: type[M], name: str, texts: Mapping[str, str]) -> list[M]:
        """A CSV file with a header; empty cells are absent."""
        rows = csv.reader(io.StringIO(texts[name], newline=""), strict=True)
        made: list[M] = []
        try:
            header = next(rows, None) or []
            unknown = [h for h in header if h not in model.model_fields]
            if unknown or len(set(header)) != len(header):
                message = f"unknown or repeated columns: {', '.join(unknown or header)}"
                self.problems.append(Problem("bad_header", message, f"{self.prefix}{name}:1"))
                return []
            for row in rows:
                if not row:
                    continue
                where: Lines = {(): rows.line_num}
                if len(row) != len(header):
                    message = f"{len(row)} cells in a table of {len(header)} columns"
                    self.problems.append(Problem("bad_row", message, f"{self.prefix}{name}:{rows.line_num}"))
                    continue
                unfit = [column for column, cell in zip(header, row, strict=True) if UNFIT.search(cell)]
                if unfit:
                    message = f"{', '.join(unfit)}: control characters have no place in text"
                    self.problems.append(Problem("bad_text", message, f"{self.prefix}{name}:{rows.line_num}"))
                    continue
                cells = {column: cell for column, cell in zip(header, row, strict=True) if cell != ""}
                item = self._make(model, cells, name, where, ())
                if item is not None:
                    made.append(item)
        except csv.Error as error:
            self.problems.append(Problem("bad_csv", str(error), f"{self.prefix}{name}:{rows.line_num}"))
        return made

    def follows_from_broken(self, problem: Problem) -> bool:
        """Whether a problem is only that something is unknown which is there, but is itself named as wrong."""
        return problem.code.startswith("unknown_") and any(text in problem.message for text in self.broken)

    def _make(self, model: type[M], data: Any, name: str, lines: Lines, path: tuple[str | int, ...]) -> M | None:
        where = self.prefix + name
        try:
            made = model.model_validate(data)
        except ValidationError as error:
            named = f"plan '{data.get('key')}': " if model is Plan and isinstance(data, dict) else ""
            for issue in _own_faults(error.errors()):
                place = (*path, *issue["loc"])
                self.problems.append(Problem("invalid", named + _explain(issue), f"{where}:{_nearest(lines, place)}"))
            if model in _NAMED_BY and isinstance(data, dict):
                self.broken.add(f"'{data.get(_NAMED_BY[model])}'")
            self.broken |= {"which no source declares"} if model is Source else set()
            return None
        self.places.put(made, where, lines, path)
        return made


def _nearest(lines: Lines, path: tuple[str | int, ...]) -> int:
    """Line of the deepest known node on the way to `path` (pydantic adds steps of its own, e.g. for unions)."""
    known = tuple(step for step in path)
    while known and known not in lines:
        known = known[:-1]
    return lines.get(known, lines.get((), 1))


def _own_faults(issues: Sequence[Any]) -> list[Any]:
    """Without lists that are too short only because what is in them is itself named as wrong."""
    places = [issue["loc"] for issue in issues]
    return [
        issue
        for issue in issues
        if issue["type"] != "too_short"
        or not any(len(place) > len(issue["loc"]) and place[: len(issue["loc"])] == issue["loc"] for place in places)
    ]


def _explain(issue: Any) -> str:
    field = ".".join(str(step) for step in issue["loc"])
    message = str(issue["msg"]).removeprefix("Value error, ")
    return f"{field}: {message}" if field else message
