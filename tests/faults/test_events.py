"""Single events: doubled, contradicting, of odd identity, with odd numbers or fields."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from inbox import NOW, cloudevent

from orchestration.ingest.canonical_sql import lake_columns
from orchestration.ingest.verdicts import payload_hash
from orchestration.money import EXACT, Money, round_fraction


def event(**changes: Any) -> str:
    return json.dumps(cloudevent(**changes), ensure_ascii=False) + "\n"


@pytest.fixture
def feed(make_source: Any) -> Any:
    return make_source(format="cloudevents", properties={"tokens": "data.tokens"}, quantity="tokens")


def test_F32_the_same_event_fifty_thousand_times_counts_once(instance: Any, feed: Any) -> None:
    for number in range(5):
        instance.put(f"{number}.jsonl", event() * 10_000 + event(id=f"other{number}"))
    report = instance.run(feed)
    assert (report.lines, report.accepted, report.duplicate, report.conflict) == (50_005, 6, 49_999, 0)
    assert sum(Decimal(row["p_tokens"]) for row in instance.events()) == 6 * 5


OTHERS = {
    "quantity": {"data": {"tokens": 6}},
    "digits": {"data": {"tokens": "5.0"}},
    "customer": {"subject": "key_2"},
    "time": {"time": "2026-10-20T09:59:59Z"},
    "type": {"type": "other"},
}


def test_F33_the_first_committed_counts_and_the_other_is_kept_with_both_hashes(instance: Any, feed: Any) -> None:
    instance.put("a.jsonl", "".join(event(id=field) for field in OTHERS))
    instance.run(feed)
    kept = instance.events()
    others = [event(**({"id": field} | OTHERS[field])) for field in OTHERS]
    instance.put("b.jsonl", "".join(other * 2 for other in others) + event(id="new"))
    report = instance.run(feed)
    assert (report.accepted, report.conflict, report.duplicate) == (1, 2 * len(OTHERS), 0)
    assert instance.events()[: len(OTHERS)] == kept
    for number, verdict in enumerate(instance.verdicts()):
        assert (verdict["verdict"], verdict["of_file_id"], verdict["of_line"]) == ("conflict", 1, 1 + number // 2)
        assert verdict["payload_hash"] != verdict["of_payload_hash"]
    # The losers stay in the lake, to be chosen by a reviewed row.
    assert len(instance._lake("events")) == 3 * len(OTHERS) + 1


def test_F33_a_copy_of_the_one_that_lost_is_a_conflict_for_ever(instance: Any, feed: Any) -> None:
    for number in range(4):
        instance.put(f"{number}.jsonl", event(data={"tokens": 5 + number % 2}) + event(id=f"n{number}"))
        instance.run(feed)
    rows = instance.ledger.files()
    assert [(row.accepted, row.duplicate, row.conflict) for row in rows] == [(2, 0, 0), (1, 0, 1), (1, 1, 0), (1, 0, 1)]


def test_F33_payloads_that_only_look_alike_when_written_in_a_row_differ(feed: Any) -> None:
    """Each field goes into the hash with its name and length: values can't run over into one another."""
    values = {"event_type": "a;credential=1:b", "credential": None}, {"event_type": "a", "credential": "b"}
    hashes = set()
    for made in values:
        sql = payload_hash(feed)
        names = lake_columns(feed)
        row = ", ".join(f"CAST(${n} AS VARCHAR) AS {name}" for n, name in enumerate(names, 1))
        arguments = [made.get(name) for name in names]
        hashes.add(duckdb.connect().execute(f"SELECT {sql} FROM (SELECT {row})", arguments).fetchall()[0][0])
    assert len(hashes) == 2


def test_F15_what_is_taken_while_the_clock_is_a_day_ahead_was_first_when_it_is_right_again(
    instance: Any, feed: Any
) -> None:
    ahead = NOW + 86_400_000_000
    instance.put("a.jsonl", event())
    instance.run(feed, now=ahead)
    instance.put("b.jsonl", event(data={"tokens": 6}) + event(id="next"))
    report = instance.run(feed, now=NOW)
    assert (report.accepted, report.conflict) == (1, 1)
    assert [(batch.batch_id, batch.now_us) for batch in instance.ledger.batches()] == [(1, ahead), (2, NOW)]
    assert sorted(row["p_tokens"] for row in instance.events()) == ["5", "5"]


def test_F34_ids_that_only_look_alike_are_events_of_their_own(instance: Any, feed: Any) -> None:
    ids = ["a", "A", "a ", " a", "a\t", "\u00e9", "e\u0301", "01", "1", "1.0", "\u0430", "a\u200b", "a\u0000"]
    instance.put("a.jsonl", "".join(event(id=i) for i in ids) + event(id="a", source="/gw/2"))
    instance.put("b.jsonl", "".join(event(id=i) for i in reversed(ids)))
    report = instance.run(feed)
    # A NUL is in no identity: the line is set aside, as often as it comes.
    assert (report.accepted, report.duplicate, report.reasons) == (len(ids), len(ids) - 1, {"nul_byte": 2})


