"""Caddy's access log, JSON. `ts` is seconds since the epoch (`unix_seconds_float`, its default) or an RFC 3339 text.

Raw fields: time, remote_addr, client_ip, remote_port, remote_user, method, path, protocol, http_version, host,
status, bytes, bytes_received, duration (seconds), agent, referer, request_id, logger, level, tls_version; any other
by its path (`request.headers.X-Plan[0]`). Entries of other loggers are not requests: an error's entry repeats the
request's.
"""

from orchestration.ingest.formats.jsonlog import PORT, VERSION, JsonLog, host_of

FORMAT = JsonLog(
    "caddy",
    {
        "time": ["ts"],
        "remote_addr": ["request.client_ip", "request.remote_ip", *host_of("request.remote_addr")],
        "client_ip": ["request.client_ip"],
        "remote_port": ["request.remote_port", ("request.remote_addr", PORT)],
        "remote_user": ["user_id"],
        "method": ["request.method"],
        "path": ["request.uri"],
        "protocol": ["request.proto"],
        "http_version": [("request.proto", VERSION)],
        "host": ["request.host"],
        "status": ["status"],
        "bytes": ["size"],
        "bytes_received": ["bytes_read"],
        "duration": ["duration"],
        "agent": ["request.headers.User-Agent[0]"],
        "referer": ["request.headers.Referer[0]"],
        "request_id": ["request.headers.X-Request-Id[0]"],
        "tls_version": ["request.tls.version"],
        "logger": ["logger"],
        "level": ["level"],
    },
    time_style="epoch_s",
    defaults={"latency_s": "duration"},
    any_of=["method"],
    only={"logger": r"http\.log\.access([.].*)?"},
    signs=["request.uri", "resp_headers", "status"],
)
