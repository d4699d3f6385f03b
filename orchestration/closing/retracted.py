"""Which issued lines retractions have changed since they were issued: the cause of a difference stands on its line.

A line is concerned if an event of its customer, of the type that its meter counts and of its days, was retracted or
restored by a row that the close which issued it did not know.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import duckdb

from orchestration.billing.rating import LineKey
from orchestration.catalog import Catalog
from orchestration.catalog.models import Credential
from orchestration.catalog.retractions import FILE, row_places
from orchestration.closing.issued import last_issued
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.store import Ledger
from orchestration.zones import midnight_us

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

Times = Mapping[tuple[str, str], Sequence[int]]
"""By customer and type of event the instants of events, sorted."""

_CHANGED = """
SELECT min(feed), min(credential), min(event_type), min(time_us)
FROM record.retraction_events JOIN (SELECT row_number, restore FROM record.retractions) USING (row_number)
GROUP BY source, event_id
HAVING coalesce(max_by(restore, row_number) FILTER (WHERE row_number <= $1), true) <> max_by(restore, row_number)
"""


def retracted_lines(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    ledger: Ledger,
    before_seq: int | None = None,
    issued: Mapping[LineKey, tuple[int, Mapping[str, Any]]] | None = None,
) -> frozenset[LineKey]:
    """The issued lines that retractions concern which came after them.

    Args:
        con: a database that holds what `load_retractions` has written under `catalog`.
        before_seq: leaves out that journal entry and later ones.
        issued: the lines to look at, as `last_issued` has them; by default all of the ledger.
    """
    if not catalog.retractions.rows:
        return frozenset()
    rows_known = {
        entry.seq: _rows_of(ledger.catalog(json.loads(entry.body)["catalog"]))
        for entry in ledger.journal()
        if entry.kind == CLOSE
    }

    @cache
    def changed_since(rows: int) -> Times:
        if rows >= len(catalog.retractions.rows):
            return {}
        return _by_customer(catalog, con.execute(_CHANGED, [rows]).fetchall())

    issued = last_issued(ledger, before_seq) if issued is None else issued
    return frozenset(
        key for key, (seq, line) in issued.items() if _concerns(catalog, key, line, changed_since(rows_known[seq]))
    )


def _rows_of(archive: bytes) -> int:
    text = json.loads(zlib.decompress(archive)).get(FILE)
    return 0 if text is None else len(row_places(text))


def _by_customer(catalog: Catalog, events: Sequence[tuple[str, str | None, str, int]]) -> Times:
    owners: dict[str, list[Credential]] = defaultdict(list)
    for row in catalog.credentials:
        owners[row.credential].append(row)
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for feed, credential, event_type, us in events:
        for customer in holders(owners.get(credential or "", ()), feed, us):
            found[customer, event_type].append(us)
    return {key: sorted(times) for key, times in found.items()}


def holders(credentials: Sequence[Credential], feed: str, us: int) -> Iterator[str]:
    """The customers, of a credential's rows, whose it is in a feed at an instant."""
    for row in credentials:
        begins, ends = micros(row.valid_from), micros(row.valid_to)
        if row.source in (None, feed) and (begins is None or begins <= us) and (ends is None or us < ends):
            yield row.customer


def micros(moment: datetime | None) -> int | None:
    """Microseconds since 1970, exact; None stays None."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def _concerns(catalog: Catalog, key: LineKey, line: Mapping[str, Any], changed: Times) -> bool:
    meter, customer = catalog.meters.get(line["meter"] or ""), catalog.customers.get(line["customer"])
    times = changed.get((customer.customer, meter.event_type), ()) if meter and customer else ()
    if not (times and meter and customer):
        return False
    end = bisect_left(times, midnight_us(customer.zone, date.fromisoformat(line["end"])))
    # A state that is carried comes from any day before.
    return end > (0 if meter.carried else bisect_left(times, midnight_us(customer.zone, key.start)))
