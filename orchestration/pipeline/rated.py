"""Rating what can have changed: lines whose quantities or terms differ, and those of periods that haven't ended.

All others stay in the build as the published generation has them (`record.rated_lines`), so that a run costs what is
touched and not what there is. The result is always that of rating everything anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from orchestration.billing.daily import by_days, minor_texts
from orchestration.billing.rating import Line
from orchestration.catalog import Catalog
from orchestration.closing.rated import QUANTITY_COLUMNS, Quantity, rate_all
from orchestration.engine import load_rows
from orchestration.metering.control import ChargedSegment
from orchestration.money import EXACT
from orchestration.pipeline.forecast import LineForecast, line_forecast, weekday_shares
from orchestration.pipeline.state import code_digest
from orchestration.pipeline.stored import LINE_FIELDS, line_of, line_row
from orchestration.pipeline.terms import Digests, Groups, groups_of, has_ended
from orchestration.sqltext import identifier
from orchestration.zones import TZDATA_VERSION

_FORECAST = ("forecast", "forecast_low", "forecast_high")
LINES = {"rated_with": "VARCHAR", **LINE_FIELDS, "daily": "VARCHAR", **dict.fromkeys(_FORECAST, "DECIMAL(38, 4)")}
"""`rated_with` names the group; `daily` holds the amounts of the line's days, in order: [1.00, 2.00]. The forecast is
what the line may come to at its period's end, NULL without one."""
GROUPS = {"rated_with": "VARCHAR", "digest": "VARCHAR", "ended": "BOOLEAN"}
_STATE = {"catalog_digest": "VARCHAR", "code_digest": "VARCHAR", "tzdata": "VARCHAR"}
_WANTED = {"line_id": "VARCHAR", "place": "BIGINT"}
_PLACED = f"""
SELECT line_id, {QUANTITY_COLUMNS} FROM marts.charge_quantities JOIN record.lines_to_rate USING (line_id)
ORDER BY place, local_day, quantity, rank
"""


class Rated(NamedTuple):
    """How many groups of charges were rated, and how many kept their lines."""

    anew: int
    kept: int


def rate_changed(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, charged: Iterable[ChargedSegment], scratch: Path
) -> Rated:
    """Bring `record.rated_lines` up to date with the build's quantities and the catalog.

    The tables of the build tell what it was copied from; `control.touched_lines` are the lines measured again.
    """
    groups = groups_of(catalog, charged)
    stored = _stored(con)
    stale = _stale(con, catalog, groups, stored)
    gone = stored.keys() - groups.keys()
    chosen = {name: groups[name] for name in stale}
    today = max((i.known for items in groups.values() for i in items), default=date.max) - timedelta(days=1)
    shares, by_id = weekday_shares(con, today), {i.line_id: i for items in chosen.values() for i in items}

    def ahead(line: Line, used: Sequence[Quantity]) -> LineForecast | None:
        item = by_id.get(line_id_of(line))
        return None if item is None or line.value else line_forecast(catalog, item, used, shares)

    rows_of = rate_groups(con, catalog, chosen, scratch)
    lines = (_row(name, line, used, ahead(line, used)) for name, line, used in rows_of)
    load_rows(con, "record.lines_anew", LINES, lines, scratch)
    digests = Digests(catalog)
    rows = [{"rated_with": n, "digest": digests.of(i), "ended": has_ended(i)} for n, i in chosen.items()]
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


def _stored(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, bool]]:
    """Digest, and whether it had ended, of each group whose lines this program has rated with this zone data."""
    for name, columns in (("rated_lines", LINES), ("rated_groups", GROUPS), ("rated_by", _STATE)):
        typed = ", ".join(f"{identifier(column)} {kind}" for column, kind in columns.items())
        con.execute(f"CREATE SCHEMA IF NOT EXISTS record; CREATE TABLE IF NOT EXISTS record.{name} ({typed})")
    same = "SELECT 1 FROM record.rated_by WHERE code_digest = $1 AND tzdata = $2"
    if con.execute(same, [code_digest(), TZDATA_VERSION]).fetchone() is None:
        con.execute("DELETE FROM record.rated_lines; DELETE FROM record.rated_groups")
    rows = con.execute("SELECT rated_with, digest, ended FROM record.rated_groups").fetchall()
    return {name: (digest, ended) for name, digest, ended in rows}


def _stale(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, groups: Groups, stored: Mapping[str, tuple[str, bool]]
) -> list[str]:
    """The groups to rate, in their order."""
    touched = {row[0] for row in con.execute("SELECT line_id FROM control.touched_lines").fetchall()}
    by = con.execute("SELECT catalog_digest FROM record.rated_by").fetchall()
    # Under one catalog the terms of what has ended are what they were.
    digests = None if by == [(catalog.digest,)] else Digests(catalog)
    return [
        name
        for name, items in groups.items()
        if not (kept := stored.get(name))
        or not kept[1]
        or (digests is not None and digests.of(items) != kept[0])
        or any(item.line_id in touched for item in items)
    ]


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
        yield line_id, [Quantity(*measured) for _, *measured in found]


def rate_groups(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, groups: Groups, scratch: Path
) -> Iterator[tuple[str, Line, Sequence[Quantity]]]:
    """Group, line and what was measured for it, group by group: no more is in memory at a time.

    Nothing else may be asked of the connection until the last line has come.
    """
    wanted = (item.line_id for items in groups.values() for item in items)
    load_rows(con, "record.lines_to_rate", _WANTED, _numbered(wanted), scratch)
    measured = _measured(con)
    line_id, found = next(measured, ("", []))
    for name, items in groups.items():
        quantities: dict[str, Sequence[Quantity]] = {}
        for item in items:
            if item.line_id == line_id:
                quantities[line_id] = found
                line_id, found = next(measured, ("", []))
        for line in rate_all(catalog, items, quantities):
            yield name, line, quantities.get(line_id_of(line), ())


def line_id_of(line: Line) -> str:
    """The name in SQL of the charge and segment that made a line."""
    return f"{line.subscription}/{line.charge}/{line.start}"


def _row(name: str, line: Line, used: Sequence[Quantity], ahead: LineForecast | None) -> dict[str, Any]:
    amounts: list[str | None] = [None] * len(_FORECAST) if ahead is None else [amount.text for amount in ahead]
    of_days = {"daily": _daily(line, used), **dict(zip(_FORECAST, amounts, strict=True))}
    return {"rated_with": name, **line_row(line), **of_days}


def _daily(line: Line, used: Iterable[Quantity]) -> str:
    minors = by_days(line, ((row.day, EXACT.multiply(row.quantity, Decimal(row.windows))) for row in used))
    return f"[{', '.join(minor_texts(minors, line.currency))}]"


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
