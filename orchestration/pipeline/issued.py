"""What the ledger has issued, as tables of a build: documents, their lines, what was issued for each line in all, and
what was used of coupons and credits.

The ledger is append-only, so a build folds only the documents that are new to it onto what it was copied with. That
begins anew where the journal entry it stands at is another one: a ledger that was put back from a backup.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb

from orchestration.billing.credits import Used, used_in
from orchestration.billing.due import Issued, Parts, issued_lines, shown_lines, together
from orchestration.billing.rating import LineKey
from orchestration.billing.shares import LISTS, Use, UseKind
from orchestration.closing.issued import issued_bodies
from orchestration.engine import connect, load_rows
from orchestration.ledger.journal import GENESIS
from orchestration.ledger.store import Ledger
from orchestration.money import Money
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
"""The columns of a line's key, in its order. Adjustments are of no subscription."""
TOTALS = {
    **KEY,
    "customer": "VARCHAR",
    "currency": "VARCHAR",
    "meter": "VARCHAR",
    "tax_category": "VARCHAR",
    "tax_date": "VARCHAR",
    "amount": "DECIMAL(38, 4)",
    "document": "VARCHAR",
    "seq": "INTEGER",
    "line": "VARCHAR",
    "standing": "VARCHAR",
}
"""`line` is the latest document's, as are the columns above `amount`; `standing` holds the sums of its parts, of the
coupons and credits on it and of its taxes, the rules by which it was made, and whether it was taken back."""
USES = {"seq": "INTEGER", "place": "BIGINT", "body": "VARCHAR"}
"""What `used_in` looks at of the documents that have used something, or owe it, in the order of issue."""
BILLED = {
    "seq": "INTEGER",
    "place": "BIGINT",
    **KEY,
    "number": "VARCHAR",
    "position": "INTEGER",
    "kind": "VARCHAR",
    "entity": "VARCHAR",
    "customer": "VARCHAR",
    "currency": "VARCHAR",
    "plan": "VARCHAR",
    "meter": "VARCHAR",
    "end": "DATE",
    "issue_date": "DATE",
    "locked_through": "DATE",
    "amount": "DECIMAL(38, 4)",
    "reduced": "DECIMAL(38, 4)",
}
"""Each line of each document, and of each zero invoice that was skipped, in the order of issue; with what coupons and
promotional credits took off it, and how far the books were locked."""
_OF_DOCUMENT = {"part": "BIGINT", "entity": "VARCHAR", "issue_date": "DATE", "locked_through": "DATE"}
_PARTED = {**_OF_DOCUMENT, **TOTALS}
_KEYS = ", ".join(map(identifier, KEY))
_STATED = f"{_KEYS}, currency, amount, document, line, standing, seq"
_ANEW = f"SELECT part, {', '.join(map(identifier, TOTALS))} FROM record.issued_anew"
_ALL = f"(SELECT 0 AS part, * FROM record.issued_totals UNION ALL {_ANEW})"
_AGAIN = f"SELECT {_KEYS} FROM {_ALL} GROUP BY {_KEYS} HAVING count(*) > 1"
_MERGED = f"""
SELECT * EXCLUDE (part) FROM {_ALL} ANTI JOIN issued_again USING ({_KEYS})
UNION ALL BY NAME FROM record.issued_together ORDER BY {_KEYS}
"""
_TAKERS: tuple[UseKind, ...] = ("coupon", "promotional")
_TAKEN_OFF = " + ".join(
    f"coalesce(list_sum(CAST(json_extract_string(line, '$.{LISTS[kind]}[*].amount') AS DECIMAL(38, 4)[])), 0)"
    for kind in _TAKERS
)
_SHOWN = {
    "place": "row_number() OVER (PARTITION BY seq ORDER BY part)",
    "number": "document",
    "reduced": _TAKEN_OFF,
    **{name: f"CAST(json_extract_string(line, '$.{name}') AS {BILLED[name]})" for name in ("position", "kind", "plan")},
    "end": "CAST(json_extract_string(line, '$.end') AS DATE)",
}
_BILLED_ANEW = ", ".join(f"{_SHOWN.get(name, identifier(name))} AS {identifier(name)}" for name in BILLED)
_HEADS = f"""
SELECT {_KEYS}, amount, document, customer, currency FROM record.issued_totals
QUALIFY row_number() OVER (PARTITION BY subscription, customer, currency ORDER BY {_KEYS}) = 1 ORDER BY {_KEYS}
"""


