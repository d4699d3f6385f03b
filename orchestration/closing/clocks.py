"""Local time as it was when a period was closed: later zone data that tells it otherwise is refused, never followed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from orchestration.canonical import sha256_hex
from orchestration.catalog import Catalog
from orchestration.errors import PeriodClosed
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.store import Ledger
from orchestration.zones import TZDATA_VERSION, midnight_us, offset_intervals


def clocks(catalog: Catalog, bodies: Iterable[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """By zone of a billed customer: first day and end of what its documents bill, and the hash of its clock between."""
    spans: dict[str, tuple[str, str]] = {}
    for body in bodies:
        zone, start, end = catalog.customers[body["buyer"]["customer"]].zone, body["service_start"], body["service_end"]
        first, last = spans.get(zone, (start, end))
        spans[zone] = (min(first, start), max(last, end))
    return {zone: {"from": a, "to": b, "clock": _clock(zone, a, b)} for zone, (a, b) in sorted(spans.items())}


def _clock(zone: str, start: str, end: str) -> str:
    """Hash of every offset of a zone from one local midnight to another, with the instants at which it changes."""
    first, last = (midnight_us(zone, date.fromisoformat(day)) for day in (start, end))
    parts = [(i.start_us, i.end_us, i.offset_us) for i in offset_intervals(zone, first, last)]
    return sha256_hex(repr((first, last, parts)).encode())


def refuse_moved_clocks(ledger: Ledger) -> None:
    """Raise PeriodClosed if the zone data in use tells the local time of an issued period otherwise than its close."""
    for entry in ledger.journal():
        body = json.loads(entry.body) if entry.kind == CLOSE else {}
        if body.get("tzdata") in (None, TZDATA_VERSION):
            continue
        # A close of an earlier version of the program has kept no clocks.
        for zone, was in body.get("clocks", {}).items():
            if _clock(zone, was["from"], was["to"]) != was["clock"]:
                raise PeriodClosed(
                    f"zone data {TZDATA_VERSION} has another clock for '{zone}' between {was['from']} and {was['to']} "
                    f"than {body['tzdata']}, under which the close at cut-off {body['cut_off']} was issued",
                    not_done="nothing was priced, issued or published",
                    next_step=f"install zone data {body['tzdata']} again: what was closed does not follow later rules",
                )
