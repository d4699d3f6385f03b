"""Prove: a folder with one document and all that it takes to check it, by a script of the standard library.

Nothing of another customer is in it: of the journal entry the fields that name nobody, of the catalog the prices that
this document used, of other documents hashes that are salted.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from orchestration.audit.archived import prices
from orchestration.audit.evidence import document_evidence
from orchestration.audit.known import Known
from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.durable import Point, step
from orchestration.errors import ConfigInvalid, IntegrityFailure
from orchestration.ledger.checkpoints import checkpoint_of, journal_leaves, refuse_behind
from orchestration.ledger.journal import SALT, field_hash, field_salt, fields_of
from orchestration.ledger.keys import handovers, signer
from orchestration.ledger.merkle import inclusion_path, leaf_hash, salt
from orchestration.ledger.rows import JournalRow
from orchestration.ledger.store import Ledger

SHOWN = frozenset({"cut_off", "now_us", "catalog", "code", "tzdata", "root"})
"""Fields of a journal entry that speak of no customer; of the others a bundle has hashes."""
VERIFIER = Path(__file__).with_name("verify_invoice.py")


def prove(ledger: Ledger, number: str, to: Path, scratch: Path) -> list[Path]:
    """Write the bundle of a document into the folder `to`, which must not hold anything yet. Returns its files.

    Raises ConfigInvalid for an unknown number or a folder that is in use, IntegrityFailure if the record doesn't hold.
    """
    if to.exists() and any(to.iterdir()):
        raise ConfigInvalid(
            "the folder is not empty",
            where=str(to),
            not_done="nothing was written",
            next_step="name a new folder with -o",
        )
    refuse_behind(ledger)
    known = Known.of(ledger, number)
    checkpoint, by = checkpoint_of(ledger), signer(ledger)
    aside = to.with_name(f".{to.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        parts = {
            "document.json": known.row.body,
            "proof.json": canonical_bytes(_proof(ledger, known)),
            "prices.json": canonical_bytes(prices(known)),
            "evidence.json": canonical_bytes(document_evidence(ledger, known, aside, scratch)),
            "checkpoint.pub": f"{by.key_text}\n".encode(),
            "checkpoint.note": by.sign(checkpoint.text).encode(),
        }
        # Whoever knows a key that was replaced is led from it to the one that signs now.
        changes = handovers(ledger.journal()).items()
        parts |= {f"key-{seq:06d}.note": change.by_old.encode() for seq, change in changes if change.by_old}
        for name, data in parts.items():
            (aside / name).write_bytes(data)
        named = [p for p in sorted(aside.iterdir()) if p.name not in ("checkpoint.pub", "checkpoint.note")]
        listed = "".join(f"{sha256_hex(path.read_bytes())}  {path.name}\n" for path in named)
        (aside / "manifest.note").write_text(by.sign(f"{by.name}/bundle/{number}\n{listed}"))
        shutil.copyfile(VERIFIER, aside / VERIFIER.name)
        with step(Point.BUNDLE_NAMED):
            aside.rename(to)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return sorted(to.iterdir())


def _proof(ledger: Ledger, known: Known) -> dict[str, Any]:
    """From the document to the root of its journal entry, and from the entry to the root over the journal."""
    entries = ledger.journal()
    issued = {row.number: row for row in ledger.documents() if row.journal_seq == known.entry.seq}
    numbers = [named["number"] for named in json.loads(known.entry.body)["documents"]]
    leaves = [leaf_hash(salt(ledger.key, number), issued[number].body) for number in numbers]
    position = numbers.index(known.row.number)
    return {
        "salt": salt(ledger.key, known.row.number).hex(),
        "tree": _place(leaves, position),
        "entry": _shown(known.entry),
        "journal": _place(journal_leaves(entries), known.entry.seq - 1),
    }


def _place(leaves: list[bytes], index: int) -> dict[str, Any]:
    path = [node.hex() for node in inclusion_path(leaves, index)]
    return {"index": str(index), "size": str(len(leaves)), "path": path}


def _shown(entry: JournalRow) -> dict[str, Any]:
    """A journal entry with the values of some fields, each with its own salt, and the hashes of the others."""
    fields = fields_of(entry.body)
    if fields is None:
        raise IntegrityFailure(
            f"journal entry {entry.seq} was hashed as a whole, as earlier versions did: no part of it can be shown",
            not_done="no bundle was written",
            next_step="`tallystick verify` checks the document; documents issued from now on can be proved",
        )
    secret = json.loads(entry.body)[SALT]
    shown = {}
    for name, value in fields.items():
        own = field_salt(secret, name)
        hashed = {"hash": field_hash(own, name, value)}
        shown[name] = {"value": value, "salt": own} if name in SHOWN else hashed
    return {"seq": str(entry.seq), "kind": entry.kind, "prev": entry.prev_hash, "fields": shown}
