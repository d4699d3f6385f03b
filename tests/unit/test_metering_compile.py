"""Meters as SQL: what the engine finds is what a plain reading of the filter finds, and text is never executed."""

from __future__ import annotations

import random
import re
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from pydantic import TypeAdapter, ValidationError

from orchestration.catalog.meters import EVENT_FIELDS, Filter, Meter
from orchestration.metering.compile import (
    NUMBER_FIELDS,
    TEXT_FIELDS,
    event_columns,
    filter_sql,
    property_column,
    value_sql,
)
from orchestration.sqltext import identifier, literal

FILTER: TypeAdapter[Any] = TypeAdapter(Filter)
COLUMNS = ("event_type", "user_key", "method", "path", "status", "bytes", "p_a", "p_b")
GRAMMAR = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


def rows_as_sql(rows: list[dict[str, Any]], extra: str = "") -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE e (n INTEGER, event_type VARCHAR, user_key VARCHAR, method VARCHAR, path VARCHAR, "
        "status INTEGER, bytes BIGINT, p_a VARCHAR, p_b VARCHAR)"
    )
    con.executemany(
        "INSERT INTO e VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [[n, *(r.get(c) for c in COLUMNS)] for n, r in enumerate(rows)],
    )
    return con


def column(field: str) -> str:
    return {"user": "user_key"}.get(
        field, field if field in ("event_type", "method", "path", "status", "bytes") else f"p_{field}"
    )


def number(value: Any) -> Decimal | None:
    text = str(value)
    return Decimal(text) if value is not None and GRAMMAR.fullmatch(text) else None


def holds(node: dict[str, Any], row: dict[str, Any]) -> bool:
    """The filter read plainly, from semantics: a comparison with a missing field is false, `not` of it true."""
    if "all" in node:
        return all(holds(child, row) for child in node["all"])
    if "any" in node:
        return any(holds(child, row) for child in node["any"])
    if "not" in node:
        return not holds(node["not"], row)
    have, op, value = row.get(column(node["field"])), node["op"], node.get("value")
    if op == "exists":
        return have is not None
    if have is None:
        return False
    if op in ("in", "not_in"):
        among = any(holds({**node, "op": "eq", "value": v}, row) for v in value)
        return among if op == "in" else not among
    if isinstance(value, int) or op in ("lt", "le", "gt", "ge"):
        left, right = number(have), number(value)
        if left is None:
            return False
        assert right is not None
        return {
            "eq": left == right,
            "ne": left != right,
            "lt": left < right,
            "le": left <= right,
            "gt": left > right,
            "ge": left >= right,
        }[op]
    return {"eq": str(have) == value, "ne": str(have) != value}[op]


def matching(node: dict[str, Any], rows: list[dict[str, Any]]) -> list[int]:
    con = rows_as_sql(rows)
    sql = filter_sql(FILTER.validate_python(node))
    found = con.execute(f"SELECT n, {sql} FROM e ORDER BY n").fetchall()
    assert all(isinstance(value, bool) for _, value in found)
    return [n for n, value in found if value]


def test_the_catalogs_list_of_fields_is_the_compilers() -> None:
    assert {*TEXT_FIELDS, *NUMBER_FIELDS} == EVENT_FIELDS


@pytest.mark.parametrize(
    "node",
    [
        {"field": "a", "op": op, "value": value}
        for op, value in [
            ("eq", "x"), ("ne", "x"), ("in", ["x", "y"]), ("not_in", ["x", "y"]), ("lt", 5), ("le", 5), ("gt", 5),
            ("ge", 5), ("eq", 5), ("ne", 5), ("in", [5]), ("not_in", [5]), ("in", []), ("not_in", []),
        ]
    ] + [{"field": "a", "op": "exists"}],
)  # fmt: skip
def test_a_comparison_with_a_missing_field_is_false_and_not_of_it_true(node: dict[str, Any]) -> None:
    assert matching(node, [{}]) == []
    assert matching({"not": node}, [{}]) == [0]
    assert matching({"not": {"not": node}}, [{}]) == []
    assert matching({"any": []}, [{}]) == [] and matching({"all": []}, [{}]) == [0]


