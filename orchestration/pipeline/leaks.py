"""Leaks: usage that no document bills and perhaps should, by what keeps it from being billed.

What has no customer or no plan is valued at the list price of its meter; what waits, or is only reported, at what it
was priced. Where a value can't be known there is none, and the row says why: never 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.billing.ages import age_of
from orchestration.billing.listprices import ListPrice, list_prices
from orchestration.catalog import Catalog
from orchestration.catalog.meters import Meter
from orchestration.engine import load_rows
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.store import Ledger
from orchestration.pipeline.parking import unmeasured
from orchestration.zones import local_date

LEAKS = {
    "kind": "VARCHAR",
    "what": "VARCHAR",
    "customer": "VARCHAR",
    "meter": "VARCHAR",
    "day": "DATE",
    "age_days": "INTEGER",
    "age": "VARCHAR",
    "occurrences": "BIGINT",
    "counted": "VARCHAR",
    "quantity": "DECIMAL(38, 9)",
    "currency": "VARCHAR",
    "list_price": "DECIMAL(38, 12)",
    "value": "DECIMAL(38, 4)",
    "valued_at": "VARCHAR",
    "no_value": "VARCHAR",
}
Row = dict[str, Any]
_UNATTRIBUTED = """
SELECT feed, credential, event_type, utc_day, sum(events), sum(bytes) FROM metering.unattributed_by_file
GROUP BY ALL ORDER BY ALL
"""
_USERLESS = """
SELECT customer, local_day, meter, sum(events) FROM metering.unmeasured_daily
WHERE aggregation = 'unique_count' GROUP BY ALL ORDER BY ALL
"""
_QUARANTINED = """
SELECT files.source || ': ' || bad.reason, CAST(make_timestamp(batches.now_us) AS DATE), count(*)
FROM record.quarantine AS bad JOIN record.files AS files USING (file_id) JOIN record.batches AS batches USING (batch_id)
GROUP BY ALL ORDER BY ALL
"""
_WAITING = """
SELECT customer, meter, period_end, count(*), currency, sum(amount) FROM record.rated_lines AS lines
ANTI JOIN record.issued_totals AS issued USING (subscription, charge, period_start, "start", "value")
WHERE (due = 'arrears' AND period_end <= $1 OR due = 'advance' AND "start" <= $1) AND list_contains($2, customer)
    AND amount <> 0
GROUP BY ALL ORDER BY ALL
"""
_REPORTED = """
SELECT differences.status || ': ' || differences.corrects, differences.customer, lines.meter, differences.period_end,
    count(*), differences.currency, sum(differences.amount)
FROM record.open_differences AS differences
LEFT JOIN (SELECT DISTINCT subscription, charge, meter FROM record.issued_totals) AS lines USING (subscription, charge)
WHERE differences.status IN ('report_only', 'late_horizon')
GROUP BY ALL ORDER BY ALL
"""


def load_leaks(con: duckdb.DuckDBPyConnection, catalog: Catalog, ledger: Ledger, now_us: int, scratch: Path) -> None:
    """Write `record.leaks`, from the marts and the record of a build, as old as leaks are at the run's now."""
    load_rows(con, "record.leaks", LEAKS, _rows(con, catalog, ledger, local_date("UTC", now_us)), scratch)


def _rows(con: duckdb.DuckDBPyConnection, catalog: Catalog, ledger: Ledger, today: date) -> Iterator[Row]:
    prices = list_prices(catalog.plans.values(), today)
    for row in (
        *_unattributed(con, catalog.meters, prices),
        *_unmeasured(con, catalog.meters, prices),
        *_unread(con, ledger),
        *_waiting(con, ledger),
        *_reported(con),
    ):
        yield _aged(row, today)


def _aged(row: Row, today: date) -> Row:
    days = max((today - row["day"]).days, 0)
    return {**row, "day": row["day"].isoformat(), "age_days": days, "age": age_of(days)}


def _unattributed(
    con: duckdb.DuckDBPyConnection, meters: Mapping[str, Meter], prices: Mapping[str, ListPrice]
) -> Iterator[Row]:
    """A row for each meter that takes events of the type; one alone where none does."""
    for feed, credential, event_type, day, events, taken_bytes in con.execute(_UNATTRIBUTED).fetchall():
        named = f"credential {credential}" if credential is not None else "no credential"
        row = {"kind": "unattributed", "what": f"{feed}: {event_type}: {named}", "day": day}
        row |= {"occurrences": int(events), "counted": "events"}
        takes = {key: meter for key, meter in sorted(meters.items()) if meter.event_type == event_type}
        if not takes:
            yield {**row, "no_value": f"no meter takes events of the type '{event_type}'"}
        for key, meter in takes.items():
            yield {**row, "meter": key, **_listed(key, meter, {"count": events, "bytes": taken_bytes}, prices)}


