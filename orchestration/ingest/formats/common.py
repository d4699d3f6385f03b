"""The common log format (NCSA)."""

from orchestration.ingest.formats.access import AccessLog

FORMAT = AccessLog("common", (), further=False)
