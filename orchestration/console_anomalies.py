"""What a person, or a program, sees of incidents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from orchestration.console import out
from orchestration.ledger.findings import APPROVE, REJECT, SAID_FALSE, SAID_REAL, Finding

if TYPE_CHECKING:
    from orchestration.pipeline.anomalies import Detail, Listed

_SHOWN = ("incident", "kind", "customer", "first and last hour", "observed", "expected", "label", "drafts")
_SERIES = ("moment", "grain", "scope", "key", "series", "value", "expected", "z")
SHOWN = 30
_NEXT = {
    SAID_REAL: "the next run expects a little more of such incidents of this customer",
    SAID_FALSE: "the next run takes a little more for usual with this customer; a draft that it holds still waits",
    APPROVE: "the next close issues its drafts, if the incident is still the same",
    REJECT: "retract its usage (retractions.yaml) or adjust the bill (adjustments.yaml), then approve it",
}


def print_incidents(found: Listed) -> None:
    """A table, by customer and time of the customer's zone."""
    rows = [_expected(found.row(known)) for known in found.incidents]
    hours = [{"first and last hour": f"{row['first']}\n{row['last']}"} for row in rows]
    cells = [{**row, "drafts": row["hold"], "incident": _named(row)} for row in rows]
    _table(_SHOWN, [row | hour for row, hour in zip(cells, hours, strict=True)])
    if not rows:
        out.print("no incidents; `--all` also shows those that somebody has dealt with")
    elif any(row["hold"] in ("held", "rejected") for row in rows):
        out.print("drafts that are held wait for `tallystick anomalies approve ID --by WHO --reason WHY`")


def incidents_json(found: Listed) -> str:
    """The same rows with all of their fields; figures as text."""
    return _json([found.row(known) for known in found.incidents])


def print_detail(found: Detail) -> None:
    """One incident: its alarms, what the detector of whole hours says of them, what people said."""
    row = found.row
    out.print(f"incident {_named(row)}: {row['kind']} of {row['customer']}", markup=False)
    out.print(f"  from {row['first']} to {row['last']}, {row['alarms']} alarm(s)", markup=False)
    out.print(f"  label: {row['label'] or 'none'}; drafts: {row['hold'] or 'not held'}", markup=False)
    _table(("hour", "observed", "expected", "z"), [_expected(hour) for hour in found.alarms])
    if found.unusual:
        out.print("the hours as a whole (all features together):")
        _table(list(found.unusual[0]), found.unusual)
    for finding in found.said:
        said = f"{finding.says} by {finding.by} at {_time(finding.now_us)}: {finding.reason}"
        out.print(f"  journal entry {finding.seq}: {said}", markup=False)


def detail_json(found: Detail) -> str:
    """The incident with its hours and all that was said of it."""
    said = [{"entry": f.seq, "says": f.says, "by": f.by, "reason": f.reason, "at": _time(f.now_us)} for f in found.said]
    return _json({**found.row, "hours": found.alarms, "unusual_hours": found.unusual, "said": said})


def print_series(found: Sequence[Mapping[str, Any]]) -> None:
    """Moments of series that were beyond their past, the latest first."""
    _table(_SERIES, [_expected(row) for row in found[:SHOWN]])
    if not found:
        out.print("no series was beyond its past")
    elif len(found) > SHOWN:
        out.print(f"and {len(found) - SHOWN} more rows: see them all with --json")


def series_json(found: Sequence[Mapping[str, Any]]) -> str:
    """The same rows, all of them; figures as text."""
    return _json(found)


def print_said(finding: Finding, *, written: bool) -> None:
    """What was journalled, or that it had been said before."""
    seen = finding.seen
    what = f"incident {seen.incident} ({seen.customer}, {seen.kind}): {finding.says}"
    if written:
        out.print(f"{what}, journal entry {finding.seq}: {_NEXT[finding.says]}", markup=False)
    else:
        out.print(f"{what}, as journal entry {finding.seq} says already; nothing was written", markup=False)


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['incident']} (gone)" if row["gone"] else str(row["incident"])


def _expected(row: Mapping[str, Any]) -> dict[str, Any]:
    """With the centre and its limits in one cell."""
    return {**row, "expected": f"{row['centre'] or '-'} ({row['lower'] or '-'} to {row['upper'] or '-'})"}


def _table(heads: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        table = Table(*heads)
        for row in rows:
            table.add_row(*(Text("" if row[head] is None else str(row[head])) for head in heads))
        out.print(table)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _time(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")
