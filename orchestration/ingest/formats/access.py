"""What the access log formats share: `host ident user [time] "request" status bytes`, then quoted fields.

Most lines are taken apart in SQL by splitting on quotes and spaces. A line of any other shape goes to a regular
expression in Python, whose word is final. A dash may stand for any field that is missing, quoted or not. `target` is
the path, or the request as it stands where it is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.engine import without_cr
from orchestration.ingest.formats.base import (
    LineFormat,
    Reader,
    SlowResult,
    TimeStyle,
    check_names,
    check_positional,
    wanted,
)
from orchestration.ingest.formats.nonrequests import NOT_A_REQUEST, is_no_request
from orchestration.sqltext import literal

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_PREFIX = r"([^ ]+) ([^ ]+) (.+?) (?:\[([^\]]{1,64})\]|-) (?:-|" + _QUOTED + r") ([0-9]{3}|-) ([0-9]{1,18}|-)"
_FIELDS = (
    *("remote_addr", "ident", "remote_user", "time", "request", "method", "path", "protocol", "status", "bytes"),
    *("target", "http_version"),
)
_EXTRA = re.compile(r"extra(_[1-9][0-9]?)?")
_SIMPLE = re.compile("[A-Z]+")
_QUOTED_FIELD = re.compile(_QUOTED)

DEFAULTS = {
    "time": "time",
    "credential": "remote_user",
    "method": "method",
    "path": "path",
    "status": "status",
    "bytes": "bytes",
    "address": "remote_addr",
}

# Over `h` (words before the request), `r` (words of the request), `b` (words after it), `q` (split by quotes).
_SQL = {
    "remote_addr": "nullif(h[1], '-')",
    "ident": "nullif(h[2], '-')",
    "remote_user": "nullif(h[3], '-')",
    "time": "substr(h[4], 2) || ' ' || h[5][:-2]",
    "request": "q[2]",
    "method": "CASE WHEN is_request THEN r[1] END",
    "path": "CASE WHEN is_request THEN r[2] END",
    "protocol": "CASE WHEN is_request THEN r[3] END",
    "target": "CASE WHEN is_request THEN r[2] ELSE q[2] END",
    "http_version": "CASE WHEN is_request THEN substr(r[3], 6) END",
    "status": "b[2]",
    "bytes": "CASE WHEN b[3] = '-' THEN '0' ELSE b[3] END",
}
_COMBINED_SQL = {
    "referer": "nullif(q[4], '-')",
    "agent": "nullif(q[6], '-')",
    "extra": "CASE WHEN len(q) = 9 THEN '\"' || q[8] || '\"' END",
    "extra_1": "CASE WHEN len(q) = 9 THEN nullif(q[8], '-') END",
}


def _request_parts(request: str) -> dict[str, str | None]:
    """What a request line consists of; nothing of one that is none. A simple one, of HTTP 0.9, names no protocol."""
    words = request.split(" ")
    if len(words) > 2 and words[-1].startswith("HTTP/"):
        path = " ".join(words[1:-1])
        version = words[-1].removeprefix("HTTP/")
        return {"method": words[0], "path": path, "target": path, "protocol": words[-1], "http_version": version}
    if len(words) == 2 and words[1].startswith("/") and _SIMPLE.fullmatch(words[0]):
        return {"method": words[0], "path": words[1], "target": words[1]}
    return {}


class AccessLog(LineFormat):
    """A log of the common shape; `quoted` names the quoted fields that follow it."""

    time_style: TimeStyle = "clf"

    def __init__(self, name: str, quoted: Sequence[str], *, further: bool) -> None:
        self.name = name
        self.fields = (*_FIELDS, *quoted)
        self._further = further
        rest = "".join(f" (?:-|{_QUOTED})" for _ in quoted)
        if further:
            rest += "((?: " + _QUOTED.replace("(", "(?:", 1) + ")*)"
        self._line = re.compile(_PREFIX + rest)
        self.defaults = DEFAULTS | ({"agent": "agent", "extra": "extra"} if further else {})

    def positional(self, source: Source) -> bool:
        return True

    def check(self, source: Source) -> list[Problem]:
        problems = check_names(source, self._offers, f"a field of format '{self.name}'")
        return problems + check_positional(source, self.name)

    def recognises(self, source: Source, lines: list[str]) -> int:
        return sum(self._line.fullmatch(line.rstrip("\r")) is not None for line in lines)

    def extras(self, text: str) -> int:
        """How many quoted fields follow the known ones in a line."""
        match = self._line.fullmatch(text.rstrip("\r")) if self._further else None
        return len(_QUOTED_FIELD.findall(match[10])) if match else 0

    def _offers(self, name: str) -> bool:
        return name in self.fields or (self._further and _EXTRA.fullmatch(name) is not None)

    def reader(self, source: Source, head: str) -> Reader:
        chosen = wanted(source, self.defaults)
        raw = tuple(chosen.values())
        return Reader(tuple(chosen), self._sql(chosen), lambda text: self._slow(text, raw), self.time_style)

    def _sql(self, chosen: dict[str, str]) -> str:
        known = _SQL | (_COMBINED_SQL if self._further else {})
        fields = "".join(f", {known.get(raw, 'CAST(NULL AS VARCHAR)')} AS f_{t}" for t, raw in chosen.items())
        return f"""
            SELECT line, text, slow, CAST(NULL AS VARCHAR) AS grammar{fields} FROM (
                SELECT *, len(r) = 3 AND starts_with(r[3], 'HTTP/') AS is_request,
                    NOT coalesce({self._fits()}, false) AS slow
                FROM (
                    SELECT line, text, q, string_split(q[1], ' ') AS h, string_split(q[2], ' ') AS r,
                        string_split(q[3], ' ') AS b
                    FROM (SELECT line, text, string_split({without_cr("text")}, '"') AS q FROM src)
                )
            )"""

    def _fits(self) -> str:
        """SQL: whether the line has exactly the plain shape, so that splitting it is right."""
        tail = (
            "len(b) = 4 AND b[4] = '' AND q[5] = ' ' AND ((len(q) = 7 AND q[7] = '') "
            "OR (len(q) = 9 AND q[7] = ' ' AND q[9] = ''))"
            if self._further
            else "len(q) = 3 AND len(b) = 3"
        )
        return (
            f"{tail} AND NOT contains(text, {literal(chr(92))}) "
            # A path with blanks in it, and a request without a protocol.
            "AND NOT (len(r) > 3 AND starts_with(r[-1], 'HTTP/')) AND NOT (len(r) = 2 AND starts_with(r[2], '/')) "
            "AND len(h) = 6 AND h[6] = '' AND h[1] <> '' AND h[2] <> '' AND h[3] <> '' "
            "AND starts_with(h[4], '[') AND ends_with(h[5], ']') AND length(h[4]) + length(h[5]) < 60 "
            "AND NOT contains(h[4], ']') AND length(h[5]) - length(replace(h[5], ']', '')) = 1 "
            "AND b[1] = '' AND regexp_full_match(b[2], '[0-9]{3}') AND regexp_full_match(b[3], '[0-9]{1,18}|-')"
        )

    def _slow(self, text: str, raw: tuple[str, ...]) -> SlowResult:
        match = self._line.fullmatch(text.rstrip("\r"))
        if match is None:
            reason = NOT_A_REQUEST if is_no_request(text) else f"not_{self.name}"
            return reason, (None,) * len(raw)
        words = match.groups()
        values: dict[str, str | None] = dict(zip(_FIELDS[:4], words[:4], strict=True))
        values |= {"request": words[4], "status": words[5], "bytes": "0" if words[6] == "-" else words[6]}
        values["target"] = words[4]
        values |= _request_parts(words[4] or "")
        if self._further:
            values |= {"referer": words[7], "agent": words[8], "extra": words[9].strip(" ") or None}
            values |= {f"extra_{n}": text for n, text in enumerate(_QUOTED_FIELD.findall(words[9]), 1)}
        # A log writes "-" for what is not there; the request and its parts are kept as they stand.
        for name in values.keys() - {"request", "method", "path", "protocol", "target", "time"}:
            values[name] = None if values[name] == "-" else values[name]
        return None, tuple(values.get(name) for name in raw)
