"""Checkpoints: the size of the journal and the root over its entries, signed, to be kept where nobody here can write.

A chain without a copy outside can be rewritten whole, unseen. With one, a ledger that was rewritten or rolled back
shows: the journal as it is now must go on from the checkpoint. The last one that was exported is remembered beside the
ledger, and nothing is issued from a ledger that lies behind it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.durable import Point, write_file
from orchestration.errors import IntegrityFailure
from orchestration.ledger.journal import check_chain
from orchestration.ledger.keys import key_for, origin_of, signer
from orchestration.ledger.merkle import consistency_path, is_consistent, leaf_hash, root_hash
from orchestration.ledger.notes import key_id_of, signed_text
from orchestration.ledger.rows import JournalRow
from orchestration.ledger.store import Ledger

REMEMBERED = "checkpoint.note"
"""The last exported checkpoint, in the folder of the instance."""
_EMPTY = root_hash([])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A journal of `size` entries has the root `root`; `origin` names the instance."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Three lines, as C2SP's tlog-checkpoint has them."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str, where: str) -> Checkpoint:
        try:
            origin, size, root = text.splitlines()
            found = cls(origin, int(size), base64.b64decode(root, validate=True))
            if found.text != text or found.size < 0 or len(found.root) != 32:
                raise ValueError("it is written in another form")
        except ValueError as error:
            raise IntegrityFailure(
                f"this is no checkpoint: {error}",
                where=where,
                not_done="nothing was compared",
                next_step="name a file that `tallystick checkpoint export` wrote",
            ) from error
        return found


def journal_leaves(entries: Sequence[JournalRow]) -> list[bytes]:
    """The leaves of the tree over the journal: each the hash of an entry, which covers those before it."""
    return [leaf_hash(b"", bytes.fromhex(entry.hash)) for entry in entries]


def checkpoint_of(ledger: Ledger) -> Checkpoint:
    """The journal as it is now. Raises IntegrityFailure for one whose chain is broken: that is never signed."""
    entries = ledger.journal()
    broken = check_chain(entries)
    if broken:
        raise IntegrityFailure(
            f"the journal doesn't hold: {broken[0]}",
            where=str(ledger.path),
            not_done="nothing was signed",
            next_step="`tallystick verify` names all that is wrong; restore ledger.sqlite from a backup",
        )
    return Checkpoint(origin_of(ledger), len(entries), root_hash(journal_leaves(entries)))


def export_checkpoint(ledger: Ledger, to: Path) -> Checkpoint:
    """Sign the journal as it is now, write it to `to`, and remember it beside the ledger.

    Raises IntegrityFailure when the journal doesn't go on from the one that was exported before.
    """
    refuse_behind(ledger)
    found = checkpoint_of(ledger)
    note = signer(ledger).sign(found.text).encode()
    # Remembered first: a copy that is out and not remembered would bind nobody here.
    write_file(ledger.path.parent / REMEMBERED, note, Point.CHECKPOINT_REMEMBERED, mode=0o644)
    write_file(to, note, Point.CHECKPOINT_EXPORTED, mode=0o644)
    return found


def compare(ledger: Ledger, path: Path) -> Checkpoint:
    """The checkpoint in a file, if the journal goes on from it. Raises IntegrityFailure if not, and says how."""
    note = path.read_text()
    key, sizes = key_for(ledger, note)
    earlier = Checkpoint.parse(signed_text(note, key, str(path)), str(path))
    entries = ledger.journal()
    now = checkpoint_of(ledger)
    if earlier.origin != now.origin:
        raise _refused(f"the checkpoint is of {earlier.origin}, this instance is {now.origin}", path)
    if earlier.size <= now.size and earlier.size not in sizes:
        message = f"key {key_id_of(key)} was not in use when the journal had {earlier.size} entries"
        raise _refused(message, path)
    if earlier.size > now.size:
        message = f"the ledger was rolled back: its journal has {now.size} entries, the checkpoint {earlier.size}"
        raise _refused(message, path)
    if earlier.size == 0:
        agrees = earlier.root == _EMPTY
    else:
        proof = consistency_path(journal_leaves(entries), earlier.size)
        agrees = is_consistent(earlier.size, now.size, earlier.root, now.root, proof)
    if not agrees:
        message = f"the ledger was rewritten: its first {earlier.size} journal entries are not those of the checkpoint"
        raise _refused(message, path)
    return earlier


def refuse_behind(ledger: Ledger) -> None:
    """Raise IntegrityFailure if the journal doesn't go on from the checkpoint that was exported last."""
    path = ledger.path.parent / REMEMBERED
    if path.exists():
        compare(ledger, path)


def _refused(message: str, path: Path) -> IntegrityFailure:
    return IntegrityFailure(
        message,
        where=str(path),
        not_done="nothing was issued, signed or changed",
        next_step="restore the ledger that this checkpoint was exported from, or a later one, and its keys",
    )