def test_F36_no_customer_is_an_event_all_the_same(instance: Any, feed: Any) -> None:
    instance.put("a.jsonl", event(subject=...) + event(id="e2", subject=None) + event(id="e3", subject=""))
    report = instance.run(feed)
    assert (report.accepted, [row["credential"] for row in instance.events()]) == (3, [None] * 3)


QUANTITIES = ["0", "-0", "5", '"12"', "-5", "0.1", "999999999999999.999999999"]
NO_QUANTITIES = ["NaN", "Infinity", '" 12 "', '"1_000"', '"0x10"', '"1e3"', "1e3", '"1,5"', "true", "null", "[1]"]
NO_QUANTITIES += [
    "1e400",
    "1" + "0" * 18,
    "1" + "0" * 30,
    "0." + "1" * 25,
    "12345678901234567.89",
    '""',
    "{}",
    '"\uff15"',
]
NO_QUANTITIES += ['"\\u0665"', '"5\\n"', '"\u00a05"']


def test_F37_neither_null_nor_0_stands_for_a_quantity_that_is_none(instance: Any, feed: Any) -> None:
    lines = [event(id=f"e{n}", data={"tokens": "@"}).replace('"@"', text) for n, text in enumerate(NO_QUANTITIES)]
    good = [event(id=f"g{n}", data={"tokens": "@"}).replace('"@"', text) for n, text in enumerate(QUANTITIES)]
    instance.put("a.jsonl", "".join(lines + good))
    instance.put("missing.jsonl", event(id="m", data={}) + event(id="m2", data=...))
    report = instance.run(feed)
    assert report.reasons == {"bad_quantity": len(NO_QUANTITIES), "not_json": 2}
    assert [row["p_tokens"] for row in instance.events()] == [text.strip('"') for text in QUANTITIES]


def test_F37_01_and_02_are_03() -> None:
    total = duckdb.connect().execute("SELECT sum(x::DECIMAL(38, 9)) FROM (VALUES ('0.1'), ('0.2')) t(x)").fetchall()
    assert total == [(Decimal("0.300000000"),)]


LARGEST = Decimal("9" * 29 + "." + "9" * 9)
SMALLEST = Decimal("0.000000001")


def test_F38_sums_are_exact_up_to_the_limit_and_an_error_above() -> None:
    """Sums of metering are of DECIMAL(38, 9): 29 digits before the point."""
    con = duckdb.connect()
    con.execute("CREATE TABLE hours (quantity DECIMAL(38, 9))")
    query = "SELECT CAST(sum(quantity) AS DECIMAL(38, 9)) FROM hours"
    con.execute("INSERT INTO hours VALUES ($1), ($2)", [EXACT.subtract(LARGEST, SMALLEST), SMALLEST])
    assert con.execute(query).fetchall() == [(LARGEST,)]
    con.execute("INSERT INTO hours VALUES ($1)", [SMALLEST])
    with pytest.raises(duckdb.OutOfRangeException):
        con.execute(query).fetchall()


def test_F38_an_amount_of_any_size_is_exact_or_an_error() -> None:
    price = Decimal("9" * 12 + "." + "9" * 12)
    exact = Fraction(LARGEST) * Fraction(price)
    assert Fraction(round_fraction(exact, 21)) == exact
    assert Money.of(exact, "USD").amount == round_fraction(exact, 2)
    wide = Decimal("1" + "0" * 59 + "1")
    with pytest.raises(ArithmeticError):
        EXACT.multiply(wide, wide)


BAD_BYTES = {
    b"\xff\xfe{}": "invalid_utf8",
    b'{"id":"\xc0\xaf"}': "invalid_utf8",
    b'{"id":"\xed\xa0\x80"}': "invalid_utf8",
    b'{"id":"\xf4\x90\x80\x80"}': "invalid_utf8",
    b'{"id":"a\0"}': "nul_byte",
    b"\xef\xbb\xbf{}": "not_json",
    b"{}\r{}": "not_json",
    b'{"a":1,}': "not_json",
    b"{} {}": "not_json",
    b"[{}]": "not_json",
    b"{} # note": "not_json",
    b"'": "not_json",
}


