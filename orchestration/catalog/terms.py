"""What a customer agreed beside the plan: overrides of prices, coupons, credits, adjustments, and the taxes they pay.

Files, each of which may be absent: overrides.yaml, coupons.yaml, credits.yaml, adjustments.yaml, refunds.yaml,
releases.yaml, taxes.yaml. Days are local to the customer; an interval includes its first day and excludes its last.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestration.catalog.charges import Cell, Percent, Tier
from orchestration.catalog.fields import AccountCode, CurrencyCode, Day, DecimalText, Key, Model
from orchestration.catalog.reviews import Reviewed

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Override(Model):
    """Prices of one charge for one customer from a day to a day, as a contract says. The charge's structure stays."""

    customer: Key
    plan: Key
    charge: Key
    start: Day
    end: Day | None = None
    contract: str = Field(min_length=1)
    amount: DecimalText | None = None
    price: DecimalText | None = None
    rate: DecimalText | None = None
    fixed: DecimalText | None = None
    tiers: tuple[Tier, ...] = ()
    cells: tuple[Cell, ...] = ()
    default: DecimalText | None = None
    multiplier: DecimalText | None = None


class Coupon(Model):
    """A reduction: a percentage of what is left of the lines it names, or an amount of one currency.

    `lasts` is `once` (the rest of an amount stays for later documents), a number of documents, or `forever`. It serves
    documents whose last day before the cut-off lies between `issued` and `until`, the first day without it.
    `applies_to` are keys of charges; without it all lines but corrections and adjustments.
    """

    id: Key
    customer: Key
    issued: Day
    percent: Percent | None = None
    amount: DecimalText | None = None
    currency: CurrencyCode | None = None
    lasts: Literal["once", "forever"] | int = "once"
    until: Day | None = None
    applies_to: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _percent_or_amount(self) -> Coupon:
        if (self.percent is None) == (self.amount is None):
            raise ValueError(f"coupon '{self.id}' has either a percent or an amount")
        if (self.amount is None) != (self.currency is None):
            raise ValueError(f"coupon '{self.id}': an amount has a currency, a percentage has none")
        if isinstance(self.lasts, int) and (isinstance(self.lasts, bool) or self.lasts < 1):
            raise ValueError(f"coupon '{self.id}': a number of documents is 1 or more")
        return self


class Grant(Model):
    """Credit of a customer. `promotional` reduces the lines before tax, `prepaid` pays the total after it.

    Used by priority (the least first), expiry, day of the grant, id. `expires` is the first day on which it is no
    longer valid; `applies_to` limits it to charges.
    """

    id: Key
    customer: Key
    kind: Literal["promotional", "prepaid"]
    amount: DecimalText
    currency: CurrencyCode
    granted: Day
    expires: Day | None = None
    priority: int = Field(default=0, ge=0, le=1000)
    applies_to: tuple[Key, ...] = ()


class Adjustment(Reviewed):
    """A reviewed amount on the customer's next document: a charge above 0 or a credit below, booked to `account`."""

    id: Key
    customer: Key
    day: Day
    amount: str = Field(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,4})?$")
    currency: CurrencyCode
    tax_category: Key = "standard"
    reference: str = ""
    account: AccountCode = "revenue"


class Refund(Reviewed):
    """A credit note that was paid out: what it still owes pays no later document any more."""

    document: str = Field(min_length=1)


class Release(Reviewed):
    """A reviewed row: the documents of a customer at a cut-off are issued although they lie outside the bounds."""

    customer: Key
    cut_off: Day


class TaxRate(Model):
    """A rate of a category, for buyers of some countries of some sellers (none named: all), from a day to a day."""

    category: Key
    name: str
    percent: Percent
    entity: Key | None = None
    countries: tuple[Country, ...] = ()
    start: Day | None = None
    end: Day | None = None

    def holds_for(self, category: str, entity: str, country: str) -> bool:
        """Whether it is a rate of a category for buyers of a country, on whatever day."""
        return (
            self.category == category
            and self.entity in (None, entity)
            and (not self.countries or country in self.countries)
        )


class Exemption(Model):
    """A customer that pays no tax, of one category or of all, with the reason that stands on the document."""

    customer: Key
    category: Key | None = None
    reason: str = Field(min_length=1)
    start: Day | None = None
    end: Day | None = None


class Taxes(Model):
    """`taxes.yaml`. A category that is used and has no rate for a buyer is an error, not a rate of 0."""

    rates: tuple[TaxRate, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
