"""Traefik's access log in its extended common log format. A dash stands for what there was not, a size of 0 is 0.

Raw fields: remote_addr, ident, remote_user, time, request, method, path, target, protocol, http_version, status,
bytes, referer, agent, requests (since the start of Traefik), router, server, duration_ms.
"""

from orchestration.ingest.formats.textlog import CLF, CLF_PIECES, CRI, QUOTED, TAIL, TextLog

FORMAT = TextLog(
    "traefik_clf",
    CRI
    + CLF
    + TAIL
    + rf' (?P<requests>[0-9]+|-) (?:-|"(?P<router>{QUOTED})") (?:-|"(?P<server>{QUOTED})") (?P<duration_ms>[0-9]+)ms',
    time_style="clf",
    pieces=(
        CRI + CLF_PIECES[0],
        *CLF_PIECES[1:],
        r" (?P<requests>[0-9]+|-) ",
        rf"(?P<router>{QUOTED})",
        " ",
        rf"(?P<server>{QUOTED})",
        r" (?P<duration_ms>[0-9]+)ms",
    ),
    defaults={"latency_ms": "duration_ms"},
)
