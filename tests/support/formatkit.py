"""Lines of every format, written after its manual, and both lanes that read them, side by side."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from orchestration.catalog.sources import Source
from orchestration.ingest.canonical_sql import Context, canonical
from orchestration.ingest.disguise import disguised
from orchestration.ingest.engine import connect
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.lane import reading

NOW = 1_800_000_000_000_000
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


def source(form: str, **options: Any) -> Source:
    base = {"name": "gw", "path": "**/*", "format": form, "zone": "UTC", "not_before": "1990-01-01T00:00:00Z"}
    return Source.model_validate(base | options)


def connection() -> duckdb.DuckDBPyConnection:
    return connect(Path(tempfile.mkdtemp()), b"k" * 32, [])


def _fill(con: duckdb.DuckDBPyConnection, lines: list[str]) -> None:
    con.execute("CREATE OR REPLACE TEMP TABLE src (line BIGINT, text VARCHAR)")
    con.execute("INSERT INTO src SELECT unnest(range(1, $2 + 1)), unnest($1::VARCHAR[])", [lines, len(lines)])


def engine_lane(con: duckdb.DuckDBPyConnection, src: Source, lines: list[str], head: str = "") -> list[Any]:
    """For each line None if the engine leaves it to Python, else what it makes of it, as Python's lane says it."""
    reader = FORMATS[src.format].reader(src, head)
    _fill(con, lines)
    values = ", ".join(["slow", "grammar", *(f"f_{target}" for target in reader.targets)])
    rows = con.execute(f"SELECT {values} FROM ({reading(con, reader)}) ORDER BY line").fetchall()
    nothing = (None,) * len(reader.targets)
    return [None if row[0] else (row[1], nothing if row[1] else tuple(row[2:])) for row in rows]


def every_field(form: str) -> Source:
    """A source that reads all raw fields of a format, so that each is compared."""
    fields = getattr(FORMATS[form], "fields", ("id", "data.tokens", "subject"))
    return source(form, properties={f"x{n}": name for n, name in enumerate(fields)})


def python_lane(src: Source, lines: list[str], head: str = "") -> list[Any]:
    reader = FORMATS[src.format].reader(src, head)
    return [reader.slow(line) for line in lines]


def canonical_rows(
    con: duckdb.DuckDBPyConnection, src: Source, lines: list[str], head: str = ""
) -> list[dict[str, Any]]:
    """What the lake would have of each line, by Python's lane; `reason` says why a line is set aside."""
    reader = FORMATS[src.format].reader(src, head)
    rows = []
    for number, text in enumerate(lines, 1):
        reason, values = reader.slow(text)
        fields = ", ".join(f"CAST(${n} AS VARCHAR) AS f_{t}" for n, t in enumerate(reader.targets, 4))
        read = f"SELECT $1::BIGINT AS line, $2::VARCHAR AS text, false AS slow, $3::VARCHAR AS grammar, {fields}"
        sql = canonical(reader, read.rstrip(", "), src, Context(True, NOW, 0))
        con.execute(f"CREATE OR REPLACE TEMP TABLE accepted AS {sql}", [number, text, reason, *values])
        lake = disguised(con, src)
        cursor = con.execute(f"SELECT l.*, p.reason, p.blank FROM ({lake}) AS l, accepted AS p")
        names = [column[0] for column in cursor.description]
        rows.append(dict(zip(names, cursor.fetchall()[0], strict=True)))
    return rows


def _clf(status: str = "200", size: str = "512", request: str = "GET /a/b?q=1 HTTP/1.1", user: str = "key_1") -> str:
    return f'203.0.113.9 - {user} [06/Oct/2026:12:00:00 +0000] "{request}" {status} {size}'


