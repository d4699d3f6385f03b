"""Kong's http-log and file-log, JSON. The request began at `started_at`, in milliseconds since the epoch.

Raw fields: time, remote_addr, consumer_id, consumer, custom_id, credential_id, method, path (`request.uri`), url,
host, status, bytes (`response.size`), bytes_received (`request.size`), duration (`latencies.request`), kong_duration,
upstream_duration (milliseconds), agent, referer, request_id, route_id, route, service_id, service, workspace,
upstream_uri, upstream_status; any other by its path. The credential is the consumer's id: a username can be changed
or missing. An entry without a request (a stream's, or one that never was parsed) is none.
"""

from orchestration.ingest.formats.jsonlog import JsonLog

FORMAT = JsonLog(
    "kong",
    {
        "time": ["started_at"],
        "remote_addr": ["client_ip"],
        "consumer_id": ["consumer.id"],
        "consumer": ["consumer.username"],
        "custom_id": ["consumer.custom_id"],
        "credential_id": ["authenticated_entity.id"],
        "method": ["request.method"],
        "path": ["request.uri"],
        "url": ["request.url"],
        "host": ["request.headers.host"],
        "status": ["response.status"],
        "bytes": ["response.size"],
        "bytes_received": ["request.size"],
        "duration": ["latencies.request"],
        "kong_duration": ["latencies.kong"],
        "upstream_duration": ["latencies.proxy"],
        "agent": ["request.headers.user-agent"],
        "referer": ["request.headers.referer"],
        "request_id": ["request.id", "request.headers.x-request-id"],
        "route_id": ["route.id"],
        "route": ["route.name"],
        "service_id": ["service.id"],
        "service": ["service.name"],
        "workspace": ["workspace_name", "workspace"],
        "upstream_uri": ["upstream_uri"],
        "upstream_status": ["upstream_status"],
    },
    time_style="epoch_ms",
    defaults={"credential": "consumer_id", "latency_ms": "duration"},
    any_of=["method", "path", "url"],
    signs=["started_at", "response", "client_ip"],
)
