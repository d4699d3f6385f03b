"""Groups of charges rated to rows of `record.rated_lines`: in this process, or where they are many shared out.

Groups don't depend on each other. They are cut, in their order, into shares of about equal size; a process of its own
rates a share from its quantities to a file of rows, and the files are read in the order of the shares. So the rows are
the same, and in the same order, however many processes there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from datetime import date
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
from orchestration.engine import connect, load_rows, write_rows
from orchestration.errors import OutOfResources
from orchestration.metering.control import ChargedSegment
from orchestration.pipeline.forecast import Weekdays, line_forecast
from orchestration.pipeline.processes import pool
from orchestration.pipeline.stored import LINE_FIELDS, line_row
from orchestration.pipeline.terms import Digests, Groups, bounded_plans, has_ended
from orchestration.sqltext import literal

_FORECAST = ("forecast", "forecast_low", "forecast_high")
LINES = {"rated_with": "VARCHAR", **LINE_FIELDS, "daily": "VARCHAR", **dict.fromkeys(_FORECAST, "DECIMAL(38, 4)")}
"""`rated_with` names the group; `daily` holds the amounts of the line's days, in order: [1.00, 2.00]. The forecast is
what the line may come to at its period's end, NULL without one."""
SHARE = 10_000
"""Charges that a process rates at a time; it takes some seconds, as much as starting the process."""
_MEMORY = "500MB"
_WANTED = {"line_id": "VARCHAR", "place": "BIGINT"}
_PLACED = "marts.charge_quantities JOIN record.lines_to_rate USING (line_id)"
_EPOCH = date(1970, 1, 1).toordinal()
# Days as numbers and quantities as text: the engine's own way to dates and decimals of Python takes thrice as long.
_MEASURED = f"""
SELECT line_id, local_day - DATE '1970-01-01', CAST(quantity AS VARCHAR), {", ".join(Quantity._fields[2:])}
FROM {{source}} ORDER BY place, {QUANTITY_ORDER}
"""


class Work(NamedTuple):
    """What every share is rated by: the catalog, how busy each weekday is; and the folder of the files."""

    catalog: Catalog
    weekdays: Weekdays
    scratch: Path


class Share(NamedTuple):
    """Groups that are rated by one process: the places of their charges are [first, end)."""

    groups: Groups
    first: int
    end: int


class Written(NamedTuple):
    """The file of a share's lines, and the rows of its groups."""

    path: Path
    groups: list[dict[str, Any]]


