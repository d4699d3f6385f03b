"""The evidence of issued lines as a table: how many events of which file, on which day, and what became of them.

Made once, in the build after the close that issued a document, from the files that this close knew and under the
catalog that it archived: one pass over the files whose events lie in the lines' days, and none in any later build.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.load import from_archive
from orchestration.catalog.meters import Meter
from orchestration.engine import connect, load_rows
from orchestration.ingest.batch import Workshop
from orchestration.ingest.extract import extract
from orchestration.ingest.lake import Lake
from orchestration.ledger.rows import FileRow, JournalRow
from orchestration.ledger.store import Ledger
from orchestration.metering import routes
from orchestration.metering.compile import as_text
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.control import CREDENTIALS, charged_segments, credential_rows
from orchestration.metering.lakeview import create_event_views
from orchestration.metering.retractions import load_retractions
from orchestration.pipeline.instance import Instance
from orchestration.sqltext import identifier, literal
from orchestration.zones import DAY_US, midnight_us

Row = dict[str, Any]

EVIDENCE = {
    "entry": "INTEGER",
    "document": "VARCHAR",
    "position": "INTEGER",
    "file_id": "INTEGER",
    "local_day": "DATE",
    "outcome": "VARCHAR",
    "events": "BIGINT",
    "quantity": "DECIMAL(38, 9)",
    "first_line": "BIGINT",
    "last_line": "BIGINT",
}
"""`outcome` is taken, other_line, filtered, unmeasured, or the verdict by which the line doesn't count."""
_LINES = {
    "document": "VARCHAR",
    "position": "INTEGER",
    "customer": "VARCHAR",
    "zone": "VARCHAR",
    "meter": "VARCHAR",
    "start_us": "BIGINT",
    "end_us": "BIGINT",
    "dimension": "VARCHAR",
    "value": "VARCHAR",
    "currency": "VARCHAR",
    "summed": "BOOLEAN",
}
_DAYS = {"zone": "VARCHAR", "utc_day": "BIGINT", "day": "DATE", "from_us": "BIGINT", "to_us": "BIGINT"}
_OWN_MEASURE = frozenset({"watermark", "active", "by_dimension"})
"""What a formula names where the quantity is no sum of what its events say."""


@dataclass(frozen=True)
class _Entry:
    """A journal entry with what its documents were made from, and their lines as rows of `_LINES`."""

    seq: int
    catalog: Catalog
    files: Sequence[FileRow]
    lines: Sequence[Row]

    @property
    def spans(self) -> set[tuple[int, int]]:
        return {(line["start_us"], line["end_us"]) for line in self.lines}

    @property
    def read(self) -> list[FileRow]:
        """The files with events in the days of a line."""
        timed = [(f, f.min_us, f.max_us) for f in self.files if f.min_us is not None and f.max_us is not None]
        return [f for f, low, high in timed if any(low < end and high >= start for start, end in self.spans)]


def add_evidence(
    con: duckdb.DuckDBPyConnection, instance: Instance, ledger: Ledger, entries: Collection[JournalRow], now: Catalog
) -> None:
    """Add to `record.line_evidence` the lines of the documents of some entries. `now` is the catalog of the build.

    Raises IntegrityFailure naming a raw file that is damaged or gone, where an earlier catalog read more of it.
    """
    for entry in entries:
        said = json.loads(entry.body)
        if not said.get("documents"):
            continue
        catalog = now if said["catalog"] == now.digest else from_archive(ledger.catalog(said["catalog"]))
        files = [f for f in ledger.files() if f.batch_id <= int(said["last_batch"])]
        lines = list(_lines(ledger, entry.seq, catalog, int(said["now_us"])))
        if lines:
            _add(con, instance, ledger, _Entry(entry.seq, catalog, files, lines), now)


def _lines(ledger: Ledger, seq: int, catalog: Catalog, now_us: int) -> Iterator[Row]:
    """The lines that events are behind."""
    parted = _dimensions(catalog, now_us)
    for document in ledger.documents(seq - 1):
        if document.journal_seq != seq:
            break
        zone = catalog.customers[document.customer].zone
        for line in json.loads(document.body)["lines"]:
            meter = catalog.meters.get(line.get("meter") or "")
            if meter is None or line["formula"]["model"] == "none":
                continue
            start, end = (date.fromisoformat(line[name]) for name in ("start", "end"))
            dimension = parted.get(f"{line['subscription']}/{line['charge']}/{line['start']}")
            yield {
                "document": document.number,
                "position": line["position"],
                "customer": document.customer,
                "zone": zone,
                "meter": meter.key,
                "start_us": midnight_us(zone, start),
                "end_us": midnight_us(zone, end),
                "dimension": dimension,
                "value": line.get("value", ""),
                "currency": document.currency,
                "summed": _is_sum(meter, line["formula"]) and dimension is None,
            }


def _dimensions(catalog: Catalog, now_us: int) -> Mapping[str, str]:
    """By line, the dimension of which it has a value."""
    charges = [c for plan in catalog.plans.values() for version in plan.versions for c in version.charges]
    if not any(charge.line_per for charge in charges):
        return {}
    charged = charged_segments(catalog, now_us)
    return {item.line_id: name for item in charged if (name := item.terms.charge.line_per) is not None}


def _is_sum(meter: Meter, formula: Mapping[str, Any]) -> bool:
    """Whether what the line measured is the sum of what the meter's events in its days say."""
    plain = meter.aggregation in ("count", "sum") and not meter.carried and meter.currency is None
    return plain and formula["model"] != "matrix" and not _OWN_MEASURE & formula.keys()


