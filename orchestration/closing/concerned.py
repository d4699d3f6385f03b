"""What came to be known of issued lines since, beside their amounts: the causes that two evaluations can't tell.

An event was retracted; a credential is another customer's, or a decision counts another payload; a meter, a source or
a clock reads what was there otherwise. What of this concerns a line is found by comparing the catalog that the line was
issued under with the one in force, so it follows from the ledger alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import cache
from typing import Any

import duckdb

from orchestration.billing.causes import Cause
from orchestration.billing.rating import LineKey
from orchestration.catalog import Catalog
from orchestration.catalog.load import from_archive
from orchestration.catalog.meters import meter_fields
from orchestration.catalog.models import Credential
from orchestration.catalog.routes import moves_endpoints
from orchestration.closing.issued import last_issued
from orchestration.closing.retracted import holders, micros, retracted_lines
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.store import Ledger
from orchestration.zones import history_before, midnight_us

IssuedBy = Mapping[LineKey, tuple[int, Mapping[str, Any]]]
"""Lines as they were issued last, with the journal entries that did so."""
_FOREVER = (-(2**63), 2**63)


def later_causes(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    ledger: Ledger,
    wanted: Collection[LineKey],
    before_seq: int | None = None,
    issued: IssuedBy | None = None,
) -> dict[LineKey, Cause]:
    """By issued line, of those `wanted`, what came to be known of it: a retraction, then an identity, then a catalog.

    Args:
        con: a database that holds what `load_retractions` and `load_conflicts` have written under `catalog`.
        before_seq: leaves out that journal entry and later ones.
        issued: the lines to look at, as `last_issued` has them; by default all of the ledger.
    """
    if not wanted:
        return {}
    issued = last_issued(ledger, before_seq) if issued is None else issued
    chosen = {key: issued[key] for key in wanted if key in issued}
    under = {e.seq: json.loads(e.body)["catalog"] for e in ledger.journal() if e.kind == CLOSE}

    @cache
    def since(digest: str) -> Since:
        return Since(con, from_archive(ledger.catalog(digest)), catalog)

    found: dict[LineKey, Cause] = {}
    for key, (seq, line) in chosen.items():
        if under[seq] != catalog.digest and (cause := since(under[seq]).cause(line)) is not None:
            found[key] = cause
    retracted = retracted_lines(con, catalog, ledger, before_seq, chosen)
    return found | dict.fromkeys(retracted, "retraction")


class Since:
    """What differs between the catalog that lines were issued under and the one in force."""

    def __init__(self, con: duckdb.DuckDBPyConnection, was: Catalog, now: Catalog) -> None:
        self._was, self._now = was, now
        self._owned: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row in {*was.credentials} ^ {*now.credentials}:
            self._owned[row.customer].append(_interval(row))
        for customer, us in _decided_anew(con, was, now):
            self._owned[customer].append((us, us + 1))

    def cause(self, line: Mapping[str, Any]) -> Cause | None:
        """What concerns a line, as a document shows it."""
        meter, customer = self._now.meters.get(line["meter"] or ""), self._now.customers.get(line["customer"])
        if meter is None or customer is None:
            return None
        start, end = (date.fromisoformat(line[name]) for name in ("start", "end"))
        # A state that is carried comes from any day before.
        first = _FOREVER[0] if meter.carried else midnight_us(customer.zone, start)
        last = midnight_us(customer.zone, end)
        if any(a < last and first < b for a, b in self._owned.get(customer.customer, ())):
            return "identity"
        return "catalog" if self._reads_otherwise(meter.key, customer.customer, end) else None

    def _reads_otherwise(self, meter: str, customer: str, end: date) -> bool:
        was, now = self._was.meters.get(meter), self._now.meters[meter]
        if was is None or was.model_copy(update={"name": now.name, "description": now.description}) != now:
            return True
        if moves_endpoints(was, self._was.routes, self._now.routes):
            return True
        zones = {history_before(c.customers[customer].zone, end) for c in (self._was, self._now)}
        return len(zones) > 1 or self._mapped_anew(meter_fields(now))

    def _mapped_anew(self, fields: Collection[str]) -> bool:
        """Whether a source maps a property that it didn't, or to another field: closed files are read for it again."""
        before = {source.name: source.properties for source in self._was.sources}
        return any(
            before[source.name].get(name) != source.properties.get(name)
            for source in self._now.sources
            if source.name in before
            for name in fields
        )


def _interval(row: Credential) -> tuple[int, int]:
    begins, ends = micros(row.valid_from), micros(row.valid_to)
    return _FOREVER[0] if begins is None else begins, _FOREVER[1] if ends is None else ends


def _decided_anew(con: duckdb.DuckDBPyConnection, was: Catalog, now: Catalog) -> Iterator[tuple[str, int]]:
    """Customers whom an event of which another payload counts now was, or is, of, with the time of each payload."""
    counts = ({(row.source, row.id): row.counts for row in c.conflicts} for c in (was, now))
    before, after = counts
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    owners: dict[str, list[Credential]] = defaultdict(list)
    for row in now.credentials if changed else ():
        owners[row.credential].append(row)
    for source, event_id in sorted(changed):
        rows = con.execute(
            "SELECT feed, credential, time_us FROM record.conflicts WHERE source = $1 AND event_id = $2",
            [source, event_id],
        ).fetchall()
        for feed, credential, us in rows:
            yield from ((customer, us) for customer in holders(owners.get(credential or "", ()), feed, us))
