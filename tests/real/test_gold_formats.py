"""Log lines of other projects' tests, read as those projects expect, each as a file of its own with its format unsaid.

The adapter translates names only: of their fields to this project's raw fields. What can't pass is listed, with the
format's own documentation as the reason; lines that stand for no request must be set aside as such.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.catalog.models import Entity, Settings
from orchestration.catalog.sources import Source
from orchestration.ingest import ingest
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.detect import resolve
from orchestration.ingest.inflate import Refused
from orchestration.ledger.store import Ledger

SHARED = Path(os.environ.get("TALLYSTICK_SHARED") or Path(__file__).parents[3] / "shared")
GOLD = SHARED / "data" / "gold" / "access_logs.jsonl"
pytestmark = pytest.mark.skipif(not GOLD.exists(), reason=f"no gold lines in {GOLD}")

TABLE = Path(__file__).with_name("gold_formats.md")
NOW = 1_800_000_000_000_000

FOUND = {
    "S3_ACCESS_LOG": {"s3"},
    "ELB_ACCESS_LOG": {"elb"},
    "CLOUDFRONT_ACCESS_LOG": {"cloudfront"},
    "HTTPD_COMBINEDLOG": {"combined"},
    "HTTPD_ERRORLOG": {"error_log"},
    "HAPROXYHTTP": {"haproxy"},
    "HAPROXYHTTPBASE": {"haproxy"},
    "HAPROXYTCP": {"error_log"},
    "SQUID3": {"squid"},
    "apache": {"combined"},
    "apache-access": {"combined", "common"},
    "apache_combined": {"combined"},
    "apache_common": {"common"},
    "apache_error": {"error_log"},
    "aws_alb": {"alb"},
    "aws_cloudfront": {"cloudfront"},
    "caddy_json": {"caddy"},
    "clf": {"common"},
    "envoy": {"envoy", "envoy_json"},
    "haproxy_http": {"haproxy", "error_log"},
    "kong_http_log": {"kong"},
    "litespeed": {"combined", "error_log"},
    "nginx-access": {"combined"},
    "nginx_combined": {"combined", "vhost"},
    "nginx_error": {"error_log"},
    "nginx_ingress_upstreaminfo": {"nginx_ingress"},
    "nginx_main": {"combined", "error_log"},
    "nginx_proxy_manager": {"nginx_proxy_manager", "combined"},
    "tomcat-access": {"common"},
    "traefik_clf": {"traefik_clf"},
    "traefik_json": {"traefik_json"},
    "varnish": {"combined"},
    "zoraxy": {"zoraxy"},
}
"""Which formats may be found for lines that other projects call so."""

NAMES = {
    "bytes_sent": "bytes",
    "client_ip": "remote_addr",
    "client_port": "remote_port",
    "duration_ms": "duration",
    "duration_s": "duration",
    "path": "target",
    "path_or_url": "path",
    "proto": "protocol",
    "request_line": "request",
    "ts_raw": "time",
    "turnaround_time_ms": "turnaround_time",
    "user": "remote_user",
    "user_agent": "agent",
    "object_key": "key",
    "s3_operation": "operation",
}
"""Their fields, by their names, as raw fields; those that are missing here have the same name."""

SAME_TARGET = dict.fromkeys(
    ("caddy", "traefik_json", "envoy", "envoy_json", "kong", "haproxy", "nginx_proxy_manager", "zoraxy"), "path"
)
BY_FORMAT = {
    "elb": {"path_or_url": "url", "host": "url_authority"},
    "alb": {"host": "domain_name"},
    **{name: {"path": raw} for name, raw in SAME_TARGET.items()},
}
BY_PROJECT = {("crowdsecurity/hub", "alb"): {"host": "url_host", "ts": "request_creation_time"}}
"""One project calls the URL's host so, and the time of the request's arrival."""

KNOWN = "2d3a81240b3dec1e"
"""Beginning of the hash of the lines that the table beside this test is about."""


def excuse(record: dict[str, Any], found: str) -> str | None:
    """Why a line may be read otherwise than its project expects, by its format's own manual; None if it may not."""
    canon = record.get("canon") or {}
    if canon == {"ts": "now"}:
        return (
            "the time of reading is expected; %t is the time the request was received. The line doesn't fit the "
            "LogFormat, and is set aside, never dated by the clock"
        )
    if not canon and found in ("no_time", "bad_time"):
        return "nothing is expected of it; %t is the time the request was received, and without one nothing is billed"
    return None


