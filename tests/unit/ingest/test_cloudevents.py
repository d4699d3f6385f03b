"""CloudEvents: identity, exact numbers, repeated names, and what is not JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from inbox import cloudevent as event


@pytest.fixture
def source(make_source: Any) -> Any:
    return make_source(format="cloudevents", properties={"tokens": "data.tokens"}, fields={"user": "data.user"})


def raw(tokens: str, number: int = 1) -> str:
    return json.dumps(event(id=f"e{number}", data={"tokens": "@@"})).replace('"@@"', tokens) + "\n"


def file_of(numbers: list[str]) -> str:
    return "".join(raw(written, n) for n, written in enumerate(numbers))


EXACT: list[tuple[str, str | None]] = [
    ("5", "5"),
    ('"5"', "5"),
    ("1.10", "1.10"),
    ("12345678.123456789", "12345678.123456789"),
    ("100.00000000000000001", "100.00000000000000001"),
    ("12345678901234567.89", "12345678901234567.89"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("-0", "-0"),
    ("1e400", "1e400"),
    ("1E3", "1E3"),
    ('" 12 "', " 12 "),
    ('"1.5"', "1.5"),
    ('"a\\"b\\u00e9"', 'a"bé'),
    ("true", "true"),
    ("null", None),
    ("[1]", "[1]"),
]


def test_F37_a_property_arrives_exactly_as_written(instance: Any, source: Any) -> None:
    instance.put("a.jsonl", file_of([written for written, _ in EXACT]))
    instance.run(source)
    assert [row["p_tokens"] for row in instance.events()] == [read for _, read in EXACT]


GOOD_QUANTITIES = ["5", "-5", "0", "-0", '"12"', "12.123456789", "999999999999999.999999999"]
BAD_QUANTITIES = ['" 12 "', '"1_000"', '"0x10"', "1e3", '"1e3"', '"1,5"', "true", "null", "[1]", "1e400"]
BAD_QUANTITIES += ["1000000000000000000", "1" + "0" * 30, "0.1234567891", '"+5"', '".5"', '"5."', '""', '"NaN"']
BAD_QUANTITIES += ["12345678901234567.89", "1." + "0" * 25]


def test_F37_a_quantity_is_of_the_grammar_or_quarantined(instance: Any, source: Any) -> None:
    instance.put("a.jsonl", file_of(GOOD_QUANTITIES + BAD_QUANTITIES))
    report = instance.run(source.model_copy(update={"quantity": "tokens"}))
    assert [row["p_tokens"] for row in instance.events()] == [number.strip('"') for number in GOOD_QUANTITIES]
    assert report.reasons == {"bad_quantity": len(BAD_QUANTITIES)}


ROUNDED = {
    "0.0000000005": "0.000000001",
    "-0.0000000005": "-0.000000001",
    "1.00000000049999": "1.000000000",
    "1.5": "1.5",
}


def test_more_decimals_are_rounded_half_away_once_and_counted(instance: Any, source: Any) -> None:
    instance.put("a.jsonl", file_of([*ROUNDED, "999999999999999.9999999995"]))
    report = instance.run(source.model_copy(update={"quantity": "tokens", "more_decimals": "round"}))
    assert [row["p_tokens"] for row in instance.events()] == list(ROUNDED.values())
    assert (report.rounded, report.reasons) == (3, {"bad_quantity": 1})


def test_F35_an_event_without_a_usable_id_is_quarantined(instance: Any, source: Any) -> None:
    given = [..., None, "", True, {"a": 1}, [1], "x" * 10_000]
    instance.put("a.jsonl", "".join(json.dumps(event(id=i)) + "\n" for i in given))
    assert instance.run(source).reasons == {"missing_id": len(given)}


def test_F35_a_numeric_id_is_its_exact_text(instance: Any, source: Any) -> None:
    ids = ["17", "1.50", "9007199254740993", "12345678901234567890.5"]
    instance.put("a.jsonl", "".join(json.dumps(event(id="@@")).replace('"@@"', i) + "\n" for i in ids))
    instance.run(source)
    assert [row["event_id"] for row in instance.events()] == ids


BAD = [
    ('{"id":"a",' + json.dumps(event())[1:], "duplicate_key"),
    ('{"ID":"a",' + json.dumps(event())[1:], "duplicate_key"),
    ('{"i\\u0064":"a",' + json.dumps(event())[1:], "duplicate_key"),
    (json.dumps(event()).replace('"tokens": 5', '"tokens": 5, "tokens": 6'), "duplicate_key"),
    (json.dumps(event()).replace("5", "5,"), "not_json"),
    (json.dumps(event()).replace("5", "NaN"), "not_json"),
    (json.dumps(event()).replace("5", "-Infinity"), "not_json"),
    (json.dumps(event()) * 2, "not_json"),
    (f"[{json.dumps(event())}]", "not_json"),
    (json.dumps(event()) + " // comment", "not_json"),
    (json.dumps(event())[:-5], "not_json"),
    (json.dumps(event(subject="@")).replace("@", "\\ud800"), "not_json"),
    (json.dumps(event(subject="@")).replace("@", "\\u0000"), "nul_byte"),
    (json.dumps(event(subject="@")).replace("@", "\x00"), "nul_byte"),
    ("\ufeff" + json.dumps(event()), "not_json"),
    (json.dumps(event(source=...)), "missing_source"),
    (json.dumps(event(type="")), "missing_event_type"),
    ('{"a":' * 100_000 + "\\u0041", "too_deep"),
]


def test_F39_F41_a_bad_line_is_quarantined_alone(instance: Any, source: Any) -> None:
    lines = [(json.dumps(event(id=f"g{n}")), text) for n, (text, _) in enumerate(BAD)]
    instance.put("a.jsonl", "".join(f"{good}\n{bad}\n" for good, bad in lines))
    report = instance.run(source)
    assert instance.quarantine() == [(2 * n, reason, text.encode()) for n, (text, reason) in enumerate(BAD, 1)]
    assert (report.accepted, [row["line"] for row in instance.events()]) == (len(BAD), list(range(1, 2 * len(BAD), 2)))


@pytest.mark.parametrize("depth", [95, 500, 900, 5000])
def test_F40_nesting_beyond_the_limit_sets_its_line_aside_whoever_calls(instance: Any, source: Any, depth: int) -> None:
    """Python's own limit counts the callers too: a line could be read by one command and not by another."""
    nested = '{"a":' * depth + "[1.5]" + "}" * depth
    lines = [raw("1", 1), raw(nested, 2).replace("e2", "\\u0065"), raw("3", 3)]
    instance.put("a.jsonl", "".join(lines))
    report = instance.run(source)
    assert (report.accepted, report.reasons) == ((3, {}) if depth < 100 else (2, {"too_deep": 1}))
    assert [row["p_tokens"] for row in instance.events() if row["line"] != 2] == ["1", "3"]
    assert [row["p_tokens"] for row in instance.events() if row["line"] == 2] == ([nested] if depth < 100 else [])


