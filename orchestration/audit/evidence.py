"""Evidence: for each line of a document the events behind it, and what they cost, by the engine and never in memory.

Events and named parts sum exactly to the line, in quantity and in amount; where they don't, nothing is handed out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb

from orchestration.audit.attribution import amount_sql, parts_of
from orchestration.audit.charged import Charged, measure_of, window_of
from orchestration.audit.clock import Clock
from orchestration.audit.counted import Behind, can_share, make_counted
from orchestration.audit.endpoints import load_endpoints
from orchestration.audit.known import Known
from orchestration.audit.taken import ATTRIBUTED, load_credentials, load_days, load_windows
from orchestration.engine import connect, load_rows
from orchestration.errors import ConfigInvalid, IntegrityFailure
from orchestration.ingest.lake import Lake
from orchestration.ledger.store import Ledger
from orchestration.metering.compile import names_read
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.lakeview import create_line_views
from orchestration.metering.retractions import load_retractions
from orchestration.money import decimal_text
from orchestration.sqltext import literal

_FILES = {"file_id": "INTEGER", "sha256": "VARCHAR", "path": "VARCHAR"}
COLUMNS = (
    "f.sha256 AS file_sha256, c.line, c.source, c.event_id, strftime(make_timestamp(c.time_us), "
    "'%Y-%m-%dT%H:%M:%S.%fZ') AS time, c.day, c.value, c.quantity, c.amount"
)
_TABLE = (
    f"SELECT {COLUMNS} FROM priced AS c JOIN audit.files AS f USING (file_id) ORDER BY c.time_us, c.source, c.event_id"
)


@contextmanager
def opened(home: Path, known: Known, scratch: Path, folders: list[Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the events of the document's customer, as the close that issued it did."""
    lake, segments = Lake(home / "lake"), [item.segment for item in known.charged.values()]
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with connect(None, folders=[lake.root, scratch, *folders], temp=scratch / "temp") as con:
            load_conflicts(con, known.catalog, lake, known.files, scratch)
            load_retractions(con, known.catalog, lake, known.files, scratch)
            with_events = [f for f in known.files if f.min_us is not None]
            create_line_views(con, known.catalog, lake, with_events)
            needed = "endpoint" in names_read(known.catalog.meters.values())
            load_endpoints(con, known.catalog.routes, scratch, needed=needed)
            own = [row for row in known.catalog.credentials if row.customer == known.row.customer]
            load_credentials(con, own, scratch)
            named = ({"file_id": f.file_id, "sha256": f.sha256, "path": f.path} for f in known.files)
            load_rows(con, "audit.files", _FILES, named, scratch)
            con.execute(ATTRIBUTED)
            zone = known.catalog.customers[known.row.customer].zone
            first = min((segment.start for segment in segments), default=known.cut_off) - timedelta(days=7)
            last = max((segment.end for segment in segments), default=known.cut_off)
            clocks = {known.row.customer: Clock(zone, first, last)}
            load_days(con, clocks, scratch)
            load_windows(con, clocks, _lengths(known), scratch)
            yield con
    except duckdb.IOException as error:
        raise ConfigInvalid(
            f"the lake lacks a file that the close of this document read: {error}",
            where=str(lake.root),
            not_done="nothing was handed out",
            next_step="`tallystick run` makes the lake again from the raw files",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _lengths(known: Known) -> set[tuple[str, str]]:
    """(customer, length) of the windows that the document's lines look at."""
    found = set()
    for line in known.body["lines"]:
        item = known.charge_of(line)
        if item is not None and item.terms.charge.meter is not None:
            meter = known.catalog.meters[item.terms.charge.meter]
            if (length := window_of(item.terms.charge, meter)) is not None and not meter.carried:
                found.add((known.row.customer, length))
    return found


def behind_of(known: Known, line: Mapping[str, Any]) -> Behind | None:
    """What to ask the lake for; None for a line that no events are behind: also of one that is taken back whole."""
    item = known.charge_of(line)
    if item is None or item.terms.charge.meter is None or line["formula"]["model"] == "none":
        return None
    meter = known.catalog.meters[item.terms.charge.meter]
    return Behind(line, item, meter, known.catalog.customers[known.row.customer].zone, _earlier(known, item))


def _earlier(known: Known, item: Charged) -> tuple[Charged, ...]:
    """Earlier segments of the same period that count distinct values of the same meter."""
    mine, meters = item.segment, known.catalog.meters
    return tuple(
        other
        for other in known.charged.values()
        if other.segment.subscription == mine.subscription
        and (other.segment.period_start, other.segment.period_end) == (mine.period_start, mine.period_end)
        and other.segment.start < mine.start
        and (key := other.terms.charge.meter) == item.terms.charge.meter
        and key is not None
        and measure_of(other.terms.charge, meters[key]) == "unique"
    )


def price_events(con: duckdb.DuckDBPyConnection, behind: Behind) -> tuple[int, Decimal, Decimal]:
    """Make the table `priced`: `counted` with what each event costs. Returns number, quantity and amount of all."""
    make_counted(con, behind)
    [(total,)] = con.execute("SELECT coalesce(sum(quantity), 0) FROM counted").fetchall()
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE priced AS SELECT *, {amount_sql(behind, Decimal(total))} AS amount FROM counted"
    )
    found = con.execute(
        "SELECT count(*), CAST(coalesce(sum(quantity), 0) AS DECIMAL(38, 9)), "
        "CAST(coalesce(sum(amount), 0) AS DECIMAL(38, 21)) FROM priced"
    ).fetchall()
    return found[0]


