"""What a case of pricing is, and what an answer to it is: data that both computations can be given and asked for.

Only the catalog's data models are shared with the program; nothing here computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction

from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Adjustment, Coupon, Exemption, Grant, Override, TaxRate

CUSTOMER, ENTITY, COUNTRY = "acme", "main", "FR"
DECIMALS = {"JPY": 0, "EUR": 2, "KWD": 3, "CLF": 4}

METERS = {
    "calls": Meter(key="calls", name="Calls", unit="call", event_type="e", aggregation="count"),
    "units": Meter(key="units", name="Units", event_type="e", aggregation="sum", value="n", allow_negative=True),
    "users": Meter(key="users", name="Users", unit="user", event_type="e", aggregation="unique_count", value="u"),
    "peak": Meter(key="peak", name="Peak", unit="GB", event_type="e", aggregation="max", value="gb"),
    "money": Meter(key="money", name="Money", event_type="e", aggregation="sum", value="m", allow_negative=True),
    "zones": Meter(
        key="zones", name="By zone", event_type="e", aggregation="sum", value="n", dimensions=("region", "tier")
    ),
}
"""`peak` has one value for a segment; the quantities of the others add up."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a meter measured at an hour of a local day; the uses of an hour are in the order of their event keys."""

    meter: str
    day: date
    quantity: Decimal
    hour: int = 0
    cell: str = ""


@dataclass(frozen=True)
class Case:
    """One subscription of one customer, and the document of a cut-off at which nothing was issued before."""

    plans: Mapping[str, Plan]
    phases: tuple[Subscription, ...]
    cut_off: date
    uses: tuple[Use, ...] = ()
    overrides: tuple[Override, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    grants: tuple[Grant, ...] = ()
    rates: tuple[TaxRate, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    half_even: bool = False

    @property
    def currency(self) -> str:
        return self.plans[self.phases[0].plan].currency


@dataclass(frozen=True, slots=True)
class Row:
    """A line; amounts in whole minor units, the quantity as it is priced."""

    charge: str
    kind: str
    plan: str
    period_start: date
    period_end: date
    start: date
    end: date
    quantity: Fraction
    gross: int
    discount: int
    excess: int
    top_up: int
    trial: bool = False
    advance: bool = False
    tax_category: str = "standard"

    @property
    def amount(self) -> int:
        return self.gross - self.discount - self.excess + self.top_up

    @property
    def key(self) -> tuple[str, str, date, date]:
        """The plan stands in it, as a period has a cap for each."""
        return self.plan, self.charge, self.period_start, self.start


@dataclass(frozen=True)
class Answer:
    """The lines of a document and what becomes of them; amounts in whole minor units.

    `reductions` are the coupons and promotional credits that took something, by id, in their order; `taxes` by
    (category, name and percent of the rate or the reason of an exemption).
    """

    rows: tuple[Row, ...]
    subtotal: int
    reductions: Mapping[str, int]
    taxes: Mapping[tuple[str, str], int]
    total: int
    prepaid: Mapping[str, int]
    due: int
    left: tuple[int, ...] = field(default=())
    """Of each row, what is left of it after coupons and promotional credits: the base of tax."""
