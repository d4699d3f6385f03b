"""The pricing step of a build: lines and what was issued brought up to date, then the drafts of what is left.

Lines whose amount is what was issued for them are settled and stay in their table; only the others are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import chain
from typing import Any

import duckdb

from orchestration.billing.daily import minor_texts
from orchestration.billing.documents import Issued
from orchestration.billing.rating import LineKey
from orchestration.catalog import Catalog
from orchestration.closing.edits import last_close, refuse_differences
from orchestration.closing.retracted import retracted_lines
from orchestration.engine import load_rows
from orchestration.ledger.store import Ledger
from orchestration.metering.control import ChargedSegment, charged_segments
from orchestration.money import Money, allocate
from orchestration.pipeline import price
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.issued import KEY, fold_issued, read_issued
from orchestration.pipeline.rated import rate_changed, rate_groups, read_lines
from orchestration.pipeline.terms import Digests, groups_of
from orchestration.sqltext import identifier
from orchestration.zones import local_date

BILLED_DAYS = {**KEY, "customer": "VARCHAR", "currency": "VARCHAR", "daily": "VARCHAR"}
GRANTS = {
    "id": "VARCHAR",
    "customer": "VARCHAR",
    "kind": "VARCHAR",
    "currency": "VARCHAR",
    "amount": "DECIMAL(38, 4)",
    "granted": "DATE",
    "expires": "DATE",
    "priority": "INTEGER",
}
_SAME = " AND ".join(f"lines.{identifier(name)} = issued.{identifier(name)}" for name in KEY)
_UNSETTLED = f"""
CREATE OR REPLACE TEMP TABLE unsettled AS SELECT DISTINCT issued.subscription
FROM record.issued_totals AS issued LEFT JOIN record.rated_lines AS lines ON {_SAME}
WHERE issued.kind <> 'adjustment'
    AND (coalesce(lines.amount, 0) <> issued.amount OR coalesce(lines.currency, issued.currency) <> issued.currency)
"""
_OPEN = f"""
(subscription IN (FROM unsettled) OR NOT EXISTS (SELECT 1 FROM record.issued_totals AS issued WHERE {_SAME}))
"""


def price_build(
    con: duckdb.DuckDBPyConnection,
    instance: Instance,
    catalog: Catalog,
    ledger: Ledger,
    charged: Sequence[ChargedSegment],
    now_us: int,
) -> list[dict[str, Any]]:
    """Write the tables of lines, of what was issued and of drafts; returns the rows of the drafts."""
    fold_issued(con, ledger, instance.scratch)
    load_rows(
        con, "record.grants", GRANTS, (grant.model_dump(mode="json") for grant in catalog.grants), instance.scratch
    )
    rate_changed(con, catalog, charged, instance.scratch)
    _refuse_edited(con, instance, catalog, ledger, now_us)
    con.execute(_UNSETTLED)
    found = read_issued(con, "subscription IN (FROM unsettled) AND kind <> 'adjustment'")
    issued = {key: before for key, (_, before) in found.items()}
    load_rows(con, "record.billed_days", BILLED_DAYS, _billed_days(con, issued), instance.scratch)
    lines_of = {key: (seq, before.line) for key, (seq, before) in found.items()}
    retracted = retracted_lines(con, catalog, ledger, issued=lines_of)
    today = {key: local_date(customer.zone, now_us) for key, customer in catalog.customers.items()}
    # The earliest day anywhere: a draft without a period of its own stands at tomorrow's cut-off.
    tomorrow = local_date("UTC", now_us) + timedelta(days=1)
    parts = price.by_customer(read_lines(con, _OPEN), issued)
    drafts = (price.drafts_of(catalog, lines, theirs, today, tomorrow, retracted) for lines, theirs in parts)
    return price.load_drafts(con, instance, chain.from_iterable(drafts))


def _refuse_edited(
    con: duckdb.DuckDBPyConnection, instance: Instance, catalog: Catalog, ledger: Ledger, now_us: int
) -> None:
    """Raise PeriodClosed as `refuse_edits` does, with no more rated than what the two catalogs can rate otherwise."""
    last = last_close(ledger)
    if last is None or last.catalog.digest == catalog.digest:
        return
    groups, digests = groups_of(last.catalog, charged_segments(last.catalog, now_us)), Digests(last.catalog)
    now = dict(con.execute("SELECT rated_with, digest FROM record.rated_groups").fetchall())
    other = {name: items for name, items in groups.items() if digests.of(items) != now.get(name)}
    rows = [{"subscription": name} for name in sorted({i.segment.subscription for v in other.values() for i in v})]
    load_rows(con, "record.edited", {"subscription": "VARCHAR"}, rows, instance.scratch)
    before = {line.key: line for _, line, _ in rate_groups(con, last.catalog, other, instance.scratch)}
    after = {line.key: line for line in read_lines(con, "subscription IN (FROM record.edited)")}
    issued = read_issued(con, "subscription IN (FROM record.edited)")
    con.execute("DROP TABLE record.edited; DROP TABLE record.lines_to_rate")
    customers, meters = (
        [key for (key,) in con.execute(f"SELECT DISTINCT {what} FROM record.issued_totals").fetchall() if key]
        for what in ("customer", "line->>'$.meter'")
    )
    refuse_differences(last.catalog, catalog, before, after, issued, last.cut_off, customers, meters)


def _billed_days(con: duckdb.DuckDBPyConnection, issued: Mapping[LineKey, Issued]) -> Iterator[dict[str, Any]]:
    """What was issued for lines that cost another amount now, over the days of the lines as they are now, or were."""
    listed = ", ".join(map(identifier, KEY))
    rows = con.execute(
        f"SELECT {listed}, CAST(daily AS DECIMAL(38, 4)[]) FROM record.rated_lines "
        "WHERE subscription IN (FROM unsettled)"
    ).fetchall()
    days_now = {LineKey(*key): daily for *key, daily in rows}
    for key, before in sorted(issued.items()):
        line = before.line
        amount = Money.of(before.amount, line["currency"])
        weights = [Money.of(part, amount.currency).minor for part in days_now.get(key, ())]
        if not amount:
            weights = []
        elif sum(weights) == 0:
            weights = [1] * max((date.fromisoformat(line["end"]) - key.start).days, 1)
        yield {
            **{name: str(value) for name, value in zip(KEY, key, strict=True)},
            "customer": line["customer"],
            "currency": line["currency"],
            "daily": f"[{', '.join(minor_texts(allocate(amount.minor, weights), amount.currency))}]",
        }
