"""Envoy's access log as text: the default format of Envoy, and Istio's.

The client is the last of X-Forwarded-For, which the nearest hop reported. Durations are milliseconds. A connection
that carried no HTTP is not a request.

Raw fields: time, request, method, path, protocol, http_version, status, flags, bytes_received, bytes, duration,
upstream_duration, forwarded_for, remote_addr, agent, request_id, host, upstream; from Istio also details, termination
and failure.
"""

from orchestration.ingest.formats.textlog import CRI, QUOTED, TextLog

_ADDRESS = r"(?P<remote_addr>[0-9]+(?:[.][0-9]+){3}|[0-9A-Za-z:._%-]+)"

_BEGIN = CRI + r"\[(?P<time>[^\]]+)\] "
_REQUEST = r'(?P<request>(?:-|(?P<method>[^ "]+)) (?:-|(?P<path>[^ "]+)) (?P<protocol>HTTP/(?P<http_version>[0-9.]+)))'
_STATUS = r" (?P<status>[0-9]{1,3}|-) (?P<flags>[^ ]+) "
_FIGURES = r"(?P<bytes_received>[0-9]+|-) (?P<bytes>[0-9]+|-) (?P<duration>[0-9]+|-) (?P<upstream_duration>[0-9]+|-) "
_FORWARDED = rf'(?P<forwarded_for>(?:[^",]*,)* *\[?(?:-|{_ADDRESS})\]?(?::[0-9]+)?|[^"]*)'
# Istio writes how the response came to be, and why the upstream failed, between status and figures.
_ISTIO = r'(?:(?P<details>[^ ]+) (?P<termination>[^ ]+) "(?P<failure>[^"]*)" )?'
_LAST = ("agent", "request_id", "host", "upstream")

FORMAT = TextLog(
    "envoy",
    rf'{_BEGIN}"{_REQUEST}"{_STATUS}{_ISTIO}{_FIGURES}"{_FORWARDED}" '
    + " ".join(f'"(?P<{name}>[^"]*)"' for name in _LAST)
    + r"(?: [^\n]*)?",
    pieces=(
        *(_BEGIN, _REQUEST, _STATUS + _FIGURES, _FORWARDED),
        *(piece for name in _LAST for piece in (" ", rf"(?P<{name}>{QUOTED})")),
        "",
    ),
    defaults={"latency_ms": "duration"},
)
