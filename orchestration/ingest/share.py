"""A file most of whose lines can't be read is held whole: more likely its mapping is wrong than its lines are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestration.catalog.models import Source
from orchestration.ingest.parse import Parsed
from orchestration.ledger.rows import FileRow

MIN_LINES = 20
"""Of fewer new lines a share says nothing: their bad ones are quarantined, each by itself."""
SET_ASIDE = "not_a_request"
"""Lines of another kind, recognised as such (an error log's among requests); they count on neither side."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Why a file isn't taken now. `held` needs a person; otherwise it waits for the file that it continues."""

    reason: str
    held: bool


def held_back(rows: Sequence[FileRow], parsed: Mapping[int, Parsed]) -> dict[int, HeldBack]:
    """By number, the files of a batch that must wait; `rows` in the order in which they were placed on their tapes."""
    found: dict[int, HeldBack] = {}
    broken: dict[str, str] = {}
    for row in rows:
        if row.tape_id in broken:
            # Its first new line was told by a file that isn't there.
            found[row.file_id] = HeldBack(f"continues '{broken[row.tape_id]}', which is held", held=False)
            continue
        reason = over_share(Source.model_validate_json(row.mapping_json), parsed[row.file_id])
        if reason is not None:
            found[row.file_id] = HeldBack(reason, held=True)
            if row.tape_id is not None:
                broken[row.tape_id] = row.path
    return found


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
