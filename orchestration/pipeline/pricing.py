"""The pricing step of a build: lines and what was issued brought up to date, then the drafts of what is left.

Customers whose lines cost what was issued for them are settled: these lines stay in their table, only others are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import chain
from typing import Any

import duckdb

from orchestration.billing.adjustments import adjustment_lines
from orchestration.billing.due import changed_keys
from orchestration.catalog import Catalog
from orchestration.closing.concerned import later_causes
from orchestration.closing.edits import LastClose, Sold, last_close, refuse_differences
from orchestration.closing.rated import Rater
from orchestration.closing.statements import Agreements
from orchestration.closing.terms import refuse_term_edits
from orchestration.closing.voids import check_voids
from orchestration.engine import load_rows
from orchestration.ledger.store import Ledger
from orchestration.metering.control import ChargedSegment, charged_segments
from orchestration.pipeline import price
from orchestration.pipeline.billed import load_billed_days
from orchestration.pipeline.finance import load_finance
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.issued import KEY, fold_issued, read_issued, read_taxed, read_used
from orchestration.pipeline.rated import rate_changed, read_lines
from orchestration.pipeline.rating import measured, place_lines, rate_groups
from orchestration.pipeline.terms import Digests, groups_of
from orchestration.pipeline.trail import fold_trail
from orchestration.sqltext import identifier
from orchestration.zones import local_date

_SAME = " AND ".join(f"lines.{identifier(name)} = issued.{identifier(name)}" for name in KEY)
_UNSETTLED = f"""
CREATE OR REPLACE TEMP TABLE unsettled AS SELECT DISTINCT issued.customer
FROM record.issued_totals AS issued LEFT JOIN record.rated_lines AS lines ON {_SAME}
WHERE issued.subscription <> ''
    AND (coalesce(lines.amount, 0) <> issued.amount OR coalesce(lines.currency, issued.currency) <> issued.currency)
"""
_BILLED = "WHERE subscription <> '' ORDER BY 1"
_HANDED_ON = """
SELECT 1 FROM (SELECT DISTINCT subscription, customer FROM record.issued_totals) AS issued
JOIN (SELECT DISTINCT subscription, customer FROM record.rated_lines) AS lines USING (subscription)
WHERE issued.customer <> lines.customer LIMIT 1
"""
_OPEN = f"""
(customer IN (FROM unsettled) OR NOT EXISTS (SELECT 1 FROM record.issued_totals AS issued WHERE {_SAME}))
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
    fold_trail(con, instance, ledger, catalog)
    rate_changed(con, catalog, charged, instance.scratch)
    used, last = read_used(con), last_close(ledger)
    if last is not None:
        _refuse_edited(con, instance, last, catalog, charged, now_us)
        refuse_term_edits(last.catalog, catalog, read_taxed(con), used, last.cut_off)
    check_voids(catalog, ledger)
    together = _find_unsettled(con, catalog)
    found = read_issued(con, "customer IN (FROM unsettled) OR subscription = ''")
    issued = {key: before for key, (_, before) in found.items()}
    load_billed_days(con, instance.scratch)
    lines_of = {key: (seq, before.line) for key, (seq, before) in found.items()}
    changed = changed_keys(read_lines(con, "customer IN (FROM unsettled)"), issued)
    known = later_causes(con, catalog, ledger, changed, issued=lines_of)
    today = {key: local_date(customer.zone, now_us) for key, customer in catalog.customers.items()}
    # The earliest day anywhere: a draft without a period of its own stands at tomorrow's cut-off.
    tomorrow = local_date("UTC", now_us) + timedelta(days=1)
    books = price.Books(catalog, Agreements(catalog), used, today, tomorrow)
    if together:
        drafts = price.drafts_of(books, list(read_lines(con, _OPEN)), issued, known)
    else:
        parts = price.by_customer(read_lines(con, _OPEN), issued, (row.customer for row in catalog.adjustments))
        each = (price.drafts_of(books, lines, theirs, known, customer) for customer, lines, theirs in parts)
        drafts = chain.from_iterable(each)
    rows = price.load_drafts(con, instance, drafts)
    price.load_differences(con, instance, books.differences)
    load_finance(con, catalog, now_us, instance.scratch)
    return rows


def _find_unsettled(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> bool:
    """Write the temporary table `unsettled`: customers with a line that costs another amount than was issued for it.

    Of these all lines are looked at, since corrections are worked out beside what else their originals show; of the
    others those alone that were not issued. Returns whether everything has to be looked at as one, as a subscription
    has passed from a customer to another.
    """
    con.execute(_UNSETTLED)
    voided = [row.document for row in catalog.reviews.voids]
    con.execute("INSERT INTO unsettled SELECT customer FROM record.issued_documents WHERE number IN $1", [voided])
    now = {line.key: line.amount.amount for line in adjustment_lines(catalog.adjustments)}
    billed = read_issued(con, "subscription = ''")
    for customer in sorted({b.line["customer"] for key, (_, b) in billed.items() if now.get(key) != b.amount}):
        con.execute("INSERT INTO unsettled VALUES ($1)", [customer])
    handed_on = con.execute(_HANDED_ON).fetchone() is not None
    if handed_on:
        con.execute("INSERT INTO unsettled SELECT customer FROM record.rated_lines")
        con.execute("INSERT INTO unsettled SELECT customer FROM record.issued_totals")
    return handed_on


def _refuse_edited(
    con: duckdb.DuckDBPyConnection,
    instance: Instance,
    last: LastClose,
    catalog: Catalog,
    charged: Sequence[ChargedSegment],
    now_us: int,
) -> None:
    """Raise PeriodClosed as `refuse_edits` does, with no more rated than the subscriptions that the catalog of the last
    close and this one rate by other terms."""
    if last.catalog.digest == catalog.digest:
        return
    was_charged, digests = charged_segments(last.catalog, now_us), Digests(last.catalog)
    groups, now = groups_of(last.catalog, was_charged), groups_of(catalog, charged)
    stored = dict(con.execute("SELECT rated_with, digest FROM record.rated_groups").fetchall())
    other = [items for name, items in groups.items() if digests.of(items) != stored.get(name)]
    other += [items for name, items in now.items() if name not in groups]
    edited = {item.segment.subscription for items in other for item in items}
    rows = [{"subscription": name} for name in sorted(edited)]
    load_rows(con, "record.edited", {"subscription": "VARCHAR"}, rows, instance.scratch)
    chosen = {name: items for name, items in groups.items() if items[0].segment.subscription in edited}
    place_lines(con, chosen, instance.scratch)
    rated = rate_groups(Rater.of(last.catalog), chosen, measured(con), within=True)
    before = {line.key: line for _, line, _, _ in rated}
    after = {line.key: line for line in read_lines(con, "subscription IN (FROM record.edited)")}
    issued = read_issued(con, "subscription IN (FROM record.edited)")
    con.execute("DROP TABLE record.edited; DROP TABLE record.lines_to_rate")
    customers, meters = (
        [key for (key,) in con.execute(f"SELECT DISTINCT {what} FROM record.issued_totals {_BILLED}").fetchall()]
        for what in ("customer", "meter")
    )
    was_of, now_of = ([i for i in items if i.segment.subscription in edited] for items in (was_charged, charged))
    was, now_sold = Sold(last.catalog, was_of, before), Sold(catalog, now_of, after)
    refuse_differences(was, now_sold, issued, last.cut_off, customers, [meter for meter in meters if meter])
