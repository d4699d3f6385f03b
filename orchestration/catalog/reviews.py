"""Rows that somebody has reviewed: each with who, when and why, and with who approved it.

Files of this module, each of which may be absent: corrections.yaml, voids.yaml, withheld.yaml, erasures.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from orchestration.catalog.fields import Day, Key, Model, Name
from orchestration.catalog.places import Places
from orchestration.errors import Problem

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Reviewed(Model):
    """Who proposed a row, when and why, and who approved it: another person."""

    by: str = Field(min_length=1)
    on: Day
    reason: str = Field(min_length=1)
    approved_by: Said | None = None

    @model_validator(mode="after")
    def _two_people(self) -> Reviewed:
        if self.approved_by is not None and same_person(self.approved_by, self.by):
            raise ValueError(f"'{self.by}' has proposed the row and can't approve it: proposer and approver are two")
        return self


class Declared(Reviewed):
    """An edit of the catalog that alters closed periods on purpose: a file, and the hash of its text as edited.

    It declares this one edit: the next one of the file is another. Differences are billed by the plan's policy.
    """

    file: str = Field(min_length=1)
    sha256: Sha256


class Void(Reviewed):
    """A document that is taken back whole by a credit note; with `reissue` its lines are billed anew, as known now."""

    document: str = Field(min_length=1)
    reissue: bool = False


class Withheld(Reviewed):
    """Differences in the customer's favour of a plan with `corrections: report_only`, which are not given back."""

    subscription: Key
    period_start: Day


class ErasedEvent(Model):
    """An event by its identity."""

    source: str
    id: str


class ErasedLine(Model):
    """A line of a file by the file's hash as delivered: also one that was quarantined and is no event."""

    sha256: Sha256
    line: int = Field(ge=1)


class Erase(Reviewed):
    """Whose personal data `tallystick erase <name>` removes: an end user's, or that of single events or lines.

    `user` is the end user's keyed hash as `tallystick erase --hash` shows it, never the id in clear, and is sought in
    the events of a `feed` (a source of the catalog) or of a `customer`, or of one in the other. `properties` lists
    properties that hold the end user's id as well: they are sought for the hash, and their values become it.
    """

    name: Key
    user: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    feed: Key | None = None
    customer: Key | None = None
    properties: tuple[Name, ...] = ()
    events: tuple[ErasedEvent, ...] = ()
    lines: tuple[ErasedLine, ...] = ()
    by: Said
    reason: Said

    @model_validator(mode="after")
    def _whose(self) -> Erase:
        if (self.user is not None) != (self.feed is not None or self.customer is not None):
            raise ValueError("a 'user' is sought in a 'feed' or with a 'customer', and nobody else is")
        if self.user is None and not self.events and not self.lines:
            raise ValueError("a row names a 'user', 'events' or 'lines'")
        return self


@dataclass(frozen=True, slots=True)
class Reviews:
    """What people decided of closed periods and issued documents."""

    declared: tuple[Declared, ...] = ()
    voids: tuple[Void, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    erasures: tuple[Erase, ...] = ()

    @property
    def rows(self) -> tuple[Reviewed, ...]:
        return (*self.declared, *self.voids, *self.withheld, *self.erasures)


def check_approvals(rows: Iterable[Reviewed], since: date | None, places: Places) -> Iterator[Problem]:
    """Rows written on a day from which all need a second person, that have none."""
    for row in rows:
        if since is not None and row.on >= since and row.approved_by is None:
            message = f"rows from {since} on are approved by a second person: 'approved_by' is missing"
            yield Problem("not_approved", message, places.of(row))


def check_voids(voids: Sequence[Void], places: Places) -> Iterator[Problem]:
    """Two rows of one document would contradict each other."""
    seen: dict[str, Void] = {}
    for row in voids:
        first = seen.setdefault(row.document, row)
        if first is not row:
            message = f"'{row.document}' is also voided at {places.of(first)}"
            yield Problem("duplicate", message, places.of(row))


def check_erasures(erasures: Sequence[Erase], places: Places) -> Iterator[Problem]:
    """A name stands for one row: what was journalled under it tells what it erased."""
    seen: dict[str, Erase] = {}
    for row in erasures:
        first = seen.setdefault(row.name, row)
        if first is not row:
            yield Problem("duplicate", f"'{row.name}' is also the name of {places.of(first)}", places.of(row))


def same_person(one: str, other: str) -> bool:
    """Whether two names are those of one person, however they are spaced or capitalised."""
    first, second = (" ".join(name.split()).casefold() for name in (one, other))
    return first == second
