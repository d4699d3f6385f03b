"""How usage is watched (`monitoring.yaml`): what counts as an incident, what holds a draft, and who is told.

Without the file nothing is watched. Nothing of it changes what is billed: it can only make a draft wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from orchestration.catalog.fields import DecimalText, Key, Model, Name
from orchestration.catalog.meters import Meter
from orchestration.catalog.places import Places
from orchestration.errors import Problem

FILE = "monitoring.yaml"
KINDS = (
    "traffic_spike",
    "drop_to_zero",
    "off_hours",
    "credential_stuffing",
    "scraping",
    "retry_storm",
    "quota_exhaustion",
    "endpoint_probing",
    "new_country",
    "new_client",
    "price_shock",
)
"""Kinds of incident that every instance knows; each of its ratios is a kind of its own."""

Sensitivity = Annotated[DecimalText, Field(ge=Decimal("0.1"), le=10)]


class Ratio(Model):
    """A share of one meter's quantity in another's that is watched for being too high: orders cancelled of orders.

    An hour counts where it is `least_percent` of the quantity `per` above what is expected, and `per` is 10 or more.
    """

    name: Key
    meter: Name
    per: Name
    least_percent: int = Field(default=20, ge=1, le=100)


class Webhook(Model):
    """Incidents of the `kinds` (of all, if none are named) are posted to the URL that an environment variable holds."""

    name: Key
    url_from: str = Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")
    kinds: tuple[Key, ...] = ()


class Monitoring(Model):
    """Which kinds are `off`, which hold the drafts of the customer (`holds`), and how easily an alarm is raised.

    A `sensitivity` of 2 halves what is tolerated, of 0.5 doubles it; `customers` have their own. `ids` is the property
    that tells what a request asks for (an order, an article): many different ones are scraping; the path, if none.
    `deprecated` are endpoints of routes.yaml that clients are to leave, `deprecated_clients` libraries (`okhttp`)
    or versions of them (`okhttp/3.14.9`) that are not to be used: their calls are counted apart. `replay_days`
    before a run are held against throttling.yaml and looked through for how clients take refusals; 0 for none.
    """

    sensitivity: Sensitivity = Decimal(1)
    customers: Mapping[Key, Sensitivity] = {}
    off: tuple[Key, ...] = ()
    holds: tuple[Key, ...] = ()
    ratios: tuple[Ratio, ...] = ()
    ids: Name | None = None
    deprecated: tuple[str, ...] = ()
    deprecated_clients: tuple[str, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    replay_days: int = Field(default=7, ge=0, le=92)

    @property
    def kinds(self) -> frozenset[str]:
        """The names of all kinds of incident, those that are off among them."""
        return frozenset((*KINDS, *(ratio.name for ratio in self.ratios)))


def check_monitoring(
    row: Monitoring, meters: Sequence[Meter], customers: Collection[str], properties: Collection[str], places: Places
) -> Iterator[Problem]:
    """What names nothing would watch nothing, unnoticed."""
    known, summed = row.kinds, {m.key for m in meters if m.aggregation in ("count", "sum") and not m.carried}
    for field in ("off", "holds"):
        yield from _unknown("kind", getattr(row, field), known, places.of(row, field))
    for hook in row.webhooks:
        yield from _unknown("kind", hook.kinds, known, places.of(row, "webhooks"))
    for ratio in row.ratios:
        yield from _unknown("meter that adds up", (ratio.meter, ratio.per), summed, places.of(row, "ratios"))
    yield from _unknown("customer", row.customers, customers, places.of(row, "customers"))
    yield from _unknown("property", [row.ids] if row.ids else [], properties, places.of(row, "ids"))
    names = [ratio.name for ratio in row.ratios]
    hooks = [hook.name for hook in row.webhooks]
    for what, each in (("ratio", [*KINDS, *names]), ("webhook", hooks)):
        for name in sorted({name for name in each if each.count(name) > 1}):
            yield Problem("duplicate", f"{what} '{name}' is written twice", places.of(row, f"{what}s"))


def _unknown(what: str, names: Collection[str], known: Collection[str], where: str) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield Problem(f"unknown_{what.split()[0]}", f"'{name}' is no {what} of the catalog", where)
