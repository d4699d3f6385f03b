"""What a build has to measure again: found by comparing what the generation was built from with what holds today.

Touched are the local days of customers that new files, turned lines (decisions, retractions), changed credentials,
changed zones and changed meters concern, under the old and under the new attribution. Everything else stays as the
generation has it, so that a build costs what was touched and not what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from orchestration.canonical import canonical_bytes
from orchestration.catalog import Catalog
from orchestration.ledger.rows import FileRow
from orchestration.metering import control, usage_parts
from orchestration.metering.restated import restate, symmetric
from orchestration.sqltext import identifier, literal
from orchestration.zones import DAY_US

DEFINITIONS = {"meter": "VARCHAR", "definition": "VARCHAR"}
DAYS = {"customer": "VARCHAR", "local_day": "DATE"}
_EPOCH_DAY = date(1970, 1, 1)
EXTRACTED = {"file_id": "INTEGER", "digest": "VARCHAR"}
_RETRACTED = {"file_id": "INTEGER", "line": "BIGINT"}
_LINES = {"file_id": "INTEGER", "line": "BIGINT", "counts": "BOOLEAN"}
_WAS: dict[str, tuple[str, Mapping[str, str]]] = {
    "was_credentials": ("control.credentials", control.CREDENTIALS),
    "was_customers": ("control.customers", control.CUSTOMERS),
    "was_definitions": ("control.meter_definitions", DEFINITIONS),
    "was_billing_days": ("control.billing_days", control.BILLING_DAYS),
    "was_segments": ("control.segments", control.SEGMENTS),
    "was_decided": ("record.decided", _LINES),
    "was_retracted": ("record.retracted", _RETRACTED),
    "was_extracted": ("record.extracted", EXTRACTED),
}

ViewsOver = Callable[[Sequence[FileRow]], None]


@dataclass(frozen=True, slots=True)
class Work:
    """What a build reads, and what it measures again beside new files, said for a person."""

    read_files: tuple[FileRow, ...]
    said: tuple[str, ...]


def definition_rows(catalog: Catalog) -> Iterator[dict[str, str]]:
    """Rows of `control.meter_definitions`: a meter without what changes no number, and what its charges need."""
    by_cell, by_event = usage_parts.meters_by_cell(catalog), usage_parts.meters_by_event(catalog)
    for key, meter in sorted(catalog.meters.items()):
        body = meter.model_dump(mode="json", exclude={"name", "description", "unit"})
        charges = [c for p in catalog.plans.values() for v in p.versions for c in v.charges if c.meter == key]
        windows = sorted({c.watermark.window for c in charges if c.watermark is not None})
        needs = {"windows": windows, "by_cell": key in by_cell, "by_event": key in by_event}
        yield {"meter": key, "definition": canonical_bytes({"meter": _texts(body), **needs}).decode()}


def _texts(value: object) -> object:
    """As canonical JSON takes it: numbers as text."""
    if isinstance(value, dict):
        return {k: _texts(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(v) for v in value]
    return value if value is None or isinstance(value, str) else repr(value)


def remember(con: duckdb.DuckDBPyConnection) -> None:
    """Keep what the generation was built from, before it is written over, in temporary tables."""
    for name, (table, columns) in _WAS.items():
        schema, _, plain = table.partition(".")
        exists = con.execute(
            "SELECT 1 FROM duckdb_tables() WHERE schema_name = $1 AND table_name = $2", [schema, plain]
        ).fetchone()
        listed = ", ".join(map(identifier, columns))
        empty = ", ".join(f"cast(NULL AS {kind}) AS {identifier(c)}" for c, kind in columns.items())
        query = f"SELECT {listed} FROM {table}" if exists else f"SELECT {empty} WHERE false"
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")


def find_touched(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    files: Sequence[FileRow],
    new_files: Sequence[FileRow],
    views_over: ViewsOver,
    *,
    fresh: bool,
) -> Work:
    """Write `control.touched_days`, `control.new_files` and what follows from them; say which files have to be read.

    The tables of today stand in `control` and `record`, those of the generation where `remember` put them. A `fresh`
    build has none of these: all files are new to it. `views_over` makes `lake.events` and `lake.verdicts`.
    """
    _differences(con, new_files, fresh=fresh)
    meters = {} if fresh else _changed_meters(con)
    views_over(_candidates(con, files, meters))
    con.execute("CREATE OR REPLACE TEMP TABLE touched (customer VARCHAR, local_day DATE, carried BOOLEAN)")
    carried = _any([key for key, meter in sorted(catalog.meters.items()) if meter.carried])
    for cause in _causes(_kept(meters, catalog))[: 1 if fresh else None]:
        for credentials in cause.attributed_by:
            con.execute(f"INSERT INTO touched {_located(cause, credentials, carried)}")
    for query in _old_rows(con, meters):
        con.execute(f"INSERT INTO touched {query}")
    con.execute(_TOUCHED_DAYS)
    con.execute(f"CREATE OR REPLACE TABLE control.new_files AS {_TOUCHED_FILES}")
    said = tuple(_said(con, meters))
    restate(con)
    return Work(tuple(_read_files(con, files)), said)


def _differences(con: duckdb.DuckDBPyConnection, new_files: Sequence[FileRow], *, fresh: bool) -> None:
    """What differs from the generation; an empty one differs in its files alone."""
    none = " LIMIT 0" if fresh else ""
    con.execute("CREATE OR REPLACE TEMP TABLE unseen AS SELECT unnest($1::INTEGER[]) AS file_id", [_ids(new_files)])
    # Of a file that was read again for further properties, a meter may measure any event otherwise.
    extracted = symmetric("record.extracted", "was_extracted", EXTRACTED)
    con.execute(f"INSERT INTO unseen SELECT DISTINCT file_id FROM {extracted} ANTI JOIN unseen USING (file_id){none}")
    decided = symmetric("record.decided", "was_decided", _LINES)
    retracted = symmetric("record.retracted", "was_retracted", _RETRACTED)
    turned = f"SELECT file_id, line FROM {decided} UNION SELECT file_id, line FROM {retracted}"
    con.execute(f"CREATE OR REPLACE TEMP TABLE turned AS SELECT DISTINCT file_id, line FROM ({turned}){none}")
    handed = symmetric("control.credentials", "was_credentials", control.CREDENTIALS)
    con.execute(f"CREATE OR REPLACE TEMP TABLE handed AS FROM {handed}{none}")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE moved AS SELECT was.customer FROM was_customers AS was "
        f"LEFT JOIN control.customers AS now USING (customer) WHERE was.zone IS DISTINCT FROM now.zone{none}"
    )


def _changed_meters(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Meters that measure otherwise than in the generation, with what became of them: new, changed or gone."""
    rows = con.execute(
        "SELECT coalesce(now.meter, was.meter), CASE WHEN was.meter IS NULL THEN 'new' "
        "WHEN now.meter IS NULL THEN 'gone' ELSE 'changed' END FROM control.meter_definitions AS now "
        "FULL JOIN was_definitions AS was USING (meter) "
        "WHERE now.definition IS DISTINCT FROM was.definition ORDER BY 1"
    ).fetchall()
    return dict(rows)