class _Writer:
    """Rates shares under one catalog; what many groups have in common is worked out once."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._rater, self._digests = Rater.of(work.catalog), Digests(work.catalog)
        self._bounded = bounded_plans(work.catalog)

    def write(self, share: Share, con: duckdb.DuckDBPyConnection, source: str) -> Written:
        path = self._work.scratch / f"record.lines_anew.{share.first}.jsonl"
        rated = rate_groups(self._rater, share.groups, measured(con, source))
        write_rows(path, LINES, starmap(self._row, rated))
        groups = [
            {"rated_with": name, "digest": self._digests.of(items), "charges": len(items), "ended": has_ended(items)}
            for name, items in share.groups.items()
        ]
        return Written(path, groups)

    def _row(self, name: str, line: Line, item: ChargedSegment | None, used: Sequence[Quantity]) -> dict[str, Any]:
        # What a cap or a commitment makes of a forecast, no line says by itself.
        alone = item is not None and item.segment.plan not in self._bounded
        ahead = line_forecast(self._rater, item, used, self._work.weekdays) if item is not None and alone else None
        amounts: list[str | None] = [None] * len(_FORECAST) if ahead is None else [amount.text for amount in ahead]
        minors = by_days(line, slices_of(used), None if item is None else item.terms)
        daily = f"[{', '.join(minor_texts(minors, line.currency))}]"
        of_days = {"daily": daily, **dict(zip(_FORECAST, amounts, strict=True))}
        return {"rated_with": name, **line_row(line), **of_days}


def place_lines(con: duckdb.DuckDBPyConnection, groups: Groups, scratch: Path) -> None:
    """Write `record.lines_to_rate`: in which order the quantities of these groups are wanted."""
    wanted = (item.line_id for items in groups.values() for item in items)
    rows = ({"line_id": line_id, "place": place} for place, line_id in enumerate(wanted))
    load_rows(con, "record.lines_to_rate", _WANTED, rows, scratch)


def rate_shares(con: duckdb.DuckDBPyConnection, work: Work, groups: Groups, size: int) -> list[Written]:
    """Rate groups whose lines are placed; the files come in the order of the groups.

    There are as many processes as the connection has threads, where there are charges for more than one share. Raises
    OutOfResources where a process was ended from outside.
    """
    shares = list(shares_of(groups, size))
    (threads,) = con.execute("SELECT current_setting('threads')").fetchall()[0]
    processes = min(threads, len(shares))
    if processes < 2:
        whole = Share(groups, 0, sum(map(len, groups.values())))
        return [_Writer(work).write(whole, con, _PLACED)]
    path = quantities_of(work)
    con.execute(f"COPY (FROM {_PLACED} ORDER BY place) TO {literal(str(path))} (FORMAT parquet)")
    try:
        with pool(processes, _begin, work) as workers:
            return list(workers.map(_rate_share, shares))
    except BrokenProcessPool as error:
        raise OutOfResources(
            "a process that rated lines was ended from outside, most likely as memory ran out",
            not_done="nothing was priced or published",
            next_step="make room in memory, or set fewer threads, and run again",
        ) from error
    finally:
        path.unlink()


def shares_of(groups: Groups, size: int) -> Iterator[Share]:
    """Groups in their order, cut where a share has `size` charges or more."""
    taken: Groups = {}
    first = end = 0
    for name, items in groups.items():
        taken[name] = items
        end += len(items)
        if end - first >= size:
            yield Share(taken, first, end)
            taken, first = {}, end
    if taken:
        yield Share(taken, first, end)


def quantities_of(work: Work) -> Path:
    """The file of what was measured for all shares, in the order of the places."""
    return work.scratch / "record.quantities.parquet"


_begun: list[tuple[Work, _Writer]] = []
"""Of a process that rates shares: what it began with."""


def _begin(work: Work) -> None:
    _begun.append((work, _Writer(work)))


def _rate_share(share: Share) -> Written:
    [(work, writer)] = _begun
    source = f"{literal(str(quantities_of(work)))} WHERE place >= {share.first} AND place < {share.end}"
    with connect(None, folders=[work.scratch], threads=1, memory=_MEMORY, temp=work.scratch) as con:
        return writer.write(share, con, source)


def measured(con: duckdb.DuckDBPyConnection, source: str = _PLACED) -> Iterator[tuple[str, list[Quantity]]]:
    """Quantities by line in the order of their places; lines without usage are left out.

    Nothing else may be asked of the connection until the last line has come.
    """
    rows = con.execute(_MEASURED.format(source=source))

    def flat() -> Iterator[tuple[Any, ...]]:
        while batch := rows.fetchmany(10_000):
            yield from batch

    for line_id, found in groupby(flat(), key=itemgetter(0)):
        yield line_id, [Quantity(date.fromordinal(_EPOCH + r[1]), Decimal(r[2]), *r[3:]) for r in found]


def rate_groups(
    rater: Rater, groups: Groups, measured: Iterable[tuple[str, list[Quantity]]], *, within: bool = False
) -> Iterator[tuple[str, Line, ChargedSegment | None, Sequence[Quantity]]]:
    """Group, line, the charge that made it (none for what a plan adds) and what was measured for it, group by group:
    no more is in memory at a time.

    `within` leaves out what was measured on no day of a charge's segment, as another catalog has it.
    """
    left = iter(measured)
    measured_id, found = next(left, ("", []))
    for name, items in groups.items():
        quantities: dict[str, Sequence[Quantity]] = {}
        by_id = {item.line_id: item for item in items}
        for line_id, item in by_id.items():
            if line_id == measured_id:
                days = item.segment.start, item.segment.end
                quantities[line_id] = [row for row in found if days[0] <= row.day < days[1]] if within else found
                measured_id, found = next(left, ("", []))
        for line in rater.rate(items, quantities):
            line_id = line_id_of(line)
            made_by, used = by_id.get(line_id), quantities.get(line_id, ())
            yield name, line, made_by, rows_of(made_by.terms.charge, line.value, used) if made_by else ()


def line_id_of(line: Line) -> str:
    """The name in SQL of the charge and segment that made a line."""
    return f"{line.subscription}/{line.charge}/{line.start}"
