"""Keys that sign: which one does now, and how each was handed over to the next.

A key is replaced by a journal entry that both have signed: the old one, so that whoever trusts it can trust the new
one, and the new one, to show that it is there. From that entry on the old key signs nothing: a checkpoint that bears
its signature, and reaches further, is refused. So a key that is stolen after it was replaced is worth nothing.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestration.canonical import sha256_hex
from orchestration.errors import IntegrityFailure, Problem
from orchestration.ledger.notes import Signer, key_id_of, signed_text, signer_of
from orchestration.ledger.rows import JournalRow
from orchestration.ledger.store import Ledger

HANDOVER = "key"
"""Kind of the journal entry by which a key replaces another."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The key `new` signs after `old`, from a journal entry on. Keys are as they are handed out; the notes say so,
    signed by each. Of a key that was lost there is no note, and `reason` says why."""

    now_us: str
    old: str
    new: str
    by_old: str
    by_new: str
    reason: str

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.old.partition('+')[0]}/key\n{self.old}\n{self.new}\n"

    @classmethod
    def of(cls, entry: JournalRow) -> Handover:
        """Raises IntegrityFailure for an entry that is none."""
        try:
            said = json.loads(entry.body)
            return cls(**{name: str(said[name]) for name in cls.__slots__})
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityFailure(
                f"journal entry {entry.seq} can't be read: {error}",
                not_done="nothing was signed, and no signature was believed",
                next_step="restore ledger.sqlite from a backup",
            ) from error

    def wrong(self, where: str) -> Iterator[str]:
        """What of its signatures doesn't hold."""
        for note, key in ((self.by_old, self.old), (self.by_new, self.new)):
            if note or not self.reason:
                try:
                    if signed_text(note, key, where) != self.text:
                        yield f"key {key_id_of(key)} has signed something else"
                except IntegrityFailure as error:
                    yield error.message


def origin_of(ledger: Ledger) -> str:
    """A name for the instance that tells nothing of it."""
    return f"tallystick/{sha256_hex(ledger.key)[:16]}"


def handovers(entries: Iterable[JournalRow]) -> dict[int, Handover]:
    """By journal entry, the keys that were replaced, in their order."""
    return {entry.seq: Handover.of(entry) for entry in entries if entry.kind == HANDOVER}


def signer(ledger: Ledger, *, create: bool = True) -> Signer:
    """Who signs for this instance. A key is made only with `create`, and where there never was one."""
    found = list(handovers(ledger.journal()).values())
    return signer_of(ledger.path.parent, origin_of(ledger), create=create, key_text=found[-1].new if found else None)


def key_for(ledger: Ledger, note: str) -> tuple[str, range]:
    """The key that a note says it bears, or the one in use, and the sizes of the journal of which that one may tell."""
    found = handovers(ledger.journal())
    keys = [change.old for change in list(found.values())[:1]] + [change.new for change in found.values()]
    keys = keys or [signer(ledger, create=False).key_text]
    bounds = [0, *found, 1 << 63]
    terms = [(key, range(bounds[n], bounds[n + 1])) for n, key in enumerate(keys)]
    return next((term for term in reversed(terms) if key_id_of(term[0]) == _key_id(note)), terms[-1])


def _key_id(note: str) -> str:
    try:
        return b64decode(note.rsplit(" ", 1)[-1])[:4].hex()
    except ValueError:
        return ""


def wrong_handovers(entries: Iterable[JournalRow]) -> Iterator[Problem]:
    """Keys of the journal that weren't handed over by the one before, or whose signatures don't hold."""
    before = None
    for seq, change in handovers(entries).items():
        where = f"ledger.sqlite, journal entry {seq}"
        if before not in (None, change.old):
            yield Problem("key_edited", f"replaces {key_id_of(change.old)}, which was not in use", where)
        yield from (Problem("key_edited", text, where) for text in change.wrong(where))
        before = change.new