def test_F39_odd_but_right_json_is_accepted(instance: Any, source: Any) -> None:
    texts = [
        json.dumps(event(id="1", subject="a\\u0000")),
        json.dumps(event(id="2", subject="line\u2028sep"), ensure_ascii=False),
        "  " + json.dumps(event(id="3")) + " \r",
        json.dumps(event(id="4", note="id: , }")),
        json.dumps(event(id="5", nested={"id": "other"})),
    ]
    instance.put("a.jsonl", "".join(text + "\n" for text in texts))
    instance.run(source)
    assert [row["event_id"] for row in instance.events()] == ["1", "2", "3", "4", "5"]


def test_F34_identities_are_compared_as_bytes(instance: Any, source: Any) -> None:
    ids = ["a", "A", "a ", "é", "e\u0301", "01", "1"]
    lines = [event(id=i) for i in ids] + [event(id="a", source="/gw/2")]
    instance.put("a.jsonl", "".join(json.dumps(e, ensure_ascii=n % 2 == 0) + "\n" for n, e in enumerate(lines)))
    report = instance.run(source)
    assert (report.accepted, report.duplicate) == (8, 0)


def test_both_lanes_read_the_same(source: Any) -> None:
    import duckdb

    from orchestration.ingest.formats import FORMATS

    reader = FORMATS["cloudevents"].reader(source, "")
    texts = [
        raw(n) for n in ("5", "1.10", '"x"', "true", "null", "[1,2]", "1e3", '{"q":[1,"b"]}', "12345678901234567890")
    ]
    texts += ["{}", "{", "[1]", json.dumps(event(id=17, subject="é"), ensure_ascii=False)]
    con = duckdb.connect()
    con.execute("CREATE TABLE src AS SELECT unnest($1::VARCHAR[]) AS text, 1 AS line", [texts])
    for text, slow, grammar, *values in con.execute(
        f"SELECT text, slow, grammar, * EXCLUDE (line, text, slow, grammar) FROM ({reader.sql})"
    ).fetchall():
        assert not slow
        assert reader.slow(text) == (grammar, tuple(values))
