"""The partner's gateway: weekly Parquet files of requests with the units and time they took, as exact decimal text."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb

from orchestration.example.files import write_bytes
from orchestration.example.profiles import PROFILES, WINDOW_END, WINDOW_START, Profile
from orchestration.example.requests import size, status, target
from orchestration.example.summary import Expected, Line, Written, broken
from orchestration.example.traffic import edges, instants, moment, seconds, share, spread, stream

_WEEK = 7 * 86_400
_UNKNOWN_KEY = "P-0000"
_GOOD = Line(b"")


class Row(NamedTuple):
    """One request as the partner exports it, and (last) the bucket it must end in. Units and time are decimal text."""

    request_id: str
    occurred_at: str
    api_key: str
    verb: str
    path: str
    status: int
    bytes_sent: int
    compute_units: str
    took_ms: str
    fate: Line


def write_partner(home: Path, seed: int, scale: int, expected: Expected) -> list[Written]:
    """One file for each week of the window. A week's file repeats the last rows of the one before it."""
    weeks: dict[int, list[tuple[int, Row]]] = defaultdict(list)
    start = seconds(WINDOW_START)
    for profile in PROFILES:
        for at, row in _customer(profile, seed, scale, expected):
            weeks[(at - start) // _WEEK].append((at, row))
    dice = stream(seed, "partner-gateway/strangers")
    for number, at in enumerate(spread(dice, "UTC", start, seconds(WINDOW_END), 9)):
        row = _row(f"x-{number:06d}", at, _UNKNOWN_KEY, ("GET", "/v1/search"), 200, 640, 250_000_000)
        weeks[(at - start) // _WEEK].append((at, row._replace(fate=Line(b"", attributed=False))))
    written, before = [], list[Row]()
    for week in sorted(weeks):
        rows = [row for _, row in sorted(weeks[week], key=lambda item: (item[0], item[1].request_id))]
        repeated = [row._replace(fate=Line(b"", "duplicate")) for row in before[-15:]]
        name = f"partner/requests-{(WINDOW_START + timedelta(seconds=week * _WEEK)).date()}.parquet"
        written.append(_write(home, name, repeated + rows + (_defects() if week == 1 else [])))
        before = rows
    return written


def _customer(profile: Profile, seed: int, scale: int, expected: Expected) -> list[tuple[int, Row]]:
    volume = share(profile.partner, scale)
    if not volume:
        return []
    dice = stream(seed, f"partner-gateway/{profile.customer}")
    rows = []
    for number, at in enumerate([*edges(profile), *instants(dice, profile, volume)]):
        code = status(dice)
        sent = size(dice, code)
        nano = 1 + dice.below(2_000_000_000 - 1)
        row = _row(f"{profile.short}-{number:06d}", at, profile.partner_key, target(dice), code, sent, nano)
        rows.append((at, row))
        expected.request(profile.customer, at, code, sent)
        expected.computed(profile.customer, at, nano)
    return rows


def _row(key: str, at: int, api_key: str, asked: tuple[str, str], code: int, sent: int, nano: int) -> Row:
    units = f"{nano // 1_000_000_000}.{nano % 1_000_000_000:09d}"
    path = asked[1].partition("?")[0]
    micro = 2_000 + nano // 20_000
    took = f"{micro // 1_000}.{micro % 1_000:03d}"
    return Row(key, f"{moment(at):%Y-%m-%dT%H:%M:%SZ}", api_key, asked[0], path, code, sent, units, took, _GOOD)


def _defects() -> list[Row]:
    good = _row("broken-1", seconds(WINDOW_START) + _WEEK, "P-1001", ("GET", "/v1/search"), 200, 640, 250_000_000)
    return [
        good._replace(compute_units="pending", fate=broken(b"", "bad_quantity")),
        good._replace(compute_units="0.1234567891", fate=broken(b"", "bad_quantity")),
        good._replace(occurred_at="2026-13-01T00:00:00Z", fate=broken(b"", "bad_time")),
    ]


def _write(home: Path, name: str, rows: list[Row]) -> Written:
    """DuckDB writes the same bytes for the same rows when one thread does it."""
    path = home / "inbox" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    names = Row._fields[:-1]
    kinds = {"status": "integer", "bytes_sent": "bigint"}
    select = ", ".join(f"unnest(?::{kinds.get(field, 'varchar')}[]) as {field}" for field in names)
    columns = [[row[place] for row in rows] for place in range(len(names))]
    draft = path.with_name(f".{path.name}.draft")
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute(f"create table rows as select {select}", columns)
        con.execute("copy rows to $1 (format parquet, compression zstd)", [str(draft)])
    write_bytes(path, draft.read_bytes())
    draft.unlink()
    return Written.of("partner-gateway", f"inbox/{name}", [row.fate for row in rows])
