"""Nginx Proxy Manager's own two formats, `proxy` (with the upstream's part) and `standard`.

Raw fields: time, cache_status, upstream_status, status, method, scheme, host, path, remote_addr, bytes, gzip_ratio,
upstream, agent, referer.
"""

from orchestration.ingest.formats.textlog import QUOTED, TextLog

_BEGIN = (
    r"\[(?P<time>[^\]]+)\] (?:(?P<cache_status>[^ ]+) (?P<upstream_status>[^ ,:]+(?:(?:, | : )[^ ,:]+)*) )?"
    r"(?P<status>[0-9]{3}|-) - (?P<method>[^ ]+) (?P<scheme>[^ ]+) (?P<host>[^ ]+) "
)
_PATH = rf"(?P<path>{QUOTED})"
_CLIENT = (
    r" \[Client (?P<remote_addr>[^\]]+)\] \[Length (?P<bytes>[0-9]+|-)\] "
    r"\[Gzip (?P<gzip_ratio>[^\]]*)\] (?:\[Sent-to (?P<upstream>[^\]]*)\] )?"
)
_AGENT, _REFERER = rf"(?P<agent>{QUOTED})", rf"(?P<referer>{QUOTED})"

FORMAT = TextLog(
    "nginx_proxy_manager",
    f'{_BEGIN}"{_PATH}"{_CLIENT}"{_AGENT}" "{_REFERER}"',
    time_style="clf",
    pieces=(_BEGIN, _PATH, _CLIENT, _AGENT, " ", _REFERER, ""),
)
