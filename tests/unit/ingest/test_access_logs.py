"""Combined and common logs: which lines are read, and as what."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

TAIL = '"-" "curl/8.1"'


def line(
    request: str = "GET /a?b=1 HTTP/1.1",
    time: str = "01/Oct/2026:10:00:00 +0200",
    rest: str = TAIL,
    user: str = "key_1",
    status: str = "200",
    size: str = "512",
) -> str:
    return f'10.1.2.3 - {user} [{time}] "{request}" {status} {size} {rest}'


def test_every_field_of_a_plain_line_is_read_and_the_address_only_as_keyed_hash(
    instance: Any, make_source: Any
) -> None:
    instance.put("a.log", line() + "\n")
    instance.run(make_source())
    (row,) = instance.events()
    digest = hmac.new(instance.ledger.key, b"10.1.2.3", hashlib.sha256).hexdigest()[:32]
    assert row["address_key"] == digest
    assert (row["credential"], row["method"], row["path"], row["status"], row["bytes"]) == (
        "key_1",
        "GET",
        "/a",
        200,
        512,
    )
    assert row["time_us"] == 1790841600_000000
    assert (row["agent"], row["extra"], row["feed"], row["event_type"]) == ("curl/8.1", None, "gw", "request")
    assert row["event_id"].endswith(":000000000001")


SERVED: list[tuple[str, dict[str, Any]]] = [
    (line(rest=TAIL + ' "third"'), {"extra": '"third"'}),
    (line(rest=TAIL + ' "third" "fourth"'), {"extra": '"third" "fourth"'}),
    (line(rest='"-" "say \\"hi\\" x"'), {"agent": "say"}),
    (line(rest='"-" "nginx \\x22q\\x22"'), {"agent": "nginx"}),
    (line(size="-"), {"bytes": 0}),
    (line(user="-"), {"credential": None}),
    (line(user="john doe"), {"credential": "john doe"}),
    (line("-"), {"method": None, "path": None, "status": 200}),
    (line("\\x16\\x03"), {"method": None, "path": None}),
    (line("GET http://h.example/p/q?x HTTP/1.1"), {"path": "/p/q"}),
    (line("GET http://h.example HTTP/1.1"), {"path": "/"}),
    (line("GET /r?u=http://x/y HTTP/1.1"), {"path": "/r"}),
    (line() + "\r", {"agent": "curl/8.1"}),
]


def test_a_served_request_is_accepted_whatever_its_text(instance: Any, make_source: Any) -> None:
    instance.put("a.log", "".join(text + "\n" for text, _ in SERVED))
    report = instance.run(make_source())
    assert (report.accepted, report.quarantined) == (len(SERVED), 0)
    for (text, expected), row in zip(SERVED, instance.events(), strict=True):
        assert (text, {name: row[name] for name in expected}) == (text, expected)


BROKEN = [
    ' "curl/7.54.0"',
    line(status="20"),
    line(size="1e3"),
    line(rest='"-"'),
    line(rest='"-" "open'),
    line(rest=TAIL + " trailing"),
    "[error] worker died",
]


def test_a_broken_line_is_set_aside_alone_with_its_bytes(instance: Any, make_source: Any) -> None:
    instance.put("a.log", "".join(f"{line()}\n{text}\n" for text in BROKEN))
    report = instance.run(make_source())
    assert (report.accepted, report.quarantined) == (len(BROKEN), len(BROKEN))
    assert instance.quarantine() == [(2 * n, "not_combined", text.encode()) for n, text in enumerate(BROKEN, 1)]


def test_common_lines_are_read_and_combined_ones_are_not_common(instance: Any, make_source: Any) -> None:
    plain, escaped = line(rest="").rstrip(), line('odd \\" quote', rest="").rstrip()
    instance.put("a.log", f"{plain}\n{line()}\n{escaped}\n")
    report = instance.run(make_source(format="common"))
    assert (report.accepted, report.reasons) == (2, {"not_common": 1})


def test_fields_can_be_mapped_and_forwarded_addresses_stay_hidden(instance: Any, make_source: Any) -> None:
    instance.put("a.log", line(rest=TAIL + ' "203.0.113.9, 10.0.0.1"') + "\n")
    instance.run(
        make_source(fields={"credential": "remote_addr", "user": "remote_user"}, properties={"ref": "protocol"})
    )
    (row,) = instance.events()
    assert (row["credential"], row["p_ref"]) == ("10.1.2.3", "HTTP/1.1")
    assert row["user_key"] == hmac.new(instance.ledger.key, b"key_1", hashlib.sha256).hexdigest()[:32]
    assert "203" not in row["extra"] and len(row["extra"]) == 32


def test_both_lanes_read_every_plain_line_alike(make_source: Any) -> None:
    import duckdb

    from orchestration.ingest.formats import FORMATS

    texts = [
        line(),
        line(rest=TAIL + ' "x"'),
        line(rest=TAIL + ' "-"'),
        line("GET - HTTP/1.1"),
        line(size="-", user="-"),
        line("-"),
        line("GET /a HTTP/1.0", status="304"),
    ]
    source = make_source(properties={"a": "ident", "b": "request", "c": "referer", "d": "extra_1", "e": "protocol"})
    for name in ("combined", "common"):
        lines = texts if name == "combined" else [t.partition(" " + TAIL)[0] for t in texts]
        chosen = source if name == "combined" else make_source(format="common", properties={"a": "ident"})
        reader = FORMATS[name].reader(chosen, "")
        con = duckdb.connect()
        con.execute("CREATE TABLE src AS SELECT unnest($1::VARCHAR[]) AS text, 1 AS line", [lines])
        rows = con.execute(
            f"SELECT text, slow, grammar, * EXCLUDE (line, text, slow, grammar) FROM ({reader.sql})"
        ).fetchall()
        assert [row[1] for row in rows] == [False] * len(lines)
        for text, _, grammar, *values in rows:
            assert reader.slow(text) == (grammar, tuple(values))


def test_a_dash_in_a_further_field_is_nobody_and_not_an_end_user(instance: Any, make_source: Any) -> None:
    dashes = [line(rest=TAIL + ' "-"'), line(rest=TAIL + ' "-" "x"'), line(rest=TAIL + ' "u-1"')]
    instance.put("a.log", "\n".join(dashes) + "\n")
    instance.run(make_source(fields={"user": "extra_1"}))
    assert [row["user_key"] is None for row in instance.events()] == [True, True, False]