def gold() -> list[dict[str, Any]]:
    with GOLD.open(encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def names_of(record: dict[str, Any], found: str) -> dict[str, str]:
    project = record["source"].split(" ")[0]
    special = BY_FORMAT.get(found, {}) | BY_PROJECT.get((project, found), {})
    return {theirs: special.get(theirs, NAMES.get(theirs, theirs)) for theirs in record.get("canon") or {}}


def source_for(place: int, record: dict[str, Any]) -> Source:
    base = {"name": f"line_{place}", "path": f"{place}.log", "format": "auto", "zone": "UTC"}
    base["not_before"] = "1990-01-01T00:00:00Z"
    try:
        found = resolve(Source.model_validate(base), record["raw"].encode(), "", FORMATS).format
    except Refused:
        # Alone it makes a file of no known format: its source has to name one.
        base["format"] = found = min(FOUND[record["fmt"]])
    assert found in FOUND[record["fmt"]], f"line {place} of {record['fmt']} was taken for {found}"
    names = names_of(record, found)
    time = {"time": names["ts"]} if "ts" in names and names["ts"] != "ts" else {}
    properties = {theirs: raw for theirs, raw in names.items() if theirs not in ("ts", "ts_ms")}
    known = properties if found != "error_log" else {}
    return Source.model_validate(base | {"properties": known, "fields": time})


def value(text: Any) -> Any:
    """A missing value is None, however it is written; a number is one; quotes around a text aren't part of it."""
    if text is None:
        return None
    text = str(text)
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    try:
        return Decimal(text)
    except InvalidOperation:
        return None if text in ("", "-") else text


def differences(record: dict[str, Any], row: dict[str, Any] | None) -> list[str]:
    if row is None:
        return ["not read"]
    wrong = []
    for name, theirs in (record.get("canon") or {}).items():
        if name == "ts_ms":
            ours: Any = row["time_us"] // 1000
        elif name == "ts":
            moment = datetime.fromtimestamp(row["time_us"] / 1_000_000, UTC)
            try:
                expected = datetime.fromisoformat(theirs)
            except ValueError:
                expected = datetime.min.replace(tzinfo=UTC)
            if not expected.microsecond:
                moment = moment.replace(microsecond=0)
            ours, theirs = moment.isoformat(), expected.astimezone(UTC).isoformat() if expected.year > 1 else theirs
        else:
            ours = row[f"p_{name}"]
        if value(ours) != value(theirs):
            wrong.append(f"{name}: {theirs!r} expected, {ours!r} read")
    return wrong


def rows_of(lake: Path, kind: str) -> Iterator[dict[str, Any]]:
    files = sorted(str(path) for path in (lake / kind).rglob("*.parquet"))
    if files:
        cursor = duckdb.connect().execute("SELECT * FROM read_parquet($1, union_by_name = true)", [files])
        columns = [column[0] for column in cursor.description]
        for row in cursor.fetchall():
            yield dict(zip(columns, row, strict=True))


def test_gold_lines_are_read_as_their_projects_expect(tmp_path: Path) -> None:
    records = gold()
    (tmp_path / "inbox").mkdir()
    sources = []
    for place, record in enumerate(records):
        (tmp_path / "inbox" / f"{place}.log").write_text(record["raw"] + "\n")
        sources.append(source_for(place, record))
    with Ledger.open(tmp_path) as ledger:
        settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
        report = ingest(tmp_path, ledger, settings, sources, NOW)
        places = {row.file_id: int(row.path.removesuffix(".log")) for row in ledger.files()}
    assert not report.held and len(places) == len(records)
    events = {places[row["file_id"]]: row for row in rows_of(tmp_path / "lake", "events")}
    reasons = {places[row["file_id"]]: row["reason"] for row in rows_of(tmp_path / "lake", "quarantine")}
    assert len(events) + len(reasons) == len(records)

    none = non_requests()
    failed: dict[int, str] = {}
    kinds: Counter[str] = Counter()
    for place, record in enumerate(records):
        if reasons.get(place) == "not_a_request" and (place in none or record.get("reject")):
            kinds["set aside, as no request"] += 1
        elif record.get("reject"):
            kinds["refused, as by them"] += place in reasons
            failed |= {} if place in reasons else {place: "accepted"}
        elif wrong := differences(record, events.get(place)):
            failed[place] = f"{reasons.get(place)}: " + "; ".join(wrong)
        else:
            kinds["read as expected"] += 1
    why = {place: excuse(records[place], reasons.get(place, "")) for place in failed}
    unexcused = [f"{place} {records[place]['fmt']}: {failed[place]}" for place in failed if why[place] is None]
    assert not unexcused, "\n".join(unexcused)
    assert len(failed) <= 6
    page = table(records, {place: (reasons[place], why[place]) for place in failed}, kinds)
    if os.environ.get("TALLYSTICK_WRITE_TABLES"):
        TABLE.write_text(page)
    if hashlib.sha256(GOLD.read_bytes()).hexdigest().startswith(KNOWN):
        assert TABLE.read_text() == page, "TALLYSTICK_WRITE_TABLES=1 writes it anew"


def non_requests() -> set[int]:
    """Lines that their projects read, of logs that hold no requests: errors, TCP sessions, failed handshakes."""
    logs = ("nginx_error", "apache_error", "HTTPD_ERRORLOG", "HAPROXYTCP")
    marks = ("SSL handshake failure", "failed to authenticate")
    return {
        place
        for place, record in enumerate(gold())
        if record["fmt"] in logs or any(mark in record["raw"] for mark in marks)
    }


def table(records: list[dict[str, Any]], failed: dict[int, tuple[str, str | None]], kinds: Counter[str]) -> str:
    """What the gold lines came to, and those that don't pass, as a page."""
    formats = len({record["fmt"] for record in records})
    lines = ["# Lines of other projects' tests", "", f"{len(records)} lines of {formats} formats:", ""]
    lines += ["| lines | |", "|---|---|", *(f"| {count} | {kind} |" for kind, count in sorted(kinds.items()))]
    lines += [
        f"| {len(failed)} | otherwise than expected |",
        "",
        "| line | format | found | why |",
        "|---|---|---|---|",
    ]
    lines += [f"| {p} | {records[p]['fmt']} | {found} | {why} |" for p, (found, why) in sorted(failed.items())]
    return "\n".join([*lines, ""])
