"""The list of a retraction that chooses events by what they hold: made once, from all that the ledger has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.catalog import Catalog, load_catalog
from orchestration.catalog.meters import EVENT_FIELDS
from orchestration.catalog.retractions import FILE, Retraction, list_file, list_text, makers
from orchestration.durable import Point, write_file
from orchestration.errors import ConfigInvalid
from orchestration.metering import routes
from orchestration.metering.compile import filter_sql
from orchestration.pipeline.context import Context
from orchestration.pipeline.lakelines import lake_lines
from orchestration.sqltext import literal

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that was written: how many events, when the first and the last of them were, and where it is."""

    events: int
    first: datetime
    last: datetime
    path: Path


def write_list(context: Context, name: str) -> Listed:
    """List the events that the row `name` chooses, of all that count or are retracted now, in a file beside it.

    The caller holds the instance's lock. Raises ConfigInvalid when no row makes such a list, when it is there already
    (it is made once: what came since takes a row of its own), and when nothing would be on it.
    """
    folder = context.instance.catalog
    catalog = load_catalog(folder, unlisted={name})
    row, path = makers(catalog.retractions.rows).get(name), folder / list_file(name)
    if row is None:
        raise _refused(
            f"no row of {FILE} chooses events under the name '{name}'", "write the row, then list its events"
        )
    if path.exists():
        raise _refused(
            f"the events of '{name}' are listed already", "name what came since by another row, under another name"
        )
    known = EVENT_FIELDS.union(*(source.properties for source in catalog.sources))
    unknown = sorted(row.restricted - known)
    if unknown:
        raise _refused(f"'{name}' compares {', '.join(unknown)}, which no source declares", "correct the row's filter")
    found = _choose(context, catalog, row)
    if not found:
        raise _refused(f"no event that is known is chosen by '{name}'", "correct the row, or take it out")
    text = list_text(row, [(source, event_id) for source, event_id, _ in found])
    write_file(path, text.encode(), Point.RETRACTION_LISTED, mode=0o644)
    times = [_EPOCH + us * _MICROSECOND for _, _, us in found]
    return Listed(len(found), min(times), max(times), path)


def _refused(what: str, next_step: str) -> ConfigInvalid:
    return ConfigInvalid(what, where=FILE, not_done="nothing was listed", next_step=next_step)


def _choose(context: Context, catalog: Catalog, row: Retraction) -> list[tuple[str, str, int]]:
    """Source, id and time of the events that a row chooses. An event is chosen by the line of it that counts."""
    with lake_lines(context, catalog, row.restricted - EVENT_FIELDS) as con:
        context.report("looking for the events")
        return con.execute(
            f"SELECT source, event_id, time_us FROM {_lines(catalog, row)} "
            "ANTI JOIN (FROM lake.verdicts WHERE verdict <> 'retracted') USING (file_id, line) "
            f"WHERE {_condition(row)}"
        ).fetchall()


def _lines(catalog: Catalog, row: Retraction) -> str:
    """The lake's lines, with their endpoints if the row compares them."""
    if "endpoint" not in row.restricted:
        return "lake.lines"
    compiled = routes.compile_routes(catalog.routes)
    endpoint, joins = compiled.endpoint("line")
    return f"(SELECT line.*, {endpoint} AS endpoint FROM ({compiled.keyed('lake.lines')}) AS line{joins})"


def _condition(row: Retraction) -> str:
    tests = [filter_sql(row.filter)]
    if row.since is not None:
        tests.append(f"time_us >= {(row.since - _EPOCH) // _MICROSECOND}")
    if row.until is not None:
        tests.append(f"time_us < {(row.until - _EPOCH) // _MICROSECOND}")
    if row.credential is not None:
        tests.append(f"coalesce(credential = {literal(row.credential)}, false)")
    if row.feed is not None:
        tests.append(f"feed = {literal(row.feed)}")
    return " AND ".join(tests)
