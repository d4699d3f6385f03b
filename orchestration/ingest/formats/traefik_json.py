"""Traefik's access log, JSON. Durations are nanoseconds, as it writes them.

Raw fields: time (when the entry was written, at the request's end), start, remote_addr (the last of ClientHost, which
the nearest hop reported), client_host, port, remote_user, method, path, protocol, http_version, host, scheme, status,
bytes, bytes_received, origin_status, duration, origin_duration, overhead, agent, referer, request_id, router,
service, entry_point, retries; any other by its name (`request_X-Plan`). Agent and referer are there if the log keeps
those headers.
"""

from orchestration.ingest.formats.jsonlog import LAST_OF_LIST, VERSION, JsonLog, host_of

FORMAT = JsonLog(
    "traefik_json",
    {
        "time": ["time", "StartUTC", "StartLocal"],
        "start": ["StartUTC", "StartLocal"],
        "remote_addr": [("ClientHost", LAST_OF_LIST), *host_of("ClientAddr")],
        "client_host": ["ClientHost"],
        "port": ["ClientPort"],
        "remote_user": ["ClientUsername"],
        "method": ["RequestMethod"],
        "path": ["RequestPath"],
        "protocol": ["RequestProtocol"],
        "http_version": [("RequestProtocol", VERSION)],
        "host": ["RequestHost", "RequestAddr"],
        "scheme": ["RequestScheme"],
        "status": ["DownstreamStatus"],
        "bytes": ["DownstreamContentSize"],
        "bytes_received": ["RequestContentSize"],
        "origin_status": ["OriginStatus"],
        "duration": ["Duration"],
        "origin_duration": ["OriginDuration"],
        "overhead": ["Overhead"],
        "agent": ["request_User-Agent"],
        "referer": ["request_Referer"],
        "request_id": ["request_X-Request-Id"],
        "router": ["RouterName"],
        "service": ["ServiceName"],
        "entry_point": ["entryPointName"],
        "retries": ["RetryAttempts"],
    },
    defaults={"latency_ns": "duration"},
    any_of=["method"],
    signs=["RequestMethod", "RequestPath", "DownstreamStatus"],
)
