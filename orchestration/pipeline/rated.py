"""Rating what can have changed: lines whose quantities or terms differ, and those of periods that haven't ended.

All others stay in the build as the published generation has them (`record.rated_lines`), so that a run costs what is
touched and not what there is. The result is always that of rating everything anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb

from orchestration.billing.rating import Line
from orchestration.catalog import Catalog
from orchestration.engine import load_files, load_rows
from orchestration.metering.control import ChargedSegment
from orchestration.pipeline.forecast import weekday_shares
from orchestration.pipeline.rating import LINES, SHARE, Work, place_lines, rate_shares
from orchestration.pipeline.state import code_digest
from orchestration.pipeline.stored import LINE_FIELDS, line_of
from orchestration.pipeline.terms import Digests, Groups, groups_of, has_ended
from orchestration.sqltext import identifier
from orchestration.zones import TZDATA_VERSION

GROUPS = {"rated_with": "VARCHAR", "digest": "VARCHAR", "charges": "INTEGER", "ended": "BOOLEAN"}
_STATE = {"catalog_digest": "VARCHAR", "code_digest": "VARCHAR", "tzdata": "VARCHAR"}


class Rated(NamedTuple):
    """How many groups of charges were rated, and how many kept their lines."""

    anew: int
    kept: int


class Kept(NamedTuple):
    """What is known of a group whose lines are stored: the digest of its terms, how many charges it had, and whether
    all of their periods had ended."""

    digest: str
    charges: int
    ended: bool


def rate_changed(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    charged: Sequence[ChargedSegment],
    scratch: Path,
    share: int = SHARE,
) -> Rated:
    """Bring `record.rated_lines` up to date with the build's quantities and the catalog.

    The tables of the build tell what it was copied from; `control.touched_lines` are the lines measured again. More
    charges than a `share` are rated by several processes.
    """
    groups, stored = groups_of(catalog, charged), _stored(con)
    stale = _stale(con, catalog, groups, stored)
    gone = stored.keys() - groups.keys()
    chosen = {name: groups[name] for name in stale}
    today = max((i.known for items in groups.values() for i in items), default=date.max) - timedelta(days=1)
    place_lines(con, chosen, scratch)
    written = rate_shares(con, Work(catalog, weekday_shares(con, today), scratch), chosen, share)
    load_files(con, "record.lines_anew", LINES, [share.path for share in written])
    rows = [row for share in written for row in share.groups]
    load_rows(con, "record.groups_anew", GROUPS, [*rows, *({"rated_with": name} for name in sorted(gone))], scratch)
    for path in (share.path for share in written):
        path.unlink()
    _merge(con)
    state = {"catalog_digest": catalog.digest, "code_digest": code_digest(), "tzdata": TZDATA_VERSION}
    load_rows(con, "record.rated_by", _STATE, [state], scratch)
    return Rated(len(stale), len(groups) - len(stale))


def read_lines(con: duckdb.DuckDBPyConnection, where: str = "true") -> Iterator[Line]:
    """Stored lines that fit a condition on `lines`, by customer."""
    listed = ", ".join(f"lines.{identifier(name)}" for name in LINE_FIELDS)
    rows = con.execute(
        f"SELECT {listed} FROM record.rated_lines AS lines WHERE {where} "
        'ORDER BY customer, subscription, period_start, "start", charge, "value"'
    )
    while batch := rows.fetchmany(1_000):
        yield from map(line_of, batch)


def _stored(con: duckdb.DuckDBPyConnection) -> dict[str, Kept]:
    """The groups whose lines this program has rated with this zone data."""
    for name, columns in (("rated_lines", LINES), ("rated_groups", GROUPS), ("rated_by", _STATE)):
        typed = ", ".join(f"{identifier(column)} {kind}" for column, kind in columns.items())
        con.execute(f"CREATE SCHEMA IF NOT EXISTS record; CREATE TABLE IF NOT EXISTS record.{name} ({typed})")
    same = "SELECT 1 FROM record.rated_by WHERE code_digest = $1 AND tzdata = $2"
    if con.execute(same, [code_digest(), TZDATA_VERSION]).fetchone() is None:
        con.execute("DELETE FROM record.rated_lines; DELETE FROM record.rated_groups")
    rows = con.execute("SELECT rated_with, digest, charges, ended FROM record.rated_groups").fetchall()
    return {name: Kept(*known) for name, *known in rows}


def _stale(con: duckdb.DuckDBPyConnection, catalog: Catalog, groups: Groups, stored: Mapping[str, Kept]) -> list[str]:
    """The groups to rate, in their order."""
    touched = {row[0] for row in con.execute("SELECT line_id FROM control.touched_lines").fetchall()}
    by = con.execute("SELECT catalog_digest FROM record.rated_by").fetchall()
    # Under one catalog the terms of what has ended are what they were; a later charge may come to it, none is another.
    digests = None if by == [(catalog.digest,)] else Digests(catalog)

    def is_kept(kept: Kept | None, items: Sequence[ChargedSegment]) -> bool:
        if kept is None or not kept.ended or kept.charges != len(items) or not has_ended(items):
            return False
        return (digests is None or digests.of(items) == kept.digest) and not any(i.line_id in touched for i in items)

    return [name for name, items in groups.items() if not is_kept(stored.get(name), items)]


def _merge(con: duckdb.DuckDBPyConnection) -> None:
    """Put what was rated in the place of what it replaces, all of it or nothing."""
    con.execute("BEGIN")
    for name in ("rated_lines", "rated_groups"):
        con.execute(f"DELETE FROM record.{name} WHERE rated_with IN (SELECT rated_with FROM record.groups_anew)")
    con.execute("INSERT INTO record.rated_lines FROM record.lines_anew")
    con.execute("INSERT INTO record.rated_groups FROM record.groups_anew WHERE digest IS NOT NULL")
    for name in ("lines_anew", "groups_anew", "lines_to_rate"):
        con.execute(f"DROP TABLE record.{name}")
    con.execute("COMMIT")
