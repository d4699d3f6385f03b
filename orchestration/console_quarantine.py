"""What a person sees of the quarantine. Lines come from outside: nothing in them may steer a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from orchestration.console import out

if TYPE_CHECKING:
    from orchestration.ingest.quarantined import Listed, QuarantinedLine
    from orchestration.ingest.retry import RetryReport

SHOWN = 1000
"""Characters of a line that are shown; `--raw` gives all of it."""


def print_quarantined(found: Sequence[Listed]) -> None:
    """The table of `quarantine list`."""
    if not found:
        out.print("no line is quarantined")
        return
    table = Table("source", "file", "path", "reason", "lines", title="Quarantined lines", title_justify="left")
    table.columns[1].justify = table.columns[4].justify = "right"
    for item in found:
        cells = (item.row.source, str(item.row.file_id), item.row.path, item.reason)
        table.add_row(*(Text(cell) for cell in cells), f"{item.lines:,}")
    table.add_section()
    table.add_row("total", "", "", "", f"{sum(item.lines for item in found):,}")
    out.print(table)


def print_quarantined_lines(lines: Iterable[QuarantinedLine], *, raw: bool) -> bool:
    """The lines of `quarantine show`, as text or as they are. Whether there was one."""
    from orchestration.ingest.discover import printable

    any_line = False
    last = 0
    for item in lines:
        any_line = True
        if raw:
            sys.stdout.buffer.write(item.raw + b"\n")
            continue
        if item.row.file_id != last:
            last = item.row.file_id
            out.print(f"file {last}: {item.row.source}: {item.row.path}", markup=False)
        text = printable(item.raw.decode("utf-8", "surrogateescape"))
        cut = f"... ({len(item.raw):,} bytes)" if len(text) > SHOWN else ""
        out.print(f"  {item.line}: {item.reason}: {text[:SHOWN]}{cut}", markup=False)
    sys.stdout.flush()
    return any_line


def print_retry(result: RetryReport, *, dry_run: bool) -> None:
    """What entered, what stays, what could not be read again, and what to do next."""
    total = sum(result.entered.values())
    verb = "would leave" if dry_run else "left"
    out.print(f"{total:,} line(s) of {result.files} file(s) {verb} the quarantine")
    for (reason, bucket), count in sorted(result.entered.items()):
        out.print(f"  {reason}, now {bucket}: {count:,}")
    for reason, count in sorted(result.still.items()):
        out.print(f"  stay quarantined as {reason}: {count:,}")
    for entry in result.skipped:
        out.print(f"not read again: {entry.source}: {entry.path}: {entry.reason}", markup=False)
    if dry_run:
        out.print("nothing was changed")
    elif total:
        out.print("next: `tallystick run` counts and prices them")
