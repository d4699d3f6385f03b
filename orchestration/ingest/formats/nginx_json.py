"""nginx with a `log_format ... escape=json` whose keys are nginx's own variables. It has no JSON format of its own.

A time is `time_iso8601`, `time_local`, or `msec` (seconds with milliseconds). Raw fields have the variables' names:
time, remote_addr, remote_port, remote_user, method (`request_method`), path (`request_uri`, or from `request`),
request, protocol (`server_protocol`), http_version, host, scheme, status, bytes (`body_bytes_sent`), bytes_sent,
bytes_received (`request_length`), duration (`request_time`), upstream_duration, upstream, upstream_status, agent,
referer, forwarded_for, request_id, connection; any other by its key.
"""

from orchestration.ingest.formats.jsonlog import VERSION, JsonLog

_METHOD = r"^([^ ]+) [^ ]+ HTTP/[0-9.]+$"
_PATH = r"^[^ ]+ ([^ ]+) HTTP/[0-9.]+$"

FORMAT = JsonLog(
    "nginx_json",
    {
        "time": ["time_iso8601", "time_local", "msec", "time", "timestamp", "@timestamp"],
        "remote_addr": ["remote_addr"],
        "remote_port": ["remote_port"],
        "remote_user": ["remote_user"],
        "method": ["request_method", ("request", _METHOD)],
        "path": ["request_uri", ("request", _PATH), "uri"],
        "request": ["request"],
        "protocol": ["server_protocol", ("request", r" (HTTP/[0-9.]+)$")],
        "http_version": [("server_protocol", VERSION), ("request", r" HTTP/([0-9.]+)$")],
        "host": ["http_host", "host", "server_name"],
        "scheme": ["scheme"],
        "status": ["status"],
        "bytes": ["body_bytes_sent", "bytes_sent"],
        "bytes_sent": ["bytes_sent"],
        "bytes_received": ["request_length"],
        "duration": ["request_time"],
        "upstream_duration": ["upstream_response_time"],
        "upstream": ["upstream_addr"],
        "upstream_status": ["upstream_status"],
        "agent": ["http_user_agent"],
        "referer": ["http_referer", "http_referrer"],
        "forwarded_for": ["http_x_forwarded_for"],
        "request_id": ["request_id", "req_id"],
        "connection": ["connection"],
    },
    time_style="epoch_s",
    defaults={"latency_s": "duration"},
    any_of=["method", "request", "status"],
    signs=["remote_addr", "status"],
)
