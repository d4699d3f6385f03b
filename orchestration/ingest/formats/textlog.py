"""What the formats share whose lines one regular expression takes apart.

The expression is of the kind that the engine and Python read alike: named groups, no look-around, no back references,
no `\\d`, `\\w` or `.` (classes are written out). Its parts can't be cut up in ever more ways by a long line of rubbish:
Python would try them all. The engine reads the lines that fit; the others go to Python, which has the last word and
says why they don't.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.engine import without_cr
from orchestration.ingest.formats.base import (
    REQUEST_TARGETS,
    LineFormat,
    Reader,
    SlowResult,
    TimeStyle,
    check_names,
    wanted,
)
from orchestration.ingest.formats.nonrequests import NOT_A_REQUEST, is_no_request
from orchestration.sqltext import literal

QUOTED = r'(?:[^"\\]|\\[^\n])*'
"""Inside of a quoted field in which a backslash escapes."""

REQUEST = (
    r"(?P<request>(?P<method>[^ \"\\]+) (?P<path>(?:[^\"\\]|\\[^\n])+) (?P<protocol>HTTP/(?P<http_version>[0-9.]+))|"
    rf"(?P<simple_method>[A-Z]+) (?P<simple_path>/(?:[^ \"\\]|\\[^\n])*)|{QUOTED})"
)
"""A request line (a simple one, of HTTP 0.9, names no protocol), or the garbage that stands in its place."""

_EITHER = {
    "method": ("method", "simple_method"),
    "path": ("path", "simple_path"),
    "target": ("path", "simple_path", "request"),
}
"""Raw fields that a pattern with REQUEST has."""
_EITHER_URL = {"target": ("url_target", "bare_target")}
"""Raw fields that a pattern with URL has."""

CLF = (
    r"(?P<remote_addr>[^ ]+) (?P<ident>[^ ]+) (?P<remote_user>[^ ]+(?: [^ \[]+)*) \[(?P<time>[^\]]+)\] "
    rf'"{REQUEST}" (?P<status>[0-9]{{3}}|-) (?P<bytes>[0-9]+|-)'
)
"""The common log format."""

TAIL = rf' (?:-|"(?P<referer>{QUOTED})") (?:-|"(?P<agent>{QUOTED})")'
"""What the combined log format adds to it."""

URL = (
    r"(?P<url>(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<url_authority>(?P<url_host>\[[^\] \"\\]*\]|[^/?# :\"\\\[]*)(?::(?P<url_port>[0-9]*))?)"
    r"(?P<url_target>[/?#](?:[^ \"\\]|\\[^\n])*)?|(?P<bare_target>(?:[^ \"\\]|\\[^\n])*))"
)
"""A request target that may be an absolute URL; `target` is what follows its authority."""

URL_REQUEST = rf"(?P<request>(?P<method>[^ \"\\]+) {URL} (?P<protocol>HTTP/(?P<http_version>[0-9.]+))|{QUOTED})"
"""A request line whose target may be an absolute URL."""

CLF_PIECES = (
    r"(?P<remote_addr>[^ ]+) (?P<ident>[^ ]+) (?P<remote_user>[^ ]+(?: [^ \[]+)*) \[(?P<time>[^\]]+)\] ",
    REQUEST,
    r" (?P<status>[0-9]{3}|-) (?P<bytes>[0-9]+|-) ",
    rf"(?P<referer>{QUOTED})",
    " ",
    rf"(?P<agent>{QUOTED})",
)
"""The usual shape of a combined line, cut at its quotes; what follows the agent comes after these."""

CRI = r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9]{2}:[0-9]{2}) std(?:out|err) F )?"
"""What a container runtime puts before each whole line."""

_GROUP = re.compile(r"\(\?P<(\w+)>")
_WHOLE = re.compile(r"\(\?P<(\w+)>" + re.escape(QUOTED) + r"\)")
_AS_WRITTEN = (
    *("request", "method", "path", "url", "protocol"),
    *("simple_method", "simple_path", "url_target", "bare_target"),
)


class _Piece:
    """A piece of a line in SQL: how it is matched, whether it fits, and where its groups' values are."""

    def __init__(self, number: int, pattern: str, used: Collection[str]) -> None:
        self.number = number
        self.match = ""
        self.places: dict[str, str] = {}
        text = f"q[{number}]"
        whole = _WHOLE.fullmatch(pattern)
        # Each group that is captured costs time: the others only group.
        bare = _GROUP.sub(lambda group: group[0] if group[1] in used else "(?:", pattern)
        names = _GROUP.findall(bare)
        if whole:
            self.fits = "true"
            self.places = {whole[1]: text}
        elif not pattern.strip(" "):
            self.fits = f"{text} = {literal(pattern)}"
        elif names:
            listed = ", ".join(literal(name) for name in ("fits", *names))
            self.match = f"regexp_extract({text}, {literal(f'^(?P<fits>{bare})$')}, [{listed}])"
            # An empty piece can't be told from one that doesn't fit, and is left to Python.
            self.fits = f"m{number}.\"fits\" <> ''"
            self.places = {name: f'm{number}."{name}"' for name in names}
        else:
            self.fits = f"regexp_full_match({text}, {literal(bare)})"


