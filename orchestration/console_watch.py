"""What a person, or a program, sees of a replay of the log against limits."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from orchestration.console import out
from orchestration.pipeline.requests import Client

if TYPE_CHECKING:
    from orchestration.monitoring.backoff import Behaviour
    from orchestration.pipeline.throttle import Replay, Touched

SHOWN = 30
"""Rows of a table that are shown; all of them are in JSON, those of episodes in the CSV too."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPISODE = ("policy", "client", "from", "to", "over", "missed", "longest_wait_s")


def print_replay(found: Replay) -> None:
    """The tables of `throttling`."""
    out.print(
        f"{found.requests:,} requests from {found.first} until before {found.end}; the gateway refused "
        f"{found.refused:,}, of which {found.undue:,} were within every policy"
    )
    _table("Policies", ("policy", "requests", "over", "missed", "smallest limit"), _policies(found))
    _table("Over a limit", _EPISODE, _episodes(found))
    _table("Refused within every policy", ("customer", "day (UTC)", "requests"), _undue(found))
    _table("What would be refused", ("policy", "customer", "requests", "revenue"), map(_touched, found.touched))
    _table(
        "Back-off",
        ("client", "behaviour", "refusals", "retries", "refused again", "billed", "waits (s)"),
        [
            (_client(b), b.kind, b.refusals, b.retries, b.refused_again, b.billed, ", ".join(map(_seconds, b.waits_us)))
            for b in found.behaviours
        ],
    )
    _table(
        "Retry storms",
        ("endpoint", "minute", "requests", "retries", "clients", "billed"),
        [(s.endpoint, _time(s.minute_us), s.requests, s.retries, s.clients, s.billed) for s in found.storms],
    )
    _table("What retry storms cost", ("storm", "customer", "retries", "revenue"), map(_touched, found.storm_costs))


def _policies(found: Replay) -> list[tuple[object, ...]]:
    return [(c.policy, c.requests, c.over, c.missed, _smallest(found, c.policy)) for c in found.counts]


def _smallest(found: Replay, policy: str) -> str:
    if policy not in found.smallest:
        return ""
    limit = found.smallest[policy]
    return "none" if limit is None else str(limit)


def _episodes(found: Replay) -> list[tuple[object, ...]]:
    return [
        (e.policy, e.client, _time(e.from_us), _time(e.to_us), e.over, e.missed, _seconds(e.longest_wait_us))
        for e in found.episodes
    ]


def _undue(found: Replay) -> list[tuple[object, ...]]:
    return [(customer, day.isoformat(), count) for (customer, day), count in found.undue_by.items()]


def _touched(row: Touched) -> tuple[object, ...]:
    revenue = "" if row.currency is None else f"{_decimal(row.amount)} {row.currency}"
    return row.policy, row.customer, row.requests, revenue


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    listed = list(rows)
    if not listed:
        return
    table = Table(*heads, title=title, title_justify="left")
    for row in islice(listed, SHOWN):
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    out.print(table)
    if len(listed) > SHOWN:
        out.print(f"and {len(listed) - SHOWN} more rows: see them all with --json")


def replay_json(found: Replay) -> str:
    """The whole replay; amounts and seconds as text, times in UTC."""
    told: dict[str, Any] = {
        "from": found.first.isoformat(),
        "to": found.end.isoformat(),
        "requests": found.requests,
        "refused": found.refused,
        "undue": found.undue,
        "undue_by": [dict(zip(("customer", "day", "requests"), row, strict=True)) for row in _undue(found)],
        "policies": [
            {"policy": c.policy, "requests": c.requests, "over": c.over, "missed": c.missed}
            | ({"smallest_limit": found.smallest[c.policy]} if c.policy in found.smallest else {})
            for c in found.counts
        ],
        "episodes": [dict(zip(_EPISODE, row, strict=True)) for row in _episodes(found)],
        "touched": [_touched_json("policy", t) for t in found.touched],
        "behaviours": [
            b._asdict()
            | {
                "client": _client(b),
                "waits_us": list(b.waits_us),
                "obeyed": None if b.obeyed is None else f"{b.obeyed:.3f}",
            }
            for b in found.behaviours
        ],
        "storms": [
            {
                "endpoint": s.endpoint,
                "minute": _time(s.minute_us),
                "requests": s.requests,
                "retries": s.retries,
                "clients": s.clients,
                "billed": s.billed,
            }
            for s in found.storms
        ],
        "storm_costs": [_touched_json("storm", t) for t in found.storm_costs],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _touched_json(what: str, row: Touched) -> dict[str, Any]:
    return {
        what: row.policy,
        "customer": row.customer,
        "requests": row.requests,
        "currency": row.currency,
        "amount": _decimal(row.amount),
    }


def episodes_csv(found: Replay) -> bytes:
    """The episodes as CSV with a header, UTF-8."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_EPISODE)
    rows.writerows(_episodes(found))
    return text.getvalue().encode()


def _client(found: Behaviour) -> str:
    return " ".join(filter(None, Client.of(found.client)))


def _time(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(us: int) -> str:
    return f"{us // 1_000_000}.{us % 1_000_000 // 1_000:03}"


def _decimal(amount: Fraction) -> str:
    """To four places: an estimate that is billed nowhere."""
    scaled = round(amount * 10_000)
    return f"{'-' if scaled < 0 else ''}{abs(scaled) // 10_000}.{abs(scaled) % 10_000:04}"