def test_numbers_are_compared_as_numbers_and_exactly() -> None:
    rows = [
        {"p_a": text}
        for text in ("5", "5.0", "05", "5.000000001", "4.999999999", "1e1", " 5", "5 ", "+5", "", "x", "-0")
    ]
    assert matching({"field": "a", "op": "eq", "value": 5}, rows) == [0, 1, 2]
    assert matching({"field": "a", "op": "eq", "value": "5"}, rows) == [0]
    assert matching({"field": "a", "op": "gt", "value": 5}, rows) == [3]
    assert matching({"field": "a", "op": "lt", "value": "5"}, rows) == [4, 11]
    assert matching({"field": "a", "op": "ne", "value": 5}, rows) == [3, 4, 11]


TEXTS = [
    "x", "y", "'", "''", "';--", "a' OR 1=1--", 'x"; DROP TABLE e; --', "/* */", "/*/* */", "$1", "?", "%", "\\", "\\'",
    "ü", "u\u0308", "みかん", "🦆", "\u202e", "\t", "a\nb", "{{ 7*7 }}", "{% raw %}", "read_text('/etc/passwd')",
    "5", "5.0", "-3", "0.000000001", "999999999999999", "1e3", "NaN", "", " ", "NULL", "null", "true", "E'\\x41'",
]  # fmt: skip


def a_value(chance: random.Random) -> Any:
    return chance.choice(
        [chance.choice(TEXTS), str(chance.randint(-9, 9)), f"{chance.randint(-9, 9)}.{chance.randint(0, 99)}", None]
    )


