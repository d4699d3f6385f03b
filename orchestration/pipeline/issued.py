"""What the ledger has issued, as tables of a build: documents, their lines, and what was issued for each line in all.

The ledger is append-only, so a build folds only the documents that are new to it onto what it was copied with. That
begins anew where the journal entry it stands at is another one: a ledger that was put back from a backup.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from orchestration.billing.documents import Issued, issued_lines
from orchestration.billing.rating import LineKey
from orchestration.closing.issued import issued_bodies
from orchestration.engine import connect, load_rows
from orchestration.ledger.journal import GENESIS
from orchestration.ledger.store import Ledger
from orchestration.pipeline.document_tables import add_documents, create_document_tables, load_bodies
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.stored import money_of
from orchestration.sqltext import identifier

Row = dict[str, Any]

KEY: dict[str, str] = {
    "subscription": "VARCHAR",
    "charge": "VARCHAR",
    "period_start": "DATE",
    "start": "DATE",
    "value": "VARCHAR",
}
"""The columns of a line's key, in its order."""
TOTALS = {
    **KEY,
    "customer": "VARCHAR",
    "currency": "VARCHAR",
    "kind": "VARCHAR",
    "amount": "DECIMAL(38, 4)",
    "document": "VARCHAR",
    "seq": "INTEGER",
    "line": "VARCHAR",
}
_FOLDED = {"part": "INTEGER", **TOTALS}
_AT_A_TIME = 1_000
"""Documents that are in memory at a time."""
_KEYS = ", ".join(map(identifier, KEY))
_MERGED = f"""
SELECT {_KEYS}, arg_max(customer, part) AS customer, arg_max(currency, part) AS currency,
    arg_max(kind, part) AS kind, CAST(sum(amount) AS DECIMAL(38, 4)) AS amount,
    arg_min(document, part) AS document, max(seq) AS seq, arg_max(line, part) AS line
FROM (SELECT 0 AS part, * FROM record.issued_totals UNION ALL FROM record.issued_anew) GROUP BY {_KEYS} ORDER BY {_KEYS}
"""
_HEADS = f"""
SELECT {_KEYS}, amount, document, customer, currency FROM record.issued_totals
QUALIFY row_number() OVER (PARTITION BY subscription, customer, currency ORDER BY {_KEYS}) = 1 ORDER BY {_KEYS}
"""


def fold_issued(con: duckdb.DuckDBPyConnection, ledger: Ledger, scratch: Path) -> None:
    """Bring the tables `record.issued_*` up to the ledger's last journal entry."""
    entries = {entry.seq: entry.hash for entry in ledger.journal()}
    last = max(entries, default=0)
    through = folded_through(con, entries)
    if through == last:
        return
    if through is None:
        create_document_tables(con)
        load_rows(con, "record.issued_totals", TOTALS, [], scratch)
    load_bodies(con, ledger.documents(through or 0), scratch)
    load_rows(con, "record.issued_anew", _FOLDED, _folds(ledger, through or 0), scratch)
    con.execute("BEGIN")
    add_documents(con)
    con.execute(f"CREATE OR REPLACE TABLE record.issued_totals AS {_MERGED}")
    con.execute("DROP TABLE record.issued_anew")
    con.execute("CREATE OR REPLACE TABLE record.issued_through (seq INTEGER, hash VARCHAR)")
    con.execute("INSERT INTO record.issued_through VALUES ($1, $2)", [last, entries.get(last, GENESIS)])
    con.execute("COMMIT")


def folded_through(con: duckdb.DuckDBPyConnection, entries: Mapping[int, str]) -> int | None:
    """The journal entry up to which a database has folded what was issued; None where it can't be built upon."""
    held = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'record' AND table_name = 'issued_through'"
    if con.execute(held).fetchone() is None:
        return None
    row = con.execute("SELECT seq, hash FROM record.issued_through").fetchone()
    return row[0] if row is not None and row[1] == entries.get(row[0], GENESIS) else None


def _folds(ledger: Ledger, after_seq: int) -> Iterator[Row]:
    """What was issued by line, for some documents at a time: the parts of one fold, numbered in its order."""
    bodies = issued_bodies(ledger, after_seq=after_seq)
    part = 0
    while batch := list(islice(bodies, _AT_A_TIME)):
        part += 1
        last = {line_key(line): seq for seq, body in batch for line in body["lines"]}
        for key, issued in issued_lines(body for _, body in batch).items():
            yield {"part": part, "seq": last[key], **_total(key, issued)}


def line_key(line: Mapping[str, Any]) -> LineKey:
    """The key of a line of a document."""
    days = date.fromisoformat(line["period_start"]), date.fromisoformat(line["start"])
    return LineKey(line["subscription"], line["charge"], *days, line.get("value") or "")


def _total(key: LineKey, issued: Issued) -> Row:
    return {
        "subscription": key.subscription,
        "charge": key.charge,
        "period_start": key.period_start.isoformat(),
        "start": key.start.isoformat(),
        "value": key.value,
        "customer": issued.line["customer"],
        "currency": issued.line["currency"],
        "kind": issued.line["kind"],
        "amount": f"{issued.amount:f}",
        "document": issued.document,
        "line": json.dumps(issued.line, sort_keys=True, ensure_ascii=False),
    }


def read_issued(con: duckdb.DuckDBPyConnection, where: str = "true") -> dict[LineKey, tuple[int, Issued]]:
    """What was issued for the lines that fit a condition on `issued`, with the last journal entry that did so."""
    rows = con.execute(
        f"SELECT {_KEYS}, currency, amount, document, line, seq FROM record.issued_totals AS issued WHERE {where}"
    )
    return {
        LineKey(*key): (seq, Issued(money_of(amount, currency).amount, document, json.loads(line)))
        for *key, currency, amount, document, line, seq in rows.fetchall()
    }


def issued_heads(instance: Instance, ledger: Ledger) -> dict[LineKey, Issued]:
    """Of each subscription, customer and currency that was billed one line: what a catalog must still know.

    From the published generation, and from the documents that it doesn't know.
    """
    entries = {entry.seq: entry.hash for entry in ledger.journal()}
    path, heads, through = instance.published_db(), {}, None
    if path is not None:
        with connect(path, temp=instance.scratch, read_only=True) as con:
            through = folded_through(con, entries)
            rows = [] if through is None else con.execute(_HEADS).fetchall()
        for *key, amount, document, customer, currency in rows:
            heads[LineKey(*key)] = Issued(amount, document, {"customer": customer, "currency": currency})
    if through != max(entries, default=0):
        heads |= issued_lines(body for _, body in issued_bodies(ledger, after_seq=through or 0))
    return heads
