"""Envoy's access log, JSON, with the names of Envoy Gateway and of Istio. Durations are milliseconds.

Raw fields: time, remote_addr (the downstream connection's peer), remote_port, forwarded_for, method, path (as the
client sent it), protocol, http_version, host, status, flags, details, bytes, bytes_received, duration,
upstream_duration, agent, request_id, upstream, cluster, route, server_name; any other by its path. Connections that
carried no HTTP are not requests.
"""

from orchestration.ingest.formats.jsonlog import PORT, VERSION, JsonLog, host_of

FORMAT = JsonLog(
    "envoy_json",
    {
        "time": ["start_time"],
        "remote_addr": [*host_of("downstream_remote_address")],
        "remote_port": [("downstream_remote_address", PORT)],
        "forwarded_for": ["x-forwarded-for", "x_forwarded_for"],
        "method": ["method"],
        "path": ["x-envoy-origin-path", "x-envoy-original-path", "path"],
        "protocol": ["protocol"],
        "http_version": [("protocol", VERSION)],
        "host": [":authority", "authority"],
        "status": ["response_code"],
        "flags": ["response_flags"],
        "details": ["response_code_details"],
        "bytes": ["bytes_sent"],
        "bytes_received": ["bytes_received"],
        "duration": ["duration"],
        "upstream_duration": ["x-envoy-upstream-service-time", "upstream_service_time"],
        "agent": ["user-agent", "user_agent"],
        "request_id": ["x-request-id", "request_id"],
        "upstream": ["upstream_host"],
        "cluster": ["upstream_cluster"],
        "route": ["route_name"],
        "server_name": ["requested_server_name"],
    },
    defaults={"latency_ms": "duration"},
    any_of=["method", "protocol"],
    signs=["start_time", "response_code", "bytes_received"],
)