COMBINED = f'{_clf()} "https://example.org/" "{AGENT}"'
ALB = (
    "https 2026-10-06T12:00:00.186641Z app/front/50dc6c495c0c9188 203.0.113.9:2817 10.0.0.1:80 0.086 0.048 0.037 "
    f'200 200 34 512 "GET https://api.example.org:443/a/b?q=1 HTTP/2.0" "{AGENT}" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 '
    'arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/t/73e2 "Root=1-58337281-1d84f3d73c47ec4e58577259" '
    '"api.example.org" "arn:aws:acm:eu-west-1:123456789012:certificate/1" 1 2026-10-06T11:59:59.364000Z "forward" '
    '"-" "-" "10.0.0.1:80" "200" "-" "-" TID_1 "-" "-" "-"'
)
CADDY = {
    "level": "info",
    "ts": 1791288000.25,
    "logger": "http.log.access.log0",
    "msg": "handled request",
    "request": {
        "remote_ip": "203.0.113.9",
        "remote_port": "2817",
        "client_ip": "203.0.113.9",
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "api.example.org",
        "uri": "/a/b?q=1",
        "headers": {"User-Agent": [AGENT], "X-Plan": ["gold"]},
        "tls": {"version": 772},
    },
    "bytes_read": 34,
    "user_id": "key_1",
    "duration": 0.0429,
    "size": 512,
    "status": 200,
    "resp_headers": {"Server": ["Caddy"]},
}
KONG = {
    "request": {
        "id": "r-1",
        "method": "GET",
        "uri": "/a/b?q=1",
        "url": "http://api.example.org/a/b",
        "size": 34,
        "querystring": {"status": "x"},
        "headers": {"host": "api.example.org", "user-agent": AGENT},
    },
    "response": {"status": 200, "size": 512, "headers": {"content-length": "400"}},
    "latencies": {"request": 515, "kong": 58, "proxy": 457},
    "client_ip": "203.0.113.9",
    "started_at": 1791288000250,
    "consumer": {"id": "c-1", "username": "foo", "created_at": 1674035962},
    "authenticated_entity": {"id": "k-1"},
    "service": {"id": "s-1", "name": "svc"},
    "route": {"id": "o-1", "name": "rt", "service": {"id": "s-1"}},
    "tries": [{"ip": "10.0.0.1", "port": 80, "balancer_latency": 0}],
}
TRAEFIK = {
    "ClientAddr": "203.0.113.9:2817",
    "ClientHost": "198.51.100.7, 203.0.113.9",
    "ClientUsername": "key_1",
    "DownstreamContentSize": 512,
    "DownstreamStatus": 200,
    "Duration": 2337877,
    "RequestContentSize": 34,
    "RequestHost": "api.example.org",
    "RequestMethod": "GET",
    "RequestPath": "/a/b?q=1",
    "RequestProtocol": "HTTP/2.0",
    "RouterName": "api@docker",
    "StartUTC": "2026-10-06T11:59:59.645779561Z",
    "request_User-Agent": AGENT,
    "time": "2026-10-06T12:00:00Z",
}
ENVOY = {
    ":authority": "api.example.org",
    "bytes_received": 34,
    "bytes_sent": 512,
    "downstream_remote_address": "[2001:db8::5]:54321",
    "duration": 15,
    "method": "GET",
    "protocol": "HTTP/2",
    "response_code": 200,
    "response_flags": "-",
    "start_time": "2026-10-06T12:00:00.000Z",
    "user-agent": AGENT,
    "x-envoy-origin-path": "/a/b?q=1",
    "x-forwarded-for": "203.0.113.9",
    "x-request-id": "r-1",
}
API_GATEWAY = {
    "requestId": "r-1",
    "ip": "203.0.113.9",
    "caller": "-",
    "user": "-",
    "apiKeyId": "key_1",
    "requestTime": "06/Oct/2026:12:00:00 +0000",
    "httpMethod": "GET",
    "resourcePath": "/a/{id}",
    "path": "/a/b",
    "status": "200",
    "protocol": "HTTP/1.1",
    "responseLength": "512",
}
AZURE = {
    "timeStamp": "2026-10-06T12:00:00+00:00",
    "operationName": "ApplicationGatewayAccess",
    "category": "ApplicationGatewayAccessLog",
    "properties": {
        "clientIP": "203.0.113.9",
        "clientPort": 2817,
        "httpMethod": "GET",
        "originalRequestUriWithArgs": "/a/b?q=1",
        "requestUri": "/x/b",
        "userAgent": AGENT,
        "httpStatus": 200,
        "httpVersion": "HTTP/1.1",
        "receivedBytes": 34,
        "sentBytes": 512,
        "timeTaken": 0.034,
        "transactionId": "r-1",
        "originalHost": "api.example.org",
    },
}
GCP = {
    "insertId": "r-1",
    "timestamp": "2026-10-06T12:00:00.078651Z",
    "httpRequest": {
        "requestMethod": "GET",
        "requestUrl": "https://api.example.org/a/b?q=1",
        "requestSize": "34",
        "status": 200,
        "responseSize": "512",
        "userAgent": AGENT,
        "remoteIp": "203.0.113.9:53663",
        "latency": "0.007911s",
        "protocol": "HTTP/2",
    },
    "jsonPayload": {"statusDetails": "response_sent_by_backend"},
    "resource": {"type": "http_load_balancer", "labels": {"project_id": "p"}},
}
NGINX = {
    "time_iso8601": "2026-10-06T12:00:00+00:00",
    "remote_addr": "203.0.113.9",
    "remote_user": "key_1",
    "request": "GET /a/b?q=1 HTTP/1.1",
    "status": "200",
    "body_bytes_sent": "512",
    "request_time": "0.005",
    "http_user_agent": AGENT,
}
CLOUDFRONT = (
    "2026-10-06|12:00:00|FRA2|512|203.0.113.9|GET|d1.cloudfront.net|/a/b|200|-|Mozilla/5.0%20(X11;%20Linux)|q=1|-|Hit|r-1|"
    "api.example.org|https|34|0.036|-|TLSv1.3|TLS_AES|Hit|HTTP/2.0|-|-|2817|0.036|Hit|text/html|20|-|-"
).replace("|", "\t")
EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/s",
    "type": "call",
    "time": "2026-10-06T12:00:00Z",
    "subject": "key_1",
}
BINARY = {
    "topic": "t",
    "offset": 7,
    "headers": {f"ce_{name}": text for name, text in EVENT.items()} | {"content-type": "application/json"},
    "value": {"tokens": 12},
}


