"""varnishncsa, in its default format: combined, with the absolute URL in the request where the client named a host.

Raw fields: remote_addr, ident, remote_user, time, request, method, url, url_host, target (path and query), protocol,
http_version, status, bytes, referer, agent, extra.
"""

from orchestration.ingest.formats.textlog import CLF, CLF_PIECES, QUOTED, REQUEST, TAIL, URL_REQUEST, TextLog

FORMAT = TextLog(
    "varnish",
    CLF.replace(REQUEST, URL_REQUEST) + TAIL + rf'(?P<extra>(?: "{QUOTED}")*)',
    time_style="clf",
    defaults={"path": "url", "extra": "extra"},
    zero=["bytes"],
    pieces=(CLF_PIECES[0], URL_REQUEST, *CLF_PIECES[2:], ""),
    # Without a host it is the combined format; what has one is read there as well.
    sure=r"\n",
)
