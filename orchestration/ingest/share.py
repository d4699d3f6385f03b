"""A file most of whose lines can't be read is held whole: more likely its mapping is wrong than its lines are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestration.catalog.sources import Source
from orchestration.ingest.written import Parsed
from orchestration.ledger.rows import FileRow

MIN_LINES = 20
"""Of fewer new lines a share says nothing: their bad ones are quarantined, each by itself."""
SET_ASIDE = "not_a_request"
"""Lines of another kind, recognised as such (an error log's among requests); they count on neither side."""


def sort_out(
    rows: Sequence[FileRow], parsed: Mapping[int, Parsed], heads: Mapping[int, str]
) -> tuple[dict[int, str], set[int]]:
    """Files of a batch that are held for their share of bad lines and why, and those to be placed anew without them.

    A log's place is found by its first line: behind a held log of the same first line it may have been found wrongly.

    Args:
        rows: in the order in which they were placed. heads: by number, the hash of a log's first line.
    """
    held: dict[int, str] = {}
    again: set[int] = set()
    begun: set[tuple[str, str]] = set()
    for row in rows:
        head = heads.get(row.file_id)
        if head is not None and (row.stream, head) in begun:
            again.add(row.file_id)
            continue
        found = parsed[row.file_id]
        reason = over_share(Source.model_validate_json(row.mapping_json), found) if found.quarantined else None
        if reason is not None:
            held[row.file_id] = reason
            if head is not None:
                begun.add((row.stream, head))
    return held, again


def over_share(source: Source, parsed: Parsed) -> str | None:
    """Why a file is held for its share of bad lines, or None. Blank lines and those read before don't count."""
    reasons = {reason: count for reason, count in parsed.reasons.items() if reason != SET_ASIDE}
    bad = sum(reasons.values())
    lines = parsed.events + bad
    if lines < MIN_LINES or bad * 100 <= source.hold_above_percent * lines:
        return None
    most_first = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{reason} {count}" for reason, count in most_first)
    return f"quarantine_share: {bad} of {lines} lines ({named})"