LINES: dict[str, str] = {
    "combined": COMBINED,
    "common": _clf(),
    "vhost": "api.example.org:443 " + COMBINED,
    "tomcat": _clf(),
    "varnish": COMBINED.replace("GET /a", "GET http://api.example.org/a"),
    "traefik_clf": COMBINED + ' 17 "api@docker" "http://10.0.0.1:80" 12ms',
    "nginx_ingress": COMBINED + " 34 0.050 [ns-svc-80] [] 10.0.0.1:80 512 0.049 200 r-1",
    "nginx_proxy_manager": "[06/Oct/2026:12:00:00 +0000] - 200 200 - GET https api.example.org "
    f'"/a/b?q=1" [Client 203.0.113.9] [Length 512] [Gzip 2.1] [Sent-to 10.0.0.1] "{AGENT}" "-"',
    "envoy": '[2026-10-06T12:00:00.000Z] "GET /a/b?q=1 HTTP/2" 200 - 34 512 15 12 "198.51.100.7, 203.0.113.9" '
    f'"{AGENT}" "r-1" "api.example.org" "10.0.0.1:80"',
    "haproxy": "Oct  6 12:00:00 lb haproxy[14389]: 203.0.113.9:33317 [06/Oct/2026:12:00:00.000] http-in~ static/srv1 "
    '10/0/30/69/109 200 512 - - ---- 1/1/1/1/0 0/0 {api.example.org} {} "GET /a/b?q=1 HTTP/1.1"',
    "haproxy_clf": f'<134>{_clf(user="-").replace("512", "+512")} "" "" 33317 250 "http-in~" "static" "srv1" '
    '10 0 30 69 109 ---- 1 1 1 1 0 0 0 "" "" "api.example.org" ""',
    "alb": ALB,
    "elb": "2026-10-06T12:00:00.945958Z front 203.0.113.9:2817 10.0.0.1:80 0.000086 0.001048 0.001337 200 200 34 512 "
    f'"GET https://api.example.org:443/a/b?q=1 HTTP/1.1" "{AGENT}" DHE-RSA-AES128-SHA TLSv1.2',
    "s3": "79a59d bucket [06/Oct/2026:12:00:00 +0000] 203.0.113.9 key_1 3E57427F REST.GET.OBJECT a/b "
    f'"GET /a/b?q=1 HTTP/1.1" 200 - 512 512 38 12 "-" "{AGENT}" - h= SigV4 ECDHE AuthHeader h.s3.example TLSv1.2 - -',
    "squid": "1791288000.250    132 203.0.113.9 TCP_MISS/200 512 GET http://api.example.org/a/b?q=1 key_1 "
    "HIER_DIRECT/10.0.0.1 text/html",
    "zoraxy": "2026/10/06 12:00:00 [2026-10-06 12:00:00.259346] [router:host-http] [origin:api.example.org] "
    f"[client: 203.0.113.9] [useragent: {AGENT}] GET /a/b?q=1 200",
    "cloudfront": CLOUDFRONT,
    "caddy": json.dumps(CADDY, separators=(",", ":")),
    "kong": json.dumps(KONG),
    "traefik_json": json.dumps(TRAEFIK),
    "envoy_json": json.dumps(ENVOY),
    "api_gateway": json.dumps(API_GATEWAY),
    "azure": json.dumps(AZURE),
    "gcp": json.dumps(GCP),
    "nginx_json": json.dumps(NGINX),
    "cloudevents": json.dumps(EVENT | {"data": {"tokens": 12}}),
    "cloudevents_binary": json.dumps(BINARY),
}
"""One ordinary line of each format that says by itself what a request was: GET /a/b?q=1, 200, 512 bytes, at noon."""

