"""Access logs of AWS Application Load Balancers. Fields that AWS appends later are left alone.

The latency is the sum of the three times, and none where one of them is -1.

`time` is when the response was made; `request_creation_time`, when the request came, can be mapped in its place.

Raw fields, by AWS's names: type, time, elb, client, remote_addr, remote_port, target_address,
request_processing_time, target_processing_time, response_processing_time, status, target_status, bytes_received,
bytes, request, method, url, scheme, url_authority, url_host, url_port, target (path and query of the URL), protocol,
http_version, agent, ssl_cipher, ssl_protocol, target_group_arn, trace_id, domain_name, chosen_cert_arn,
matched_rule_priority, request_creation_time, actions_executed, redirect_url, error_reason, target_port_list,
target_status_code_list, classification, classification_reason, conn_trace_id; host is the domain name of the TLS
handshake, else the URL's.
"""

from orchestration.ingest.formats.textlog import QUOTED, URL, TextLog

_TYPES = "https?|h2|grpcs?|wss?"
_SECONDS = "-?[0-9.]+|-"


def _inside(name: str) -> str:
    return rf"(?P<{name}>{QUOTED})"


def _quoted(name: str) -> str:
    return f'"{_inside(name)}"'


def _loose(name: str) -> str:
    """Quoted in current logs, bare in older ones."""
    return rf'"?(?P<{name}>[^ "]*)"?'


_OPTIONAL = (
    _quoted("domain_name"),
    _quoted("chosen_cert_arn"),
    r"(?P<matched_rule_priority>-?[0-9]+|-)",
    r"(?P<request_creation_time>[^ ]+)",
    _quoted("actions_executed"),
    _quoted("redirect_url"),
    _quoted("error_reason"),
    rf'(?:"(?P<target_port_list>{QUOTED})"|[^ "]+)',
    rf'(?:"(?P<target_status_code_list>{QUOTED})"|[^ "]+)',
    _quoted("classification"),
    _quoted("classification_reason"),
    _loose("conn_trace_id"),
)


def _tail(fields: tuple[str, ...]) -> str:
    """Fields that came with the years: each only after those before it, then whatever may follow."""
    rest = r"(?: [^\n]*)?"
    for field in reversed(fields):
        rest = rf"(?: {field}{rest})?"
    return rest


_BEGIN = (
    rf"(?P<type>{_TYPES}) (?P<time>[^ ]+) (?P<elb>[^ ]+) (?P<client>(?P<remote_addr>[^ ]+):(?P<remote_port>[0-9]+)|-) "
    rf"(?P<target_address>[^ ]+) (?P<request_processing_time>{_SECONDS}) (?P<target_processing_time>{_SECONDS}) "
    rf"(?P<response_processing_time>{_SECONDS}) (?P<status>[0-9]{{3}}|-) (?P<target_status>[0-9]{{3}}|-) "
    r"(?P<bytes_received>[0-9]+|-) (?P<bytes>[0-9]+|-) "
)
_REQUEST = (
    rf"(?P<request>(?:-|(?P<method>[^ \"\\]+)) {URL} (?:-|(?P<protocol>HTTP/(?P<http_version>[0-9.]+)))|{QUOTED})"
)
_TLS = r" (?P<ssl_cipher>[^ ]+) (?P<ssl_protocol>[^ ]+) (?P<target_group_arn>[^ ]+) "
_BEFORE_LISTS = ("actions_executed", "redirect_url", "error_reason")
_LISTS = ("target_port_list", "target_status_code_list", "classification", "classification_reason")

FORMAT = TextLog(
    "alb",
    f'{_BEGIN}"{_REQUEST}" {_quoted("agent")}{_TLS}{_quoted("trace_id")}{_tail(_OPTIONAL)}',
    defaults={
        "path": "url",
        "latency_s_1": "request_processing_time",
        "latency_s_2": "target_processing_time",
        "latency_s_3": "response_processing_time",
    },
    either={"host": ("domain_name", "url_host")},
    pieces=(
        *(_BEGIN, _REQUEST, " ", _inside("agent"), _TLS, _inside("trace_id"), " ", _inside("domain_name"), " "),
        *(_inside("chosen_cert_arn"), " (?P<matched_rule_priority>-?[0-9]+|-) (?P<request_creation_time>[^ ]+) "),
        *(
            _inside(_BEFORE_LISTS[0]),
            *(piece for name in (*_BEFORE_LISTS[1:], *_LISTS) for piece in (" ", _inside(name))),
        ),
        r" (?P<conn_trace_id>[^ ]+) ?",
    ),
    more=True,
)
