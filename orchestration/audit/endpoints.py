"""Endpoints found a second way: each distinct path tried against the templates as regular expressions, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from orchestration.catalog.templates import ANY_METHOD, OTHER, UNMATCHED, Routes, of_source
from orchestration.engine import load_rows

COLUMNS = {"feed": "VARCHAR", "method": "VARCHAR", "path": "VARCHAR", "endpoint": "VARCHAR"}
_PIECE = re.compile(r"\{[^{}]*\}|[^{}]+")


def load_endpoints(con: duckdb.DuckDBPyConnection, routes: Routes, scratch: Path, *, needed: bool) -> None:
    """Make `audit.endpoints`, with the endpoint of every feed, method and path in `lake.lines`; empty if not needed."""
    load_rows(con, "audit.endpoints", COLUMNS, _rows(con, routes) if needed else (), scratch)


def _rows(con: duckdb.DuckDBPyConnection, routes: Routes) -> Iterator[dict[str, Any]]:
    @cache
    def expressions(feed: str) -> list[tuple[str, re.Pattern[str], str]]:
        return [(t.method, as_expression(t.path), t.path) for t in of_source(routes, feed)]

    found = con.execute("SELECT DISTINCT feed, method, path FROM lake.lines WHERE path IS NOT NULL")
    while rows := found.fetchmany(10_000):
        for feed, method, path in rows:
            tried = expressions(feed)
            fits = (t for m, line, t in tried if m in (ANY_METHOD, method) and line.fullmatch(path))
            endpoint = next(fits, UNMATCHED if tried else OTHER)
            yield {"feed": feed, "method": method, "path": path, "endpoint": endpoint}


def as_expression(path: str) -> re.Pattern[str]:
    """A template as an expression of whole paths: a parameter is at least one character and has no slash in it."""
    pieces = [
        re.escape(piece) if piece[0] != "{" else "(?s:.+)" if piece.endswith("+}") else "[^/]+"
        for piece in _PIECE.findall(path)
    ]
    return re.compile("".join(pieces))
