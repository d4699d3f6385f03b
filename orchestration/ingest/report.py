"""What an ingest did, as data for the caller to print."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestration.ingest.discover import Entry

BUCKETS = ("accepted", "duplicate", "conflict", "quarantined", "blank")


@dataclass(slots=True)
class IngestReport:
    """Counts are in lines. `held` and `unreadable` need a person; `deferred` is picked up by the next run."""

    batches: list[int] = field(default_factory=list)
    files: int = 0
    lines: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    quarantined: int = 0
    blank: int = 0
    rounded: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    held: list[Entry] = field(default_factory=list)
    unreadable: list[Entry] = field(default_factory=list)
    deferred: list[Entry] = field(default_factory=list)
    refused: list[Entry] = field(default_factory=list)
    notices: list[Entry] = field(default_factory=list)
    rebuilt: int = 0
    """Lake files that were missing and were made again."""
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """3 if some input could not be taken, else 0."""
        return 3 if self.held or self.unreadable else 0
