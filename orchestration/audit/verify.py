"""Verify: raw files, chain, numbers, documents and exports; what is wrong is named by row, byte or file."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from orchestration.audit.derived import wrong_exports, wrong_warehouse
from orchestration.audit.erased import still_there, told
from orchestration.audit.recompute import recompute
from orchestration.audit.sums import wrong_counts, wrong_sums
from orchestration.canonical import sha256_hex
from orchestration.errors import IntegrityFailure, Problem
from orchestration.ingest.batch import raw_store
from orchestration.ingest.raw import RawStore
from orchestration.ledger.checkpoints import REMEMBERED, refuse_behind
from orchestration.ledger.findings import APPROVE, findings
from orchestration.ledger.journal import CLOSE, check_chain, input_digest
from orchestration.ledger.keys import signer, wrong_handovers
from orchestration.ledger.merkle import leaf_hash, root_hash, salt
from orchestration.ledger.rows import DocumentRow, FileRow, document_row
from orchestration.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What does not hold, and in a line what was checked."""

    problems: tuple[Problem, ...]
    summary: str
    erased: tuple[str, ...] = ()
    """What was erased, and isn't checked against what was delivered."""


def verify(
    home: Path, exports: Path, scratch: Path, *, fast: bool = False, report: Callable[[str], None] = lambda _: None
) -> VerifyResult:
    """Check the whole record of an instance. Nothing is changed; `scratch` is used and removed.

    `fast` checks hashes, chain, numbers and exports only; otherwise sums are added up and documents made again.
    """
    try:
        return _verify(home, exports, scratch, fast, report)
    except sqlite3.DatabaseError as error:
        if not any(text in str(error) for text in ("malformed", "not a database")):
            raise
        raise IntegrityFailure(
            f"ledger.sqlite is damaged: {error}",
            where=str(home / "ledger.sqlite"),
            not_done="nothing was checked",
            next_step="restore ledger.sqlite from a backup",
        ) from error


def _verify(home: Path, exports: Path, scratch: Path, fast: bool, report: Callable[[str], None]) -> VerifyResult:
    with Ledger.open(home, create=False) as ledger:
        files, documents = ledger.files(), list(ledger.documents())
        report(f"checking {len(files)} raw file(s), the journal and {len(documents)} document(s)")
        try:
            raw, erasures = raw_store(home, ledger), ledger.erasures()
        except IntegrityFailure as error:
            broken = Problem(error.code, error.message, error.where)
            return VerifyResult((broken, *check_chain(ledger.journal())), "")
        damaged = [
            *_raw_files(raw, files, documents, _last_batches(ledger)),
            *still_there(raw, erasures),
            *wrong_counts(files),
            *check_chain(ledger.journal()),
            *ledger.wrong_rows(),
            *_unreadable(documents),
        ]
        if not any(p.code.startswith(("journal_", "document_")) for p in damaged):
            damaged += _catalogs(ledger)
            problems = [*damaged, *_journalled(ledger, files, documents), *wrong_exports(documents, exports)]
        else:
            problems = damaged
        problems += [*_numbers(documents), *_remembered(ledger), *wrong_warehouse(home / "warehouse")]
        if not fast:
            problems += wrong_sums(documents)
        if not fast and damaged:
            message = "no document was recomputed, as what it would be made from is damaged"
            problems.append(Problem("not_recomputed", message, str(home)))
        elif not fast:
            try:
                problems += recompute(home, ledger, scratch, report)
            except IntegrityFailure as error:
                problems.append(Problem(error.code, error.message, error.where))
    lines = sum(f.lines for f in files)
    how = "hashes only" if fast else "recomputed from raw files"
    taken = sum(file.retry_of is None for file in files)
    summary = f"{taken} raw files, {lines:,} lines, {len(documents)} documents ({how}), journal, numbers, exports"
    return VerifyResult(tuple(problems), summary, tuple(map(told, erasures)))


def _last_batches(ledger: Ledger) -> dict[int, int]:
    """By journal entry, the last batch that a close knew; an entry that can't be read is named by other checks."""
    known: dict[int, int] = {}
    for entry in ledger.journal():
        with suppress(ValueError, KeyError, TypeError):
            known[entry.seq] = int(json.loads(entry.body)["last_batch"])
    return known


def _raw_files(
    store: RawStore, files: list[FileRow], documents: list[DocumentRow], last_batches: Mapping[int, int]
) -> Iterator[Problem]:
    """Every raw file whose bytes are not those of its hash, with the documents of the closes that knew it."""
    seen: set[str] = set()
    for file in files:
        if file.sha256 in seen:
            continue
        seen.add(file.sha256)
        try:
            store.verify(file.sha256, file.path)
        except IntegrityFailure as error:
            used = [d.number for d in documents if last_batches.get(d.journal_seq, file.batch_id) >= file.batch_id]
            behind = f"; {file.lines} lines, behind documents issued since: {', '.join(used[:5])}" if used else ""
            more = f" and {len(used) - 5} more" if len(used) > 5 else ""
            yield Problem("raw_damaged", f"{error.message}{behind}{more}", error.where)


def _unreadable(documents: list[DocumentRow]) -> Iterator[Problem]:
    """Documents that no longer are JSON."""
    for row in documents:
        try:
            json.loads(row.body)
        except ValueError as error:
            yield Problem("document_edited", f"its bytes are no JSON: {error}", f"document {row.number}")