class TextLog(LineFormat):
    """A format of one expression.

    Args:
        pattern: of the whole line; its groups are the raw fields.
        defaults: what differs from the usual mapping of targets to groups; "" takes a target out.
        either: raw fields that are the first of several groups that matched.
        zero: groups in which the format writes a dash for 0; elsewhere a dash, like nothing, is a missing value.
        sure: a narrower expression for detection, where lines of other formats would fit too.
        pieces: the usual shape of a line, cut at its quotes, for the engine: expressions of what stands before, in,
            between and after quoted fields. Lines of another shape, or with a backslash, are left to Python. Without
            pieces the engine takes the whole line by `pattern`, which is slow where there is much to capture.
        more: whether further fields may follow the pieces, after a blank.
    """

    def __init__(
        self,
        name: str,
        pattern: str,
        *,
        time_style: TimeStyle = "iso",
        defaults: Mapping[str, str] | None = None,
        either: Mapping[str, Sequence[str]] | None = None,
        zero: Collection[str] = (),
        sure: str | None = None,
        pieces: Sequence[str] = (),
        more: bool = False,
    ) -> None:
        self.name = name
        self._pieces = tuple(pieces) or (pattern,)
        self._more = more
        self._line = re.compile(pattern)
        self._sure = re.compile(sure or pattern)
        self._either = dict(either or {})
        self._either |= _EITHER if "simple_path" in pattern else {}
        self._either |= _EITHER_URL if "bare_target" in pattern else {}
        self._zero = frozenset(zero)
        self.time_style = time_style
        self.fields = tuple(dict.fromkeys([*_GROUP.findall(pattern), *self._either]))
        chosen = {**REQUEST_TARGETS, **(defaults or {})}
        self.defaults = {target: raw for target, raw in chosen.items() if raw in self.fields}

    def positional(self, source: Source) -> bool:
        return "id" not in source.fields

    def check(self, source: Source) -> list[Problem]:
        return check_names(source, self.fields.__contains__, f"a field of format '{self.name}'")

    def recognises(self, source: Source, lines: list[str]) -> int:
        return sum(self._sure.fullmatch(line.rstrip("\r")) is not None for line in lines)

    def reader(self, source: Source, head: str) -> Reader:
        chosen = wanted(source, self.defaults)
        raw = tuple(chosen.values())
        return Reader(tuple(chosen), self._sql(chosen), lambda text: self._slow(text, raw), self.time_style)

    def _groups(self, raw: str) -> Sequence[str]:
        return self._either.get(raw, (raw,))

    def _sql(self, chosen: dict[str, str]) -> str:
        used = {group for raw in chosen.values() for group in self._groups(raw)}
        pieces = [_Piece(number, text, used) for number, text in enumerate(self._pieces, 1)]
        places = {group: place for piece in pieces for group, place in piece.places.items()}
        fields = "".join(f", {self._value_sql(raw, places)} AS f_{target}" for target, raw in chosen.items())
        count = f"len(q) = {len(pieces)}"
        if self._more:
            count = f"({count} OR len(q) > {len(pieces)} AND suffix(q[{len(pieces)}], ' '))"
        fits = " AND ".join(["NOT contains(text, chr(92))", count, *(piece.fits for piece in pieces)])
        matches = "".join(f", {piece.match} AS m{piece.number}" for piece in pieces if piece.match)
        # A backslash may escape a quote, and then splitting by quotes is wrong.
        split = f"string_split({without_cr('text')}, '\"')" if len(pieces) > 1 else f"[{without_cr('text')}]"
        return f"""
            SELECT line, text, slow, CAST(NULL AS VARCHAR) AS grammar{fields} FROM (
                SELECT *, NOT coalesce({fits}, false) AS slow FROM (
                    SELECT *{matches} FROM (SELECT line, text, {split} AS q FROM src)
                )
            )"""

    def _value_sql(self, raw: str, places: Mapping[str, str]) -> str:
        values = []
        for group in self._groups(raw):
            value = f"nullif({places[group]}, '')" if group in places else "CAST(NULL AS VARCHAR)"
            if group in self._zero:
                value = f"CASE WHEN {value} = '-' THEN '0' ELSE {value} END"
            elif group not in _AS_WRITTEN:
                value = f"nullif({value}, '-')"
            values.append(value)
        return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"

    def _slow(self, text: str, raw: tuple[str, ...]) -> SlowResult:
        match = self._line.fullmatch(text.rstrip("\r"))
        if match is None:
            reason = NOT_A_REQUEST if is_no_request(text) else f"not_{self.name}"
            return reason, (None,) * len(raw)
        return None, tuple(self._value(match, name) for name in raw)

    def _value(self, match: re.Match[str], raw: str) -> str | None:
        for group in self._groups(raw):
            value: str | None = match[group] or None
            if value == "-" and group in self._zero:
                value = "0"
            elif value == "-" and group not in _AS_WRITTEN:
                value = None
            if value is not None:
                return value
        return None
