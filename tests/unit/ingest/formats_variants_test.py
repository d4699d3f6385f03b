"""What the formats' manuals allow beside the ordinary line: other shapes, missing parts, damage of a known kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import formatkit
import pytest

from orchestration.ingest.formats import FORMATS

LINES, AGENT = formatkit.LINES, formatkit.AGENT
NOON = formatkit.NOON_US


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    made = formatkit.connection()
    yield made
    made.close()


def combined(**parts: str) -> str:
    base = {
        "request": '"GET /a/b?q=1 HTTP/1.1"',
        "time": "[06/Oct/2026:12:00:00 +0000]",
        "rest": '200 512 "-" "curl/8"',
    }
    return "203.0.113.9 - key_1 {time} {request} {rest}".format(**(base | parts))


def changed(form: str, *changes: tuple[str, str]) -> str:
    line = LINES[form]
    for old, new in changes:
        assert old in line
        line = line.replace(old, new)
    return line


def without(event: dict[str, Any], *names: str, **more: Any) -> str:
    return json.dumps({k: v for k, v in event.items() if k not in names} | more)


STORED = "79a59d bucket [06/Oct/2026:12:00:00 +0000] - key_1 3E57427F"
BACKEND = "http-in static/srv1 10/0/30/69/109 200"
QUEUES = "- - ---- 1/1/1/1/0 0/0"
CASES: list[tuple[str, str, dict[str, Any]]] = [
    # A status, a size, a referer that was not to be had.
    ("combined", combined(rest='- 7908 "-" "curl/8"'), {"status": None, "bytes": 7908}),
    ("combined", combined(rest="401 - - -"), {"status": 401, "bytes": 0, "agent": None}),
    ("combined", combined(rest='200 1 "a" "b" "10.0.0.1" 7'), {"reason": "not_combined"}),
    # Requests that are none, have blanks in their path, or are of HTTP 0.9.
    ("combined", combined(request='"\\x16\\x03\\x01"'), {"method": None, "path": None, "status": 200}),
    ("combined", combined(request='"GET /a b HTTP/1.1"'), {"method": "GET", "path": "/a b"}),
    ("combined", combined(request='"GET /a"'), {"method": "GET", "path": "/a"}),
    ("common", combined(request='"GET /a"', rest="200 1"), {"method": "GET", "path": "/a"}),
    ("combined", combined(request='"SSH-2.0 x"'), {"method": None}),
    ("vhost", "h " + combined(request='"GET /a b HTTP/1.1"'), {"method": "GET", "path": "/a b"}),
    ("vhost", "h " + combined(request='"GET /a"'), {"method": "GET", "path": "/a"}),
    ("vhost", "[::1]:80 " + combined(rest="200 512"), {"path": "/a/b", "agent": None}),
    ("combined", combined(time="[2026-10-06T14:00:00+02:00]"), {"time_us": NOON}),
    ("combined", combined(time="[06/Oct/2026:12:00:00.5 +0000]"), {"time_us": NOON + 500_000}),
    ("combined", combined(time="[-]"), {"reason": "bad_time"}),
    ("combined", combined(time="-"), {"reason": "no_time"}),
    ("tomcat", combined(rest='200 - "https://e.example/" "curl/8"'), {"bytes": 0, "agent": "curl/8"}),
    ("tomcat", combined(rest="200 -"), {"bytes": 0}),
    ("varnish", combined(), {"path": "/a/b", "agent": "curl/8"}),
    ("traefik_clf", changed("traefik_clf", ("200 512", "- -")), {"status": None, "bytes": None}),
    ("traefik_clf", changed("traefik_clf", ('"api@docker" "http://10.0.0.1:80"', "- -")), {"status": 200}),
    (
        "nginx_ingress",
        changed("nginx_ingress", (" 10.0.0.1:80 512 0.049 200", " 10.0.0.1:80, 10.0.0.2:80 0, 512 2.0, 0.1 504, 200")),
        {"status": 200, "bytes": 512},
    ),
    ("nginx_ingress", changed("nginx_ingress", ("10.0.0.1:80 512 0.049 200", "- - - -")), {"status": 200}),
    (
        "nginx_proxy_manager",
        changed("nginx_proxy_manager", ("- 200 200 -", "304 -"), (" [Sent-to 10.0.0.1]", "")),
        {"status": 304, "path": "/a/b"},
    ),
    # Envoy: a broken request, an Istio line, a client without a forwarding hop, a pipe.
    (
        "envoy",
        changed("envoy", ("GET /a/b?q=1 HTTP/2", "- - HTTP/1.1"), ("200 -", "400 DPE")),
        {"status": 400, "path": None},
    ),
    ("envoy", changed("envoy", ("200 - 34", '200 - via_upstream - "-" 34')) + " outbound|80||x - - -", {"bytes": 512}),
    ("envoy", changed("envoy", ("198.51.100.7, 203.0.113.9", "-")), {"address_key": None}),
    ("envoy", changed("envoy", ("GET /a/b?q=1 HTTP/2", "- - -")), {"reason": "not_a_request"}),
    ("envoy_json", without(formatkit.ENVOY, "method", "protocol", response_code=0), {"reason": "not_a_request"}),
    ("envoy_json", without(formatkit.ENVOY, "method", response_code=400), {"status": 400, "method": None}),
    ("envoy_json", without(formatkit.ENVOY, "x-envoy-origin-path", path="/c?d"), {"path": "/c"}),
    # HAProxy: cut off, unreadable, with TLS fields, without captures or header, with signs of early logging.
    ("haproxy", changed("haproxy", (' HTTP/1.1"', "")), {"path": "/a/b", "status": 200}),
    (
        "haproxy",
        changed("haproxy", ("GET /a/b?q=1 HTTP/1.1", "<BADREQ>"), (" 200 ", " 400 ")),
        {"path": None, "status": 400},
    ),
    ("haproxy", LINES["haproxy"] + " 0/0000/0/0/0 h.example/TLSv1.3/TLS_AES_256_GCM_SHA384", {"path": "/a/b"}),
    ("haproxy", changed("haproxy", ("{api.example.org} {} ", "")), {"path": "/a/b"}),
    ("haproxy", changed("haproxy", ("{api.example.org} {} ", "{a|b c|d} ")), {"path": "/a/b"}),
    ("haproxy", LINES["haproxy"].partition("]: ")[2], {"path": "/a/b"}),
    ("haproxy", "<134>1 2026-10-06T12:00:00Z lb haproxy 9 - - " + LINES["haproxy"].partition("]: ")[2], {"bytes": 512}),
    (
        "haproxy",
        f'unix:1 [06/Oct/2026:12:00:00.000] {BACKEND.replace("109", "+109")} +512 {QUEUES[:-5]}+1 0/0 "GET /a"',
        {"bytes": 512, "path": "/a"},
    ),
    ("haproxy", f'1.2.3.4:5 [06/Oct/2026:12:00:00.000] f b/<NOSRV> -1/-1/-1/-1/9 -1 0 {QUEUES} ""', {"status": None}),
    # AWS: malformed requests, IPv6 without brackets, earlier logs, lambda targets, lifecycle rules.
    (
        "alb",
        changed("alb", ("GET https://api.example.org:443/a/b?q=1 HTTP/2.0", "- http://api.example.org:80- -")),
        {"method": None, "path": "/"},
    ),
    ("alb", changed("alb", ("203.0.113.9:2817", "2001:db8::9:2817")), {"path": "/a/b"}),
    ("alb", LINES["alb"].partition(' "api.example.org" "arn')[0], {"status": 200}),
    ("alb", changed("alb", ("10.0.0.1:80 0.086 0.048 0.037", "- -1 -1 -1"), ("200 200", "502 -")), {"status": 502}),
    ("alb", changed("alb", ("200 200", "20x 200")), {"reason": "not_alb"}),
    ("elb", LINES["elb"].partition(' "Mozilla')[0], {"agent": None, "path": "/a/b"}),
    ("elb", changed("elb", ("GET https://api.example.org:443/a/b?q=1 HTTP/1.1", "- - - ")), {"method": None}),
    ("s3", f"{STORED} S3.EXPIRE.OBJECT a/b - - - - 512 - - - - - - - - - - - -", {"status": None, "bytes": 0}),
    ("s3", changed("s3", ("200 - 512 512 38 12", "304 - - 512 38 -")), {"status": 304, "bytes": 0}),
    ("s3", LINES["s3"].partition(" h= ")[0], {"path": "/a/b"}),
    ("s3", LINES["s3"] + " eu-west-1 one more", {"path": "/a/b"}),
    ("cloudfront", "\t".join(LINES["cloudfront"].split("\t")[:23]), {"path": "/a/b"}),
    ("cloudfront", "\t".join(LINES["cloudfront"].split("\t")[:18]), {"reason": "not_cloudfront"}),
    # Others.
    (
        "squid",
        changed("squid", ("TCP_MISS/200", "NONE_NONE/000"), ("GET http://api.example.org/a/b?q=1", "- e:x")),
        {"status": 0},
    ),
    ("squid", changed("squid", ("GET http://api.example.org/a/b?q=1", "CONNECT h:443")), {"path": "h:443"}),
    ("zoraxy", LINES["zoraxy"].partition(" [")[0] + " " + LINES["zoraxy"][20:], {"path": "/a/b"}),
    (
        "caddy",
        json.dumps(
            formatkit.CADDY | {"request": {"remote_addr": "[::1]:5", "method": "GET", "uri": "/c", "headers": {}}}
        ),
        {"path": "/c", "agent": None},
    ),
    ("caddy", without(formatkit.CADDY, "request"), {"reason": "not_a_request"}),
    ("caddy", without(formatkit.CADDY, ts="2026-10-06T12:00:00Z"), {"time_us": NOON}),
    ("caddy", without(formatkit.CADDY, ts=1791288000250.5), {"reason": "time_out_of_window"}),
    ("kong", without(formatkit.KONG, "request", session={"tls": {}}), {"reason": "not_a_request"}),
    ("kong", without(formatkit.KONG, "consumer", "authenticated_entity"), {"credential": None, "path": "/a/b"}),
    ("kong", LINES["kong"][:-1] + ',"started_at":1}', {"reason": "duplicate_key"}),
    (
        "api_gateway",
        without(formatkit.API_GATEWAY, "httpMethod", "path", "resourcePath", routeKey="POST /c/{id}"),
        {"method": "POST", "path": "/c/{id}"},
    ),
    ("api_gateway", without(formatkit.API_GATEWAY, requestTimeEpoch="1791288000250"), {"time_us": NOON + 250_000}),
    (
        "azure",
        json.dumps(
            {
                "time": "2026-10-06T12:00:00.5430764Z",
                "category": "FrontDoorAccessLog",
                "properties": {
                    "httpMethod": "POST",
                    "requestUri": "https://h.example:443/a/b?x",
                    "clientIp": "203.0.113.9",
                    "httpStatusCode": "403",
                    "responseBytes": "324",
                    "isReceivedFromClient": True,
                },
            }
        ),
        {"path": "/a/b", "status": 403, "bytes": 324, "time_us": NOON + 543_076},
    ),
    ("gcp", without(formatkit.GCP, "httpRequest"), {"reason": "not_a_request"}),
    ("nginx_json", without(formatkit.NGINX, "time_iso8601", msec=1791288000.123), {"time_us": NOON + 123_000}),
    ("nginx_json", without(formatkit.NGINX, "request", request_method="PUT", request_uri="/c?d"), {"path": "/c"}),
    ("nginx_json", "{", {"reason": "not_json"}),
    ("nginx_json", formatkit.NO_REQUESTS[0], {"reason": "not_a_request"}),
]


@pytest.mark.parametrize(("form", "line", "expected"), CASES, ids=[f"{f}-{n}" for n, (f, _, _) in enumerate(CASES)])
def test_a_variant_of_a_format_is_read_as_its_manual_says(
    con: Any, form: str, line: str, expected: dict[str, Any]
) -> None:
    source = formatkit.source(form)
    (row,) = formatkit.canonical_rows(con, source, [line])
    assert {name: row[name] for name in expected} == expected
    if "reason" not in expected:
        assert row["reason"] is None
    (engine,), (python,) = formatkit.engine_lane(con, source, [line]), formatkit.python_lane(source, [line])
    assert engine in (None, python)


RAW: list[tuple[str, str, dict[str, str | None]]] = [
    ("combined", combined(request='"\\x16"'), {"target": "\\x16", "http_version": None, "referer": None}),
    ("combined", combined(), {"target": "/a/b?q=1", "http_version": "1.1", "protocol": "HTTP/1.1"}),
    ("vhost", LINES["vhost"], {"host": "api.example.org", "port": "443", "vhost": "api.example.org:443"}),
    (
        "alb",
        LINES["alb"],
        {"url_host": "api.example.org", "target": "/a/b?q=1", "conn_trace_id": "TID_1", "redirect_url": None},
    ),
    (
        "elb",
        LINES["elb"],
        {"url_authority": "api.example.org:443", "backend": "10.0.0.1:80", "ssl_protocol": "TLSv1.2"},
    ),
    (
        "s3",
        LINES["s3"],
        {"bucket": "bucket", "operation": "REST.GET.OBJECT", "turnaround_time": "12", "error_code": None},
    ),
    ("envoy", LINES["envoy"], {"remote_addr": "203.0.113.9", "duration": "15", "request_id": "r-1"}),
    ("envoy_json", LINES["envoy_json"], {"remote_addr": "2001:db8::5", "remote_port": "54321", "http_version": "2"}),
    ("haproxy", LINES["haproxy"], {"duration": "109", "request_headers": "api.example.org", "process": "haproxy"}),
    ("traefik_json", LINES["traefik_json"], {"remote_addr": "203.0.113.9", "start": "2026-10-06T11:59:59.645779561Z"}),
    ("nginx_ingress", LINES["nginx_ingress"], {"duration": "0.050", "upstream_status": "200", "request_id": "r-1"}),
    ("caddy", LINES["caddy"], {"duration": "0.0429", "request.headers.X-Plan[0]": "gold", "tls_version": "772"}),
    ("kong", LINES["kong"], {"consumer": "foo", "credential_id": "k-1", "route_id": "o-1", "duration": "515"}),
    (
        "gcp",
        LINES["gcp"],
        {"host": "api.example.org", "target": "/a/b?q=1", "remote_port": "53663", "request_id": "r-1"},
    ),
    ("azure", LINES["azure"], {"http_version": "1.1", "duration": "0.034", "host": "api.example.org"}),
    ("cloudfront", LINES["cloudfront"], {"target": "/a/b?q=1", "http_version": "2.0", "x-edge-location": "FRA2"}),
    ("squid", LINES["squid"], {"cache_result": "TCP_MISS", "duration": "132", "upstream": "10.0.0.1"}),
]


@pytest.mark.parametrize(("form", "line", "expected"), RAW, ids=[form for form, _, _ in RAW])
def test_raw_fields_give_their_text_exactly_as_written(
    con: Any, form: str, line: str, expected: dict[str, str | None]
) -> None:
    source = formatkit.source(form, properties={f"x{n}": name for n, name in enumerate(expected)})
    reader = FORMATS[form].reader(source, "")
    (python,) = formatkit.python_lane(source, [line])
    found = dict(zip(reader.targets, python[1], strict=True))
    assert {name: found[f"p_x{n}"] for n, name in enumerate(expected)} == expected
    (engine,) = formatkit.engine_lane(con, source, [line])
    assert engine in (None, python)
