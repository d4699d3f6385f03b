"""Tomcat's AccessLogValve with the patterns `common` (its default) or `combined`.

Raw fields: remote_addr, ident, remote_user, time, request, method, path, target, protocol, http_version, status,
bytes, referer, agent.
"""

from orchestration.ingest.formats.textlog import CLF, CLF_PIECES, TAIL, TextLog

FORMAT = TextLog(
    "tomcat",
    rf"{CLF}(?:{TAIL})?",
    time_style="clf",
    zero=["bytes"],
    pieces=(*CLF_PIECES[:2], CLF_PIECES[2].rstrip(" ")),
    sure=r"\n",
)
