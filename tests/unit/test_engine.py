"""How the engine is asked to join."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.engine import connect

WORLD = """
CREATE TABLE events AS SELECT 'k' || range % 3 AS key, range AS t FROM range(50000);
CREATE TABLE keys AS SELECT 'k' || range AS key, 'c' || range AS customer, 0 AS since, 50000 AS until FROM range(3);
CREATE TABLE lines AS SELECT 'c' || range % 3 AS customer, 0 AS start, 50000 AS stop FROM range(2);
CREATE TABLE days AS SELECT range AS day, range * 1000 AS low, range * 1000 + 1000 AS high FROM range(50);
"""
DAYS_OF_EVENTS = """
SELECT day, count(*) FROM events AS e
JOIN keys ON e.key = keys.key AND t >= since AND t < until
JOIN lines ON lines.customer = keys.customer AND t >= start AND t < stop
JOIN days ON day = t // 1000 AND t >= low AND t < high
GROUP BY day
"""


def _parts(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from _parts(child)


@pytest.mark.parametrize("in_order", [True, False])
def test_events_that_are_looked_up_in_small_tables_are_not_all_kept_in_memory(in_order: bool, tmp_path: Path) -> None:
    """The right side of a join is kept. Left to itself, the engine expects no event to be left, and keeps them all."""
    with connect(None, temp=tmp_path, in_order=in_order) as con:
        con.execute(WORLD)
        [(_, text)] = con.execute(f"EXPLAIN (FORMAT json) {DAYS_OF_EVENTS}").fetchall()
        assert con.execute(f"SELECT count(*) FROM ({DAYS_OF_EVENTS})").fetchall() == [(50,)]
    joins = [node for root in json.loads(text) for node in _parts(root) if node["name"].strip() == "HASH_JOIN"]
    kept = {part["extra_info"].get("Table", "") for join in joins for part in _parts(join["children"][1])}
    assert len(joins) == 3
    assert any("events" in table for table in kept) != in_order
