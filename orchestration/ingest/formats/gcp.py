"""Google Cloud's HTTP load balancers: LogEntry with `httpRequest`, JSON, as Cloud Logging exports it.

Raw fields: time, request_id (insertId: map `id` to it to know events by it), remote_addr, remote_port, method, path
(the URL), target (its path and query), protocol, http_version, host, status, bytes, bytes_received, duration
(`0.025s`), latency (seconds), agent, referer, upstream, cache_hit, project, resource_type, rule, backend, details,
trace, log_name; any other by its path (`jsonPayload.statusDetails`). Entries without `httpRequest` are not requests.
"""

from orchestration.ingest.formats.jsonlog import PORT, URL_HOST, URL_TARGET, VERSION, JsonLog, host_of

FORMAT = JsonLog(
    "gcp",
    {
        "time": ["timestamp"],
        "request_id": ["insertId"],
        "remote_addr": [*host_of("httpRequest.remoteIp")],
        "remote_port": [("httpRequest.remoteIp", PORT)],
        "method": ["httpRequest.requestMethod"],
        "path": ["httpRequest.requestUrl"],
        "target": [("httpRequest.requestUrl", URL_TARGET)],
        "protocol": ["httpRequest.protocol"],
        "http_version": [("httpRequest.protocol", VERSION)],
        "host": [("httpRequest.requestUrl", URL_HOST)],
        "status": ["httpRequest.status"],
        "bytes": ["httpRequest.responseSize"],
        "bytes_received": ["httpRequest.requestSize"],
        "duration": ["httpRequest.latency"],
        "latency": [("httpRequest.latency", "^([0-9.]+)s$")],
        "agent": ["httpRequest.userAgent"],
        "referer": ["httpRequest.referer"],
        "upstream": ["httpRequest.serverIp"],
        "cache_hit": ["httpRequest.cacheHit"],
        "project": ["resource.labels.project_id"],
        "resource_type": ["resource.type"],
        "rule": ["resource.labels.forwarding_rule_name"],
        "backend": ["resource.labels.backend_service_name"],
        "details": ["jsonPayload.statusDetails"],
        "trace": ["trace"],
        "log_name": ["logName"],
    },
    defaults={"latency_s": "latency"},
    any_of=["method"],
    signs=["httpRequest.requestMethod", "timestamp", "resource.type"],
)
