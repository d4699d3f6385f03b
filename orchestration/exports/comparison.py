"""The comparison of two catalogs as CSV: a row for each customer, plan, charge and currency, and no row of totals."""

from __future__ import annotations

from collections.abc import Mapping

from orchestration.billing.comparison import Comparison, Sold
from orchestration.exports.safecsv import render

COLUMNS = {
    "much_more": "text",
    "customer": "text",
    "customer_name": "text",
    "plan": "text",
    "charge": "text",
    "currency": "text",
    "before": "number",
    "after": "number",
    "difference": "number",
    "percent": "number",
    "customer_percent": "number",
    "only_in": "text",
}
"""`much_more` is `yes` on each row of a customer above the limit; `customer_percent` is of all its rows of a currency.
`only_in` names the catalog, `current` or `other`, that alone has such lines."""


def comparison_csv(comparison: Comparison, names: Mapping[str, str]) -> bytes:
    """The whole file. `names` are those of the customers."""
    return render(COLUMNS, (_row(comparison, sold, names[sold.customer]) for sold in comparison.rows))


def _row(comparison: Comparison, sold: Sold, name: str) -> list[str | None]:
    change, of_customer = comparison.rows[sold], comparison.customers[sold.account].percent
    only_in = "current" if sold in comparison.only_before else "other" if sold in comparison.only_after else ""
    values = {
        **sold._asdict(),
        "much_more": "yes" if sold.account in comparison.much_more else "",
        "customer_name": name,
        "before": change.before.text,
        "after": change.after.text,
        "difference": change.difference.text,
        "percent": None if change.percent is None else f"{change.percent:f}",
        "customer_percent": None if of_customer is None else f"{of_customer:f}",
        "only_in": only_in,
    }
    return [values[column] for column in COLUMNS]
