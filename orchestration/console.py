"""What a person sees of the command: progress on a terminal, plain lines when piped, tables, errors."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from orchestration.money import CURRENCIES

if TYPE_CHECKING:
    from orchestration.closing.close import CloseResult
    from orchestration.pipeline.instance import Instance
    from orchestration.pipeline.overview import Overview
    from orchestration.pipeline.retract import Listed
    from orchestration.pipeline.run import RunResult

# Piped output has no width of its own; tables are then as wide as they need to be.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_NOTICES = 20
"""So many are shown; the tables have the rest."""
_BUCKETS = ("lines", "accepted", "duplicate", "conflict", "quarantined", "blank")


class Progress:
    """Tells what is being done. Call it with a short text; it adds the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._status = err.status("") if err.is_terminal else None

    def __call__(self, text: str) -> None:
        seconds = int(time.monotonic() - self._start)
        if self._status is None:
            sys.stderr.write(f"[{seconds:>4} s] {text}\n")
            sys.stderr.flush()
        else:
            self._status.update(f"{text} ({seconds} s)")

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """Show a spinner while it is used, where there is a terminal to show it on."""
        if self._status is None:
            yield self
        else:
            with self._status:
                yield self


def _table(title: str, text_columns: int, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for column in table.columns[text_columns:]:
        column.justify = "right"
    return table


def print_overview(view: Overview, *, as_json: bool = False) -> None:
    """The tables of `status`: lines by source and bucket, documents by currency, what is held."""
    if as_json:
        out.print(json.dumps(asdict(view), indent=2, ensure_ascii=False, default=str), markup=False)
        return
    lines = _table(f"Lines of {view.files} files, and where each went", 1, "source", *_BUCKETS)
    for source, counts in sorted(view.lines.items()):
        lines.add_row(source, *(f"{counts[b]:,}" for b in _BUCKETS))
    lines.add_section()
    lines.add_row("total", *(f"{sum(c[b] for c in view.lines.values()):,}" for b in _BUCKETS))
    out.print(lines)
    _print_open(view)
    out.print(f"customers: {view.customers}   published: {view.generation or 'nothing yet'}\n")
    _print_money(f"Issued (cut-offs: {', '.join(view.cut_offs) or 'none yet'})", view.issued)
    _print_money("Drafts of open periods", view.drafts)
    for held in view.held:
        out.print(f"held: {held.source}: {held.path}: {held.reason}", markup=False)
    _print_notices(view.notices)


def _print_notices(notices: Sequence[str]) -> None:
    for text in notices[:_NOTICES]:
        out.print(f"look at: {text}", markup=False)
    if len(notices) > _NOTICES:
        out.print(f"and {len(notices) - _NOTICES} more, in marts.schema_drift, quarantine_shares and missing_input")


def _print_open(view: Overview) -> None:
    """What still waits: quarantined lines by reason, conflicts as a decision has to name them, usage of nobody."""
    for reason, count in view.quarantined.items():
        out.print(f"quarantined as {reason}: {count:,}", markup=False, emoji=False)
    stood = ", ".join(f"{count:,} {status}" for status, count in view.conflicts.items())
    out.print(f"conflicts (events that came with different contents): {stood or 'none known yet'}")
    for event in view.open_conflicts:
        names = f"source: {_yaml_text(event.source)}, id: {_yaml_text(event.event_id)}"
        out.print(f"  open: {{{names}}}  waiting: {', '.join(event.waiting) or 'nobody'}", markup=False, emoji=False)
        out.print(f"    counts now: {event.counts}", markup=False, emoji=False)
        for other in event.others:
            out.print(f"    came too:   {other}", markup=False, emoji=False)
    if view.conflicts.get("open", 0) > len(view.open_conflicts):
        out.print("  more are in marts.conflicts")
    for unmet in view.unmet_decisions:
        out.print(f"  decision without effect: {unmet}", markup=False, emoji=False)
    if view.retractions:
        out.print(f"retracted events: {view.retracted:,}, by {view.retractions} reviewed row(s)")
    nobody = view.unattributed
    whose = f"{nobody.credentials:,} unknown credential(s)"
    out.print(f"events of nobody yet: {nobody.events:,}, {nobody.bytes:,} bytes, of {whose}")


def _yaml_text(text: str) -> str:
    """Text as YAML reads it back, on one line and printable whatever it holds: to be copied into a decision."""
    shown = (f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(shown)}"'


def _print_money(title: str, totals: Mapping[str, tuple[int, Decimal]]) -> None:
    table = _table(title, 1, "currency", "documents", "total")
    for currency, (count, total) in totals.items():
        table.add_row(currency, str(count), money_text(total, currency))
    out.print(table)


def money_text(total: Decimal, currency: str) -> str:
    """A sum from the warehouse, which keeps 4 decimals, with those that its currency has."""
    return f"{total:,.{CURRENCIES[currency]}f}"


def print_run(result: RunResult, instance: Instance) -> None:
    taken = result.ingest
    out.print(f"taken: {taken.files} file(s), {taken.lines:,} line(s)")
    for name in _BUCKETS[1:]:
        out.print(f"  {name}: {getattr(taken, name):,}")
    for reason, count in sorted(taken.reasons.items()):
        out.print(f"  quarantined as {reason}: {count:,}")
    for note in taken.notices:
        out.print("note: " + ": ".join(filter(None, (note.source, note.path, note.reason))), markup=False)
    _print_notices(result.notices)
    for entry in taken.refused:
        out.print(f"never opened: {entry.source}: {entry.path}: {entry.reason}", markup=False)
    for entry in taken.deferred:
        out.print(f"left for the next run: {entry.source}: {entry.path}: {entry.reason}", markup=False)
    out.print(f"warehouse: {instance.current}/tallystick.duckdb" if result.built else "nothing new: nothing was built")


def print_listed(listed: Listed) -> None:
    """What `retract` wrote, for whoever reviews it."""
    out.print(f"{listed.events:,} event(s), from {listed.first.isoformat()} to {listed.last.isoformat()}")
    out.print(f"listed in {listed.path}: look at it, keep it with the row, then `tallystick run`", markup=False)


def print_close(result: CloseResult, instance: Instance) -> None:
    out.print(f"cut-off {result.cut_off}: {len(result.documents)} document(s) issued")
    if result.already:
        out.print(f"  closed before, left as they are: {len(result.already)}")
    if result.skipped:
        out.print(f"  nothing to pay, no document (journalled): {', '.join(result.skipped)}")
    for customer, reason in result.parked.items():
        out.print(f"  parked: {customer}: {reason}", markup=False)
    out.print(f"files: {instance.exports / result.cut_off.isoformat()}")
