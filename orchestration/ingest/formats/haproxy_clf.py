"""HAProxy's HTTP log in the common log format (`option httplog clf`), with or without a syslog header.

Texts are quoted. Referer and agent are always empty: HAProxy writes captured headers at the end of the line, in their
order. Times are UTC, whole seconds.

Raw fields: remote_addr, remote_port, time, milliseconds, request, method, path, target, protocol, http_version, status,
bytes, frontend, backend, server, time_request, time_queue, time_connect, time_response, duration (milliseconds; `+` as
written), termination, connections, queues, request_cookie, response_cookie, headers, process.
"""

from orchestration.ingest.formats.textlog import QUOTED, REQUEST, TextLog

_SYSLOG = r"(?:(?:[^ ]+ +)*?(?P<process>[^ \[\]]+)\[[0-9]+\]: |<[0-9]{1,3}>(?:[^ ]+ +)*?)?"


def _text(name: str) -> str:
    return rf'(?:"(?P<{name}>{QUOTED})"|-)'


FORMAT = TextLog(
    "haproxy_clf",
    _SYSLOG + rf'(?P<remote_addr>[^ ]+) - - \[(?P<time>[^\]]+)\] "{REQUEST}" (?P<status>-?[0-9]{{1,3}}) '
    r'\+?(?P<bytes>[0-9]+) "" "" (?P<remote_port>[0-9]+) (?P<milliseconds>[0-9]{1,3}) '
    rf"{_text('frontend')} {_text('backend')} {_text('server')} "
    r"(?P<time_request>-?[0-9]+) (?P<time_queue>-?[0-9]+) (?P<time_connect>-?[0-9]+) (?P<time_response>-?[0-9]+) "
    r'(?P<duration>\+?-?[0-9]+) "?(?P<termination>[^ "]{4})"? '
    r"(?P<connections>-?[0-9]+ [0-9]+ [0-9]+ [0-9]+ \+?[0-9]+) (?P<queues>[0-9]+ [0-9]+) "
    rf'{_text("request_cookie")} {_text("response_cookie")}(?P<headers>(?: "{QUOTED}")*) *',
    time_style="clf",
    defaults={"latency_ms": "duration"},
)
