"""dbt-duckdb plugin: every connection that dbt opens is shut in like our own.

dbt's own `settings:` are set again on each cursor, which a locked configuration refuses; a plugin runs once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from orchestration.engine import harden
from orchestration.settings import read_build_environment


class Plugin(BasePlugin):
    def initialize(self, config: dict[str, Any]) -> None:
        """Nothing to set up: all comes from the environment of the build."""

    def configure_connection(self, conn: Any) -> None:
        build = read_build_environment()
        home = Path(build.home)
        harden(conn, [home], threads=build.threads, memory=build.memory, temp=home / "scratch")
