"""What a generation of the warehouse was built from, kept inside it, and whether anything has changed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import duckdb

from orchestration import __version__
from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.catalog import Catalog
from orchestration.engine import connect
from orchestration.ledger.rows import FileRow
from orchestration.ledger.store import Ledger
from orchestration.metering.control import ChargedSegment, customer_rows
from orchestration.metering.restated import has_ranks
from orchestration.metering.routes import compile_routes
from orchestration.metering.watching import watching_rows
from orchestration.pipeline.instance import Instance
from orchestration.settings import REPOSITORY
from orchestration.zones import TZDATA_VERSION

STATE_COLUMNS = {
    "last_batch": "INTEGER",
    "catalog_digest": "VARCHAR",
    "code_digest": "VARCHAR",
    "tzdata": "VARCHAR",
    "routes_digest": "VARCHAR",
    "known_digest": "VARCHAR",
    "segments_digest": "VARCHAR",
    "deliveries_digest": "VARCHAR",
    "journal_seq": "INTEGER",
    "now_us": "BIGINT",
}


@dataclass(frozen=True, slots=True)
class State:
    """What a generation knows: batches up to one, a catalog, the program, its zone data and routes, the days through
    which lasting states are known (where there are any), the segments begun, the deliveries, the journal."""

    last_batch: int
    catalog_digest: str
    code_digest: str
    tzdata: str
    routes_digest: str
    known_digest: str
    segments_digest: str
    deliveries_digest: str
    journal_seq: int
    now_us: int


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What a build has to do. `fresh`: from nothing, all files are new to it; a close alone changes no usage."""

    state: State
    fresh: bool
    new_files: tuple[FileRow, ...]
    usage_changed: bool


@cache
def code_digest() -> str:
    """SHA-256 over the program, its models and the zone data: another program builds from nothing."""
    roots = (REPOSITORY / "orchestration", REPOSITORY / "dbt_project")
    paths = [p for root in roots for p in root.rglob("*") if p.suffix in (".py", ".sql", ".yml") and _ours(p)]
    return sha256_hex(
        canonical_bytes(
            {"version": __version__, "tzdata": TZDATA_VERSION}
            | {p.relative_to(REPOSITORY).as_posix(): sha256_hex(p.read_bytes()) for p in sorted(paths)}
        )
    )


def _ours(path: Path) -> bool:
    return not {"target", "logs", "__pycache__"} & set(path.relative_to(REPOSITORY).parts)


def read_state(instance: Instance) -> State | None:
    """State of the published generation; None when there is none, or its program kept another kind of state."""
    path = instance.published_db()
    if path is None:
        return None
    try:
        with connect(path, temp=instance.scratch, read_only=True) as con:
            row = con.execute(f"SELECT {', '.join(STATE_COLUMNS)} FROM control.generation").fetchone()
    except duckdb.Error:
        return None
    return State(*row) if row else None


def plan_build(
    instance: Instance, catalog: Catalog, ledger: Ledger, charged: Sequence[ChargedSegment], now_us: int
) -> BuildPlan | None:
    """What to build, or None when the published generation already knows everything."""
    files = ledger.files()
    wanted = State(
        last_batch=max((f.batch_id for f in files), default=0),
        catalog_digest=catalog.digest,
        code_digest=code_digest(),
        tzdata=TZDATA_VERSION,
        routes_digest=_routes_digest(catalog),
        known_digest=_known_digest(catalog, now_us),
        segments_digest=_segments_digest(charged),
        # Without the time at which a file was last seen: a file that stays held is nothing new.
        deliveries_digest=sha256_hex(repr([(h.source, h.path, h.sha256, h.reason) for h in ledger.held()]).encode()),
        journal_seq=ledger.next_journal_seq() - 1,
        now_us=now_us,
    )
    have = read_state(instance)
    if have is not None and replace(have, now_us=0) == replace(wanted, now_us=0):
        return None
    # Another route may move any event to another endpoint; any other edit of the catalog touches the days it concerns.
    # Days on which states were known to last, and are not yet by a clock that was set back, can't be taken away.
    fresh = (
        have is None
        or (have.code_digest, have.routes_digest) != (wanted.code_digest, wanted.routes_digest)
        or (have.now_us > now_us and have.known_digest != wanted.known_digest)
    )
    new_files = tuple(f for f in files if fresh or have is None or f.batch_id > have.last_batch)
    only_issued = have is not None and replace(have, journal_seq=0, now_us=0) == replace(
        wanted, journal_seq=0, now_us=0
    )
    return BuildPlan(wanted, fresh, new_files, not only_issued)


def _segments_digest(charged: Sequence[ChargedSegment]) -> str:
    texts = (f"{c.line_id}/{c.segment.end}/{c.segment.period_end}/{c.counts_until}" for c in charged)
    return sha256_hex("\n".join(texts).encode())


def _routes_digest(catalog: Catalog) -> str:
    """How an event is told its endpoint, and what is watched of it: another way concerns every event."""
    return sha256_hex(repr((compile_routes(catalog.routes), list(watching_rows(catalog)))).encode())


def _known_digest(catalog: Catalog, now_us: int) -> str:
    """Through which days states last, where a meter or a charge asks for it: a passing day changes nothing else."""
    if not has_ranks(catalog) and not any(meter.carried for meter in catalog.meters.values()):
        return ""
    known = [(row["customer"], row["known_day"]) for row in customer_rows(catalog, now_us)]
    return sha256_hex(repr(known).encode())


assert [f.name for f in fields(State)] == list(STATE_COLUMNS)
