"""Access logs of AWS API Gateway, JSON, for REST, HTTP and WebSocket APIs.

The operator chooses the keys; read are those of AWS's examples, and $context's own names. A time is `requestTime`
(10/Oct/2000:13:55:36 -0700) or `requestTimeEpoch` (milliseconds).

Raw fields: time, request_id, remote_addr, credential, api_key_id, caller, user, method, path (of the request, else of
the resource), resource_path, route, protocol, http_version, host, status, bytes, agent, duration, upstream_duration
(milliseconds), upstream_status, stage, api_id, account_id, error; any other by its path.
"""

from orchestration.ingest.formats.jsonlog import VERSION, JsonLog

FORMAT = JsonLog(
    "api_gateway",
    {
        "time": ["requestTimeEpoch", "requestTime"],
        "request_id": ["requestId", "extendedRequestId"],
        "remote_addr": ["ip", "sourceIp", "identity.sourceIp"],
        "credential": ["apiKeyId", "identity.apiKeyId", "principalId", "user", "caller"],
        "api_key_id": ["apiKeyId", "identity.apiKeyId"],
        "caller": ["caller", "identity.caller"],
        "user": ["user", "identity.user"],
        "method": ["httpMethod", ("routeKey", "^([A-Z]+) ")],
        "path": ["path", "resourcePath", ("routeKey", "^[A-Z]+ ([^ ]+)$")],
        "resource_path": ["resourcePath"],
        "route": ["routeKey"],
        "protocol": ["protocol"],
        "http_version": [("protocol", VERSION)],
        "host": ["domainName"],
        "status": ["status"],
        "bytes": ["responseLength"],
        "agent": ["userAgent", "identity.userAgent"],
        "duration": ["responseLatency"],
        "upstream_duration": ["integrationLatency"],
        "upstream_status": ["integrationStatus"],
        "stage": ["stage"],
        "api_id": ["apiId"],
        "account_id": ["accountId"],
        "error": ["errorMessage", "integrationErrorMessage"],
    },
    time_style="epoch_ms",
    defaults={"credential": "credential", "latency_ms": "duration"},
    any_of=["method", "route", "path"],
    signs=["requestId", "status", "responseLength"],
)
