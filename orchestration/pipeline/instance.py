"""One instance is one folder: where everything of it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestration.settings import Environment


@dataclass(frozen=True, slots=True)
class Instance:
    """Paths of an instance and the limits of the engine. `home` is absolute.

    With `aside`, a folder below it, builds are made there, and what they take from raw files stays there: a trial
    leaves the warehouse and the lake as they are.
    """

    home: Path
    threads: int = 2
    memory: str = "2GB"
    aside: Path | None = None

    @classmethod
    def of(cls, environment: Environment) -> Instance:
        return cls(environment.home, environment.threads, environment.memory)

    @property
    def catalog(self) -> Path:
        return self.home / "catalog"

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    @property
    def extracted(self) -> Path:
        """Properties of files that were not read with them."""
        return self.lake / "extracted" if self.aside is None else self.aside / "lake"

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse"

    @property
    def build_folder(self) -> Path:
        return (self.aside or self.warehouse) / "build"

    @property
    def build_db(self) -> Path:
        """The build always has this one name, so that dbt's profile and manifest never change."""
        return self.build_folder / "tallystick.duckdb"

    @property
    def current(self) -> Path:
        """Link to the folder of the published generation."""
        return self.warehouse / "current"

    @property
    def exports(self) -> Path:
        return self.home / "exports"

    @property
    def scratch(self) -> Path:
        return self.home / "scratch"

    def published_db(self) -> Path | None:
        """The published database under its own, never reused name; None before the first run."""
        if not self.current.is_symlink():
            return None
        path = self.current.resolve() / "tallystick.duckdb"
        return path if path.exists() else None
