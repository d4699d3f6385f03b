"""Statements of many customers, one after the other: the one way from due lines to documents, for drafts, closes and
audits alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain, count

from orchestration.billing.adjustments import adjustment_lines
from orchestration.billing.causes import Cause
from orchestration.billing.credits import Used
from orchestration.billing.due import DueLine, Group, Issued, due_lines
from orchestration.billing.policy import Policy, decided
from orchestration.billing.rating import Line, LineKey
from orchestration.billing.statements import Agreed, Statement, missing_rates, paid, statements
from orchestration.billing.taxes import Buyer
from orchestration.catalog import Catalog
from orchestration.catalog.models import Entity
from orchestration.catalog.terms import Coupon, Exemption, Grant


def all_due(
    catalog: Catalog,
    rated: Iterable[Line],
    issued: Mapping[LineKey, Issued],
    cut_off: date,
    known: Mapping[LineKey, Cause] | None = None,
    customer: str | None = None,
    day: date | None = None,
) -> list[DueLine]:
    """Every line due at a cut-off, adjustments and what reviewed rows take back included, as `due_lines` says;
    corrections with what their plan makes of them on a day, by default the cut-off.

    With a `customer`, `rated` and `issued` are of that one alone.
    """
    adjustments = (row for row in catalog.adjustments if customer in (None, row.customer))
    voids = {row.document: row.reissue for row in catalog.reviews.voids}
    found = due_lines(chain(rated, adjustment_lines(adjustments)), issued, cut_off, known, voids)
    policy = Policy(
        by_plan={key: plan.corrections for key, plan in catalog.plans.items()},
        horizon_days=catalog.settings.late_horizon_days,
        floors=catalog.settings.correction_floor,
        withheld={(row.subscription, row.period_start) for row in catalog.reviews.withheld},
    )
    return decided(found, policy, day or cut_off)


class Agreements:
    """What the catalog says of each customer beside its plans."""

    def __init__(self, catalog: Catalog) -> None:
        self._customer_on = catalog.customer_on
        self._entities: dict[str, Entity] = {entity.key: entity for entity in catalog.settings.entities}
        self._taxes = catalog.taxes
        self._coupons: dict[str, list[Coupon]] = defaultdict(list)
        self._grants: dict[str, list[Grant]] = defaultdict(list)
        self._exemptions: dict[str, list[Exemption]] = defaultdict(list)
        self._refunded = frozenset(row.document for row in catalog.refunds)
        for coupon in catalog.coupons:
            self._coupons[coupon.customer].append(coupon)
        for grant in catalog.grants:
            self._grants[grant.customer].append(grant)
        for exemption in catalog.taxes.exemptions if catalog.taxes is not None else ():
            self._exemptions[exemption.customer].append(exemption)

    def of(self, customer: str, entity: str, day: date) -> Agreed:
        """What holds between a customer and a seller on a day."""
        rates = None if self._taxes is None else self._taxes.rates
        return Agreed(
            buyer=Buyer(entity, self._customer_on(customer, day).country, rates, self._exemptions.get(customer, ())),
            coupons=self._coupons.get(customer, ()),
            grants=self._grants.get(customer, ()),
            refunded=self._refunded,
            rounding=self._entities[entity].rounding,
        )


def worked_out(
    agreements: Agreements, groups: Iterable[Group], cut_off: date, used: Used, name: Callable[[Statement], str]
) -> Iterator[tuple[str, Statement]]:
    """The documents of groups in the order given, each under the name that `name` gives it.

    `used` holds what earlier documents have used, and is carried on: no coupon or credit is used twice. The credit
    notes of a group come before its invoice, which they may pay.
    """
    for group in chain.from_iterable(group.in_turn() for group in groups):
        agreed = agreements.of(group.customer, group.entity, cut_off)
        for statement in statements(group, agreed, used, cut_off):
            whole = paid(statement, agreed, used, cut_off)
            number = name(whole)
            used.add(number, whole.account, whole.total, [*whole.uses, *whole.payments])
            yield number, whole


def drafted(
    agreements: Agreements,
    groups: Mapping[date, Sequence[Group]],
    used: Used,
    numbers: Iterator[int] | None = None,
) -> dict[date, list[Statement]]:
    """The statements of drafts, by cut-off: each sees what those before it would use.

    `numbers` tell drafts apart; those that share `used` have no number twice.
    """
    numbers = count(1) if numbers is None else numbers

    def name(_: Statement) -> str:
        return f"draft-{next(numbers)}"

    return {
        cut_off: [statement for _, statement in worked_out(agreements, groups[cut_off], cut_off, used, name)]
        for cut_off in sorted(groups)
    }


def untaxed(catalog: Catalog, groups: Iterable[Group], cut_off: date) -> dict[str, str]:
    """By customer, why its documents can't be made: a tax category has no rate for it. It is parked, nobody else."""
    agreements = Agreements(catalog)
    found: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        buyer = agreements.of(group.customer, group.entity, cut_off).buyer
        found[group.customer] += [f"no rate of tax category {what}" for what in missing_rates(group.lines, buyer)]
    return {customer: "; ".join(dict.fromkeys(what)) for customer, what in sorted(found.items()) if what}
