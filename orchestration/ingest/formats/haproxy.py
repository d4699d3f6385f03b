"""HAProxy's HTTP log (`option httplog`, and `option httpslog` with its tail), with or without a syslog header.

Times of acceptance carry no zone: the source declares it. The request comes last and is cut off where the line would
be too long, and then lacks its closing quote. TCP sessions, refused handshakes and notices are not requests.

Raw fields: remote_addr, remote_port, time, frontend, backend, server, time_request, time_queue, time_connect,
time_response, duration (milliseconds; `+` as written), status, bytes, request_cookie, response_cookie, termination,
connections, retries, server_queue, backend_queue, request_headers, response_headers, request, method, path, protocol,
http_version, tls, process.
"""

from orchestration.ingest.formats.textlog import TextLog

_SYSLOG = r"(?:(?:[^ ]+ +)*?(?P<process>[^ \[\]]+)\[[0-9]+\]: |<[0-9]{1,3}>(?:[^ ]+ +)*?)?"
_REQUEST = (
    r'"(?P<request>(?P<method>[A-Za-z]+) (?P<path>[^ "]+)(?: (?P<protocol>HTTP/(?P<http_version>[0-9.]+)))?|[^"]*)'
)

FORMAT = TextLog(
    "haproxy",
    _SYSLOG + r"(?P<remote_addr>[^ ]+):(?P<remote_port>[0-9]+) \[(?P<time>[^\]]+)\] (?P<frontend>[^ ]+) "
    r"(?P<backend>[^ /]+)/(?P<server>[^ ]+) "
    r"(?P<time_request>-?[0-9]+)/(?P<time_queue>-?[0-9]+)/(?P<time_connect>-?[0-9]+)/(?P<time_response>-?[0-9]+)/"
    r"(?P<duration>\+?-?[0-9]+) (?P<status>-?[0-9]{1,3}) \+?(?P<bytes>[0-9]+) "
    r"(?P<request_cookie>[^ ]+) (?P<response_cookie>[^ ]+) (?P<termination>[^ ]{4}) "
    r"(?P<connections>[0-9]+/[0-9]+/[0-9]+/[0-9]+)/(?P<retries>\+?[0-9]+) "
    r"(?P<server_queue>[0-9]+)/(?P<backend_queue>[0-9]+) "
    r"(?:\{(?P<request_headers>[^{}]*)\} )?(?:\{(?P<response_headers>[^{}]*)\} )?"
    + _REQUEST
    + r'(?:"(?: (?P<tls>[0-9]+/[0-9A-Fa-f]+/[0-9]+/[0-9]+/[0-9]+ [^ ]+))?)?',
    time_style="clf",
    defaults={"latency_ms": "duration"},
)
