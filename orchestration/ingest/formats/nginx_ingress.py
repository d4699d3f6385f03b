"""The Kubernetes ingress controller of nginx (ingress-nginx), in its default format `upstreaminfo`.

After retries the upstream fields are lists (`10.0.0.1:80, 10.0.0.2:80`), as nginx writes them.

Raw fields: remote_addr, ident, remote_user, time, request, method, path, target, protocol, http_version, status,
bytes, referer, agent, bytes_received (`$request_length`), duration (seconds), upstream_name, alternative_upstream,
upstream, upstream_bytes, upstream_duration, upstream_status, request_id.
"""

from orchestration.ingest.formats.textlog import CLF, CLF_PIECES, CRI, TAIL, TextLog

_LIST = r"[^ ,:][^ ,]*(?:(?:, | : )[^ ,:][^ ,]*)*"

_UPSTREAM = (
    r" (?P<bytes_received>[0-9]+) (?P<duration>[0-9.]+) \[(?P<upstream_name>[^\]]*)\]"
    r"(?: \[(?P<alternative_upstream>[^\]]*)\])?"
    rf" (?P<upstream>{_LIST}) (?P<upstream_bytes>{_LIST}) (?P<upstream_duration>{_LIST})"
    rf" (?P<upstream_status>{_LIST})(?: (?P<request_id>[^ ]+))?"
)

FORMAT = TextLog(
    "nginx_ingress",
    CRI + CLF + TAIL + _UPSTREAM,
    time_style="clf",
    zero=["bytes"],
    pieces=(CRI + CLF_PIECES[0], *CLF_PIECES[1:], _UPSTREAM),
    defaults={"latency_s": "duration"},
)
