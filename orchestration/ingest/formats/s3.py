"""S3 server access logs. Fields that AWS appends later are left alone.

A lifecycle rule's operation has no request line. A dash in bytes is 0, as AWS defines it.

Raw fields: bucket_owner, bucket, time, remote_addr, requester, request_id, operation, key, request, method, path,
protocol, http_version, status, error_code, bytes, object_size, total_time, turnaround_time (milliseconds), referer,
agent, version_id, host_id, signature_version, cipher_suite, authentication_type, host, tls_version, access_point_arn,
acl_required.
"""

from orchestration.ingest.formats.textlog import QUOTED, REQUEST, TextLog

_LATER = (
    "version_id",
    "host_id",
    "signature_version",
    "cipher_suite",
    "authentication_type",
    "host",
    "tls_version",
    "access_point_arn",
    "acl_required",
)


def _tail() -> str:
    rest = r"(?: [^\n]*)?"
    for name in reversed(_LATER):
        rest = rf"(?: (?P<{name}>[^ ]+){rest})?"
    return rest


_BEGIN = (
    r"(?P<bucket_owner>[^ ]+) (?P<bucket>[^ ]+) \[(?P<time>[^\]]+)\] (?P<remote_addr>[^ ]+) (?P<requester>[^ ]+) "
    r"(?P<request_id>[^ ]+) (?P<operation>[A-Z][A-Z0-9]*[.][^ ]+) (?P<key>[^ ]+) "
)
_FIGURES = (
    r" (?P<status>[0-9]{3}|-) (?P<error_code>[^ ]+) (?P<bytes>[0-9]+|-) "
    r"(?P<object_size>[0-9]+|-) (?P<total_time>[0-9]+|-) (?P<turnaround_time>[0-9]+|-) "
)
_REFERER, _AGENT = rf"(?P<referer>{QUOTED})", rf"(?P<agent>{QUOTED})"

FORMAT = TextLog(
    "s3",
    rf'{_BEGIN}(?:-|"{REQUEST}"){_FIGURES}(?:-|"{_REFERER}") (?:-|"{_AGENT}"){_tail()}',
    time_style="clf",
    defaults={"credential": "requester", "latency_ms": "total_time"},
    zero=["bytes"],
    pieces=(_BEGIN, REQUEST, _FIGURES, _REFERER, " ", _AGENT, _tail()),
)
