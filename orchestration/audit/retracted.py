"""Which issued lines retractions have changed since: found by replaying the reviewed rows event by event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import duckdb

from orchestration.audit.pricing.lines import Key
from orchestration.catalog import Catalog
from orchestration.catalog.models import Credential
from orchestration.zones import midnight_us

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENTS = """
SELECT e.source, e.event_id, e.feed, e.credential, e.event_type, e.time_us, e.row_number, r.restore
FROM record.retraction_events AS e JOIN record.retractions AS r USING (row_number) ORDER BY e.row_number
"""


class _Event(NamedTuple):
    feed: str
    credential: str | None
    event_type: str
    time_us: int


class Retractions:
    """Retractions of a catalog, as `con` holds them after they were loaded."""

    def __init__(self, con: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
        self._catalog = catalog
        self._credentials: dict[str, list[Credential]] = defaultdict(list)
        for row in catalog.credentials:
            self._credentials[row.credential].append(row)
        self._events: dict[tuple[str, str], _Event] = {}
        self._rows: dict[tuple[str, str], list[tuple[int, bool]]] = defaultdict(list)
        said = con.execute(_EVENTS).fetchall() if catalog.retractions.rows else ()
        for source, event_id, *event, number, restore in said:
            self._events[source, event_id] = _Event(*event)
            self._rows[source, event_id].append((number, restore))

    def concerned(self, issued: Mapping[Key, tuple[int, Mapping[str, Any]]]) -> frozenset[Key]:
        """Of issued lines, each with the number of rows that its document knew, those that later rows concern."""
        times: dict[int, dict[tuple[str, str], list[int]]] = {}
        found = set()
        for key, (rows, line) in issued.items():
            if rows not in times:
                times[rows] = self._changed_since(rows)
            if self._concerns(key, line, times[rows]):
                found.add(key)
        return frozenset(found)

    def _changed_since(self, rows: int) -> dict[tuple[str, str], list[int]]:
        """By customer and type the instants of events that count now and didn't then, or the other way round."""
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for identity, said in self._rows.items():
            then = [restore for row, restore in said if row <= rows]
            if (then[-1] if then else True) != said[-1][1]:
                event = self._events[identity]
                for customer in self._owners(event):
                    found[customer, event.event_type].append(event.time_us)
        return found

    def _owners(self, event: _Event) -> Iterator[str]:
        moment = _EPOCH + timedelta(microseconds=event.time_us)
        for row in self._credentials.get(event.credential or "", ()):
            named = row.source in (None, event.feed)
            begun = row.valid_from is None or row.valid_from <= moment
            if named and begun and (row.valid_to is None or moment < row.valid_to):
                yield row.customer

    def _concerns(self, key: Key, line: Mapping[str, Any], times: Mapping[tuple[str, str], list[int]]) -> bool:
        meter, customer = self._catalog.meters.get(line["meter"] or ""), self._catalog.customers.get(line["customer"])
        if meter is None or customer is None:
            return False
        start, end = (midnight_us(customer.zone, day) for day in (key.start, date.fromisoformat(line["end"])))
        # A state that lasts comes from any day before.
        return any(
            us < end and (meter.carried or us >= start) for us in times.get((customer.customer, meter.event_type), ())
        )