def _candidates(con: duckdb.DuckDBPyConnection, files: Sequence[FileRow], meters: Mapping[str, str]) -> list[FileRow]:
    """Files that may hold a touched event."""
    ids = {row[0] for row in con.execute("SELECT file_id FROM turned UNION SELECT file_id FROM unseen").fetchall()}
    (moved,) = con.execute("SELECT count(*) FROM moved").fetchall()[0]
    first, last = con.execute("SELECT min(from_us), max(to_us) FROM handed").fetchall()[0]
    return [
        file
        for file in files
        if file.file_id in ids
        or (file.min_us is not None and (meters or moved))
        or (
            (first is not None and file.min_us is not None and file.max_us is not None)
            and file.min_us < last
            and file.max_us >= first
        )
    ]


@dataclass(frozen=True, slots=True)
class _Cause:
    """Events that touch their days: a condition on `e`, a row of lake.events; and on `c`, the credential it fits."""

    where: str
    counted: bool = True
    attributed_by: tuple[str, ...] = ("control.credentials",)


_IN_HAND = (
    "EXISTS (SELECT 1 FROM handed AS h WHERE e.credential = h.credential AND e.feed = coalesce(h.feed, e.feed) "
    "AND e.time_us >= h.from_us AND e.time_us < h.to_us)"
)


_BOTH = ("control.credentials", "was_credentials")


def _causes(meters: Sequence[str]) -> list[_Cause]:
    return [
        _Cause("e.file_id IN (FROM unseen)"),
        _Cause(
            "EXISTS (SELECT 1 FROM turned AS t WHERE e.file_id = t.file_id AND e.line = t.line)",
            counted=False,
            attributed_by=_BOTH,
        ),
        _Cause(_IN_HAND, attributed_by=_BOTH),
        _Cause("c.customer IN (FROM moved)"),
        *([_Cause(_any(meters))] if meters else []),
    ]


def _kept(meters: Mapping[str, str], catalog: Catalog) -> list[str]:
    return [key for key in meters if key in catalog.meters]


def _any(meters: Sequence[str]) -> str:
    """Whether one of the meters takes the event."""
    taken = [f"e.{identifier('m_' + key)} IS NOT NULL OR e.{identifier('u_' + key)} = 1" for key in meters]
    return f"({' OR '.join(taken) or 'false'})"