def a_filter(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 3 and chance.random() < 0.4:
        kind = chance.choice(["all", "any", "not"])
        if kind == "not":
            return {"not": a_filter(chance, depth + 1)}
        return {kind: [a_filter(chance, depth + 1) for _ in range(chance.randint(0, 3))]}
    field = chance.choice(["a", "b", "status", "bytes", "method", "path", "user", "event_type"])
    op = chance.choice(["eq", "ne", "in", "not_in", "lt", "le", "gt", "ge", "exists"])
    if op == "exists":
        return {"field": field, "op": op}
    if op in ("lt", "le", "gt", "ge"):
        return {
            "field": field,
            "op": op,
            "value": chance.choice([chance.randint(-9, 600), f"{chance.randint(-9, 9)}.5"]),
        }
    one = [chance.choice([chance.choice(TEXTS), chance.randint(-9, 600)]) for _ in range(chance.randint(0, 3))]
    return {"field": field, "op": op, "value": one if op in ("in", "not_in") else chance.choice([*one, "x", 200])}


def test_2000_fuzzed_events_through_80_fuzzed_filters_give_what_a_plain_reading_gives() -> None:
    chance = random.Random(20261101)
    rows = [
        {
            "event_type": chance.choice(TEXTS), "user_key": a_value(chance), "method": chance.choice(["GET", None]),
            "path": a_value(chance), "status": chance.choice([200, 429, 500, None]),
            "bytes": chance.choice([0, 5, None]), "p_a": a_value(chance), "p_b": a_value(chance),
        }
        for _ in range(2000)
    ]  # fmt: skip
    con = rows_as_sql(rows)
    for _ in range(80):
        node = a_filter(chance)
        sql = filter_sql(FILTER.validate_python(node))
        found = con.execute(f"SELECT n, {sql} FROM e ORDER BY n").fetchall()
        assert found == [(n, holds(node, row)) for n, row in enumerate(rows)], node
    assert con.execute("SELECT count(*) FROM e").fetchone() == (2000,)


def a_meter(**changed: Any) -> Meter:
    return Meter.model_validate(
        {"key": "m", "name": "M", "event_type": "t", "aggregation": "sum", "value": "a"} | changed
    )


def test_a_value_is_measured_as_written_or_not_at_all_and_never_0() -> None:
    written = {
        "12": "12", "-0": None, "0": "0", "-1": None, "12345678901234.567890123": "12345678901234.567890123",
        "999999999999999.999999999": "999999999999999.999999999", "1000000000000000": None, "0.1234567891": None,
        "NaN": None, "Infinity": None, " 12 ": None, "1_000": None, "0x10": None, "1e3": None, "1,5": None,
        "true": None, "[1]": None, "": None, "١٢": None, "1.": None, ".5": None, "+1": None, "12\n": None,
    }  # fmt: skip
    written["-0"] = "0"  # minus zero is zero, not below it
    rows = [{"event_type": "t", "p_a": text} for text in written] + [
        {"event_type": "t"},
        {"event_type": "u", "p_a": "1"},
    ]
    con = rows_as_sql(rows)
    items = ", ".join(event_columns([a_meter()]))
    found = con.execute(f"SELECT {items} FROM e ORDER BY n").fetchall()
    for (value, unmeasured), expected in zip(found, [*written.values(), None], strict=False):
        assert (value, unmeasured) == ((None, 1) if expected is None else (Decimal(expected), None))
    assert found[-1] == (None, None)
    negative = con.execute(f"SELECT {value_sql(a_meter(allow_negative=True))} FROM e WHERE p_a = '-1'").fetchall()
    assert negative == [(Decimal("-1"),)]


def test_counts_and_distinct_values_are_measured_for_the_events_that_match() -> None:
    rows = [{"event_type": "t", "user_key": u} for u in ("a", "", None)] + [{"event_type": "u", "user_key": "a"}]
    con = rows_as_sql(rows)
    count, unique = a_meter(aggregation="count", value=None), a_meter(aggregation="unique_count", value="user")
    assert con.execute(f"SELECT {value_sql(count)}, {value_sql(unique)} FROM e ORDER BY n").fetchall() == [
        (1, "a"), (1, None), (1, None), (None, None),
    ]  # fmt: skip


def test_a_dimension_is_the_field_as_text_once_for_all_meters_that_have_it_and_null_where_it_is_missing() -> None:
    rows = [{"event_type": "t", "p_b": "'x'", "status": 200}, {"event_type": "t", "p_b": ""}, {"event_type": "u"}]
    con = rows_as_sql(rows)
    meters = [a_meter(key=key, dimensions=("status", "b")) for key in ("m", "n")]
    items = event_columns(meters)
    assert len(items) == 2 * 2 + 2
    found = con.execute(f"SELECT {', '.join(items[-2:])} FROM e ORDER BY n")
    assert [column[0] for column in found.description or ()] == ["d_b", "d_status"]
    assert found.fetchall() == [("'x'", "200"), ("", None), (None, None)]


HOSTILE = [
    'x"; DROP TABLE e; --', "a' OR 1=1--", "read_text('/etc/passwd')", "/* */", "p_a) --", "", "A", "a b", "a-b", "1a",
    "a" * 64, "ä", "a\n", "a\0", "{{ 7*7 }}", "a;b", "a.b", "_a",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused_by_the_catalog_and_by_the_compiler(name: str) -> None:
    for field in ("key", "value", "dimensions"):
        with pytest.raises(ValidationError):
            a_meter(**{field: (name,) if field == "dimensions" else name})
    with pytest.raises(ValidationError):
        FILTER.validate_python({"field": name, "op": "exists"})
    if name not in ("", "1a", "_a", "a" * 64):  # harmless behind the prefix of a column
        with pytest.raises(ValueError, match="not a plain identifier"):
            property_column(name)
        with pytest.raises(ValueError, match="not a plain identifier"):
            event_columns([a_meter().model_copy(update={"dimensions": (name,)})])
    if name not in ("_a", "a" * 64):
        with pytest.raises(ValueError, match="not a plain identifier"):
            identifier(name)


def test_10000_fuzzed_texts_come_back_from_the_engine_as_they_were_and_execute_nothing() -> None:
    chance = random.Random(7)
    alphabet = "'\";-/*\\$?%{}()[]@#\n\r\t abcXYZ019üみ🦆\u202e\u0301\u2028\ufeff"
    con = duckdb.connect()
    con.execute("CREATE TABLE e AS SELECT 1 AS v")
    texts = ["".join(chance.choices(alphabet, k=chance.randint(0, 24))) for _ in range(10_000)]
    for start in range(0, len(texts), 500):
        part = texts[start : start + 500]
        assert list(con.execute("SELECT " + ", ".join(map(literal, part))).fetchone() or ()) == part
    assert con.execute("SELECT * FROM e").fetchall() == [(1,)]
    for broken in ("a\0b", "\ud800"):
        with pytest.raises(ValueError):
            literal(broken)
