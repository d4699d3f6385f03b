"""What is sold: plans and their versions, with the charges that each of them has.

Every model refuses unknown fields, so that a misspelt option is an error and not a default.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from orchestration.catalog.charges import Charge, IntervalName
from orchestration.catalog.fields import AccountCode, CurrencyCode, Day, DecimalText, Key, Model

Corrections: TypeAlias = Literal["next_invoice", "own_document", "report_only"]


class Commitment(Model):
    """An amount that a plan's lines reach in each period, or are topped up to; a period of its own may be longer."""

    amount: DecimalText
    interval: IntervalName | None = None
    every: int = Field(default=1, ge=1, le=120)
    tax_category: Key = "standard"


class PlanVersion(Model):
    """The charges of a plan from a day on. `cap` limits the sum of the lines of a period.

    A version that changes more than prices and rates waits for the next period; with `at_once` it cuts the period.
    """

    effective: Day
    at_once: bool = False
    charges: tuple[Charge, ...] = Field(min_length=1)
    commitment: Commitment | None = None
    cap: DecimalText | None = None


class Plan(Model):
    """What is sold: charges by version, the billing interval and its anchor, and the days of a trial.

    `corrections` says what becomes of a difference to what was issued: a line of the next invoice, a credit or debit
    note of its own, or only a report. `account` is the revenue account of what no charge names another for: caps and
    true-ups too.
    """

    key: Key
    name: str
    currency: CurrencyCode
    interval: IntervalName = "month"
    every: int = Field(default=1, ge=1, le=120)
    anchor: Literal["calendar", "subscription"] | Day = "calendar"
    trial_days: int = Field(default=0, ge=0, le=3660)
    corrections: Corrections = "next_invoice"
    account: AccountCode = "revenue"
    versions: tuple[PlanVersion, ...] = Field(min_length=1)
