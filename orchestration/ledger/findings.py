"""What people found about incidents, in the journal: labels (real, or a false alarm) and decisions about held drafts.

Incidents are derived and may be others after the next run; what somebody has said of one stays, with what it was then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from orchestration.canonical import canonical_bytes
from orchestration.errors import IntegrityFailure
from orchestration.ledger.rows import JournalRow

LABEL, HOLD = "label", "hold"
"""Kinds of the journal entries that a label and a decision write."""
SAID_REAL, SAID_FALSE, APPROVE, REJECT = "real", "false", "approve", "reject"
_KINDS = {SAID_REAL: LABEL, SAID_FALSE: LABEL, APPROVE: HOLD, REJECT: HOLD}


@dataclass(frozen=True, slots=True)
class Seen:
    """An incident as it was seen: whose, of which kind, the starts of its first and last hour in microseconds UTC, and
    the figures of its peak as text."""

    incident: str
    customer: str
    kind: str
    first_us: int
    last_us: int
    observed: str
    centre: str
    lower: str
    upper: str

    def same_hours(self, other: Seen) -> bool:
        """Whether two are of the same customer and kind and have an hour in common."""
        whose = (self.customer, self.kind) == (other.customer, other.kind)
        return whose and self.first_us <= other.last_us and other.first_us <= self.last_us

    def same(self, other: Seen) -> bool:
        """Whether it is what was seen: the same incident, with the same hours and the same peak. Its limits move with
        labels, and don't count."""
        ours, theirs = ((s.incident, s.customer, s.kind, s.first_us, s.last_us, s.observed) for s in (self, other))
        return ours == theirs


@dataclass(frozen=True, slots=True)
class Finding:
    """What somebody said of an incident: `says` is real or false (a label), approve or reject (a decision).

    A decision has the label that the incident had, and whose it was; both are empty without one.
    """

    seen: Seen
    says: str
    by: str
    reason: str
    now_us: int
    labelled: str = ""
    labelled_by: str = ""
    seq: int = 0

    @property
    def entry_kind(self) -> str:
        return _KINDS[self.says]

    def body(self) -> bytes:
        """The entry's body, canonical JSON."""
        fields = asdict(self.seen) | {"says": self.says, "by": self.by, "reason": self.reason}
        fields |= {"labelled": self.labelled, "labelled_by": self.labelled_by} if self.entry_kind == HOLD else {}
        return canonical_bytes(
            fields | {name: str(us) for name, us in _times(self.seen).items()} | {"now_us": str(self.now_us)}
        )

    @classmethod
    def of(cls, entry: JournalRow) -> Finding:
        """Raises ValueError, KeyError or TypeError for an entry that is not as it is written."""
        body = json.loads(entry.body)
        texts = {name: body[name] for name in Seen.__slots__ if not name.endswith("_us")}
        seen = Seen(**texts, first_us=int(body["first_us"]), last_us=int(body["last_us"]))
        labelled = body.get("labelled", ""), body.get("labelled_by", "")
        found = cls(seen, body["says"], body["by"], body["reason"], int(body["now_us"]), *labelled, entry.seq)
        if found.entry_kind != entry.kind:
            raise ValueError(f"a {entry.kind} can't say '{found.says}'")
        return found

    def reviewed(self) -> dict[str, str]:
        """An approval as the reviewed row that a close lists: who labelled the incident proposed it."""
        about = {"customer": self.seen.customer, "incident": self.seen.incident, "kind": self.seen.kind}
        hours = {name: _utc(us) for name, us in _times(self.seen).items()}
        two = {"by": self.labelled_by, "approved_by": self.by} if self.labelled_by else {"by": self.by}
        on = _utc(self.now_us)[:10]
        return about | hours | two | {"on": on, "reason": self.reason, "label": self.labelled, "entry": str(self.seq)}


def findings(entries: Iterable[JournalRow]) -> list[Finding]:
    """Labels and decisions in the order of the journal. Raises IntegrityFailure for one that can't be read."""
    found = []
    for entry in entries:
        if entry.kind not in (LABEL, HOLD):
            continue
        try:
            found.append(Finding.of(entry))
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityFailure(
                f"a {entry.kind} in the journal can't be read: {type(error).__name__}: {error}",
                where=f"ledger.sqlite, journal entry {entry.seq}",
                not_done="no incident was judged, as it isn't known what was decided",
                next_step="restore ledger.sqlite from a backup",
            ) from error
    return found


def labelled(entries: Iterable[JournalRow]) -> dict[str, Finding]:
    """By incident, its last label."""
    return {f.seen.incident: f for f in findings(entries) if f.entry_kind == LABEL}


def decided(entries: Iterable[JournalRow]) -> dict[str, Finding]:
    """By incident, the last decision about it."""
    return {f.seen.incident: f for f in findings(entries) if f.entry_kind == HOLD}


def labels(entries: Iterable[JournalRow]) -> list[tuple[str, str, bool, int]]:
    """Customer, kind, whether it was real and when that was said (microseconds), of each labelled incident; its last
    label counts."""
    return [(f.seen.customer, f.seen.kind, f.says == SAID_REAL, f.now_us) for f in labelled(entries).values()]


def _times(seen: Seen) -> Mapping[str, int]:
    return {"first_us": seen.first_us, "last_us": seen.last_us}


def _utc(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")