def line_evidence(con: duckdb.DuckDBPyConnection, known: Known, line: Mapping[str, Any]) -> dict[str, Any]:
    """Number, quantity and amount of a line's events, which stand in the table `priced`, and its named parts.

    Raises IntegrityFailure if the lake has other events than the document was made from.
    """
    behind = behind_of(known, line)
    number, quantity, amount = 0, Decimal(0), Decimal(0)
    if behind is not None and can_share(behind):
        number, quantity, amount = price_events(con, behind)
        _refuse_other(known, behind, quantity)
    return with_parts(line, behind, number, quantity, amount)


def with_parts(
    line: Mapping[str, Any],
    behind: Behind | None,
    number: int,
    quantity: Decimal | Fraction,
    amount: Decimal | Fraction,
) -> dict[str, Any]:
    """The evidence of a line whose events are so many and came to so much, with the parts that no event caused."""
    parts = {name: (Fraction(0), amount) for name, amount in parts_of(line).items()}
    if behind is not None and not can_share(behind):
        exact = sum((Fraction(d["amount"]) for d in line["formula"]["details"]), Fraction(0))
        fees = sum((a for n, (_, a) in parts.items() if n in ("fee", "flat fee of a tier")), Fraction(0))
        whole = exact * Fraction(line["formula"]["proration"]) - fees
        parts["state that lasts"] = Fraction(line["measured"]), whole
    rest = Fraction(line["measured"]) - Fraction(quantity) - sum((q for q, _ in parts.values()), Fraction(0))
    cut = Fraction(line["amount"]) - Fraction(amount) - sum((a for _, a in parts.values()), Fraction(0))
    if behind is None:
        parts = {name: (rest if n == 0 else q, a) for n, (name, (q, a)) in enumerate(parts.items())} or parts
        rest = Fraction(0) if parts else rest
    if rest or cut:
        parts["rounding"] = rest, cut
    return {
        "position": line["position"],
        "events": str(number),
        "quantity": decimal_text(quantity),
        "amount": decimal_text(amount),
        "parts": [
            {"name": name, "quantity": decimal_text(q), "amount": decimal_text(a)} for name, (q, a) in parts.items()
        ],
    }


def _refuse_other(known: Known, behind: Behind, quantity: Decimal) -> None:
    """What the events come to must be what the document measured; an average is its sum divided, rounded once."""
    divisor = behind.item.divisor if behind.measure == "active" else 1
    measured, step = Fraction(behind.line["measured"]), Fraction(1, 10**9)
    if divisor == 1 and behind.meter.aggregation != "weighted_sum" and Fraction(quantity) == measured:
        return
    if (divisor != 1 or behind.meter.aggregation == "weighted_sum") and abs(
        Fraction(quantity) / divisor - measured
    ) <= step:
        return
    raise IntegrityFailure(
        f"line {behind.line['position']} measured {behind.line['measured']}, the events of the lake come to {quantity}",
        where=f"document {known.row.number}",
        not_done="nothing was handed out",
        next_step="`tallystick run` makes the lake whole again, `tallystick verify` checks it against the raw files",
    )


def document_evidence(ledger: Ledger, known: Known, to: Path, scratch: Path) -> dict[str, Any]:
    """Write the events of each line as `evidence-<position>.csv` into `to`, and say what they and the parts come to."""
    found = []
    with opened(ledger.path.parent, known, scratch, [to]) as con:
        for line in known.body["lines"]:
            evidence = line_evidence(con, known, line)
            if evidence["events"] != "0":
                evidence["file"] = f"evidence-{line['position']}.csv"
                write_events(con, to / evidence["file"])
            found.append(evidence)
    return {"lines": found}


def write_events(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The table `priced` as CSV, or as Parquet where the name ends so."""
    form = "FORMAT parquet, COMPRESSION zstd" if path.suffix == ".parquet" else "FORMAT csv, HEADER"
    con.execute(f"COPY ({_TABLE}) TO {literal(str(path))} ({form})")