def _listed(key: str, meter: Meter, known: Mapping[str, Any], prices: Mapping[str, ListPrice]) -> Row:
    """Quantity and value of events of nobody, as far as their sums tell them; else why not."""
    if meter.filter is not None:
        return {"no_value": "the meter filters events, and those of nobody are not measured one by one"}
    what = "count" if meter.aggregation == "count" else meter.value or ""
    if meter.aggregation not in ("count", "sum") or meter.carry or what not in known:
        return {"no_value": "the quantity can't be told without the customer"}
    return {"quantity": f"{known[what]}", **_valued(key, int(known[what]), prices)}


def _valued(meter: str, quantity: int, prices: Mapping[str, ListPrice]) -> Row:
    price = prices.get(meter)
    if price is None:
        return {"no_value": "no plan in force sells the meter by the unit"}
    one = f"{price.price.numerator * 10**12 // price.price.denominator:d}"
    shown = f"{one[:-12] or '0'}.{one[-12:].rjust(12, '0')}"
    return {
        "currency": price.currency,
        "list_price": shown,
        "value": price.of(quantity).text,
        "valued_at": "list price",
    }


def _unmeasured(
    con: duckdb.DuckDBPyConnection, meters: Mapping[str, Meter], prices: Mapping[str, ListPrice]
) -> Iterator[Row]:
    for customer, day, meter, events in (*unmeasured(con), *con.execute(_USERLESS).fetchall()):
        row = {"kind": "unmeasured", "what": f"meter {meter}", "customer": customer, "meter": meter, "day": day}
        row |= {"occurrences": int(events), "counted": "events"}
        if meter in meters and meters[meter].aggregation == "count":
            # Counted, but no price takes them: a list price may.
            yield {**row, "quantity": f"{events}", **_valued(meter, int(events), prices)}
        else:
            yield {**row, "no_value": "what can't be measured has no quantity"}


def _unread(con: duckdb.DuckDBPyConnection, ledger: Ledger) -> Iterator[Row]:
    """Lines and files that were not read."""
    for what, day, lines in con.execute(_QUARANTINED).fetchall():
        row = {"kind": "quarantined", "what": what, "day": day, "occurrences": int(lines), "counted": "lines"}
        yield {**row, "no_value": "what can't be read has no quantity"}
    for held in ledger.held():
        written = datetime.fromtimestamp((held.mtime_ns or held.seen_us * 1000) // 10**9, UTC).date()
        row = {"kind": "held", "what": f"{held.source}: {held.path}: {held.reason}", "day": written}
        yield {**row, "occurrences": 1, "counted": "files", "no_value": "what was not read has no quantity"}


def _waiting(con: duckdb.DuckDBPyConnection, ledger: Ledger) -> Iterator[Row]:
    """Lines that were due at the last cut-off, of customers that any close has parked."""
    reasons: dict[str, str] = {}
    cut_off = ""
    for entry in ledger.journal():
        if entry.kind == CLOSE:
            body = json.loads(entry.body)
            cut_off = max(cut_off, body["cut_off"])
            reasons |= body["parked"]
    if not reasons:
        return
    rows = con.execute(_WAITING, [date.fromisoformat(cut_off), sorted(reasons)]).fetchall()
    for customer, meter, day, lines, currency, amount in rows:
        row = {"kind": "parked", "what": reasons[customer], "customer": customer, "meter": meter, "day": day}
        yield {**row, **_priced(lines, currency, amount)}


def _reported(con: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    for what, customer, meter, day, lines, currency, amount in con.execute(_REPORTED).fetchall():
        row = {"kind": "report_only", "what": what, "customer": customer, "meter": meter, "day": day}
        yield {**row, **_priced(lines, currency, amount)}


def _priced(lines: int, currency: str, amount: Any) -> Row:
    """What was priced by the customer's own plan or contract."""
    value = {"currency": currency, "value": f"{amount:f}", "valued_at": "own price"}
    return {"occurrences": int(lines), "counted": "lines", **value}
