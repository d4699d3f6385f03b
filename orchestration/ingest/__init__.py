"""From files at their sources to the lake: every line in exactly one bucket, every event counted once.

What is named here is loaded when it is first asked for: a command that only looks at the lake reads no parser.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestration.ingest.rebuild import rebuild_lake
    from orchestration.ingest.report import IngestReport
    from orchestration.ingest.run import ingest

__all__ = ["IngestReport", "ingest", "rebuild_lake"]

_MODULES = {"IngestReport": "report", "ingest": "run", "rebuild_lake": "rebuild"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
