"""Access logs of AWS Classic Load Balancers with HTTP listeners. What a TCP listener logs has no request and is none.

The latency is the sum of the three times, and none where one of them is -1.

Raw fields: time, elb, client, remote_addr, remote_port, backend, request_processing_time, backend_processing_time,
response_processing_time, status, backend_status, bytes_received, bytes, request, method, url, scheme, url_authority,
url_host, url_port, target, protocol, http_version, agent, ssl_cipher, ssl_protocol.
"""

from orchestration.ingest.formats.textlog import QUOTED, URL, TextLog

_SECONDS = "-?[0-9.]+|-"

_BEGIN = (
    r"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]+) (?P<elb>[^ ]+) "
    r"(?P<client>(?P<remote_addr>[^ ]+):(?P<remote_port>[0-9]+)|-) (?P<backend>[^ ]+) "
    rf"(?P<request_processing_time>{_SECONDS}) (?P<backend_processing_time>{_SECONDS}) "
    rf"(?P<response_processing_time>{_SECONDS}) (?P<status>[0-9]{{3}}) (?P<backend_status>[0-9]{{3}}|-) "
    r"(?P<bytes_received>[0-9]+|-) (?P<bytes>[0-9]+|-) "
)
_REQUEST = (
    rf"(?P<request>(?P<method>[^ \"\\-][^ \"\\]*) {URL}(?: (?P<protocol>HTTP/(?P<http_version>[0-9.]+)))?|{QUOTED})"
)
_AGENT = rf"(?P<agent>{QUOTED})"
_TLS = " (?P<ssl_cipher>[^ ]+) (?P<ssl_protocol>[^ ]+)"

FORMAT = TextLog(
    "elb",
    rf'{_BEGIN}"{_REQUEST}"(?: "{_AGENT}"(?:{_TLS})?)?',
    defaults={
        "path": "url",
        "latency_s_1": "request_processing_time",
        "latency_s_2": "backend_processing_time",
        "latency_s_3": "response_processing_time",
    },
    pieces=(_BEGIN, _REQUEST, " ", _AGENT, _TLS),
)
