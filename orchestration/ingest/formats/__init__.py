"""The log formats, by name. A new one is a module that defines FORMAT, one line here, and its fixture."""

from __future__ import annotations

from orchestration.catalog.models import Source
from orchestration.errors import Problem
from orchestration.ingest.formats import cloudevents, combined, common, csv, parquet
from orchestration.ingest.formats.base import Format

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (cloudevents, combined, common, csv, parquet)
}


def check_source(source: Source) -> list[Problem]:
    """Everything in a source that its format can't do; empty when it can be read."""
    if source.format not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        return [Problem("unknown_format", f"format '{source.format}' is not one of {known}", f"source '{source.name}'")]
    return FORMATS[source.format].check(source)
