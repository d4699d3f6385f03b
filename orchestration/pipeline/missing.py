"""Missing input: what sources should have delivered by their rhythm, their numbering or their manifests, and didn't."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

from orchestration.billing.due import Group
from orchestration.catalog import Catalog
from orchestration.catalog.sources import Source
from orchestration.engine import load_rows
from orchestration.ingest.discover import SEQUENCE, pattern_regex, stream_name
from orchestration.ingest.holes import Hole, Stretch, by_day, gaps, missing_numbers, silences
from orchestration.ingest.manifests import absent
from orchestration.ledger.rows import DeliveryRow
from orchestration.ledger.store import Ledger
from orchestration.zones import midnight_us

HOUR_US = 3_600_000_000
GRACE_US = 24 * HOUR_US
"""What is younger than this may still be on its way."""
COLUMNS = {
    "source": "VARCHAR",
    "stream": "VARCHAR",
    "kind": "VARCHAR",
    "from_us": "BIGINT",
    "to_us": "BIGINT",
    "what": "VARCHAR",
}
_STRETCHES = """
    SELECT source, stream, min(utc_hour), max(utc_hour) FROM (
        SELECT source, stream, utc_hour, utc_hour - row_number() OVER (PARTITION BY stream ORDER BY utc_hour) AS island
        FROM (SELECT DISTINCT source, stream, utc_hour FROM metering.stream_hours JOIN record.files USING (file_id))
    ) GROUP BY source, stream, island ORDER BY source, stream, min(utc_hour)"""


class Missing(NamedTuple):
    """Input that is missing, in words that stay the same from run to run while nothing changes.

    It concerns [from_us, to_us); None is an end that isn't known, or that has not come yet.
    """

    source: str
    stream: str
    kind: str
    from_us: int | None
    to_us: int | None
    what: str


def find_missing(
    con: duckdb.DuckDBPyConnection, home: Path, sources: Iterable[Source], ledger: Ledger, now_us: int
) -> list[Missing]:
    """All input that is missing, sorted.

    Args:
        con: a generation or build with its usage. sources: those of today's catalog; nobody waits for another.
    """
    until = (now_us - GRACE_US) // HOUR_US
    rhythm: dict[str, dict[str, list[Stretch]]] = {}
    for source, stream, first, last in con.execute(_STRETCHES).fetchall():
        rhythm.setdefault(source, {}).setdefault(stream, []).append((first, last))
    deliveries = {source.name: ledger.deliveries(source.name) for source in sources}
    roots: dict[str, dict[str, DeliveryRow]] = {}
    for source in sources:
        roots.setdefault(source.root, {}).update(deliveries[source.name])
    found: list[Missing] = []
    for source in sources:
        found += _by_rhythm(source, rhythm.get(source.name, {}), until)
        found += _by_number(source, deliveries[source.name], ledger)
        found += _by_manifest(source, roots[source.root], home)
    return sorted(found, key=lambda m: (m.source, m.stream, m.from_us or 0, m.what))


def _by_rhythm(source: Source, streams: Mapping[str, Sequence[Stretch]], until: int) -> Iterator[Missing]:
    if source.expect == "irregular":
        return
    if source.expect is not None and not streams:
        yield Missing(source.name, source.name, source.expect, None, None, f"{source.name}: no event has ever come")
    for stream, stretches in sorted(streams.items()):
        if source.expect is None:
            holes, kind = silences(stretches, until), "silence"
        elif source.expect == "hourly":
            holes, kind = gaps(stretches, until), "hourly"
        else:
            days = gaps(by_day(stretches), until // 24)
            holes, kind = [Hole(h.first * 24, h.end * 24, h.open) for h in days], "daily"
        for hole in holes:
            yield _silent(source, stream, kind, hole)


def _silent(source: Source, stream: str, kind: str, hole: Hole) -> Missing:
    begin, end = hole.first * HOUR_US, None if hole.open else hole.end * HOUR_US
    what = f"since {instant(begin)}" if end is None else f"from {instant(begin)} to {instant(end)}"
    return Missing(source.name, stream, kind, begin, end, f"{stream}: no event {what}")


def _by_number(source: Source, deliveries: Mapping[str, DeliveryRow], ledger: Ledger) -> Iterator[Missing]:
    pattern = pattern_regex(source.path)
    if SEQUENCE not in pattern.groupindex:
        return
    spans: dict[str, tuple[int, int]] = {}
    for row in ledger.files():
        if row.source == source.name and row.min_us is not None and row.max_us is not None:
            low, high = spans.get(row.path, (row.min_us, row.max_us))
            spans[row.path] = min(low, row.min_us), max(high, row.max_us)
    streams: dict[str, dict[int, list[str]]] = {}
    for path in deliveries:
        match = pattern.fullmatch(path)
        if match is not None:
            stream = stream_name(source.name, match.groupdict())
            streams.setdefault(stream, {}).setdefault(int(match[SEQUENCE]), []).append(path)
    for stream, paths in sorted(streams.items()):
        for first, last in missing_numbers(paths):
            before = [spans[path][1] for path in paths[first - 1] if path in spans]
            after = [spans[path][0] for path in paths[last + 1] if path in spans]
            # Files may overlap in time; what lay between them can be anywhere from one's end to the other's begin.
            known = sorted((max(before), min(after))) if before and after else None
            numbers = f"number {first}" if first == last else f"numbers {first} to {last}"
            what = f"{stream}: {numbers} of its files did not come"
            begin, end = (known[0], known[1] + 1) if known else (None, None)
            yield Missing(source.name, stream, "sequence", begin, end, what)


def _by_manifest(source: Source, deliveries: Mapping[str, DeliveryRow], home: Path) -> Iterator[Missing]:
    for item in absent(home, source, deliveries):
        named = f": '{item.name}'" if item.name else ""
        what = f"{source.name}: manifest {item.manifest}{named} {item.fault}"
        yield Missing(source.name, source.name, "manifest", None, None, what)


def concerned(missing: Iterable[Missing], catalog: Catalog, groups: Sequence[Group]) -> list[str]:
    """What is missing from the periods whose usage the documents would bill for the first time."""
    spans = set()
    for group in groups:
        zone = catalog.customers[group.customer].zone
        for due in group.lines:
            if due.kind == "usage":
                spans.add((midnight_us(zone, due.line.start), midnight_us(zone, due.line.end)))
    return [
        item.what
        for item in missing
        if any(
            (item.from_us is None or item.from_us < end) and (item.to_us is None or item.to_us > start)
            for start, end in spans
        )
    ]


def load_missing(con: duckdb.DuckDBPyConnection, missing: Iterable[Missing], scratch: Path) -> None:
    """Write what is missing to `record.missing_input` of a build."""
    load_rows(con, "record.missing_input", COLUMNS, [item._asdict() for item in missing], scratch)


def instant(us: int) -> str:
    """A full hour, for people: `2026-10-03T10:00Z`."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")
