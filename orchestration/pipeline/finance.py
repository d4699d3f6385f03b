"""Tables that finance looks at beside the lines: credits and their months, revenue accounts, sellers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from orchestration.billing.daily import minor_texts
from orchestration.billing.rollforward import Item, Month, Taken, roll_forward
from orchestration.catalog import Catalog
from orchestration.catalog.accounts import accounts
from orchestration.engine import load_rows
from orchestration.money import Money
from orchestration.zones import local_date

MONEY = "DECIMAL(38, 4)"
GRANTS = {
    "id": "VARCHAR",
    "customer": "VARCHAR",
    "kind": "VARCHAR",
    "currency": "VARCHAR",
    "amount": MONEY,
    "granted": "DATE",
    "expires": "DATE",
    "priority": "INTEGER",
}
REFUNDS = {"document": "VARCHAR", "day": "DATE"}
ACCOUNTS = {"plan": "VARCHAR", "charge": "VARCHAR", "start": "DATE", "end": "DATE", "account": "VARCHAR"}
BOOKS = {"today": "DATE", "locked_through": "DATE"}
SELLERS = {"customer": "VARCHAR", "start": "DATE", "end": "DATE", "entity": "VARCHAR"}
_SUMS = ("opening", "granted", "used", "expired", "returned", "closing")
ROLL_FORWARD = {
    "kind": "VARCHAR",
    "customer": "VARCHAR",
    "currency": "VARCHAR",
    "month": "DATE",
    **dict.fromkeys(_SUMS, MONEY),
}
_NOTES = """
SELECT number, customer, currency, -total, issue_date FROM record.issued_documents
WHERE kind = 'credit_note' AND total < 0 ORDER BY number
"""
_USES = """
SELECT used.kind, used.id, documents.customer, documents.currency, documents.issue_date, documents.cut_off, used.amount
FROM record.issued_reductions AS used JOIN record.issued_documents AS documents USING (number)
WHERE used.amount <> 0 ORDER BY ALL
"""


def load_finance(con: duckdb.DuckDBPyConnection, catalog: Catalog, now_us: int, scratch: Path) -> None:
    """Write `record.grants`, `.refunds`, `.accounts`, `.books`, `.sellers` and `.roll_forward`."""
    today = local_date("UTC", now_us)
    rolled = roll_forward(_items(con, catalog), _taken(con), today)
    refunds = [{"document": row.document, "day": row.on.isoformat()} for row in catalog.refunds]
    booked = accounts(catalog.plans.values(), catalog.adjustments)
    tables: list[tuple[str, Mapping[str, str], Iterable[dict[str, Any]]]] = [
        ("grants", GRANTS, (grant.model_dump(mode="json") for grant in catalog.grants)),
        ("refunds", REFUNDS, refunds),
        ("accounts", ACCOUNTS, (_texts(row._asdict()) for row in booked)),
        ("books", BOOKS, [_texts({"today": today, "locked_through": catalog.settings.locked_through})]),
        ("sellers", SELLERS, _sellers(catalog)),
        ("roll_forward", ROLL_FORWARD, map(_month_row, rolled)),
    ]
    for name, columns, rows in tables:
        load_rows(con, f"record.{name}", columns, rows, scratch)


def _items(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> Iterator[Item]:
    for grant in catalog.grants:
        amount = Money.of(grant.amount, grant.currency).minor
        yield Item(grant.kind, grant.id, grant.customer, grant.currency, amount, grant.granted, grant.expires)
    for coupon in catalog.coupons:
        # Only what is left of an amount that is given once is a sum of money that somebody holds.
        if coupon.lasts == "once" and coupon.amount is not None and coupon.currency is not None:
            amount = Money.of(coupon.amount, coupon.currency).minor
            yield Item("coupon", coupon.id, coupon.customer, coupon.currency, amount, coupon.issued, coupon.until)
    paid_out = {row.document: row.on for row in catalog.refunds}
    for number, customer, currency, total, day in con.execute(_NOTES).fetchall():
        owed = Money.of(total, currency).minor
        yield Item("credit_note", number, customer, currency, owed, day, returned=paid_out.get(number))


def _taken(con: duckdb.DuckDBPyConnection) -> Iterator[Taken]:
    for kind, key, customer, currency, day, cut_off, amount in con.execute(_USES).fetchall():
        valid = cut_off - timedelta(days=1)
        yield Taken(kind, key, customer, currency, day, valid, Money.of(amount, currency).minor)


def _month_row(month: Month) -> dict[str, Any]:
    sums = dict(zip(_SUMS, minor_texts(month[4:], month.currency), strict=True))
    return _texts(month._asdict()) | sums


def _sellers(catalog: Catalog) -> Iterator[dict[str, Any]]:
    """Who sells to a customer, by the day on which a billing period begins."""
    for customer, history in sorted(catalog.histories.items()):
        ends = [*(since.boundary for since in history[1:]), date.max]
        for number, (since, end) in enumerate(zip(history, ends, strict=True)):
            start = since.boundary if number else date.min
            if start < end:
                yield _texts({"customer": customer, "start": start, "end": end, "entity": since.row.entity})


def _texts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
