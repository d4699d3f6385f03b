"""Apache's `vhost_combined` and `vhost_common`, and nginx logs that begin with `$host`: a server name before the
rest.

Raw fields: vhost (as written), host, port, remote_addr, ident, remote_user, time, request, method, path, target
(path, or the request as it stands where it is none), protocol, http_version, status, bytes, referer, agent, extra.
"""

from orchestration.ingest.formats.textlog import CLF, CLF_PIECES, QUOTED, TAIL, TextLog

_NAME = r"(?P<vhost>(?P<host>[^ :]+|\[[^\]]+\])(?::(?P<port>[0-9]{1,5}))?) "
_REST = rf'(?:{TAIL}(?P<extra>(?: "{QUOTED}")*))?'

FORMAT = TextLog(
    "vhost",
    _NAME + CLF + _REST,
    time_style="clf",
    defaults={"extra": "extra"},
    zero=["bytes"],
    pieces=(_NAME + CLF_PIECES[0], *CLF_PIECES[1:], ""),
    # A user's name may hold spaces: only an address in its place tells a server name before it from a client.
    sure=r"[^ ,]+ [0-9a-fA-F:.]*[:.][0-9a-fA-F:.]* [^ ]+ [^ ]+ \[[^\]]+\] \"[^\n]*",
)
