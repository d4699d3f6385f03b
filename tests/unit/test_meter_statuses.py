"""The statuses that a meter takes, read off its filter, are those that its SQL takes."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
from pydantic import TypeAdapter

from orchestration.catalog import Catalog, load_catalog
from orchestration.catalog.meters import Filter, Meter
from orchestration.metering.compile import filter_sql
from orchestration.metering.statuses import status_rows, takes

FILTER: TypeAdapter[Any] = TypeAdapter(Filter)
EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "catalog"
STATUSES = [
    None,
    0,
    1,
    99,
    100,
    200,
    204,
    304,
    399,
    400,
    404,
    428,
    429,
    430,
    499,
    500,
    503,
    599,
    600,
    4290,
    999_999_999,
]


def condition(dice: random.Random) -> dict[str, Any]:
    values: list[str | int] = [0, 200, 400, 429, 500, "429", "500", "399.5", "x", "0429", "-1", 600]
    op = dice.choice(["eq", "ne", "in", "not_in", "lt", "le", "gt", "ge", "exists"])
    if op == "exists":
        return {"field": "status", "op": op}
    if op in ("in", "not_in"):
        return {"field": "status", "op": op, "value": dice.sample(values, dice.randrange(4))}
    return {"field": "status", "op": op, "value": dice.choice(values if op in ("eq", "ne") else [429, "500", "399.5"])}


def tree(dice: random.Random, depth: int = 3) -> dict[str, Any]:
    kind = dice.choice(["all", "any", "not", "one"]) if depth else "one"
    if kind == "one":
        return condition(dice)
    if kind == "not":
        return {"not": tree(dice, depth - 1)}
    return {kind: [tree(dice, depth - 1) for _ in range(dice.randrange(1, 4))]}


def meter(node: Any, **options: Any) -> Meter:
    return Meter.model_validate(
        {"key": "m", "name": "M", "event_type": "r", "aggregation": "count", "filter": node} | options
    )


def intervals(*meters: Meter) -> list[dict[str, Any]]:
    catalog: Any = SimpleNamespace(meters={m.key: m for m in meters})
    return list(status_rows(catalog))


def test_any_filter_over_the_status_takes_what_its_sql_takes() -> None:
    dice = random.Random(5)
    con = duckdb.connect()
    con.execute("CREATE TABLE e AS SELECT unnest($1::INTEGER[]) AS status", [STATUSES])
    seen: set[bool] = set()
    for _ in range(300):
        node = FILTER.validate_python(tree(dice))
        taken = {s for (s,) in con.execute(f"SELECT status FROM e WHERE {filter_sql(node)}").fetchall()}
        assert {status for status in STATUSES if takes(node, status)} == taken, node
        rows = intervals(meter(node))
        if None in taken:
            assert rows == []
            continue
        inside = {s for s in STATUSES if s is not None and any(r["from_status"] <= s < r["to_status"] for r in rows)}
        assert inside == taken, node
        seen.add(bool(taken))
    assert seen == {True, False}


def test_a_meter_that_looks_at_more_than_the_status_is_left_out() -> None:
    only = {"field": "status", "op": "lt", "value": 500}
    other = {"field": "method", "op": "eq", "value": "GET"}
    assert intervals(meter({"all": [only, other]})) == []
    assert intervals(meter(None)) == []
    assert intervals(meter(only, aggregation="sum", value="bytes")) == []


def test_the_example_bills_neither_throttled_requests_nor_faults_of_the_server() -> None:
    catalog: Catalog = load_catalog(EXAMPLE)
    rows = [row for row in status_rows(catalog) if row["meter"] == "requests"]
    billed = {status for row in rows for status in range(row["from_status"], min(row["to_status"], 1000))}
    assert {row["event_type"] for row in rows} == {"request"}
    assert {status for status in range(100, 1000) if status not in billed} == {429, *range(500, 1000)}
    charges = [
        c for plan in catalog.plans.values() for v in plan.versions for c in v.charges if c.name == "API requests"
    ]
    assert charges
    assert {charge.meter for charge in charges} == {"requests"}
