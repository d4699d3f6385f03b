"""All lines of an instance, and the documents of a close, from the archived catalog and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import groupby

from orchestration.audit.charged import Charged, Quantity
from orchestration.audit.pricing.causes import Later
from orchestration.audit.pricing.differences import Group, adjustment, due_lines, groups_of
from orchestration.audit.pricing.lines import Key, Line, lines_of
from orchestration.audit.pricing.plans import plan_lines
from orchestration.audit.pricing.policies import on_documents
from orchestration.audit.pricing.record import Standing
from orchestration.catalog import Catalog

Quantities = Mapping[str, Sequence[Quantity]]
"""By line id: what was measured; without an entry it is 0."""


def all_lines(catalog: Catalog, charged: Iterable[Charged], quantities: Quantities) -> Iterator[Line]:
    """The lines of every charge of every span, and what plans add to them. `charged` come by subscription."""
    half_even = {entity.key for entity in catalog.settings.entities if entity.rounding == "half_even"}
    ends: dict[str, date] = {}
    for row in catalog.subscriptions:
        ends[row.subscription] = max(ends.get(row.subscription, date.min), row.end or date.max)

    def even(customer: str, day: date) -> bool:
        return catalog.seller(customer, day) in half_even

    for subscription, of_subscription in groupby(charged, key=lambda item: item.segment.subscription):
        items = list(of_subscription)
        lines: list[Line] = []
        for item in items:
            key = item.terms.charge.meter
            meter = None if key is None else catalog.meters[key]
            lines += lines_of(
                item,
                meter,
                quantities.get(item.line_id, ()),
                even=even(item.segment.customer, item.segment.period_start),
            )
        spans = list({item.of_plan.start: item.of_plan for item in items}.values())
        yield from lines
        yield from plan_lines(spans, lines, ends[subscription], partial(even, items[0].segment.customer))


def groups(
    catalog: Catalog,
    lines: Iterable[Line],
    issued: Mapping[Key, Standing],
    cut_off: date,
    later: Later = lambda _: None,
) -> list[Group]:
    """What is due at a cut-off, adjustments included, by customer, seller and currency; `later` says what came to be
    known of issued lines."""
    now = [*lines, *(adjustment(row) for row in catalog.adjustments)]
    voids = {row.document: row.reissue for row in catalog.reviews.voids}
    return groups_of(on_documents(due_lines(now, issued, cut_off, later, voids), catalog, cut_off), catalog.seller)
