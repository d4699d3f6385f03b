"""Rows that somebody has reviewed: each with who, when and why, and with who approved it.

Files of this module, each of which may be absent: corrections.yaml, voids.yaml, withheld.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from orchestration.catalog.fields import Day, Key, Model
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
        if self.approved_by is not None and _person(self.approved_by) == _person(self.by):
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


@dataclass(frozen=True, slots=True)
class Reviews:
    """What people decided of closed periods and issued documents."""

    declared: tuple[Declared, ...] = ()
    voids: tuple[Void, ...] = ()
    withheld: tuple[Withheld, ...] = ()

    @property
    def rows(self) -> tuple[Reviewed, ...]:
        return (*self.declared, *self.voids, *self.withheld)


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


def _person(name: str) -> str:
    return " ".join(name.split()).casefold()