def test_F39_each_broken_line_is_alone_with_its_bytes_and_its_neighbours_stand(instance: Any, feed: Any) -> None:
    content = b"\xef\xbb\xbf"
    for number, bad in enumerate(BAD_BYTES):
        content += event(id=f"g{number}").encode() + bad + b"\n" + event(id=f"h{number}").strip().encode() + b"\r\n\r\n"
    content += event(id="last", subject="a\u2028b\u0085c").strip().encode() + b"\n\n"
    instance.put("a.jsonl", content)
    report = instance.run(feed)
    assert (report.accepted, report.blank) == (2 * len(BAD_BYTES) + 1, len(BAD_BYTES) + 1)
    assert [(reason, raw) for _, reason, raw in instance.quarantine()] == [(r, b) for b, r in BAD_BYTES.items()]
    assert [line for line, _, _ in instance.quarantine()] == [4 * n + 2 for n in range(len(BAD_BYTES))]
    assert any("byte order mark" in notice.reason for notice in report.notices)


def test_F39_a_file_of_carriage_returns_alone_is_one_line(instance: Any, feed: Any) -> None:
    text = event().strip() + "\r" + event(id="e2").strip() + "\r"
    instance.put("a.jsonl", text)
    assert [entry.reason.split(":")[0] for entry in instance.run(feed).held] == ["unterminated"]
    instance.put("a.jsonl", text + "\n")
    report = instance.run(feed)
    assert (report.lines, report.accepted, report.reasons) == (1, 0, {"not_json": 1})


REPEATED = [
    event().replace('"tokens": 5', '"tokens": 5, "tokens": 5'),
    event().replace('"tokens": 5', '"tokens": 5, "Tokens": 5'),
    event().replace('"id": "e1"', '"id": "e1", "ID": "e1"'),
    event().replace('"id": "e1"', '"id": "e1", "\\u0069d": "e2"'),
    event().replace('"data": {', '"data": {}, "data": {'),
    event().replace('"time":', '"time": null, "time":'),
]


def test_F41_a_name_that_is_read_and_repeated_is_never_one_of_the_two(instance: Any, feed: Any) -> None:
    other = event(id="g", note=1).replace('"note": 1', '"note": 1, "note": 2')
    instance.put("a.jsonl", "".join(REPEATED) + other)
    report = instance.run(feed)
    assert (report.accepted, report.reasons) == (1, {"duplicate_key": len(REPEATED)})


CHANGED: dict[str, tuple[dict[str, Any], str | None]] = {
    "new field": ({"region": "eu", "data": {"tokens": 5, "cached": 3}}, None),
    "missing optional field": ({"subject": ...}, None),
    "new version": ({"specversion": "1.1", "data": {"tokens": 5, "schema_version": 2}}, None),
    "new value of an enumeration": ({"type": "request.v2"}, None),
    "renamed quantity": ({"data": {"token_count": 5}}, "bad_quantity"),
    "renamed time": ({"time": ..., "timestamp": "2026-10-01T10:00:00Z"}, "no_time"),
    "renamed id": ({"id": ..., "event_id": "x"}, "missing_id"),
    "quantity of another type": ({"data": {"tokens": {"in": 5, "out": 1}}}, "bad_quantity"),
    "time of another type": ({"time": 1790848800}, "bad_time"),
    "data as text": ({"data": '{"tokens": 5}'}, "bad_quantity"),
}


def test_F42_half_a_file_of_another_schema_bills_nothing_as_0(instance: Any, feed: Any) -> None:
    for change, (fields, _) in CHANGED.items():
        old = [event(id=f"o {change} {n}") for n in range(20)]
        new = [event(**({"id": f"n {change} {n}"} | fields)) for n in range(20)]
        instance.put(f"{change}.jsonl", "".join(old + new))
    report = instance.run(feed)
    expected = Counter({reason: 20 for _, reason in CHANGED.values() if reason})
    expected.update({"bad_quantity": 40})
    assert report.reasons == expected
    taken = {row.path.removesuffix(".jsonl"): row.accepted for row in instance.ledger.files()}
    assert taken == {change: 20 if reason else 40 for change, (_, reason) in CHANGED.items()}
    assert {row["p_tokens"] for row in instance.events()} == {"5"}


def test_F42_a_renamed_column_holds_its_table_whole(instance: Any, make_source: Any) -> None:
    table = make_source(format="csv", fields={"id": "id", "time": "at"}, properties={"n": "n"}, quantity="n")
    instance.put("a.csv", "id,at,n\n1,2026-10-01T10:00:00Z,5\n")
    instance.put("b.csv", "id,at,amount\n2,2026-10-01T10:00:00Z,5\n")
    instance.put("c.csv", "extra,n,at,id\nx,5,2026-10-01T10:00:00Z,3\n")
    report = instance.run(table)
    assert [(entry.path, entry.reason) for entry in report.held] == [("b.csv", "missing_column: n")]
    assert [(row["event_id"], row["p_n"]) for row in instance.events()] == [("1", "5"), ("3", "5")]
