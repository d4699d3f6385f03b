"""What becomes of differences: where they stand, and which are only shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction

from orchestration.audit.pricing.differences import Due
from orchestration.audit.pricing.numbers import of_minor
from orchestration.audit.pricing.plans import MADE_BY_PLANS
from orchestration.catalog import Catalog


def on_documents(found: Sequence[Due], catalog: Catalog, cut_off: date) -> list[Due]:
    """The lines that documents of this cut-off bear, in their order. Others wait: what a plan reports only, what costs
    more and comes too late, and a customer's differences while they are small."""
    differences = [due for due in found if due.differs]
    bounded = {due.line.key.subscription for due in differences if due.line.key.charge in MADE_BY_PLANS}
    together: dict[tuple[str, date], list[Due]] = defaultdict(list)
    for due in differences:
        # A cap or a commitment moves against the lines that it is for, so all of them are judged as one.
        key = due.line.key
        together[key.subscription, date.min if key.subscription in bounded else key.period_start].append(due)
    kept = {due.line.key for some in together.values() for due in _kept_back(some, catalog, cut_off)}
    small = _small((due for due in differences if due.line.key not in kept), catalog)
    return [
        due if not due.differs else replace(due, own=_corrections(due, catalog) == "own_document")
        for due in found
        if not due.differs or (due.line.key not in kept and (due.line.customer, due.line.currency) not in small)
    ]


def _corrections(due: Due, catalog: Catalog) -> str:
    plan = catalog.plans.get(due.line.plan)
    return "next_invoice" if plan is None else plan.corrections


def _kept_back(some: Sequence[Due], catalog: Catalog, cut_off: date) -> list[Due]:
    """Never in the customer's favour, but by a reviewed row: and then of a plan that reports only."""
    silent = [due for due in some if _corrections(due, catalog) == "report_only"]
    late = [d for d in some if _corrections(d, catalog) != "report_only" and _is_late(d, catalog, cut_off)]
    if sum(due.amount for due in (*silent, *late)) > 0:
        return [*silent, *late]
    withheld = {(row.subscription, row.period_start) for row in catalog.reviews.withheld}
    return [d for d in silent if d.amount < 0 and (d.line.key.subscription, d.line.key.period_start) in withheld]


def _is_late(due: Due, catalog: Catalog, cut_off: date) -> bool:
    """Adjustments have no period, and no horizon."""
    return bool(due.line.key.subscription) and (
        (cut_off - due.line.period_end).days > catalog.settings.late_horizon_days
    )


def _small(differences: Iterable[Due], catalog: Catalog) -> set[tuple[str, str]]:
    """Customers and currencies whose differences come to less than the floor, up or down."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for due in differences:
        sums[due.line.customer, due.line.currency] += due.amount
    floors = catalog.settings.correction_floor
    return {key for key, minor in sums.items() if abs(of_minor(minor, key[1])) < Fraction(floors.get(key[1], 0))}
