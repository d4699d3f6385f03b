"""What was written and what must come out of it, counted while writing and by no other code of the project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from orchestration.example.profiles import PROFILES
from orchestration.example.traffic import month

_ZONES = {profile.customer: profile.zone for profile in PROFILES}
_MILLI, _NANO = Decimal("0.001"), Decimal("0.000000001")


class Line(NamedTuple):
    """A line and the bucket it must end in. `reason` is that of a quarantined line.

    `attributed` is False for an accepted line whose credential belongs to nobody.
    """

    data: bytes
    bucket: str = "accepted"
    reason: str = ""
    attributed: bool = True


BLANK = Line(b"", "blank")


def broken(data: bytes, reason: str) -> Line:
    """A line that must be quarantined."""
    return Line(data, "quarantined", reason)


@dataclass(frozen=True)
class Written:
    """One file: its path relative to the instance folder and how many lines must end in each bucket."""

    source: str
    path: str
    lines: int
    accepted: int
    duplicate: int
    conflict: int
    blank: int
    quarantined: dict[str, int]
    unattributed: int

    @classmethod
    def of(cls, source: str, path: str, lines: Iterable[Line]) -> Written:
        buckets: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        unattributed = 0
        for line in lines:
            buckets[line.bucket] += 1
            if line.bucket == "quarantined":
                reasons[line.reason] += 1
            unattributed += not line.attributed
        return cls(
            source=source,
            path=path,
            lines=buckets.total(),
            accepted=buckets["accepted"],
            duplicate=buckets["duplicate"],
            conflict=buckets["conflict"],
            blank=buckets["blank"],
            quarantined=dict(sorted(reasons.items())),
            unattributed=unattributed,
        )


@dataclass
class Expected:
    """The numbers of the local October of each customer. Customers without any are absent.

    `requests` are billable ones: no 429, nothing from 500 up. Compute units are counted in 10^-9, storage in 10^-3 GB.
    """

    requests: Counter[str] = field(default_factory=Counter)
    egress_bytes: Counter[str] = field(default_factory=Counter)
    prompt_tokens: Counter[str] = field(default_factory=Counter)
    completion_tokens: Counter[str] = field(default_factory=Counter)
    compute_nano: Counter[str] = field(default_factory=Counter)
    storage_milli: dict[str, int] = field(default_factory=dict)
    session_users: dict[str, set[str]] = field(default_factory=dict)
    request_users: dict[str, set[str]] = field(default_factory=dict)

    def request(self, customer: str, at: int, status: int, size: int, user: str = "") -> None:
        """A request was served; `user` is empty when it names no end user."""
        if not _in_month(customer, at):
            return
        self.egress_bytes[customer] += size
        if status != 429 and status < 500:
            self.requests[customer] += 1
        if user:
            self.request_users.setdefault(customer, set()).add(user)

    def computed(self, customer: str, at: int, nano: int) -> None:
        """A request took so many 10^-9 units of computing."""
        if _in_month(customer, at):
            self.compute_nano[customer] += nano

    def completion(self, customer: str, at: int, prompt: int, completion: int) -> None:
        """A language model was called."""
        if _in_month(customer, at):
            self.prompt_tokens[customer] += prompt
            self.completion_tokens[customer] += completion

    def session(self, customer: str, at: int, user: str) -> None:
        """Somebody used the app; `user` is empty for a visitor without an account."""
        if user and _in_month(customer, at):
            self.session_users.setdefault(customer, set()).add(user)

    def stored(self, customer: str, at: int, milli: int) -> None:
        """A reading of the storage, in 10^-3 GB."""
        if _in_month(customer, at):
            self.storage_milli[customer] = max(milli, self.storage_milli.get(customer, 0))

    @property
    def active_users(self) -> dict[str, int]:
        """Distinct people in the app."""
        return {customer: len(users) for customer, users in sorted(self.session_users.items())}

    @property
    def api_users(self) -> dict[str, int]:
        """Distinct end users behind API requests."""
        return {customer: len(users) for customer, users in sorted(self.request_users.items())}

    @property
    def peak_storage(self) -> dict[str, Decimal]:
        """The greatest reading, in GB."""
        return {customer: milli * _MILLI for customer, milli in sorted(self.storage_milli.items())}

    @property
    def compute_units(self) -> dict[str, Decimal]:
        """Units of computing, exact to 9 decimals."""
        return {customer: nano * _NANO for customer, nano in sorted(self.compute_nano.items())}

    def merged(self, later: Expected) -> Expected:
        """Both together: sums added, people united, the greater peak."""
        customers = sorted(self.storage_milli.keys() | later.storage_milli.keys())
        return Expected(
            requests=self.requests + later.requests,
            egress_bytes=self.egress_bytes + later.egress_bytes,
            prompt_tokens=self.prompt_tokens + later.prompt_tokens,
            completion_tokens=self.completion_tokens + later.completion_tokens,
            compute_nano=self.compute_nano + later.compute_nano,
            storage_milli={c: max(self.storage_milli.get(c, 0), later.storage_milli.get(c, 0)) for c in customers},
            session_users=_united(self.session_users, later.session_users),
            request_users=_united(self.request_users, later.request_users),
        )


def _united(a: dict[str, set[str]], b: dict[str, set[str]]) -> dict[str, set[str]]:
    return {customer: a.get(customer, set()) | b.get(customer, set()) for customer in sorted(a.keys() | b.keys())}


def _in_month(customer: str, at: int) -> bool:
    start, end = month(_ZONES[customer])
    return start <= at < end


@dataclass(frozen=True)
class GeneratedSummary:
    """Every file that was written, and the numbers that must come out."""

    files: tuple[Written, ...]
    expected: Expected

    @property
    def lines(self) -> int:
        return sum(f.lines for f in self.files)

    @property
    def accepted(self) -> int:
        return sum(f.accepted for f in self.files)

    @property
    def duplicate(self) -> int:
        return sum(f.duplicate for f in self.files)

    @property
    def conflict(self) -> int:
        return sum(f.conflict for f in self.files)

    @property
    def blank(self) -> int:
        return sum(f.blank for f in self.files)

    @property
    def quarantined(self) -> dict[str, int]:
        """Quarantined lines by reason."""
        total: Counter[str] = Counter()
        for written in self.files:
            total.update(written.quarantined)
        return dict(sorted(total.items()))

    @property
    def unattributed(self) -> int:
        """Accepted lines that belong to no customer."""
        return sum(f.unattributed for f in self.files)

    def of(self, source: str) -> GeneratedSummary:
        """The files of one source. The expected numbers stay those of all sources."""
        return GeneratedSummary(tuple(f for f in self.files if f.source == source), self.expected)

    def merged(self, later: GeneratedSummary) -> GeneratedSummary:
        """What must be there when both were taken."""
        return GeneratedSummary(self.files + later.files, self.expected.merged(later.expected))
