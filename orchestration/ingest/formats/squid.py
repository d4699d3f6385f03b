"""Squid's native access log. Times are seconds since the epoch with milliseconds; the duration is milliseconds.

Raw fields: time, duration, remote_addr, cache_result, status, bytes, method, path (URL, or host:port of a CONNECT),
remote_user, hierarchy, upstream, content_type.
"""

from orchestration.ingest.formats.textlog import TextLog

FORMAT = TextLog(
    "squid",
    r"(?P<time>[0-9]{1,11}[.][0-9]{3}) +(?P<duration>-?[0-9]+) (?P<remote_addr>[^ ]+) "
    r"(?P<cache_result>[A-Z_]+)/(?P<status>[0-9]{3}) (?P<bytes>[0-9]+) (?P<method>[^ ]+) (?P<path>[^ ]+) "
    r"(?P<remote_user>[^ ]+) (?P<hierarchy>[A-Z_]+)/(?P<upstream>[^ ]+) (?P<content_type>[^ ]+)(?: [^\n]*)?",
    time_style="epoch_s",
    defaults={"latency_ms": "duration"},
)
