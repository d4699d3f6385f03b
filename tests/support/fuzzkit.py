"""Damaged lines for fuzzing: real and made ones of each format, mutated byte by byte, between lines that are whole."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import formatkit

from orchestration.catalog.sources import Source
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.detect import resolve
from orchestration.ingest.inflate import Refused

SHARED = Path(os.environ.get("TALLYSTICK_SHARED") or Path(__file__).parents[3] / "shared") / "data"

TABLE_ROW = {"at": "2026-10-06T12:00:00.5Z", "who": "key_1", "n": "12.5", "note": "x"}
TABLE_FIELDS: dict[str, Any] = {
    "fields": {"time": "at", "credential": "who"},
    "properties": {"n": "n", "note": "note"},
    "quantity": "n",
}
HEADERS = {"csv": ",".join(TABLE_ROW), "tsv": "\t".join(TABLE_ROW)}
WHOLE = formatkit.LINES | {
    "csv": ",".join(TABLE_ROW.values()),
    "tsv": "\t".join(TABLE_ROW.values()),
    "json_lines": json.dumps(TABLE_ROW),
    "cloudevents_batch": formatkit.LINES["cloudevents"],
    "error_log": formatkit.NO_REQUESTS[0],
}
"""One whole line of each format that has lines."""

PIECES = [
    *(bytes([code]) for code in b"\"\\[]{}-,:;/ \t\r\x0b\x0c\x1b\x000a'#?&=%+|"),
    *(
        b"\xff",
        b"\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
    ),
    *(b"\xc3\xa9", b"e\xcc\x81", b"\xf0\x9f\x98\x80", b"\\u0000", b"\\u0041", b"\\ud800", b'\\"', b"\\\\", b"\\x22"),
    *(b"null", b"true", b"NaN", b"-Infinity", b"1e400", b"-0", b"0x10", b"1_000", b" 12 ", b"1,5", b".5", b"5.", b"+1"),
    *(b"9" * 15, b"9" * 16, b"9" * 20, b"9" * 40, b"0." + b"1" * 9, b"0." + b"1" * 10, b"-1.50", b"2147483648"),
    *(b"infinity", b"epoch", b"now", b"1970-01-01", b"9999-12-31T23:59:60Z", b"24:00:00", b"+25:00", b"31/Feb/2026"),
    *(
        b'"a":',
        b'"id":',
        b'"time":',
        b'"ID":',
        b" - ",
        b'""',
        b"{}",
        b"[[",
        b"}}",
        b"//",
        b"/*",
        b"http://h:1/",
        b"::1",
    ),
]
"""What is put into lines: signs that formats live by, bytes that are no text, numbers and times at the edges."""


def source_for(form: str, name: str) -> Source:
    """A source that reads some raw fields of a format beside the usual ones, or the columns of TABLE_ROW."""
    options: dict[str, Any] = {"name": name, "path": f"{name}/*", "hold_above_percent": 100}
    if form in ("csv", "tsv", "json_lines", "parquet"):
        return formatkit.source(form, **options, **TABLE_FIELDS)
    if form == "error_log":
        return formatkit.source(form, **options)
    every = formatkit.every_field(form).properties
    # Planning costs more than reading a few lines, and the more columns there are, the more.
    options["properties"] = {name: every[name] for name in sorted(every)[:: max(1, len(every) // 4)]}
    return formatkit.source(form, **options)


def whole_line(form: str, number: int) -> bytes:
    """A line that every reader takes as it is, with an id of its own where the format has ids."""
    line = WHOLE[form]
    return (line.replace('"e1"', f'"whole-{number}"') if "cloudevents" in form else line).encode()


@cache
def seeds(form: str) -> tuple[bytes, ...]:
    """Lines of a format to begin from: the whole one, other projects' of that format, real traffic, error logs."""
    found = [WHOLE[form].encode(), *(line.encode() for line in formatkit.NO_REQUESTS[:3])]
    logs = {"combined": "apache_logs.log", "tomcat": "tomcat-access.log.1", "common": "tomcat-access.log.2"}
    if form in logs and SHARED.exists():
        found += (SHARED / "logs" / logs[form]).read_bytes().split(b"\n")[:300]
    if form == "csv" and SHARED.exists():
        rows = (SHARED / "tokens" / "AzureLLMInferenceTrace_conv.csv").read_bytes().split(b"\n")[1:200]
        found += [row.rstrip(b"\r") + b",x" for row in rows]
    return tuple(found + [line for name, line in _gold() if name == form])


@cache
def _gold() -> tuple[tuple[str, bytes], ...]:
    path = SHARED / "gold" / "access_logs.jsonl"
    lines = [json.loads(line)["raw"] for line in path.read_text().splitlines()] if path.exists() else []
    found = []
    for line in lines:
        try:
            found.append((resolve(formatkit.source("auto"), line.encode(), "", FORMATS).format, line.encode()))
        except Refused:
            continue
    return tuple(found)


def mutated(lines: tuple[bytes, ...], chance: Random) -> bytes:
    """One of the lines with one to six faults, or, once in eight, bytes out of nowhere. Without a newline."""
    if chance.random() < 1 / 8:
        return chance.randbytes(chance.randrange(120)).replace(b"\n", b"")
    line = chance.choice(lines)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        line = _fault(line, lines, chance)
    return line.replace(b"\n", b"")


def _fault(line: bytes, lines: tuple[bytes, ...], chance: Random) -> bytes:
    at = chance.randrange(len(line) + 1)
    end = min(len(line), at + chance.choice((1, 1, 2, 5, 20, 200)))
    match chance.randrange(9):
        case 0:
            return line[:at] + chance.choice(PIECES) + line[at:]
        case 1:
            return line[:at] + chance.choice(PIECES) + line[end:]
        case 2:
            return line[:at] + line[end:]
        case 3:
            return line[:end] + line[at:]
        case 4:
            return line[:at]
        case 5:
            return line[:at] + bytes([chance.randrange(256)]) + line[at + 1 :]
        case 6:
            other = chance.choice(lines)
            return line[:at] + other[chance.randrange(len(other) + 1) :]
        case 7:
            words = line.split(b" ")
            words[chance.randrange(len(words))] = chance.choice(PIECES)
            return b" ".join(words)
        case _:
            return line[:at] + chance.choice(PIECES) * chance.choice((3, 30, 300)) + line[at:]
