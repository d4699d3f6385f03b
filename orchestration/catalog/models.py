"""Who sells and who buys: sellers, customers, credentials, subscriptions, and the rules of the whole instance.

Every model refuses unknown fields, so that a misspelt option is an error and not a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from pydantic import Field

from orchestration.catalog.fields import (
    CurrencyCode,
    Day,
    DecimalText,
    ExternalKey,
    Instant,
    Key,
    Model,
    Zone,
)


class Entity(Model):
    """A seller: the legal person whose name and number series stand on documents."""

    key: Key
    name: str
    address: str
    tax_id: str = ""
    zone: Zone = "UTC"
    series: str = Field(default="INV", pattern=r"^[A-Z]{1,8}$")
    zero_invoices: Literal["issue", "skip"] = "issue"
    rounding: Literal["half_away", "half_even"] = "half_away"


class Safety(Model):
    """What is not issued without a release (`releases.yaml`): the customer waits, nobody else.

    A line above the limit of its currency, and an invoice above `times_the_usual` times the greatest of the customer's
    last `invoices` ones. Quantities below 0 that a model prices as 0 wait always.
    """

    line_limits: Mapping[CurrencyCode, DecimalText] = {}
    times_the_usual: DecimalText = Decimal(10)
    invoices: int = Field(default=3, ge=1, le=60)


class Settings(Model):
    """Rules of the whole instance (`instance.yaml`).

    What is found later than `late_horizon_days` after a period's end and costs more is only reported. Differences of a
    customer that sum to less than the `correction_floor` of their currency wait. Reviewed rows dated `approvals_since`
    or later name a second person. No document is dated `locked_through` or earlier, and no close is of such a cut-off.
    A close refuses a catalog with changes that git doesn't hold, or allows it.
    """

    entities: tuple[Entity, ...] = Field(min_length=1)
    grace_days: int = Field(default=3, ge=0, le=90)
    future_skew_minutes: int = Field(default=5, ge=0, le=1440)
    unmeasured_limit: int = Field(default=0, ge=0)
    safety: Safety = Safety()
    quarantine_alert_percent: int = Field(default=50, ge=0, le=100)
    late_horizon_days: int = Field(default=400, ge=0, le=36_600)
    correction_floor: Mapping[CurrencyCode, DecimalText] = {}
    approvals_since: Day | None = None
    locked_through: Day | None = None
    uncommitted_catalog: Literal["refuse", "allow"] = "refuse"


class Customer(Model):
    """Who is billed. A customer who moves has a row for each time, from its local day `valid_from` on."""

    customer: Key
    name: str
    address: str
    country: str = Field(pattern=r"^[A-Z]{2}$")
    tax_id: str = ""
    zone: Zone
    entity: Key
    terms_days: int = Field(default=30, ge=0, le=365)
    valid_from: Day | None = None


class Credential(Model):
    """An API key, account or subject, and whose it is from an instant (inclusive) to another (exclusive)."""

    credential: ExternalKey
    customer: Key
    source: Key | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None


class Subscription(Model):
    """A customer on a plan from a local day (inclusive) to another (exclusive).

    Rows that share a subscription key are its phases: a change of plan is the end of one and the start of the next,
    which keeps the anchor of the billing periods unless it says `restart`. `trial_end` is the first day after a trial;
    without it the plan's `trial_days` say so for the first phase.
    """

    subscription: Key
    customer: Key
    plan: Key
    start: Day
    end: Day | None = None
    stacking: bool = False
    restart: bool = False
    trial_end: Day | None = None