def fold_issued(con: duckdb.DuckDBPyConnection, ledger: Ledger, scratch: Path) -> None:
    """Bring the tables `record.issued_*` up to the ledger's last journal entry."""
    journal = ledger.journal()
    entries = {entry.seq: entry.hash for entry in journal}
    last = max(entries, default=0)
    through = folded_through(con, entries)
    if through == last:
        return
    if through is None:
        create_document_tables(con)
        load_rows(con, "record.issued_totals", TOTALS, [], scratch)
        load_rows(con, "record.issued_uses", USES, [], scratch)
        load_rows(con, "record.billed_lines", BILLED, [], scratch)
    locks = {entry.seq: json.loads(entry.body).get("locked_through") for entry in journal if entry.seq > (through or 0)}
    load_bodies(con, ledger.documents(through or 0), scratch)
    load_rows(con, "record.uses_anew", USES, _uses(ledger, through or 0), scratch)
    load_rows(con, "record.issued_anew", _PARTED, _shown(ledger, through or 0, locks), scratch)
    con.execute(f"CREATE OR REPLACE TEMP TABLE issued_again AS {_AGAIN}")
    load_rows(con, "record.issued_together", TOTALS, _together(con), scratch)
    con.execute("BEGIN")
    add_documents(con)
    con.execute("INSERT INTO record.issued_uses FROM record.uses_anew")
    con.execute(f"INSERT INTO record.billed_lines SELECT {_BILLED_ANEW} FROM record.issued_anew ORDER BY part")
    con.execute(f"CREATE OR REPLACE TABLE record.issued_totals AS {_MERGED}")
    for name in ("uses_anew", "issued_anew", "issued_together"):
        con.execute(f"DROP TABLE record.{name}")
    con.execute("CREATE OR REPLACE TABLE record.issued_through (seq INTEGER, hash VARCHAR)")
    con.execute("INSERT INTO record.issued_through VALUES ($1, $2)", [last, entries.get(last, GENESIS)])
    con.execute("COMMIT")


def folded_through(
    con: duckdb.DuckDBPyConnection, entries: Mapping[int, str], table: str = "issued_through"
) -> int | None:
    """The journal entry up to which a database has folded what was issued; None where it can't be built upon."""
    held = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'record' AND table_name = $1"
    if con.execute(held, [table]).fetchone() is None:
        return None
    row = con.execute(f"SELECT seq, hash FROM record.{identifier(table)}").fetchone()
    return row[0] if row is not None and row[1] == entries.get(row[0], GENESIS) else None


def _shown(ledger: Ledger, after_seq: int, locks: Mapping[int, str | None]) -> Iterator[Row]:
    """A row for each line of each document, numbered in the order of issue. `locks` say how far the books were locked
    at each journal entry."""
    part = 0
    for seq, body in issued_bodies(ledger, after_seq=after_seq):
        head = {"entity": body["seller"]["entity"], "issue_date": body["issue_date"], "locked_through": locks[seq]}
        for key, shown in shown_lines(body):
            part += 1
            yield {"part": part, **head, **_row(key, seq, shown)}


