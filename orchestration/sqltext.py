"""The one place where text becomes part of SQL."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,79}")


def literal(text: str) -> str:
    """`text` as a SQL string literal. NUL and lone surrogates have no place in SQL text: ValueError."""
    if "\x00" in text:
        raise ValueError("a NUL character can't stand in SQL")
    text.encode()
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """`name`, if it is a plain lower-case identifier, in double quotes; ValueError otherwise."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"'{name}' is not a plain identifier")
    return f'"{name}"'
