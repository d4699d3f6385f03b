"""Explain: how a line came to its amount, from its formula down to days, files and events, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from orchestration.audit.archived import prices
from orchestration.audit.attribution import Stretch
from orchestration.audit.counted import Behind, can_share
from orchestration.audit.erased import erased_among
from orchestration.audit.evidence import behind_of, line_evidence, opened, with_parts, write_events
from orchestration.audit.kept import Cell, kept_cells, priced_cells, total_of
from orchestration.audit.known import Known
from orchestration.audit.splitting import Part, day_by_file
from orchestration.audit.taken import value_of
from orchestration.durable import Point, publish
from orchestration.errors import ConfigInvalid
from orchestration.ledger.store import Ledger
from orchestration.metering.compile import matches_sql
from orchestration.money import decimal_text
from orchestration.sqltext import literal

Told = dict[str, Any]
_REASONS = {
    "filtered": "not taken by the meter",
    "other_line": "counted before, or of another window, cell or line",
}
"""Why events that count are not behind a line, by the outcome that the warehouse names."""


def explain(
    ledger: Ledger,
    number: str,
    position: str | None,
    scratch: Path,
    events: Path | None = None,
    warehouse: Path | None = None,
) -> Told:
    """A document by its lines, or one line down to its events; every number is text.

    `events` is a file, CSV or Parquet, for the line's events with what each costs. `warehouse` is the published
    database: where it has the line's evidence by file and day, and no single events are asked for, the lake isn't read.
    Raises ConfigInvalid for an unknown number or line, IntegrityFailure if the lake has other events than the document
    was made from.
    """
    known = Known.of(ledger, number)
    lines = [line for line in known.body["lines"] if position in (None, line["position"])]
    if not lines or (events is not None and position is None):
        raise ConfigInvalid(
            f"document {number} has lines 1 to {len(known.body['lines'])}; name one of them",
            not_done="nothing was explained",
            next_step=f"`tallystick explain {number}` lists its lines",
        )
    told: Told = {"document": number, "customer": known.row.customer, "total": known.body["total"]}
    told |= {"currency": known.row.currency, "later": list(_later(ledger, known))}
    if position is None:
        return told | {"lines": lines}
    line = lines[0]
    told |= {"line": line, "prices": prices(known)["lines"].get(position, [])}
    of_line = [row | {"changes": [c for c in row["changes"] if c["line"] == position]} for row in told["later"]]
    told["later"] = [row for row in of_line if row["changes"]]
    # What was erased is told from the lines themselves.
    by_events = events is not None or bool(ledger.erasures())
    kept = None if by_events else _kept(ledger, known, line, warehouse, scratch)
    return told | (kept or _events_of(ledger, known, line, scratch, events))


def brief(ledger: Ledger, number: str, scratch: Path, warehouse: Path | None) -> Told:
    """The largest line of a document, as far as the warehouse tells it; without `evidence` where it takes the events.

    No more of them are read than those of days within which a price changes.
    """
    known = Known.of(ledger, number)
    line = max(known.body["lines"], key=lambda line: (abs(Decimal(line["amount"])), -int(line["position"])))
    told: Told = {"document": number, "customer": known.row.customer, "total": known.body["total"]}
    told |= {"currency": known.row.currency, "later": [], "line": line}
    told |= {"prices": prices(known)["lines"].get(line["position"], [])}
    return told | (_kept(ledger, known, line, warehouse, scratch) or {})


def _kept(
    ledger: Ledger, known: Known, line: Mapping[str, Any], warehouse: Path | None, scratch: Path
) -> dict[str, Any] | None:
    """What `_events_of` would say, from the warehouse; None where it takes the events."""
    behind = behind_of(known, line)
    if behind is None:
        return {"evidence": with_parts(line, None, 0, Decimal(0), Decimal(0)), "days": [], "files": [], "left_out": []}
    cells = kept_cells(warehouse, ledger, known, line["position"], scratch)

    def split(day: date, files: list[int], pieces: list[Stretch]) -> Mapping[int, Part]:
        return day_by_file(ledger.path.parent, known, behind, day, files, pieces, scratch)

    taken = None if cells is None else priced_cells(behind, cells, split)
    if cells is None or taken is None:
        return None
    days = {day: [cell for cell in taken if cell.day == day] for day in sorted({cell.day for cell in taken})}
    files = {key: [cell for cell in taken if cell.file_id == key] for key in sorted({cell.file_id for cell in taken})}
    left: dict[str, int] = {}
    for cell in cells:
        if cell.outcome != "taken":
            reason = _REASONS.get(cell.outcome, cell.outcome)
            left[reason] = left.get(reason, 0) + cell.events
    return {
        "evidence": with_parts(line, behind, *total_of(taken)),
        "days": [{"day": day.isoformat(), **_sums(of_day)} for day, of_day in days.items()],
        "files": [_file(of_file) for of_file in files.values()],
        "left_out": [{"reason": reason, "lines": str(left[reason])} for reason in sorted(left)],
        "erased": [],
    }


def _sums(cells: Sequence[Cell]) -> Told:
    number, quantity, amount = total_of(cells)
    return {"events": str(number), "quantity": decimal_text(quantity), "amount": decimal_text(amount)}


def _file(cells: Sequence[Cell]) -> Told:
    sums = _sums(cells)
    return {
        "path": cells[0].path,
        "sha256": cells[0].sha256,
        "events": sums.pop("events"),
        "first_line": str(min(cell.first_line for cell in cells)),
        "last_line": str(max(cell.last_line for cell in cells)),
        **sums,
    }


def _key(line: Mapping[str, Any]) -> tuple[str, ...]:
    """What a line is, whatever it costs: a correction has the key of the line that it corrects."""
    return (*(line[name] for name in ("subscription", "charge", "period_start", "start")), line.get("value", ""))


def _later(ledger: Ledger, known: Known) -> Iterator[Told]:
    """Documents issued since that speak of this one or of its lines, with the lines here that they speak of."""
    mine = {_key(line): line["position"] for line in known.body["lines"]}
    for row in ledger.documents():
        if row.customer != known.row.customer or (row.journal_seq, row.number) <= (
            known.row.journal_seq,
            known.row.number,
        ):
            continue
        body = json.loads(row.body)
        changes = [line for line in body["lines"] if "correction" in line and _key(line) in mine]
        paid = [use["amount"] for use in body.get("credit_notes", ()) if use["number"] == known.row.number]
        if changes or row.corrects == known.row.number or paid:
            yield {
                "document": row.number,
                "kind": row.kind,
                "issue_date": row.issue_date,
                "changes": [
                    {"amount": line["amount"], "cause": line["correction"]["cause"], "line": mine[_key(line)]}
                    for line in changes
                ],
            }


def _events_of(
    ledger: Ledger, known: Known, line: Mapping[str, Any], scratch: Path, events: Path | None
) -> dict[str, Any]:
    behind = behind_of(known, line)
    folders = [] if events is None else [events.parent]
    with opened(ledger.path.parent, known, scratch, folders) as con:
        told: Told = {"evidence": line_evidence(con, known, line), "days": [], "files": [], "left_out": []}
        if behind is None or not can_share(behind):
            return told
        told["days"] = _rows(
            con, "SELECT day, count(*) AS events, sum(quantity) AS quantity, sum(amount) AS amount FROM priced "
            "GROUP BY day ORDER BY day",
        )  # fmt: skip
        told["files"] = _rows(
            con, "SELECT path, sha256, count(*) AS events, min(line) AS first_line, max(line) AS last_line, "
            "sum(quantity) AS quantity, sum(amount) AS amount FROM priced JOIN audit.files USING (file_id) "
            "GROUP BY path, sha256, file_id ORDER BY file_id",
        )  # fmt: skip
        told["left_out"] = _left_out(con, behind)
        told["erased"] = erased_among(con, known, ledger)
        if events is not None:
            aside = events.with_name(f".{events.stem}.tmp{events.suffix}")
            write_events(con, aside)
            publish(aside, events, Point.EVENTS_NAMED)
        return told


def _left_out(con: duckdb.DuckDBPyConnection, behind: Behind) -> list[Told]:
    """Lines of the customer's events of this type and time that are not behind the line, by reason."""
    meter, customer = behind.meter, behind.item.segment.customer
    of_type = f"event_type = {literal(meter.event_type)} AND time_us >= {behind.start_us} AND time_us < {behind.end_us}"
    return _rows(
        con,
        f"""
        SELECT reason, count(*) AS lines FROM (
            SELECT v.verdict AS reason FROM lake.lines AS e JOIN lake.verdicts AS v USING (file_id, line)
            JOIN audit.credentials AS c ON c.credential = e.credential AND (c.feed IS NULL OR c.feed = e.feed)
            AND e.time_us >= c.from_us AND e.time_us < c.to_us WHERE {of_type}
            UNION ALL
            SELECT CASE WHEN NOT {matches_sql(meter)} THEN {literal(_REASONS["filtered"])}
            WHEN {value_of(meter)} IS NULL THEN 'unmeasured' ELSE {literal(_REASONS["other_line"])} END
            FROM attributed AS e ANTI JOIN counted AS p USING (file_id, line)
            WHERE customer = {literal(customer)} AND {of_type}
        ) GROUP BY reason ORDER BY reason
        """,
    )


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[Told]:
    found = con.execute(query)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, map(_text, row), strict=True)) for row in found.fetchall()]


