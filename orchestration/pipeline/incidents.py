"""Incidents of a generation beside what people said of them: which are open, and which hold drafts.

A draft waits for an approval of what was seen: the same incident with the same hours and peak. An incident that is gone
from the generation holds on if somebody labelled or rejected it, or a label could release what only an approval may.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from orchestration.billing.due import Group
from orchestration.catalog import Catalog
from orchestration.errors import ConfigInvalid, InputHeld
from orchestration.ledger.findings import APPROVE, REJECT, Finding, Seen, decided, findings, labelled
from orchestration.ledger.rows import JournalRow
from orchestration.money import decimal_text
from orchestration.zones import local_date, zone_on

_INCIDENTS = """
SELECT incident, customer, kind, first_us, last_us, observed, centre, lower, upper, alarms FROM marts.incidents
"""
HELD, APPROVED, REJECTED = "held", "approved", "rejected"


@dataclass(frozen=True, slots=True)
class Known:
    """An incident: what is seen of it, how many alarms it has, its last label, and the last decision about it.

    `hold` is held, approved or rejected where its kind holds drafts, else empty; `gone` is one that the generation no
    longer has.
    """

    seen: Seen
    alarms: int
    label: Finding | None = None
    decision: Finding | None = None
    hold: str = ""
    gone: bool = False

    @property
    def open(self) -> bool:
        """Whether nobody has said yet what it is, or its drafts still wait."""
        return self.hold in (HELD, REJECTED) or (self.label is None and self.hold != APPROVED)


def holds(catalog: Catalog) -> frozenset[str]:
    """The kinds of incident that hold drafts."""
    watching = catalog.watched.monitoring
    return frozenset(() if watching is None else set(watching.holds) - set(watching.off))


def require_watched(catalog: Catalog) -> None:
    """Raise ConfigInvalid where the catalog watches nothing."""
    if catalog.watched.monitoring is None:
        raise ConfigInvalid(
            "the catalog watches nothing, so there are no incidents",
            where="monitoring.yaml",
            not_done="nothing was read or changed",
            next_step="write monitoring.yaml (`{}` watches with the defaults), then `tallystick run`",
        )


def standing(con: duckdb.DuckDBPyConnection, kinds: frozenset[str], journal: Sequence[JournalRow]) -> list[Known]:
    """All incidents of a generation and, of those that are gone, all that somebody has spoken of; by customer and time.
    Those of the `kinds` hold drafts.

    Raises InputHeld for a generation that was built before usage was watched.
    """
    if not has_table(con, "marts", "incidents"):
        raise InputHeld(
            "the published generation knows no incidents: usage wasn't watched when it was built",
            where="monitoring.yaml",
            not_done="nothing was read or changed",
            next_step="run `tallystick run`, then ask again",
        )
    last, said = labelled(journal), decided(journal)
    rows = [Known(Seen(*row[:5], *map(figure, row[5:-1])), row[-1]) for row in con.execute(_INCIDENTS).fetchall()]
    known = {row.seen.incident for row in rows}
    spoken = {finding.seen.incident: finding.seen for finding in findings(journal)}
    rows += [Known(seen, 0, gone=True) for incident, seen in spoken.items() if incident not in known]
    rows = [replace(row, label=last.get(row.seen.incident), decision=said.get(row.seen.incident)) for row in rows]
    in_place = [row.seen for row in rows if not row.gone]
    found = [replace(row, hold=_hold(row, kinds, in_place)) for row in rows]
    return sorted(found, key=lambda row: (row.seen.customer, row.seen.first_us, row.seen.kind, row.seen.incident))


def waiting(con: duckdb.DuckDBPyConnection, journal: Sequence[JournalRow]) -> Iterator[str]:
    """Incidents that hold drafts and wait for a decision, by customer, in words: of kinds that held drafts when the
    generation was built, and those that were rejected."""
    if not has_table(con, "marts", "incidents"):
        return
    kinds = {kind for (kind,) in con.execute("SELECT DISTINCT kind FROM marts.incidents WHERE holds").fetchall()}
    kinds |= {finding.seen.kind for finding in decided(journal).values() if finding.says == REJECT}
    held: dict[str, int] = {}
    for row in standing(con, frozenset(kinds), journal):
        if row.hold in (HELD, REJECTED):
            held[row.seen.customer] = held.get(row.seen.customer, 0) + 1
    for customer, count in held.items():
        yield f"{customer}: {count} incident(s) that hold drafts wait for a decision: `tallystick anomalies`"


def _hold(row: Known, kinds: frozenset[str], in_place: Iterable[Seen]) -> str:
    if row.seen.kind not in kinds or (row.gone and any(row.seen.same_hours(other) for other in in_place)):
        return ""
    if row.decision is not None and row.decision.says == APPROVE and row.decision.seen.same(row.seen):
        return "" if row.gone else APPROVED
    return REJECTED if row.decision is not None and row.decision.says == REJECT else HELD


def held_drafts(
    catalog: Catalog, incidents: Iterable[Known], groups: Sequence[Group]
) -> tuple[dict[str, str], tuple[dict[str, str], ...]]:
    """Of lines that are due: reason by customer whose drafts wait, and the approvals that let others go.

    An incident concerns a line with a local day on which it was.
    """
    days: dict[str, set[tuple[date, date]]] = {}
    for group in groups:
        spans = ((due.line.start, due.line.end) for due in group.lines if due.line.kind != "adjustment")
        days.setdefault(group.customer, set()).update(spans)
    reasons: dict[str, list[str]] = {}
    approvals = []
    for row in incidents:
        if not row.hold or row.seen.customer not in days:
            continue
        zone = catalog.customers[row.seen.customer].zone
        first, last = (local_date(zone, us) for us in (row.seen.first_us, row.seen.last_us))
        if not any(start <= last and first < end for start, end in days[row.seen.customer]):
            continue
        if row.hold == APPROVED and row.decision is not None:
            approvals.append(row.decision.reviewed())
        else:
            reasons.setdefault(row.seen.customer, []).append(_reason(row, zone))
    return {customer: "; ".join(_first(found)) for customer, found in sorted(reasons.items())}, tuple(approvals)


def _reason(row: Known, zone: str) -> str:
    seen, name = row.seen, row.seen.incident
    what = f"incident {name} ({seen.kind}, {local_hour(zone, seen.first_us)})"
    approve = f'`tallystick anomalies approve {name} --by WHO --reason "WHY"`'
    if row.hold == REJECTED and row.decision is not None:
        return f"{what} was rejected by {row.decision.by}: retract its usage or adjust the bill, then {approve}"
    return f"{what} waits for a decision: look with `tallystick anomalies show {name}`, then {approve}, or reject it"


def _first(found: list[str]) -> Iterator[str]:
    shown = 3
    yield from found[:shown]
    if len(found) > shown:
        yield f"and {len(found) - shown} more incidents"


def has_table(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> bool:
    """Whether a generation has a table."""
    asked = "SELECT count(*) > 0 FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?"
    return con.execute(asked, [schema, name]).fetchall() == [(True,)]


def figure(value: Any) -> str:
    """A figure as a plain number of six digits; empty where there is none."""
    if value is None or not Decimal(value).is_finite():
        return ""
    return decimal_text(Decimal(f"{value:.6g}"))


def local_hour(zone: str, us: int) -> str:
    """An instant as the clock of a zone shows it, with its offset; `2026-10-14T13:00+02:00`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    plain = ZoneInfo(zone_on(zone, local_date(zone, us)))
    return moment.astimezone(plain).isoformat(timespec="minutes")
