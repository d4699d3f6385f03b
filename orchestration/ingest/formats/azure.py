"""Access logs of Azure's Application Gateway and Front Door, JSON, as diagnostic settings store them (PT1H.json).

Raw fields: time, category, remote_addr, remote_port, method, path (with its query, or an absolute URL), protocol
(without `HTTP/` in Front Door), http_version, host, status, bytes, bytes_received, duration (as written: milliseconds
in v1 gateways, seconds in v2 and Front Door), agent, referer, request_id, instance, backend, rule, resource_id; any
other by its path (`properties.pop`). Other categories are not requests, nor is what Front Door's edge asks of its own
shield.

The duration's unit hangs on the product, so the source says it: `latency: {field: duration, unit: s}`.
"""

from orchestration.ingest.formats.jsonlog import URL_HOST, JsonLog, host_of

FORMAT = JsonLog(
    "azure",
    {
        "time": ["timeStamp", "time"],
        "category": ["category"],
        "remote_addr": [*host_of("properties.clientIP"), *host_of("properties.clientIp")],
        "remote_port": ["properties.clientPort"],
        "method": ["properties.httpMethod"],
        "path": ["properties.originalRequestUriWithArgs", "properties.requestUri"],
        "protocol": ["properties.httpVersion"],
        "http_version": [("properties.httpVersion", r"^(?:HTTP/)?([0-9]+(?:[.][0-9]+)?)")],
        "host": [
            "properties.originalHost",
            "properties.host",
            "properties.hostName",
            ("properties.requestUri", URL_HOST),
        ],
        "status": ["properties.httpStatus", "properties.httpStatusCode"],
        "bytes": ["properties.sentBytes", "properties.responseBytes"],
        "bytes_received": ["properties.receivedBytes", "properties.requestBytes"],
        "duration": ["properties.timeTaken"],
        "agent": ["properties.userAgent"],
        "referer": ["properties.referer", "properties.httpReferer"],
        "request_id": ["properties.transactionId", "properties.trackingReference"],
        "instance": ["properties.instanceId"],
        "backend": ["properties.serverRouted", "properties.backendHostname", "properties.originName"],
        "rule": ["ruleName", "properties.routingRuleName", "properties.routeName"],
        "resource_id": ["resourceId"],
        "from_client": ["properties.isReceivedFromClient"],
    },
    any_of=["method"],
    only={
        "category": "ApplicationGatewayAccessLog|FrontDoorAccessLog|FrontdoorAccessLog|AzureCdnAccessLog",
        "from_client": "(?i:true)",
    },
    signs=["category", "properties.httpMethod", "properties.requestUri"],
)
