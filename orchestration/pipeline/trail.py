"""The audit trail as tables of a build: the journal's entries, the reviewed rows they used, the catalog's edits.

All of it is a function of the ledger and its archived catalogs. A build adds what is new in the journal to what it was
copied with, and begins anew where the journal is another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.changes import archived_texts, changes, listed
from orchestration.engine import load_rows
from orchestration.ledger.journal import GENESIS
from orchestration.ledger.rows import JournalRow
from orchestration.ledger.store import Ledger
from orchestration.pipeline.evidence import EVIDENCE, add_evidence
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.issued import folded_through
from orchestration.sqltext import identifier

Row = dict[str, Any]

ENTRIES = {
    "entry": "INTEGER",
    "kind": "VARCHAR",
    "now_us": "BIGINT",
    "cut_off": "DATE",
    "done_by": "VARCHAR",
    "reason": "VARCHAR",
    "code": "VARCHAR",
    "catalog": "VARCHAR",
    "catalog_state": "VARCHAR",
    "catalog_commit": "VARCHAR",
    "tzdata": "VARCHAR",
    "last_batch": "INTEGER",
    "files": "BIGINT",
    "lines": "BIGINT",
    "accepted": "BIGINT",
    "input_digest": "VARCHAR",
    "documents": "BIGINT",
    "skipped": "BIGINT",
    "parked": "BIGINT",
    "root": "VARCHAR",
    "previous_hash": "VARCHAR",
    "hash": "VARCHAR",
}
WAIVERS = {
    "entry": "INTEGER",
    "place": "INTEGER",
    "kind": "VARCHAR",
    "applies_to": "VARCHAR",
    "done_by": "VARCHAR",
    "done_on": "DATE",
    "reason": "VARCHAR",
    "approved_by": "VARCHAR",
    "details": "VARCHAR",
}
CHANGES = {
    "entry": "INTEGER",
    "catalog": "VARCHAR",
    "file": "VARCHAR",
    "key": "VARCHAR",
    "field": "VARCHAR",
    "before": "VARCHAR",
    "after": "VARCHAR",
}
_TABLES = {"journal_entries": ENTRIES, "reviewed_rows": WAIVERS, "catalog_changes": CHANGES, "line_evidence": EVIDENCE}
_IN_ENTRY = {
    "released": ("release", ("customer", "cut_off")),
    "declared": ("declared_edit", ("file", "sha256")),
    "voided": ("void", ("document",)),
    "withheld": ("withheld", ("subscription", "period_start")),
    "waived_conflicts": ("conflict_waiver", ("source", "id")),
    "approvals": ("incident_approval", ("customer", "incident")),
}
"""By list of a journal entry, the kind of its rows and the fields that say what they are about."""
_IN_CATALOG = {
    ("decisions.yaml", "conflicts"): ("decision", ("source", "id")),
    ("retractions.yaml", "retractions"): ("retraction", ("source", "id", "sha256", "path", "line", "name")),
    ("adjustments.yaml", "adjustments"): ("adjustment", ("id",)),
    ("refunds.yaml", "refunds"): ("refund", ("document",)),
}
"""The same by file and list of the archived catalog, of what no entry lists by itself."""


def fold_trail(con: duckdb.DuckDBPyConnection, instance: Instance, ledger: Ledger, catalog: Catalog) -> None:
    """Bring the tables of the audit trail up to the ledger's last journal entry. `catalog` is that of the build."""
    entries = ledger.journal()
    hashes = {entry.seq: entry.hash for entry in entries}
    last = max(hashes, default=0)
    through = folded_through(con, hashes, "trail_through")
    if through == last:
        return
    new = [entry for entry in entries if entry.seq > (through or 0)]
    if through is None:
        for name, columns in _TABLES.items():
            load_rows(con, f"record.{name}", columns, [], instance.scratch)
    known = set(con.execute("SELECT kind, details FROM record.reviewed_rows").fetchall())
    _add(con, instance, "journal_entries", ENTRIES, map(_entry, new))
    _add(con, instance, "reviewed_rows", WAIVERS, _reviewed(ledger, new, known))
    _add(con, instance, "catalog_changes", CHANGES, _changes(ledger, entries, new))
    add_evidence(con, instance, ledger, new, catalog)
    con.execute("CREATE OR REPLACE TABLE record.trail_through (seq INTEGER, hash VARCHAR)")
    con.execute("INSERT INTO record.trail_through VALUES ($1, $2)", [last, hashes.get(last, GENESIS)])


