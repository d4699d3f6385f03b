"""The whole example month: all sources below `home/inbox`, with what must come out of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestration.example.accesslogs import EU, US, write_gateway
from orchestration.example.events import write_completions, write_sessions
from orchestration.example.partner import write_partner
from orchestration.example.storage import write_readings
from orchestration.example.summary import Expected, GeneratedSummary, Written


def generate(home: Path, *, seed: int = 7, scale: int = 100, report: Callable[[str], None] = print) -> GeneratedSummary:
    """Write October 2026 of the example below `home/inbox`; one seed and scale always give the same bytes.

    `scale` is the percentage of the usual 250,000 lines; storage is read every hour whatever it is. Files that are
    there already with the same bytes are left alone. Raises ValueError for a scale below 1.
    """
    if scale < 1:
        raise ValueError(f"a scale is a percentage of at least 1, not {scale}")
    expected = Expected()
    parts: tuple[Callable[[], list[Written]], ...] = (
        lambda: write_gateway(home, EU, seed, scale, expected),
        lambda: write_gateway(home, US, seed, scale, expected),
        lambda: write_completions(home, seed, scale, expected),
        lambda: write_sessions(home, seed, scale, expected),
        lambda: write_readings(home, seed, expected),
        lambda: write_partner(home, seed, scale, expected),
    )
    files: list[Written] = []
    for part in parts:
        written = part()
        files += written
        report(f"{written[0].source}: {len(written)} files, {sum(f.lines for f in written):,} lines")
    return GeneratedSummary(tuple(files), expected)
