"""CloudFront's standard logs: tab-separated, with a `#Fields:` line that names the columns, else in their usual
order.

Times are UTC. Lines that begin with # count as blank. Values are percent-encoded, as CloudFront writes them; the
agent's product is taken without its encoded rest.

Raw fields: CloudFront's own names (`x-edge-location`, `cs(Host)`, `time-taken`), and for the common ones time (date
and time together), remote_addr, method, path, target (path and query), protocol, http_version, host, status, bytes,
bytes_received, duration, agent, product, referer, request_id, forwarded_for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
from orchestration.ingest.formats.csv import column_place
from orchestration.sqltext import literal

NOT_CLOUDFRONT = "not_cloudfront"
_FIELDS = "#Fields:"
USUAL = (
    *("date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status"),
    *("cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type", "x-edge-request-id"),
    *("x-host-header", "cs-protocol", "cs-bytes", "time-taken", "x-forwarded-for", "ssl-protocol", "ssl-cipher"),
    *("x-edge-response-result-type", "cs-protocol-version", "fle-status", "fle-encrypted-fields", "c-port"),
    *("time-to-first-byte", "x-edge-detailed-result-type", "sc-content-type", "sc-content-len", "sc-range-start"),
    "sc-range-end",
)
_FEWEST = 19
"""Logs of earlier years end sooner; none before this field."""


_Part = tuple[tuple[str, ...], str | None]
"""Columns, and an expression whose group 1 is the part of the first that is meant, or None."""

_NAMES: dict[str, _Part] = {
    "time": (("date", "time"), None),
    "remote_addr": (("c-ip",), None),
    "method": (("cs-method",), None),
    "path": (("cs-uri-stem",), None),
    "target": (("cs-uri-stem", "cs-uri-query"), None),
    "protocol": (("cs-protocol-version",), None),
    "http_version": (("cs-protocol-version",), "^HTTP/([0-9.]+)$"),
    "host": (("x-host-header",), None),
    "status": (("sc-status",), None),
    "bytes": (("sc-bytes",), None),
    "bytes_received": (("cs-bytes",), None),
    "duration": (("time-taken",), None),
    "agent": (("cs(User-Agent)",), None),
    "product": (("cs(User-Agent)",), "^([^%]+)"),
    "referer": (("cs(Referer)",), None),
    "request_id": (("x-edge-request-id",), None),
    "forwarded_for": (("x-forwarded-for",), None),
}
_TARGETS = {target: raw for target, raw in REQUEST_TARGETS.items() if raw in _NAMES} | {
    "agent": "product",
    "latency_s": "duration",
}
_COLUMN = re.compile(r"[a-z][a-z0-9-]*(\([A-Za-z-]+\))?")


class CloudFront(LineFormat):
    """Format 'cloudfront'."""

    name = "cloudfront"
    head = 2
    fields = tuple(_NAMES)
    defaults: Mapping[str, str] = _TARGETS

    def positional(self, source: Source) -> bool:
        return "id" not in source.fields

    def check(self, source: Source) -> list[Problem]:
        return check_names(source, _offers, "a column of CloudFront's logs")

    def recognises(self, source: Source, lines: list[str]) -> int:
        if any(_columns(line) for line in lines[: self.head]):
            return len(lines)
        return sum(_is_usual(line.split("\t")) for line in lines)

    def columns_read(self, source: Source) -> list[str]:
        """The columns that the mapping looks at."""
        chosen = wanted(source, _TARGETS).values()
        return [column for raw in chosen for column in _NAMES.get(raw, ((raw,), None))[0]]

    def reader(self, source: Source, head: str) -> Reader:
        named = named_columns(head)
        columns = named or list(USUAL)
        fewest = len(columns) if named else _FEWEST
        chosen = wanted(source, _TARGETS)
        style: TimeStyle = "iso"
        if chosen.get("time") == "time" and "date" not in columns:
            # Logs of version 2 may have one of these instead.
            chosen["time"], style = (
                ("timestamp(ms)", "epoch_ms") if "timestamp(ms)" in columns else ("timestamp", "epoch_s")
            )
        parts: dict[str, _Place] = {}
        for target, raw in chosen.items():
            usual = raw == _TARGETS.get(target) and target not in source.fields
            parts[target] = _place(raw, columns, usual=usual)
        sql = _sql(parts, fewest, len(columns))
        return Reader(tuple(parts), sql, lambda text: _slow(text, parts, fewest, len(columns)), style, comment="#")


_Place = tuple[str, tuple[int, ...], str | None]
"""Raw field, indexes of its columns (none: a missing value), and the expression that cuts it or None."""


def named_columns(head: str) -> list[str] | None:
    """The columns that a log's first lines name, if they do."""
    return next((columns for line in head.split("\n") if (columns := _columns(line))), None)


def _offers(name: str) -> bool:
    return name in _NAMES or _COLUMN.fullmatch(name) is not None


def _columns(line: str) -> list[str]:
    return line.removeprefix(_FIELDS).split() if line.startswith(_FIELDS) else []


def _is_usual(record: list[str]) -> bool:
    return _FEWEST <= len(record) <= len(USUAL) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", record[0]) is not None


def _place(raw: str, columns: list[str], *, usual: bool) -> _Place:
    """Raises Refused for a column that the source asks for and the log doesn't have."""
    names, cut = _NAMES.get(raw, ((raw,), None))
    if usual and not set(names) <= set(columns):
        return raw, (), None
    return raw, tuple(column_place(columns, name) for name in names), cut


def _sql(parts: dict[str, _Place], fewest: int, most: int) -> str:
    fields = "".join(f", {_value_sql(part)} AS f_{target}" for target, part in parts.items())
    misfit = f"len(c) NOT BETWEEN {fewest} AND {most}"
    return f"""
        SELECT line, text, false AS slow,
            CASE WHEN {misfit} AND NOT starts_with(text, '#') THEN '{NOT_CLOUDFRONT}' END AS grammar{fields}
        FROM (SELECT line, text, string_split({without_cr("text")}, chr(9)) AS c FROM src)"""


def _value_sql(part: _Place) -> str:
    raw, places, cut = part
    values = [f"nullif(nullif(c[{place + 1}], ''), '-')" for place in places]
    if not values:
        return "CAST(NULL AS VARCHAR)"
    if raw == "time":
        return f"{values[0]} || 'T' || {values[1]} || 'Z'"
    if raw == "target":
        return f"{values[0]} || coalesce('?' || {values[1]}, '')"
    return values[0] if cut is None else f"nullif(regexp_extract({values[0]}, {literal(cut)}, 1), '')"


def _slow(text: str, parts: dict[str, _Place], fewest: int, most: int) -> SlowResult:
    record = text.rstrip("\r").split("\t")
    if not fewest <= len(record) <= most:
        return NOT_CLOUDFRONT, (None,) * len(parts)
    cells = [None if cell in ("", "-") else cell for cell in record] + [None] * (most - len(record))
    return None, tuple(_value(part, cells) for part in parts.values())


def _value(part: _Place, cells: list[str | None]) -> str | None:
    raw, places, cut = part
    values = [cells[place] for place in places]
    first = values[0] if values else None
    if first is None:
        return None
    if raw == "time":
        return f"{first}T{values[1]}Z" if values[1] is not None else None
    if raw == "target":
        return first if values[1] is None else f"{first}?{values[1]}"
    match = re.search(cut, first) if cut is not None else None
    return first if cut is None else match and match[1]


FORMAT = CloudFront()