def _add(
    con: duckdb.DuckDBPyConnection, instance: Instance, name: str, columns: Mapping[str, str], rows: Iterator[Row]
) -> None:
    load_rows(con, f"record.{name}_anew", columns, rows, instance.scratch)
    listed_columns = ", ".join(map(identifier, columns))
    con.execute(f"INSERT INTO record.{name} SELECT {listed_columns} FROM record.{name}_anew")
    con.execute(f"DROP TABLE record.{name}_anew")


def _entry(entry: JournalRow) -> Row:
    said = json.loads(entry.body)
    counts = {name: len(said.get(name) or ()) for name in ("documents", "skipped", "parked")}
    plain = ("cut_off", "code", "catalog", "tzdata", "last_batch", "files", "lines", "accepted", "input_digest", "root")
    commit = said.get("catalog_commit") or {}
    return {
        "entry": entry.seq,
        "kind": entry.kind,
        "now_us": said.get("now_us"),
        "done_by": said.get("by"),
        "reason": said.get("reason") or (said.get("waived") or {}).get("reason"),
        "catalog_state": commit.get("state"),
        "catalog_commit": commit.get("commit") or None,
        "previous_hash": entry.prev_hash,
        "hash": entry.hash,
        **{name: said.get(name) for name in plain},
        **counts,
    }


def _reviewed(ledger: Ledger, entries: list[JournalRow], known: set[tuple[str, str]]) -> Iterator[Row]:
    """Each reviewed row at the first entry that was made with it. Input that was waived stands at each."""
    for entry in entries:
        said = json.loads(entry.body)
        found = [(kind, about, row) for name, (kind, about) in _IN_ENTRY.items() for row in said.get(name) or ()]
        if "catalog" in said:
            texts = archived_texts(ledger.catalog(said["catalog"]))
            found += [
                (kind, about, row) for where, (kind, about) in _IN_CATALOG.items() for row in listed(texts, *where)
            ]
        waived = said.get("waived") or {"held": ()}
        found += [
            ("missing_input", ("held",), {"held": text, "reason": waived["reason"], "entry": str(entry.seq)})
            for text in waived["held"]
        ]
        place = 0
        for kind, about, row in found:
            # A decision that waives stands in the entry's own list.
            details = json.dumps(row, sort_keys=True, ensure_ascii=False)
            if (kind, details) in known or (kind == "decision" and row.get("waive")):
                continue
            known.add((kind, details))
            place += 1
            yield {"entry": entry.seq, "place": place, **_reviewed_row(kind, about, row), "details": details}


def _reviewed_row(kind: str, about: tuple[str, ...], row: Mapping[str, Any]) -> Row:
    return {
        "kind": "restoration" if kind == "retraction" and row.get("restore") else kind,
        "applies_to": ", ".join(str(row[name]) for name in about if row.get(name) is not None),
        "done_by": row.get("by"),
        "done_on": row.get("on"),
        "reason": row.get("reason"),
        "approved_by": row.get("approved_by"),
    }


def _changes(ledger: Ledger, entries: list[JournalRow], new: list[JournalRow]) -> Iterator[Row]:
    """What differs between the catalogs of entries that follow one another; all of the first one was added."""
    digests = [(entry.seq, json.loads(entry.body).get("catalog")) for entry in entries]
    made = [(seq, digest) for seq, digest in digests if digest is not None]
    since = new[0].seq if new else 0
    for place, (seq, digest) in enumerate(made):
        before = made[place - 1][1] if place else None
        if seq < since or before == digest:
            continue
        was = {} if before is None else archived_texts(ledger.catalog(before))
        for change in changes(was, archived_texts(ledger.catalog(digest))):
            yield {"entry": seq, "catalog": digest, **change._asdict()}
