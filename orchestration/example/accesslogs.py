"""The access logs of the gateways: nginx "combined" with the end user in Europe, Apache "common" in America."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from orchestration.example.files import blanks, scatter, write_lines
from orchestration.example.profiles import NO_KEY, PROFILES, RETIRED_KEY, WINDOW_END, WINDOW_START, Profile
from orchestration.example.requests import Request, key_of, request
from orchestration.example.summary import Expected, Line, Written, broken
from orchestration.example.traffic import Dice, edges, instants, moment, seconds, share, spread, stream

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Files of these days are not compressed yet, as a log rotation leaves them.
_PLAIN_FROM = date(2026, 10, 30)
_COPIED = date(2026, 10, 30)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway: its source in the catalog, its folder, the zones of its nodes' clocks, and how it writes a line."""

    source: str
    folder: str
    nodes: tuple[str, ...]
    volume: Callable[[Profile], int]
    line: Callable[[Request, str], str]
    names_users: bool
    not_parsed: str


def stamp(clock: datetime) -> str:
    """The time as access logs write it, e.g. 01/Oct/2026:00:00:00 +0200; never by the locale of the host."""
    text = clock.isoformat()
    return f"{text[8:10]}/{_MONTHS[clock.month - 1]}/{text[:4]}:{text[11:19]} {text[19:22]}{text[23:25]}"


def combined(sent: Request, when: str) -> str:
    """nginx: quotes inside a field are written as \\x22; the last field is the end user."""
    target, agent = sent.target.replace('"', "\\x22"), sent.agent.replace('"', "\\x22")
    return (
        f'{sent.address} - {sent.key} [{when}] "{sent.method} {target} HTTP/1.1" {sent.status} {sent.size} '
        f'"-" "{agent}" "{sent.user or "-"}"'
    )


def common(sent: Request, when: str) -> str:
    """Apache: quotes inside a field are escaped with a backslash, an empty answer has "-" for its size."""
    target = sent.target.replace('"', '\\"')
    return f'{sent.address} - {sent.key} [{when}] "{sent.method} {target} HTTP/1.1" {sent.status} {sent.size or "-"}'


EU = Gateway("gateway-eu", "gateways/eu", ("UTC", "Europe/Berlin"), lambda p: p.eu, combined, True, "not_combined")
US = Gateway("gateway-us", "gateways/us", ("America/New_York",), lambda p: p.us, common, False, "not_common")


class Log:
    """The daily files of a gateway while they are being filled."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._days: dict[tuple[int, date], list[tuple[int, int, Line]]] = defaultdict(list)
        self._count = 0

    def put(self, node: int, at: int, sent: Request, *, attributed: bool = True) -> None:
        """Write a request into the file of its node and local day."""
        clock = moment(at, self.gateway.nodes[node])
        line = Line(self.gateway.line(sent, stamp(clock)).encode(), attributed=attributed)
        self._count += 1
        self._days[node, clock.date()].append((at, self._count, line))

    def days(self) -> dict[tuple[int, date], list[Line]]:
        """Lines of each file by node and day, in the order of time."""
        return {day: [line for _, _, line in sorted(self._days[day])] for day in sorted(self._days)}


def write_gateway(home: Path, gateway: Gateway, seed: int, scale: int, expected: Expected) -> list[Written]:
    """Write the logs of a gateway for the whole window."""
    log = Log(gateway)
    for profile in PROFILES:
        volume = share(gateway.volume(profile), scale)
        if volume:
            _customer(log, profile, volume, stream(seed, f"{gateway.source}/{profile.customer}"), expected)
    _strangers(log, stream(seed, f"{gateway.source}/strangers"))
    days = log.days()
    # The copied file stays without defects: all of its copy is duplicate, whatever the lines are.
    open_days = [lines for (node, day), lines in days.items() if (node, day) != (0, _COPIED)]
    scatter(stream(seed, f"{gateway.source}/defects"), open_days, _defects(gateway) + blanks(20))
    files = [_write_day(home, gateway, node, day, lines) for (node, day), lines in days.items()]
    if gateway is EU:
        name = f"{gateway.folder}/node-1/access-{_COPIED}.log.1.gz"
        copy = [line._replace(bucket="duplicate", attributed=True) for line in days[0, _COPIED]]
        files.append(write_lines(home, gateway.source, name, copy))
    return files


def _write_day(home: Path, gateway: Gateway, node: int, day: date, lines: list[Line]) -> Written:
    end = "" if day >= _PLAIN_FROM else ".gz"
    return write_lines(home, gateway.source, f"{gateway.folder}/node-{node + 1}/access-{day}.log{end}", lines)


def _customer(log: Log, profile: Profile, volume: int, dice: Dice, expected: Expected) -> None:
    for number, at in enumerate([*edges(profile), *instants(dice, profile, volume)]):
        sent = request(dice, profile, key_of(dice, profile, at))
        if not log.gateway.names_users:
            sent = sent._replace(user="")
        node = dice.below(len(log.gateway.nodes))
        # Now and then a client asks twice within a second: two equal lines, two requests.
        for _ in range(2 if number % 5_000 == 10 else 1):
            log.put(node, at, sent)
            expected.request(profile.customer, at, sent.status, sent.size, sent.user)


def _strangers(log: Log, dice: Dice) -> None:
    """Requests with no key, and some with a key that was withdrawn."""
    first, until = seconds(WINDOW_START), seconds(WINDOW_END)
    for number, at in enumerate(spread(dice, "UTC", first, until, 60)):
        address = f"203.0.113.{dice.below(256)}"
        if number % 3:
            sent = Request(address, NO_KEY, "GET", "/wp-login.php", 404, 146, "masscan/1.3", "")
        else:
            sent = Request(address, RETIRED_KEY, "GET", "/v1/search?q=ferry", 200, 2_048, "curl/8.9.1", "")
        log.put(dice.below(len(log.gateway.nodes)), at, sent, attributed=False)


def _defects(gateway: Gateway) -> list[Line]:
    """What goes wrong in a log: cut lines, output of another program, wrong clocks, bytes of a broken disk."""
    good = Request("198.51.100.7", "ak_aurora_1", "GET", "/v1/documents", 200, 512, "curl/8.9.1", "")

    def line(when: str) -> bytes:
        return gateway.line(good, when).encode()

    when = "17/Oct/2026:09:30:00 +0000"
    garbage = (b"worker 3 exited on signal 9", b"198.51.100.7 ak_aurora_1 GET /v1/documents 200", b"}}}]")
    return [
        *(broken(line(when)[:length], gateway.not_parsed) for length in range(9, 60, 5)),
        *(broken(text, gateway.not_parsed) for text in garbage),
        *(broken(line(f"{day}/Sep/2026:09:30:00 +0000"), "bad_time") for day in (31, 32)),
        broken(line("01/Jan/1970:00:00:07 +0000"), "time_out_of_window"),
        *(broken(line(when).replace(b"documents", b"documents/" + bad), "invalid_utf8") for bad in (b"\xff", b"\xc3(")),
        broken(b"\0" * 64, "nul_byte"),
    ]