def _together(con: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    """The lines that several documents have shown, put together one by one."""
    rows = con.execute(f"SELECT {_STATED} FROM {_ALL} SEMI JOIN issued_again USING ({_KEYS}) ORDER BY {_KEYS}, part")
    for _, parts in groupby(iter(rows.fetchone, None), key=itemgetter(slice(len(KEY)))):
        folded: Issued | None = None
        for row in parts:
            key, seq, shown = _read(row)
            folded = together(folded, shown)
        assert folded is not None
        yield _row(key, seq, folded)


def _uses(ledger: Ledger, after_seq: int) -> Iterator[Row]:
    last, place = 0, 0
    for seq, body in issued_bodies(ledger, after_seq=after_seq):
        last, place = seq, place + 1 if seq == last else 1
        if any(body.get(name) for name in LISTS.values()) or Decimal(body["total"]) < 0:
            shown = {name: body[name] for name in ("number", "currency", "total", *LISTS.values()) if name in body}
            shown["seller"] = {"entity": body["seller"]["entity"]}
            shown["buyer"] = {"customer": body["buyer"]["customer"]}
            yield {"seq": seq, "place": place, "body": json.dumps(shown, ensure_ascii=False)}


def _row(key: LineKey, seq: int, issued: Issued) -> Row:
    line = issued.line
    return {
        "subscription": key.subscription,
        "charge": key.charge,
        "period_start": key.period_start.isoformat(),
        "start": key.start.isoformat(),
        "value": key.value,
        **{name: line[name] for name in ("customer", "currency", "meter", "tax_category", "tax_date")},
        "amount": f"{issued.amount:f}",
        "document": issued.document,
        "seq": seq,
        "line": json.dumps(line, sort_keys=True, ensure_ascii=False),
        "standing": json.dumps(_standing(issued), ensure_ascii=False),
    }


def _standing(issued: Issued) -> dict[str, Any]:
    return {
        "parts": None if issued.parts is None else [part.text for part in issued.parts],
        "uses": [
            [use.kind, use.id, use.amount.text, None if use.percent is None else str(use.percent), use.rank]
            for use in issued.uses
        ],
        "taxes": [[name, percent, str(amount)] for (name, percent), amount in issued.taxes.items()],
        "rules": issued.rules,
        "void": issued.void,
    }


def _read(row: tuple[Any, ...]) -> tuple[LineKey, int, Issued]:
    *key, currency, amount, document, line, standing, seq = row
    stands = json.loads(standing)
    parts = stands["parts"] and Parts(*(Money(Decimal(text), currency) for text in stands["parts"]))
    uses = tuple(
        Use(kind, name, Money(Decimal(used), currency), None if percent is None else Decimal(percent), rank=rank)
        for kind, name, used, percent, rank in stands["uses"]
    )
    taxes = {(name, percent): Decimal(tax) for name, percent, tax in stands["taxes"]}
    whole = money_of(amount, currency).amount
    shown = Issued(whole, document, json.loads(line), parts, uses, taxes, stands["rules"], stands["void"])
    return LineKey(*key), seq, shown


def read_issued(con: duckdb.DuckDBPyConnection, where: str = "true") -> dict[LineKey, tuple[int, Issued]]:
    """What was issued for the lines that fit a condition on `issued`, with the last journal entry that did so."""
    rows = con.execute(f"SELECT {_STATED} FROM record.issued_totals AS issued WHERE {where} ORDER BY {_KEYS}")
    return {key: (seq, issued) for key, seq, issued in map(_read, rows.fetchall())}


def read_taxed(con: duckdb.DuckDBPyConnection) -> dict[LineKey, Issued]:
    """All adjustments that were issued, and one line of each customer, tax category and tax date."""
    one = (
        f"({_KEYS}) IN (SELECT ({_KEYS}) FROM record.issued_totals QUALIFY subscription = '' OR "
        f"row_number() OVER (PARTITION BY customer, tax_category, tax_date ORDER BY {_KEYS}) = 1)"
    )
    return {key: issued for key, (_, issued) in read_issued(con, one).items()}


def read_used(con: duckdb.DuckDBPyConnection) -> Used:
    """What issued documents have used of coupons, credits and credit notes."""
    rows = con.execute("SELECT body FROM record.issued_uses ORDER BY seq, place").fetchall()
    return used_in(json.loads(body) for (body,) in rows)


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
