"""Closes of random cases, by the program and by the audit's second pricer: whole documents, compared as data.

A case is closed at least twice: first with a part of its usage, then with all of it and perhaps another end, so that
the second close has corrections of the first, by the policies of its plans. Some cases are closed once more, after a
document was voided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any

from price_bridge import slices_of
from price_case import COUNTRY, CUSTOMER, ENTITY, METERS, Case, Use

from orchestration.audit.charged import Charged, Quantity, charged_spans, measure_of
from orchestration.audit.clock import Clock
from orchestration.audit.parts import by_event
from orchestration.audit.pricing.documents import Issue
from orchestration.audit.pricing.priced import all_lines, groups
from orchestration.audit.pricing.record import Record, in_order
from orchestration.audit.recompute import first_difference
from orchestration.audit.states import Reading
from orchestration.billing.credits import used_in
from orchestration.billing.due import grouped, issued_lines
from orchestration.canonical import canonical_bytes
from orchestration.catalog import Catalog
from orchestration.catalog.models import Customer, Entity, Settings
from orchestration.catalog.moves import Since
from orchestration.catalog.retractions import Retractions
from orchestration.catalog.reviews import Reviews, Void, Withheld
from orchestration.catalog.terms import Taxes
from orchestration.closing.numbering import numbered
from orchestration.closing.rated import Quantity as Measured
from orchestration.closing.rated import rate_all
from orchestration.closing.statements import all_due
from orchestration.metering.control import charged_segments
from orchestration.zones import midnight_us

Body = dict[str, Any]
Made = list[tuple[list[Body], list[Body]]]
"""By close: documents, and zero invoices that are skipped."""
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Close:
    """What a close knew."""

    case: Case
    cut_off: date
    catalog: Catalog
    now_us: int


@dataclass(frozen=True)
class Reviewed:
    """What is said of corrections beside a case: by plan what becomes of them, and the rest by settings and rows."""

    corrections: Mapping[str, Any] = field(default_factory=dict)
    horizon_days: int = 400
    floor: str = "0"
    withheld: tuple[Withheld, ...] = ()
    voids: tuple[Void, ...] = ()


def catalog_of(case: Case, said: Reviewed = Reviewed()) -> Catalog:
    """A catalog that says what the case says."""
    seller = Entity(
        key=ENTITY, name="Seller", address="A", rounding="half_even" if case.half_even else "half_away",
        zero_invoices="skip" if len(case.coupons) % 2 else "issue",
    )  # fmt: skip
    customer = Customer(customer=CUSTOMER, name="Acme", address="B", country=COUNTRY, zone="UTC", entity=ENTITY)
    return Catalog(
        settings=Settings(
            entities=(seller,),
            late_horizon_days=said.horizon_days,
            correction_floor={case.currency: Decimal(said.floor)},
        ),
        sources=(),
        meters=METERS,
        routes={},  # type: ignore[arg-type]
        plans={
            key: plan.model_copy(update={"corrections": said.corrections.get(key, "next_invoice")})
            for key, plan in case.plans.items()
        },
        customers={CUSTOMER: customer},
        histories={CUSTOMER: (Since(customer, date.min, date.min),)},
        credentials=(),
        subscriptions=case.phases,
        overrides=case.overrides,
        coupons=case.coupons,
        grants=case.grants,
        adjustments=case.adjustments,
        refunds=(),
        releases=(),
        reviews=Reviews(voids=said.voids, withheld=said.withheld),
        taxes=Taxes(rates=case.rates, exemptions=case.exemptions) if case.rates else None,
        conflicts=(),
        retractions=Retractions(),
        files={},
        digest="",
    )


def closes_of(case: Case, seed: int) -> list[Close]:
    """The first close lacks some usage; before the second some subscriptions are ended, and usage may be taken back.
    Before a third one an invoice is voided, or more usage comes."""
    rng = Random(seed)
    early = tuple(use for use in case.uses if rng.random() < 0.8)
    later, uses = case, tuple(use for use in case.uses if rng.random() < 0.9)
    last = max(case.phases, key=lambda phase: phase.start)
    if rng.random() < 0.2:
        day = max(last.start + timedelta(days=1), case.cut_off - timedelta(days=rng.randrange(40)))
        if last.end is None or day < last.end:
            phases = tuple(p.model_copy(update={"end": day}) if p is last else p for p in case.phases)
            later, uses = replace(case, phases=phases), tuple(use for use in uses if use.day < day)
    wait = rng.choice((7, 31, 92))
    cut_offs, known = [case.cut_off, case.cut_off + timedelta(days=wait)], [replace(case, uses=early)]
    known.append(replace(later, uses=uses))
    reviewed = _reviewed(case, wait, rng) if seed % 2 else Reviewed()
    voided = replace(reviewed, voids=_voids(cut_offs[0], rng))
    said = [reviewed, voided if rng.random() < 0.2 else reviewed]
    if rng.random() < 0.4:
        cut_offs.append(cut_offs[-1] + timedelta(days=31))
        known.append(replace(later, uses=tuple(use for use in later.uses if use in uses or rng.random() < 0.5)))
        said.append(voided)
    found = []
    for number, (case_known, cut_off, catalog) in enumerate(
        zip(known, cut_offs, map(catalog_of, known, said), strict=True)
    ):
        now_us = midnight_us("UTC", cut_off + timedelta(days=3 + number))
        found.append(Close(case_known, cut_off, catalog, now_us))
    return found


_WHO: dict[str, Any] = {"by": "ana", "on": date(2026, 1, 1), "reason": "agreed"}


def _reviewed(case: Case, wait: int, rng: Random) -> Reviewed:
    """A horizon that lies between the end and the start of a month, seen from the second close, as well as others."""
    policies = ("next_invoice", "own_document", "report_only")
    days = [case.cut_off - timedelta(days=number) for number in range(130)] if rng.random() < 0.5 else []
    return Reviewed(
        corrections={key: rng.choice(policies) for key in sorted(case.plans)},
        horizon_days=rng.choice((wait + 10, wait + 10, wait - 1, 400)),
        floor=rng.choice(("0", "0", "5", "100")),
        withheld=tuple(
            Withheld(subscription=subscription, period_start=day, **_WHO)
            for subscription in sorted({phase.subscription for phase in case.phases})
            for day in days
        ),
    )


def _voids(cut_off: date, rng: Random) -> tuple[Void, ...]:
    """Of the first invoice of the first close, which may not be there, and of another."""
    year = (cut_off + timedelta(days=3)).year
    named = [f"INV-{year}-{number:06d}" for number in (1, 2)]
    return tuple(Void(document=number, reissue=rng.random() < 0.5, **_WHO) for number in named if rng.random() < 0.7)


# The program ---------------------------------------------------------------------------------------------------------


def program_bodies(closes: Sequence[Close]) -> Made:
    before: list[Body] = []
    found: Made = []
    for seq, close in enumerate(closes, 1):
        charged = charged_segments(close.catalog, close.now_us)
        quantities = {
            item.line_id: [
                Measured(s.day, s.quantity, None, s.windows, s.rank, "", s.cell, s.hour_us, s.events, s.part)
                for s in slices_of(close.case, item.segment, item.terms)
            ]
            for item in charged
        }
        lines = rate_all(close.catalog, charged, quantities)
        due = grouped(all_due(close.catalog, lines, issued_lines(before), close.cut_off), close.catalog.seller)
        last = last_numbers(before)
        found.append(
            numbered(close.catalog, due, close.cut_off, close.now_us, seq, lambda s, n=last: n[s], used_in(before))
        )
        # Zero invoices come before the documents of their close, and what takes others back before all else.
        before += in_order([*found[-1][1], *found[-1][0]])
    return found


def last_numbers(bodies: Iterable[Mapping[str, Any]]) -> Mapping[str, int]:
    found: dict[str, int] = defaultdict(int)
    for body in bodies:
        series, _, number = body["number"].rpartition("-")
        if number.isdigit() and series != "journal":
            found[series] = max(found[series], int(number))
    return found


# The second pricer ---------------------------------------------------------------------------------------------------


def second_bodies(closes: Sequence[Close]) -> Made:
    record = Record()
    before: list[Body] = []
    found: Made = []
    for seq, close in enumerate(closes, 1):
        charged = charged_spans(close.catalog, close.now_us)
        quantities = {item.line_id: list(measured(close.case, item)) for item in charged}
        due = groups(close.catalog, all_lines(close.catalog, charged, quantities), record.lines, close.cut_off)
        last = last_numbers(before)
        issue = Issue(close.catalog, close.cut_off, close.now_us, seq, lambda s, n=last: n[s])
        found.append(issue.documents(due, record.branch()))
        for body in in_order([*found[-1][1], *found[-1][0]]):
            record.add(body)
            before.append(body)
    return found


def measured(case: Case, item: Charged) -> Iterator[Quantity]:
    """What the audit measures of the case's usage; what events pay is told by the audit's own rules."""
    charge, span = item.terms.charge, item.segment
    if charge.meter is None:
        return
    uses = [use for use in case.uses if use.meter == charge.meter and span.start <= use.day < span.end]
    meter = METERS[charge.meter]
    if measure_of(charge, meter, (price.charge for price in item.terms.prices)) == "events":
        yield from by_event(_part(item, uses))
    elif meter.aggregation == "max":
        best = max((use.quantity for use in uses), default=None)
        if best is not None:
            yield Quantity(min(use.day for use in uses if use.quantity == best), best)
    else:
        for use in uses:
            hour = use.hour * HOUR_US + midnight_us("UTC", use.day) if use.cell else None
            yield Quantity(use.day, use.quantity, cell=use.cell, hour_us=hour)


def _part(item: Charged, uses: Sequence[Use]) -> Any:
    """Events of the uses, for the audit to tell what each of them pays."""
    span = item.segment
    clock = Clock("UTC", span.start, span.end)
    at = [(midnight_us("UTC", use.day) + use.hour * HOUR_US, number, use) for number, use in enumerate(uses)]
    events = [Reading(us, "s", f"{n:09d}", Decimal(use.quantity), "[]", None) for us, n, use in at]
    bounds = midnight_us("UTC", span.start), midnight_us("UTC", span.end)
    return SimpleNamespace(
        item=item,
        taken=SimpleNamespace(meter=METERS[item.terms.charge.meter or ""]),
        clock=clock,
        events=sorted(events),
        inside=lambda us: bounds[0] <= us < bounds[1],
    )


# Both ----------------------------------------------------------------------------------------------------------------


def unlike(ours: Made, theirs: Made) -> list[str]:
    """Where two computations of the same closes differ first, by close."""
    found = []
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True), 1):
        if canonical_bytes([*mine]) != canonical_bytes([*other]):
            found.append(f"close {number}: {first_difference(list(mine), list(other))}")
    return found