def _add(con: duckdb.DuckDBPyConnection, instance: Instance, ledger: Ledger, entry: _Entry, now: Catalog) -> None:
    folder = instance.scratch / "evidence"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # What an earlier catalog read lies beside what this build reads, and is taken away again.
        lake = Lake(instance.lake, instance.extracted if entry.catalog is now else folder / "lake")
        shop = replace(Workshop.of(instance.home, ledger), lake=lake, scratch=folder)
        extract(shop, ledger, entry.catalog, entry.read)
        with connect(
            None,
            folders=[instance.home],
            threads=instance.threads,
            memory=instance.memory,
            temp=instance.scratch,
            in_order=True,
        ) as other:
            _open(other, entry, lake, instance)
            for number, key in enumerate(sorted({line["meter"] for line in entry.lines})):
                path = folder / f"{number}.parquet"
                other.execute(f"COPY ({_query(entry, entry.catalog.meters[key])}) TO {literal(str(path))}")
                con.execute(
                    f"INSERT INTO record.line_evidence SELECT {', '.join(EVIDENCE)} "
                    f"FROM read_parquet({literal(str(path))})"
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _open(con: duckdb.DuckDBPyConnection, entry: _Entry, lake: Lake, instance: Instance) -> None:
    """The lake as the entry knew it, whose credentials they were, the lines, and the days of their zones."""
    load_conflicts(con, entry.catalog, lake, entry.files, instance.scratch)
    load_retractions(con, entry.catalog, lake, entry.files, instance.scratch)
    compiled = routes.compile_routes(entry.catalog.routes)
    load_rows(con, "control.routes", routes.ROUTES, compiled.rows, instance.scratch)
    create_event_views(con, entry.catalog, lake, entry.read)
    billed = {line["customer"] for line in entry.lines}
    own = [row for row in entry.catalog.credentials if row.customer in billed]
    load_rows(con, "control.credentials", CREDENTIALS, credential_rows(own), instance.scratch)
    load_rows(con, "record.lines", _LINES, entry.lines, instance.scratch)
    load_rows(con, "record.days", _DAYS, _days(entry.lines), instance.scratch)


def _days(lines: Sequence[Row]) -> Iterator[Row]:
    """The local days of the lines, cut at midnight of UTC, so that an event looks at no more than those of its own."""
    seen: dict[str, tuple[int, int]] = {}
    for line in lines:
        low, high = seen.get(line["zone"], (line["start_us"], line["end_us"]))
        seen[line["zone"]] = min(low, line["start_us"]), max(high, line["end_us"])
    for zone, (first_us, end_us) in sorted(seen.items()):
        day, start = date(1970, 1, 1) + timedelta(days=first_us // DAY_US - 1), 0
        while start < end_us:
            start, stop = midnight_us(zone, day), midnight_us(zone, day + timedelta(days=1))
            for utc_day in range(start // DAY_US, -(-stop // DAY_US)):
                low, high = max(start, utc_day * DAY_US), min(stop, (utc_day + 1) * DAY_US)
                yield {"zone": zone, "utc_day": utc_day, "day": day.isoformat(), "from_us": low, "to_us": high}
            day += timedelta(days=1)


def _query(entry: _Entry, meter: Meter) -> str:
    """The evidence of all lines of one meter."""
    value, unmeasured = (identifier(f"{letter}_{meter.key}") for letter in ("m", "u"))
    lines = [line for line in entry.lines if line["meter"] == meter.key]
    other = [
        f"(l.dimension = {literal(name)} AND coalesce({as_text(name)}, '') <> l.value)"
        for name in sorted({line["dimension"] for line in lines} - {None})
    ]
    if meter.currency is not None:
        other.append(f"({as_text(meter.currency)} IS DISTINCT FROM l.currency)")
    number = "1" if meter.aggregation == "count" else f"try_cast({value} AS DECIMAL(38, 9))"
    return f"""
        SELECT {entry.seq} AS entry, document, position, e.file_id, day AS local_day,
            CASE WHEN v.verdict IS NOT NULL THEN v.verdict WHEN {unmeasured} = 1 THEN 'unmeasured'
                WHEN {value} IS NULL THEN 'filtered' WHEN {" OR ".join(other) or "false"} THEN 'other_line'
                ELSE 'taken' END AS outcome,
            count(*) AS events,
            CASE WHEN outcome = 'taken' AND any_value(l.summed)
                THEN CAST(sum({number}) AS DECIMAL(38, 9)) END AS quantity,
            min(e.line) AS first_line, max(e.line) AS last_line
        FROM lake.events AS e
        JOIN control.credentials AS c ON e.credential = c.credential AND e.feed = coalesce(c.feed, e.feed)
            AND e.time_us >= c.from_us AND e.time_us < c.to_us
        JOIN record.lines AS l ON l.customer = c.customer AND e.time_us >= l.start_us AND e.time_us < l.end_us
        JOIN record.days AS d ON d.zone = l.zone AND d.utc_day = e.time_us // {DAY_US}
            AND e.time_us >= d.from_us AND e.time_us < d.to_us
        LEFT JOIN lake.verdicts AS v ON v.file_id = e.file_id AND v.line = e.line
        WHERE l.meter = {literal(meter.key)} AND event_type = {literal(meter.event_type)}
            AND e.time_us >= {min(line["start_us"] for line in lines)}
            AND e.time_us < {max(line["end_us"] for line in lines)}
        GROUP BY document, position, e.file_id, day, outcome ORDER BY document, position, e.file_id, day, outcome"""
