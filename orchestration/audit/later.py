"""What came to be known of issued lines, beside what their usage costs: the causes that amounts can't tell.

An event was retracted, or counts again; whose it is, or which of its payloads counts, is said otherwise; it is read or
placed otherwise. Each line is asked about the catalog that it was issued under last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from typing import Any

import duckdb

from orchestration.audit.pricing.causes import Later
from orchestration.audit.pricing.lines import Key
from orchestration.audit.retracted import Retractions
from orchestration.audit.taken import micros
from orchestration.catalog import Catalog
from orchestration.catalog.meters import meter_fields
from orchestration.catalog.routes import moves_endpoints
from orchestration.zones import history_before, midnight_us

LastShown = Mapping[Key, tuple[str, Mapping[str, Any]]]
"""Issued lines as they were shown last, with the digest of the catalog of that close."""
_PAYLOADS = """
SELECT c.customer, x.time_us FROM record.conflicts AS x JOIN audit.credentials AS c USING (credential)
WHERE (c.feed IS NULL OR c.feed = x.feed) AND x.time_us >= c.from_us AND x.time_us < c.to_us
    AND x.source = $1 AND x.event_id = $2
"""


def later_causes(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, shown: LastShown, archived: Callable[[str], Catalog]
) -> Later:
    """What is known under `catalog`, as `con` holds it after measuring; `archived` has the catalogs of closes."""

    @cache
    def edited(digest: str) -> Edited:
        return Edited(con, archived(digest), catalog)

    @cache
    def retracted() -> frozenset[Key]:
        rows = {key: (len(archived(digest).retractions.rows), line) for key, (digest, line) in shown.items()}
        return Retractions(con, catalog).concerned(rows)

    def cause(key: Key) -> str | None:
        if key not in shown:
            return None
        digest, line = shown[key]
        if key in retracted():
            return "retraction"
        return None if digest == catalog.digest else edited(digest).cause(line)

    return cause


class Edited:
    """What a catalog says otherwise than an earlier one."""

    def __init__(self, con: duckdb.DuckDBPyConnection, was: Catalog, now: Catalog) -> None:
        self._was, self._now = was, now
        self._moments: dict[str, list[int]] = defaultdict(list)
        before, after = ({(row.source, row.id): row.counts for row in catalog.conflicts} for catalog in (was, now))
        for identity in {*before, *after}:
            if before.get(identity) != after.get(identity):
                for customer, us in con.execute(_PAYLOADS, list(identity)).fetchall():
                    self._moments[customer].append(us)
        self._credentials = [row for row in was.credentials if row not in now.credentials]
        self._credentials += [row for row in now.credentials if row not in was.credentials]

    def cause(self, line: Mapping[str, Any]) -> str | None:
        """Of a line as a document shows it."""
        meter, customer = self._now.meters.get(line["meter"] or ""), self._now.customers.get(line["customer"])
        if meter is None or customer is None:
            return None
        first, end = (midnight_us(customer.zone, date.fromisoformat(line[name])) for name in ("start", "end"))
        if self._is_other_usage(customer.customer, None if meter.carried else first, end):
            return "identity"
        return "catalog" if self._is_read_otherwise(meter.key, customer.customer, line["end"]) else None

    def _is_other_usage(self, customer: str, first: int | None, end: int) -> bool:
        """Whether events before `end`, and from `first` on if there is one, are another's, or other payloads count."""
        if any(us < end and (first is None or first <= us) for us in self._moments.get(customer, ())):
            return True
        return any(
            (row.valid_from is None or micros(row.valid_from) < end)
            and (first is None or row.valid_to is None or first < micros(row.valid_to))
            for row in self._credentials
            if row.customer == customer
        )

    def _is_read_otherwise(self, key: str, customer: str, end: str) -> bool:
        was, now = self._was.meters.get(key), self._now.meters[key]
        spoken = {"name", "description"}
        if was is None or was.model_dump(exclude=spoken) != now.model_dump(exclude=spoken):
            return True
        day = date.fromisoformat(end)
        placed = [history_before(catalog.customers[customer].zone, day) for catalog in (self._was, self._now)]
        if placed[0] != placed[1] or moves_endpoints(was, self._was.routes, self._now.routes):
            return True
        mapped, fields = {source.name: source.properties for source in self._was.sources}, meter_fields(now)
        return any(
            mapped[source.name].get(name) != source.properties.get(name)
            for source in self._now.sources
            for name in fields
            if source.name in mapped
        )
