"""The real access logs as attempts and requests, with the file and line of each; read in place."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

LINE = re.compile(
    r"(?P<address>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "
    r'"(?P<method>[A-Z]+) (?P<target>\S*)[^"]*" (?P<status>\d{3}) (?P<size>\d+|-) "[^"]*" "(?P<agent>[^"]*)"'
)


class Row(NamedTuple):
    """A line that is a request. Times are whole seconds, as microseconds UTC."""

    file: str
    line: int
    time_us: int
    address: str
    method: str
    path: str
    status: int
    size: int
    agent: str


def requests(folder: Path, pattern: str) -> list[Row]:
    """Every request of the logs that fit the pattern, in the order of time, then of files and lines."""
    found = []
    for path in sorted(folder.glob(pattern)):
        for number, text in enumerate(path.read_text("utf-8", "replace").split("\n"), 1):
            match = LINE.match(text)
            if match is not None:
                at = int(datetime.strptime(match["time"], "%d/%b/%Y:%H:%M:%S %z").timestamp()) * 1_000_000
                size = 0 if match["size"] == "-" else int(match["size"])
                what = (match["address"], match["method"], match["target"].split("?")[0], int(match["status"]), size)
                found.append(Row(path.name, number, at, *what, match["agent"]))
    return sorted(found, key=lambda row: (row.time_us, row.file, row.line))


class Finding(NamedTuple):
    """Requests that belong together: where they begin and end, how many, and over how many distinct paths."""

    first: tuple[str, int]
    last: tuple[str, int]
    requests: int
    paths: int


def finding(rows: Sequence[Row]) -> Finding:
    """The finding that some rows, in order, make."""
    first, last = rows[0], rows[-1]
    return Finding((first.file, first.line), (last.file, last.line), len(rows), len({row.path for row in rows}))


def of_an_hour(rows: Sequence[Row], pick: Callable[[Row], bool], least: float) -> list[Finding]:
    """Hours of an address in which it asked for at least `least` different paths that `pick` takes."""
    hours: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in filter(pick, rows):
        hours[row.address, row.time_us // 3_600_000_000].append(row)
    found = [finding(picked) for picked in hours.values()]
    return sorted(item for item in found if item.paths >= least)


def failing(rows: Sequence[Row]) -> list[tuple[str, Finding, int]]:
    """Days of an address's client library with 20 requests, 10 errors and errors in half of them: as
    `marts.integration_health` judges what it can't compare. With the library and the errors."""
    days: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for row in rows:
        library = re.split("[/ ]", row.agent)[0]
        days[row.address, library, row.time_us // 86_400_000_000].append(row)
    found = []
    for (_, library, _), picked in days.items():
        errors = sum(400 <= row.status < 600 for row in picked)
        if len(picked) >= 20 and errors >= 10 and errors * 2 >= len(picked):
            found.append((library, finding(picked), errors))
    return sorted(found, key=lambda item: item[1])
