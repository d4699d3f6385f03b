"""Lines that servers write into their logs and that are no requests: errors, notices, connections without HTTP.

They are looked for only among lines that their format refused, so that a request can't be taken for one of them.
"""

from __future__ import annotations

import re

NOT_A_REQUEST = "not_a_request"

_SHAPES = (
    # nginx, OpenResty, Kong: 2022/04/15 08:16:13 [error] 7164#7164: *20 connect() failed
    r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} \[[a-z]+\] [0-9]+#[0-9]+: .*",
    # Apache 2.2 and 2.4: [Fri Feb 01 22:03:08.319124 2019] [authz_core:debug] [pid 9:tid 14] ...
    r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-3][0-9] [0-9:.]{8,15} [0-9]{4}\] \[[^\]]*\] .*",
    # Apache with another ErrorLogFormat for the time: [01/Mar/2021:12:00:19 +0000] [ab:alert] [pid 4803:tid 38] ...
    r"\[[^\]]{10,40}\] \[[a-z0-9_]{0,40}:?[a-z]{1,20}[0-8]?\] \[(?:pid|client) .*",
    r"\[[^\]]{10,40}\](?: \[[^\]]*\]| -){3,}(?: .*)?",
    # LiteSpeed: 2022-06-09 12:22:07.353044 [INFO] [1226038] [192.168.9.163:61120-5#Example] ...
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,15} \[[A-Z]+\] (?:\[[^\]]*\] ?)+.*",
    # Tomcat's own log: 21-Jul-2025 14:28:51.123 INFO [main] org.apache.catalina.startup...
    r"[0-9]{2}-[A-Z][a-z]{2}-[0-9]{4} [0-9:.]{8,15} [A-Z]+ \[.*",
    # HAProxy: a TCP session (three times where HTTP has five), a refused connection, a notice of the process
    r"(?:.* haproxy\[[0-9]+\]: )?[^ ]+:[0-9]+ \[[^\]]+\] [^ ]+ [^ /]+/[^ ]+ "
    r"-?[0-9]+/-?[0-9]+/\+?-?[0-9]+ \+?[0-9]+ [^ ]{2} [0-9/+]+ [0-9]+/[0-9]+",
    r"(?:.* haproxy\[[0-9]+\]: )?[^ ]+:[0-9]+ \[[^\]]+\] [^ /]+/[^ :]+: [^\"]*",
    r".* haproxy\[[0-9]+\]: (?:Proxy|Server|Backend|Health check|Connect from|Stopping|Pausing|Resuming|backend) .*",
    # Envoy and Istio: a connection that carried no HTTP
    r'(?:[^ ]+ std(?:out|err) F )?\[[^\]]+\] "- - -" [0-9]+ .*',
    # A TCP listener of a classic load balancer: it has no status
    r"[0-9T:.Z-]+ [^ ]+ [^ ]+:[0-9]+ [^ ]+ -?[0-9.]+ -?[0-9.]+ -?[0-9.]+ - - [0-9]+ [0-9]+ \"- - - ?\".*",
    # Traefik, Docker: time="2021-12-08T09:16:05Z" level=error msg=...
    r'(?:[^ ]+ std(?:out|err) F )?time="[^"]*" level=[a-z]+ msg=.*',
)
_NO_REQUEST = re.compile("|".join(f"(?:{shape})" for shape in _SHAPES))


def is_no_request(text: str) -> bool:
    """Whether a line that no access format could read is a known kind of line that stands for no request."""
    return _NO_REQUEST.fullmatch(text.rstrip("\r")) is not None
