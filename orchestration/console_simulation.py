"""What a person sees of a simulation: plans, charges and customers before and after. All rows are in the CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from rich.table import Table
from rich.text import Text

from orchestration.console import money_text, out

if TYPE_CHECKING:
    from decimal import Decimal

    from orchestration.billing.comparison import Change, Comparison
    from orchestration.pipeline.simulate import Simulation

K = TypeVar("K", bound=tuple[str, ...])
SHOWN = 50
"""Rows of a table, and names of a kind, that are shown."""
_AMOUNTS = ("before", "after", "difference", "percent")


def print_simulation(found: Simulation, much_more: Decimal) -> None:
    """The tables of `simulate`, customers above the limit first."""
    first, last = (day.strftime("%Y-%m") for day in (found.months.first, found.months.end - timedelta(days=1)))
    out.print(f"periods that ended in {first} to {last}, as {found.generation} knows them")
    out.print("rated lines (usage, fees, top-ups, caps, true-ups), before coupons, credits, adjustments and tax")
    for catalog, names in (("current", found.only_current), ("other", found.only_other)):
        for kind, which in names.items():
            more = f" and {len(which) - SHOWN} more" if len(which) > SHOWN else ""
            out.print(f"only in the {catalog} catalog: {kind}: {', '.join(which[:SHOWN])}{more}", markup=False)
    for meter, (events, customers) in found.unmeasured.items():
        out.print(
            f"the other catalog's meter '{meter}' can't measure or price {events:,} event(s) of {customers:,} "
            "customer(s): they are in no line, and a close would park these customers",
            markup=False,
        )
    compared = found.comparison
    _print_table("Plans", ("plan", "currency"), compared.plans, compared.totals)
    changed = {key: change for key, change in compared.charges.items() if change.difference}
    _print_table("Charges that differ", ("plan", "charge", "currency"), changed)
    _print_customers(compared, found.names, much_more)


def _print_customers(compared: Comparison, names: Mapping[str, str], much_more: Decimal) -> None:
    differences = [change.difference.amount for change in compared.customers.values()]
    above, more, less = len(compared.much_more), sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    out.print(
        f"customers: {above} would pay over {much_more:f} % more, {more - above} others more, {less} less, "
        f"{len(differences) - more - less} the same (one with two currencies counts twice)"
    )
    differ = {
        (*account, names[account[0]], "yes" if account in compared.much_more else ""): change
        for account, change in compared.customers.items()
        if change.difference
    }
    _print_table("Customers that differ", ("customer", "currency", "name", "much more"), differ)


def _print_table(
    title: str, heads: Sequence[str], rows: Mapping[K, Change], totals: Mapping[str, Change] | None = None
) -> None:
    table = Table(*heads, *_AMOUNTS, title=title, title_justify="left")
    for column in table.columns[len(heads) :]:
        column.justify = "right"
    for key, change in islice(rows.items(), SHOWN):
        table.add_row(*map(Text, key), *_amounts(change))
    table.add_section()
    for currency, change in (totals or {}).items():
        table.add_row("total", currency, *_amounts(change))
    out.print(table)
    if len(rows) > SHOWN:
        out.print(f"and {len(rows) - SHOWN} more rows: see them all with --csv")


def _amounts(change: Change) -> tuple[str, ...]:
    amounts = (money_text(money.amount, money.currency) for money in (change.before, change.after, change.difference))
    return *amounts, "" if change.percent is None else f"{change.percent:f}"
