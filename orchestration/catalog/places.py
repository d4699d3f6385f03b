"""Where each object of the catalog stands, so that a problem found later can still name file and line."""

from __future__ import annotations

from orchestration.catalog.fields import Model
from orchestration.catalog.yamltext import Lines, Path


class Places:
    """File and line of every object that was read, and of the parts inside it."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[Model, str, Lines, Path]] = {}

    def put(self, item: Model, file: str, lines: Lines, path: Path) -> None:
        # The object itself is kept, so that its id stays its own.
        self._places[id(item)] = (item, file, lines, path)

    def of(self, item: Model, *inside: str | int) -> str:
        """`file:line` of an object, or of the part of it that `inside` leads to."""
        _, file, lines, path = self._places[id(item)]
        wanted = (*path, *inside)
        while len(wanted) > len(path) and wanted not in lines:
            wanted = wanted[:-1]
        return f"{file}:{lines.get(wanted, 1)}"