NOON_US = 1_791_288_000_000_000

NO_REQUESTS = [
    "2026/10/06 12:00:00 [error] 7164#7164: *20 connect() failed (113: No route to host) while connecting to upstream",
    "[Tue Oct 06 12:00:00.084319 2026] [authz_core:debug] [pid 9:tid 140] mod_authz_core.c(820): AH01626: granted",
    "[06/Oct/2026:12:00:00 +0000] [ssl:warn] [pid 4803:tid 3814] [client ::1:24259] stapling",
    "2026-10-06 12:00:00.353044 [NOTICE] [1226038] [192.0.2.163:61120-5#h] mod_security",
    "06-Oct-2026 12:00:00.123 INFO [main] org.apache.catalina.startup.Catalina.start Server startup in 12 ms",
    "Oct  6 12:00:00 lb haproxy[25457]: 192.0.2.1:40962 [06/Oct/2026:12:00:00.285] main app/s 0/0/12 212 -- 1/1/0/0/0 "
    "0/0",
    "192.0.2.4:50034 [06/Oct/2026:12:00:00.234] https/1: SSL handshake failure",
    "Oct  6 12:00:00 lb haproxy[25457]: Server static/srv1 is DOWN, reason: Layer4 timeout",
    '[2026-10-06T12:00:00.000Z] "- - -" 0 - 39 52 100 - "-" "-" "-" "-" "10.0.0.1:5432"',
    "2026-10-06T12:00:00.945958Z front 192.0.2.1:2817 10.0.0.1:80 0.001069 0.000028 0.000041 - - 82 305 "
    '"- - - " "-" - -',
    'time="2026-10-06T12:00:00Z" level=error msg="Provider connection error"',
]
"""Lines of error logs and of connections that carried no request."""