def _text(value: Any) -> str:
    return decimal_text(value) if isinstance(value, Decimal | int) else str(value)


def as_lines(told: Told) -> Iterator[str]:
    """The same for a person to read."""
    yield f"{told['document']} to {told['customer']}: {told['total']} {told['currency']}"
    for line in told.get("lines", ()):
        yield f"  {line['position']:>3}  {line['name']}: {line['quantity']} {line['unit']} = {line['amount']}"
    if "line" in told:
        yield from _line_text(told, told["line"])
    for row in told["later"]:
        for change in row["changes"] or [{}]:
            what = f"line {change['line']}: {change['amount']}, {change['cause']}" if change else "refers to it"
            yield f"later: {row['document']} of {row['issue_date']}: {what}"


def _line_text(told: Told, line: Mapping[str, Any]) -> Iterator[str]:
    formula = line["formula"]
    yield f"line {line['position']}: {line['name']}, {line['plan']}, [{line['start']}, {line['end']})"
    yield f"  measured {line['measured']}, priced {line['quantity']} {line['unit']}, model {formula['model']}"
    for price in told["prices"]:
        contract = f", contract {price['contract']}" if price["contract"] else ""
        yield f"  prices of version {price['version']} from {price['from']}{contract}"
    for detail in formula["details"]:
        tier = f" (tier {detail['tier']})" if detail["tier"] else ""
        yield f"  {detail['part']}{tier}: {detail['quantity']} x {detail['price']} = {detail['amount']}"
    yield f"  x {formula.get('proration', '1')} = {formula['exact']}, rounded {formula.get('gross', line['gross'])}"
    if "evidence" not in told:
        return
    evidence = told["evidence"]
    yield f"  {evidence['events']} events: {evidence['quantity']} for {evidence['amount']}"
    for part in evidence["parts"]:
        yield f"  {part['name']}: {part['amount']}" + (f" ({part['quantity']})" if part["quantity"] != "0" else "")
    yield f"  = {line['amount']}"
    for day in told["days"]:
        yield f"  {day['day']}  {day['events']:>8} events  {day['quantity']}  {day['amount']}"
    for file in told["files"]:
        yield f"  {file['path']}, lines {file['first_line']} to {file['last_line']}: {file['events']} events"
        yield f"    sha256 {file['sha256']}"
    for row in told["left_out"]:
        yield f"  left out: {row['lines']} {row['reason']}"
    for row in told.get("erased", ()):
        yield f"  erased: {row['events']} of these events on {row['on']}, by {row['by']}: {row['reason']}"
        yield f"    row '{row['row']}', journal entry {row['journal']}; their identity and numbers were kept"
