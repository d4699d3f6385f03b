"""What this room asks of the engine: a connection that knows the instance key, and bits of SQL that formats share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from orchestration import engine

_INNER, _OUTER, _HMAC_BLOCK = 0x36, 0x5C, 64


def connect(scratch: Path, key: bytes, folders: Sequence[Path], threads: int = 1) -> duckdb.DuckDBPyConnection:
    """A database in memory, shut in to `folders` and `scratch`, that knows the key for `keyed_hash`."""
    con = engine.connect(None, folders=folders, threads=threads, memory="1GB", temp=scratch)
    padded = key.ljust(_HMAC_BLOCK, b"\0")
    # As variables, so that the key stands in no SQL text and in no error message.
    con.execute("SET VARIABLE inner_key = unhex(?)", [bytes(b ^ _INNER for b in padded).hex()])
    con.execute("SET VARIABLE outer_key = unhex(?)", [bytes(b ^ _OUTER for b in padded).hex()])
    return con


def keyed_hash(expression: str) -> str:
    """SQL for HMAC-SHA-256 of a text under the instance key (RFC 2104): its first 32 hex digits, NULL for NULL."""
    inner = f"unhex(sha256(getvariable('inner_key') || encode({expression})))"
    return f"left(sha256(getvariable('outer_key') || {inner}), 32)"


def column_name(name: str) -> str:
    """A column of a delivered file, whatever it is called, as a quoted identifier."""
    if "\0" in name:
        raise ValueError("a name with a NUL character can't be written into SQL")
    return '"' + name.replace('"', '""') + '"'


def without_cr(value: str) -> str:
    """SQL for a text without the carriage returns at its end. Trimming is dear, so only where there is one."""
    return f"CASE WHEN suffix({value}, chr(13)) THEN rtrim({value}, chr(13)) ELSE {value} END"
