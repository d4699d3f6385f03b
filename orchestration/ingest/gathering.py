"""What there is to take at all sources: what is new or changed, and what is never opened or can't be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.catalog.sources import Source
from orchestration.ingest.discover import Candidate, Entry, Listing, discover
from orchestration.ingest.objects import also_named_by, discover_objects, is_bucket, is_unchanged
from orchestration.ingest.stores import Stores
from orchestration.ledger.store import Ledger


@dataclass(slots=True)
class Gathered:
    """`held` are candidates that can't be taken, with the reason."""

    candidates: list[Candidate] = field(default_factory=list)
    held: list[tuple[Candidate, str]] = field(default_factory=list)
    refused: list[Entry] = field(default_factory=list)
    unreadable: list[Entry] = field(default_factory=list)


def gather(home: Path, stores: Stores, ledger: Ledger, sources: Sequence[Source]) -> Gathered:
    """List all sources. Candidates come in the order of the sources, and of each by path."""
    found = Gathered()
    listings = [(source, _listing(home, stores, ledger, source)) for source in sources]
    owners: dict[Path, list[str]] = {}
    for source, listing in listings:
        for candidate in listing.candidates:
            if candidate.stored is None:
                owners.setdefault(candidate.file, []).append(source.name)
    told: set[str] = set()
    for source, listing in listings:
        for entry in listing.refused:
            if entry.path not in told:
                told.add(entry.path)
                found.refused.append(entry)
        found.unreadable += listing.unreadable
        for candidate in listing.candidates:
            seen = ledger.delivery(source.name, candidate.path)
            if seen and is_unchanged(candidate, seen) and seen.status != "held":
                continue
            if candidate.stored is None:
                others = [name for name in owners[candidate.file] if name != source.name]
            else:
                others = also_named_by(candidate, sources)
            if others and not (seen and seen.status == "taken"):
                # Each source would count its lines as events of its own, and bill them again.
                found.held.append((candidate, f"matched_by_several_sources: also by {', '.join(others)}"))
            else:
                found.candidates.append(candidate)
    return found


def _listing(home: Path, stores: Stores, ledger: Ledger, source: Source) -> Listing:
    if is_bucket(source):
        return discover_objects(stores, source, lambda path: ledger.delivery(source.name, path))
    return discover(home, source)
