"""Logs of servers that hold no requests: each line that is known as such is set aside as `not_a_request`."""

from orchestration.catalog.sources import Source
from orchestration.ingest.formats.nonrequests import is_no_request
from orchestration.ingest.formats.textlog import TextLog


class ErrorLog(TextLog):
    """Format 'error_log'. No line fits its expression."""

    def __init__(self) -> None:
        super().__init__("error_log", r"[^\n]\n(?P<time>)")

    def recognises(self, source: Source, lines: list[str]) -> int:
        return sum(is_no_request(line) for line in lines)


FORMAT = ErrorLog()