def _located(cause: _Cause, credentials: str, carried: str) -> str:
    """Customers and local days of the events, as staging attributes and places them."""
    counted = "ANTI JOIN lake.verdicts AS v ON e.file_id = v.file_id AND e.line = v.line " if cause.counted else ""
    return (
        "SELECT c.customer, greatest("
        f"DATE '1970-01-01' + CAST(divide(e.time_us + z.offset_us, {DAY_US}) AS INTEGER), z.carry_day) AS local_day, "
        f"bool_or({carried}) FROM lake.events AS e "
        f"JOIN {credentials} AS c ON e.credential = c.credential AND e.feed = coalesce(c.feed, e.feed) "
        "AND e.time_us >= c.from_us AND e.time_us < c.to_us "
        "JOIN control.customer_offsets AS z ON c.customer = z.customer AND e.time_us >= z.start_us "
        f"AND e.time_us < z.end_us {counted}WHERE {cause.where} GROUP BY ALL"
    )


def _old_rows(con: duckdb.DuckDBPyConnection, meters: Mapping[str, str]) -> Iterator[str]:
    """Days that the generation has of changed meters, and of customers whose zone it no longer has."""
    tables = con.execute(
        "SELECT table_name, list(column_name) FROM duckdb_columns() WHERE schema_name = 'metering' "
        "GROUP BY table_name HAVING list_has_all(list(column_name), ['customer', 'local_day']) ORDER BY table_name"
    ).fetchall()
    for table, columns in tables:
        known = [f"{prefix}{key}" for key in meters for prefix in ("m_", "u_") if f"{prefix}{key}" in columns]
        of_meters = [f"{identifier(column)} IS NOT NULL" for column in known]
        if "meter" in columns and meters:
            of_meters.append(f"meter IN ({', '.join(map(literal, meters))})")
        where = " OR ".join(["customer IN (FROM moved)", *of_meters])
        lasting = "true" if table in ("changes", "carried_hourly", "session_events", "items_daily") else "false"
        yield f"SELECT DISTINCT customer, local_day, {lasting} FROM metering.{identifier(table)} WHERE {where}"


_TOUCHED_DAYS = """
CREATE OR REPLACE TABLE control.touched_days AS SELECT DISTINCT customer, local_day FROM touched ORDER BY ALL
"""
_TOUCHED_FILES = f"""
SELECT file_id FROM unseen UNION SELECT file_id FROM turned
UNION SELECT e.file_id FROM lake.events AS e WHERE {_IN_HAND} ORDER BY file_id
"""


def _said(con: duckdb.DuckDBPyConnection, meters: Mapping[str, str]) -> Iterator[str]:
    """What is measured again beside the new files, and why."""
    for meter, became in meters.items():
        if became == "gone":
            yield f"meter '{meter}' is gone: its usage is left out"
            continue
        cause = _located(_Cause(_any([meter])), "control.credentials", "false")
        days, customers = con.execute(f"SELECT count(*), count(DISTINCT customer) FROM ({cause})").fetchall()[0]
        yield f"meter '{meter}' is {became}: {days} days of {customers} customers are measured again from the lake"
    (count,) = con.execute(
        "SELECT count(DISTINCT file_id) FROM record.extracted SEMI JOIN unseen USING (file_id)"
    ).fetchall()[0]
    if count:
        yield f"{count} files lack properties that their sources map now: these are taken from the raw files"
    for what, table in (("lines that count otherwise", "turned"), ("changed intervals of credentials", "handed")):
        (count,) = con.execute(f"SELECT count(*) FROM {table}").fetchall()[0]
        if count:
            yield f"{count} {what}: the days of their events are measured again"
    for (customer,) in con.execute("FROM moved ORDER BY customer").fetchall():
        yield f"customer '{customer}' has another zone, or is gone: all of its days are measured again"


def _read_files(con: duckdb.DuckDBPyConnection, files: Sequence[FileRow]) -> Iterator[FileRow]:
    """Files that may hold events of touched days, or that are new as a whole."""
    days = [row[0] for row in con.execute("SELECT DISTINCT local_day FROM control.touched_days ORDER BY 1").fetchall()]
    whole = {row[0] for row in con.execute("FROM control.new_files").fetchall()}
    spans = _spans(days)
    for file in files:
        if file.file_id in whole or (
            file.min_us is not None
            and file.max_us is not None
            and any(start <= file.max_us and file.min_us < end for start, end in spans)
        ):
            yield file


def _spans(days: Sequence[date]) -> list[tuple[int, int]]:
    """Instants in which local days may lie in any zone, merged. A local day lies within 3 UTC days of its date."""
    spans: list[tuple[int, int]] = []
    for day in days:
        start = ((day - _EPOCH_DAY) - timedelta(days=2)).days * DAY_US
        end = start + 5 * DAY_US
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _ids(files: Sequence[FileRow]) -> list[int]:
    return [file.file_id for file in files]
