"""Replacing the key that signs: a journal entry that both have signed, and then the old secret is gone."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from orchestration.canonical import canonical_bytes
from orchestration.durable import Point
from orchestration.errors import ConfigInvalid
from orchestration.ledger.checkpoints import refuse_behind
from orchestration.ledger.keys import HANDOVER, Handover, handovers, origin_of, signer
from orchestration.ledger.notes import KEY, PUBLIC_KEY, key_id_of, next_signer, take_next
from orchestration.ledger.store import Ledger


def rotate(ledger: Ledger, key_id: str, now_us: int, lost: str = "") -> tuple[int, Handover]:
    """Replace the key of that id by a new one; what was begun before is finished, and nothing is replaced twice.

    Args:
        lost: why the key can't sign its successor. Customers then have to be told the new one.
    Returns:
        The number of the journal entry, and the entry.
    Raises:
        ConfigInvalid: there is no such key, or it isn't lost. IntegrityFailure: it can't be read.
    """
    folder, found = ledger.path.parent, handovers(ledger.journal())
    last = next(reversed(found.values()), None)
    if last is not None:
        take_next(folder, last.new)
    for seq, change in found.items():
        if key_id_of(change.old) == key_id:
            return seq, change
    if not lost:
        refuse_behind(ledger)
    old = None if lost else signer(ledger, create=False)
    text = old.key_text if old else last.new if last else _public(folder)
    there = bool(lost) and (folder / KEY).exists()
    if there or key_id_of(text) != key_id:
        raise ConfigInvalid(
            f"the key in use is {key_id_of(text)}" + ", and it is there" * there,
            where=str(folder),
            not_done="no key was replaced",
            next_step="name the id of the key in use, the second part of checkpoint.pub",
        )
    new = next_signer(folder, origin_of(ledger))
    change = Handover(str(now_us), text, new.key_text, "", "", lost)
    change = replace(change, by_old=old.sign(change.text) if old else "", by_new=new.sign(change.text))
    with ledger.transaction(Point.KEY_HANDED_OVER):
        row = ledger.append_journal(HANDOVER, canonical_bytes(asdict(change)))
    take_next(folder, new.key_text)
    return row.seq, change


def _public(folder: Path) -> str:
    path = folder / PUBLIC_KEY
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ConfigInvalid(
            f"nothing says which key was lost: {error.strerror}",
            where=str(path),
            not_done="no key was replaced",
            next_step="put checkpoint.pub there as it was published; without any, `checkpoint export` makes a key",
        ) from error
