"""Readings of the stored gigabytes: one for each account and hour, as CSV with a header and times without a zone."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from pathlib import Path

from orchestration.example.files import blanks, scatter, write_lines
from orchestration.example.profiles import PROFILES, WINDOW_START
from orchestration.example.summary import Expected, Line, Written, broken
from orchestration.example.traffic import active, moment, seconds, stream

# The header is a line of the file that holds no event.
HEADER = Line(b"sample,measured_at,account,region,stored_gb", "blank")
_HOUR = 3_600
# The field holds the delimiter, so it is quoted.
_REGION = '"Frankfurt, DE"'


def reading(sample: str, at: int, account: str, milli: int) -> bytes:
    """A row; `milli` counts 10^-3 GB."""
    return f"{sample},{moment(at):%Y-%m-%d %H:%M:%S},{account},{_REGION},{milli // 1000}.{milli % 1000:03d}".encode()


def write_readings(home: Path, seed: int, expected: Expected) -> list[Written]:
    """One file for each UTC day."""
    days: dict[date, list[tuple[int, int, Line]]] = defaultdict(list)
    for number, profile in enumerate(p for p in PROFILES if p.stored_mb):
        dice = stream(seed, f"storage/{profile.customer}")
        level = profile.stored_mb
        first, until = active(profile)
        for at in range(first + -first % _HOUR, until, _HOUR):
            # Storage grows by day and is cleaned up on Sundays, so the highest hour is not simply the last one.
            level += dice.below(profile.stored_mb // 400) if moment(at).weekday() < 6 else -(level // 150)
            line = Line(reading(f"{profile.short}-{moment(at):%Y%m%d%H}", at, profile.account, level))
            days[moment(at).date()].append((at, number, line))
            expected.stored(profile.customer, at, level)
    bodies = {day: [line for _, _, line in sorted(days[day])] for day in sorted(days)}
    scatter(stream(seed, "storage/defects"), list(bodies.values()), _defects() + blanks(3))
    return [write_lines(home, "storage", f"storage/usage-{day}.csv", [HEADER, *lines]) for day, lines in bodies.items()]


def _defects() -> list[Line]:
    good = reading("broken-1", seconds(WINDOW_START) + 36_000, "acct-aurora", 412_000).decode()
    return [
        *(broken(good[:length].encode(), "not_csv") for length in (20, 46)),
        broken(good.replace("412.000", "n/a").encode(), "bad_quantity"),
        broken(good.replace("412.000", "4.12e2").encode(), "bad_quantity"),
        broken(good.replace("2026-09-30", "2026-09-31").encode(), "bad_time"),
        broken(good.replace("2026-09-30", "1970-01-01").encode(), "time_out_of_window"),
    ]
