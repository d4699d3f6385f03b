"""Rating what can have changed: lines whose quantities or terms differ, and those of periods that haven't ended.

All others stay in the build as the published generation has them (`record.rated_lines`), so that a run costs what is
touched and not what there is. The result is always that of rating everything anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby, starmap
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from orchestration.billing.daily import by_days, minor_texts
from orchestration.billing.rating import Line
from orchestration.catalog import Catalog
from orchestration.closing.rated import QUANTITY_ORDER, Quantity, Rater, rows_of, slices_of
from orchestration.engine import load_rows
from orchestration.metering.control import ChargedSegment
from orchestration.pipeline.forecast import line_forecast, weekday_shares
from orchestration.pipeline.state import code_digest
from orchestration.pipeline.stored import LINE_FIELDS, line_of, line_row
from orchestration.pipeline.terms import Digests, Groups, bounded_plans, groups_of, has_ended
from orchestration.sqltext import identifier
from orchestration.zones import TZDATA_VERSION

_FORECAST = ("forecast", "forecast_low", "forecast_high")
LINES = {"rated_with": "VARCHAR", **LINE_FIELDS, "daily": "VARCHAR", **dict.fromkeys(_FORECAST, "DECIMAL(38, 4)")}
"""`rated_with` names the group; `daily` holds the amounts of the line's days, in order: [1.00, 2.00]. The forecast is
what the line may come to at its period's end, NULL without one."""
GROUPS = {"rated_with": "VARCHAR", "digest": "VARCHAR", "charges": "INTEGER", "ended": "BOOLEAN"}
_STATE = {"catalog_digest": "VARCHAR", "code_digest": "VARCHAR", "tzdata": "VARCHAR"}
_WANTED = {"line_id": "VARCHAR", "place": "BIGINT"}
_EPOCH = date(1970, 1, 1).toordinal()
# Days as numbers and quantities as text: the engine's own way to dates and decimals of Python takes thrice as long.
_PLACED = f"""
SELECT line_id, local_day - DATE '1970-01-01', CAST(quantity AS VARCHAR), {", ".join(Quantity._fields[2:])}
FROM marts.charge_quantities JOIN record.lines_to_rate USING (line_id)
ORDER BY place, {QUANTITY_ORDER}
"""


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
    con: duckdb.DuckDBPyConnection, catalog: Catalog, charged: Sequence[ChargedSegment], scratch: Path
) -> Rated:
    """Bring `record.rated_lines` up to date with the build's quantities and the catalog.

    The tables of the build tell what it was copied from; `control.touched_lines` are the lines measured again.
    """
    groups, stored = groups_of(catalog, charged), _stored(con)
    stale = _stale(con, catalog, groups, stored)
    gone = stored.keys() - groups.keys()
    chosen = {name: groups[name] for name in stale}
    today = max((i.known for items in groups.values() for i in items), default=date.max) - timedelta(days=1)
    shares, rater, bounded = weekday_shares(con, today), Rater.of(catalog), bounded_plans(catalog)

    def row(name: str, line: Line, item: ChargedSegment | None, used: Sequence[Quantity]) -> dict[str, Any]:
        # What a cap or a commitment makes of a forecast, no line says by itself.
        alone = item is not None and item.segment.plan not in bounded
        ahead = line_forecast(rater, item, used, shares) if item is not None and alone else None
        amounts: list[str | None] = [None] * len(_FORECAST) if ahead is None else [amount.text for amount in ahead]
        minors = by_days(line, slices_of(used), None if item is None else item.terms)
        daily = f"[{', '.join(minor_texts(minors, line.currency))}]"
        of_days = {"daily": daily, **dict(zip(_FORECAST, amounts, strict=True))}
        return {"rated_with": name, **line_row(line), **of_days}

    load_rows(con, "record.lines_anew", LINES, starmap(row, rate_groups(con, rater, chosen, scratch)), scratch)
    digests = Digests(catalog)
    rows = [
        {"rated_with": name, "digest": digests.of(items), "charges": len(items), "ended": has_ended(items)}
        for name, items in chosen.items()
    ]
    load_rows(con, "record.groups_anew", GROUPS, [*rows, *({"rated_with": name} for name in sorted(gone))], scratch)
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


def _numbered(line_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    for place, line_id in enumerate(line_ids):
        yield {"line_id": line_id, "place": place}


def _measured(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, list[Quantity]]]:
    """Quantities by line in the order in which the lines are rated; lines without usage are left out."""
    rows = con.execute(_PLACED)

    def flat() -> Iterator[tuple[Any, ...]]:
        while batch := rows.fetchmany(10_000):
            yield from batch

    for line_id, found in groupby(flat(), key=itemgetter(0)):
        yield (
            line_id,
            [Quantity(date.fromordinal(_EPOCH + day), Decimal(quantity), *rest) for _, day, quantity, *rest in found],
        )


def rate_groups(
    con: duckdb.DuckDBPyConnection, rater: Rater, groups: Groups, scratch: Path, *, within: bool = False
) -> Iterator[tuple[str, Line, ChargedSegment | None, Sequence[Quantity]]]:
    """Group, line, the charge that made it (none for what a plan adds) and what was measured for it, group by group:
    no more is in memory at a time.

    `within` leaves out what was measured on no day of a charge's segment, as another catalog has it. Nothing else may
    be asked of the connection until the last line has come.
    """
    wanted = (item.line_id for items in groups.values() for item in items)
    load_rows(con, "record.lines_to_rate", _WANTED, _numbered(wanted), scratch)
    measured = _measured(con)
    measured_id, found = next(measured, ("", []))
    for name, items in groups.items():
        quantities: dict[str, Sequence[Quantity]] = {}
        by_id = {item.line_id: item for item in items}
        for item in items:
            if item.line_id == measured_id:
                days = item.segment.start, item.segment.end
                quantities[measured_id] = [row for row in found if days[0] <= row.day < days[1]] if within else found
                measured_id, found = next(measured, ("", []))
        for line in rater.rate(items, quantities):
            line_id = line_id_of(line)
            made_by, used = by_id.get(line_id), quantities.get(line_id, ())
            yield name, line, made_by, rows_of(made_by.terms.charge, line.value, used) if made_by else ()


def line_id_of(line: Line) -> str:
    """The name in SQL of the charge and segment that made a line."""
    return f"{line.subscription}/{line.charge}/{line.start}"


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
