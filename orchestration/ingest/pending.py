"""What has been fetched and placed and waits to be parsed and committed together."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestration.ingest.discover import Candidate
from orchestration.ingest.lines import Census
from orchestration.ledger.rows import FileRow, ReferenceRow, TapeRow


@dataclass(slots=True)
class Pending:
    """Files fetched and placed, not yet parsed."""

    rows: list[FileRow] = field(default_factory=list)
    by_bytes: dict[tuple[str, str], FileRow] = field(default_factory=dict)
    censuses: dict[int, Census] = field(default_factory=dict)
    """What was found in the text of the files, by id."""
    candidates: list[Candidate] = field(default_factory=list)
    """Of each row, as it was listed."""
    copies: dict[int, list[Candidate]] = field(default_factory=dict)
    """Further files with the bytes of a row, by its number."""
    tapes: dict[str, TapeRow] = field(default_factory=dict)
    tapes_after: dict[int, TapeRow] = field(default_factory=dict)
    """By the number of a row, its tape as it is after this file."""
    references: dict[str, ReferenceRow] = field(default_factory=dict)
    """By SHA-256, where the files are kept that were not copied."""
    lines: int = 0
    bytes: int = 0
    _tape_ids: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)

    def put_tape(self, tape: TapeRow) -> None:
        self.tapes[tape.tape_id] = tape
        for sign in (tape.head_sha, tape.path):
            self._tape_ids.setdefault((tape.stream, sign), {})[tape.tape_id] = None

    def tapes_like(self, stream: str, head_sha: str, path: str) -> list[TapeRow]:
        """The tapes of a stream that begin alike, and those that were last read under a path."""
        ids = self._tape_ids.get((stream, head_sha), {}) | self._tape_ids.get((stream, path), {})
        found = [self.tapes[tape_id] for tape_id in ids]
        return [tape for tape in found if tape.head_sha == head_sha or tape.path == path]