def _remembered(ledger: Ledger) -> Iterator[Problem]:
    """The journal against the checkpoint that was exported last, and the keys that it is signed with."""
    home = ledger.path.parent
    try:
        yield from wrong_handovers(ledger.journal())
        refuse_behind(ledger)
        public = home / "checkpoint.pub"
        if (home / REMEMBERED).exists() or public.exists():
            text = signer(ledger, create=False).key_text + "\n"
            if not public.is_file() or public.read_text() != text:
                yield Problem("key_edited", "is not the public key of checkpoint.key", str(public))
    except IntegrityFailure as error:
        yield Problem("checkpoint_differs", error.message, error.where)
    except ValueError as error:
        yield Problem("checkpoint_differs", f"can't be read: {error}", str(home / REMEMBERED))


def _catalogs(ledger: Ledger) -> Iterator[Problem]:
    """Every catalog that documents were issued under, against the hash that the journal names."""
    named = {json.loads(e.body)["catalog"] for e in ledger.journal() if e.kind == CLOSE}
    for digest in sorted(set(ledger.catalog_digests()) - named):
        yield Problem("catalog_unfounded", "nothing was issued under it", f"archived catalog {digest}")
    for digest in sorted(named):
        try:
            unpacked = zlib.decompressobj()
            found = sha256_hex(unpacked.decompress(ledger.catalog(digest)) + unpacked.flush())
            if unpacked.unused_data or not unpacked.eof:
                raise zlib.error("it has other bytes behind its end, or no end")
        except IntegrityFailure as error:
            yield Problem("catalog_missing", error.message, error.where)
        except zlib.error as error:
            yield Problem("catalog_edited", f"can't be unpacked: {error}", f"archived catalog {digest}")
        else:
            if found != digest:
                yield Problem("catalog_edited", f"its files have the hash {found}", f"archived catalog {digest}")


def _numbers(documents: list[DocumentRow]) -> Iterator[Problem]:
    """In each series 1, 2, 3 ... without gap or repeat, and dates that never go back."""
    series: dict[str, list[DocumentRow]] = defaultdict(list)
    for row in documents:
        series[row.series].append(row)
    for name, rows in sorted(series.items()):
        rows.sort(key=lambda row: row.sequence)
        for expected, row in enumerate(rows, 1):
            if row.sequence != expected or row.number != f"{name}-{expected:06d}":
                message = f"'{row.number}' stands where number {expected} of the series belongs"
                yield Problem("number_gap", message, f"series {name}")
                break
        for before, after in pairwise(rows):
            if after.issue_date < before.issue_date:
                message = f"issued on {after.issue_date}, before {before.number} of {before.issue_date}"
                yield Problem("date_goes_back", message, f"document {after.number}")


def _journalled(ledger: Ledger, files: list[FileRow], documents: list[DocumentRow]) -> list[Problem]:
    try:
        return list(_entries(ledger, files, documents))
    except IntegrityFailure as error:
        return [Problem(error.code, error.message, error.where)]
    except (ValueError, LookupError, TypeError) as error:
        message = f"an entry, or a document, is not as a close writes it: {type(error).__name__}: {error}"
        return [Problem("journal_unreadable", message, "ledger.sqlite, journal")]


def _entries(ledger: Ledger, files: list[FileRow], documents: list[DocumentRow]) -> Iterator[Problem]:
    """Documents, Merkle root and inputs of each close against its journal entry."""
    by_seq: dict[int, list[DocumentRow]] = defaultdict(list)
    for row in documents:
        by_seq[row.journal_seq].append(row)
        if sha256_hex(row.body) != row.sha256:
            message = f"its bytes have the hash {sha256_hex(row.body)}, the ledger names {row.sha256}"
            yield Problem("document_edited", message, f"document {row.number}")
        elif document_row(json.loads(row.body), row.journal_seq) != row:
            message = "number, customer, dates or currency of its row are not those of its bytes"
            yield Problem("document_edited", message, f"document {row.number}")
    entries = ledger.journal()
    approved = [found for found in findings(entries) if found.says == APPROVE]
    for entry in entries:
        if entry.kind != CLOSE:
            continue
        body, where = json.loads(entry.body), f"ledger.sqlite, journal entry {entry.seq}"
        rows = {row.number: row for row in by_seq.pop(entry.seq, [])}
        listed = {d["number"]: d["sha256"] for d in body["documents"]}
        for number in sorted({*rows, *listed}):
            have = sha256_hex(rows[number].body) if number in rows else "no document"
            want = listed.get(number, "no document")
            if have != want:
                yield Problem("document_not_journalled", f"the journal has {want}, the ledger {have}", number)
        leaves = [
            leaf_hash(salt(ledger.key, n), rows[n].body) for n in (d["number"] for d in body["documents"]) if n in rows
        ]
        if root_hash(leaves).hex() != body["root"]:
            yield Problem("root_differs", f"the documents have the root {root_hash(leaves).hex()}", where)
        # Entries of earlier versions have no such field.
        if any(row not in [a.reviewed() for a in approved if a.seq < entry.seq] for row in body.get("approvals", [])):
            yield Problem("journal_differs", "its 'approvals' are not those of the journal before it", where)
        yield from _inputs(ledger, [f for f in files if f.batch_id <= int(body["last_batch"])], body, where)
    for seq, orphans in sorted(by_seq.items()):
        names = ", ".join(row.number for row in orphans)
        yield Problem("document_not_journalled", f"no close issued {names}", f"journal entry {seq}")


def _inputs(ledger: Ledger, files: list[FileRow], body: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """What a close journalled of the files that it knew, against those that the ledger has."""
    if input_digest(files) != body["input_digest"]:
        yield Problem("input_differs", "the files of the ledger are not those that this close knew", where)
    found = {
        "batch_hash": ledger.batch_hash(int(body["last_batch"])),
        "files": str(len(files)),
        "lines": str(sum(f.lines for f in files)),
        "accepted": str(sum(f.accepted for f in files)),
    }
    for name, value in found.items():
        if body[name] != value:
            yield Problem("input_differs", f"its '{name}' is {body[name]}, the ledger has {value}", where)
