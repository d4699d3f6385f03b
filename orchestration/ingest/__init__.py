"""From files at their sources to the lake: every line in exactly one bucket, every event counted once."""

from orchestration.ingest.rebuild import rebuild_lake
from orchestration.ingest.report import IngestReport
from orchestration.ingest.run import ingest

__all__ = ["IngestReport", "ingest", "rebuild_lake"]
