"""Which revenue account a line is booked to, by plan, charge and day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Adjustment


class Booked(NamedTuple):
    """The account of a charge for lines that begin on a day from `start` on, before `end`. An empty charge stands for
    all that has no row of its own: caps, true-ups, charges that are gone. An adjustment has no plan; its id is the
    charge."""

    plan: str
    charge: str
    start: date
    end: date
    account: str


def accounts(plans: Iterable[Plan], adjustments: Iterable[Adjustment]) -> Iterator[Booked]:
    """The accounts of every charge and adjustment; the intervals of a charge don't overlap."""
    for plan in plans:
        yield Booked(plan.key, "", date.min, date.max, plan.account)
        versions = sorted(plan.versions, key=attrgetter("effective"))
        starts = [date.min, *(version.effective for version in versions[1:]), date.max]
        for version, (start, end) in zip(versions, pairwise(starts), strict=True):
            for charge in version.charges:
                yield Booked(plan.key, charge.key, start, end, charge.account or plan.account)
    for row in adjustments:
        yield Booked("", row.id, date.min, date.max, row.account)
