"""Distinct values by line: the model of the warehouse on tables made by hand, and the audit on the same events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2
import pytest
from billing_make import charge, segment, terms

from orchestration.audit.clock import Clock
from orchestration.audit.measuring import Part, measured
from orchestration.audit.taken import Seen
from orchestration.catalog.meters import Meter
from orchestration.metering.control import ChargedSegment

MODELS = Path(__file__).resolve().parents[3] / "dbt_project" / "models"
SEEN = [
    (3, "eu", "u1"),
    (3, "us", "u1"),
    (3, "eu", "u2"),
    (4, None, "u4"),
    (20, "eu", "u1"),
    (20, "us", "u2"),
    (20, "us", "u3"),
]
"""Day of October, region, user."""
LINES = [
    ("first", "s", "unique", "region", None, "2026-10-01", "2026-10-16"),
    ("second", "s", "unique", "region", None, "2026-10-16", "2026-11-01"),
    ("whole", "t", "unique", None, None, "2026-10-01", "2026-11-01"),
    ("most", "t", "active", "region", "max", "2026-10-01", "2026-11-01"),
    ("most of all", "u", "active", None, "max", "2026-10-01", "2026-11-01"),
]


@pytest.fixture(scope="module")
def counted() -> Iterator[dict[str, list[tuple[str, int, int]]]]:
    """By line (value, day, users)."""
    made = jinja2.Environment()
    made.globals |= {
        "config": lambda **_: "",
        "ref": lambda name: name,
        "json_field": lambda json, name: f"json_extract_string({json}, '$.' || {name})",
        "week_start": lambda day: f"cast(date_trunc('week', {day}) as date)",
        "days_after": lambda day, days: f"({day} + {days})",
    }
    query = made.from_string((MODELS / "metering" / "lines" / "quantities_of_distinct.sql").read_text()).render()
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE touched_segments (line_id VARCHAR, subscription VARCHAR, measure VARCHAR, line_per VARCHAR, "
            "take VARCHAR, start_day DATE, end_day DATE, until_day DATE, reads_from DATE, customer VARCHAR, "
            "meter VARCHAR, period_start DATE, period_end DATE, by_dimension VARCHAR, active_per VARCHAR)"
        )
        period = "2026-10-01", "2026-11-01"
        rows = [(*line, line[6], line[5], "acme", "users", *period, "total", "day") for line in LINES]
        con.executemany(f"INSERT INTO touched_segments VALUES ({', '.join('?' * 15)})", rows)
        con.execute("CREATE TABLE distinct_values (customer VARCHAR, meter VARCHAR, dimensions VARCHAR, "
                    "local_day DATE, value_key VARCHAR)")  # fmt: skip
        days = [
            ("acme", "users", f'{{"region":{"null" if where is None else repr(where)}}}'.replace("'", '"'), day, user)
            for number, where, user in SEEN
            for day in [date(2026, 10, number)]
        ]
        con.executemany("INSERT INTO distinct_values VALUES (?, ?, ?, ?, ?)", days)
        found: dict[str, list[tuple[str, int, int]]] = {name: [] for name, *_ in LINES}
        for line, value, day, users in con.execute(f"SELECT * FROM ({query}) ORDER BY ALL").fetchall():
            found[line].append((value, day.day, int(users)))
        yield found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("first", [("", 4, 1), ("eu", 3, 2), ("us", 3, 1)]),
        ("second", [("us", 20, 2)]),
        ("whole", [("", 3, 2), ("", 4, 1), ("", 20, 1)]),
        ("most", [("", 4, 1), ("eu", 3, 2), ("us", 20, 2)]),
        ("most of all", [("", 20, 3)]),
    ],
)
def test_a_user_counts_once_in_a_period_on_the_line_of_each_value(counted: Any, line: str, expected: Any) -> None:
    """u1 is in eu and us; in the second half it counts no more in eu, and u2 counts in us for the first time."""
    assert counted[line] == expected


@pytest.mark.parametrize("name", [name for name, *_ in LINES])
def test_the_audit_counts_the_same_from_values_and_days(counted: Any, name: str) -> None:
    meter = Meter(
        key="users", name="U", event_type="e", aggregation="unique_count", value="user", dimensions=("app", "region")
    )
    seen = [Seen(user, json.dumps(["x", where]), date(2026, 10, day)) for day, where, user in SEEN]
    taken: Any = SimpleNamespace(meter=meter, seen={"acme": seen})

    def item(line: Any) -> ChargedSegment:
        _, _, measure, per, _, start, end = line
        active = {"active": {"per": "day", "take": "max"}} if measure == "active" else {}
        priced = terms(charge(meter="users", line_per=per, **active), start=start)
        return ChargedSegment(segment(start, end), priced, known=date(2026, 11, 1))

    own = next(line for line in LINES if line[0] == name)
    siblings = [item(line) for line in LINES if line[1] == own[1] and line[2] == own[2]]
    part = Part(item(own), taken, Clock("UTC", date(2026, 10, 1), date(2026, 11, 1)), siblings)
    assert sorted((q.value, q.day.day, int(q.quantity)) for q in measured(part)) == counted[name]
