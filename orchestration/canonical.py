"""Canonical JSON (RFC 8785 restricted to strings, booleans, null, arrays, objects) and SHA-256 over it.

Numbers are refused: a document holds every number as text, so that no reader can round it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_bytes(value: Any) -> bytes:
    """The one serialisation of `value`. Object keys must be ASCII text, so that byte order is the order of RFC 8785.

    Raises TypeError for numbers and for any other type.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check(value: Any) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise TypeError(f"object key {key!r} is not ASCII text")
            if type(item) is not str:
                _check(item)
        return
    if isinstance(value, list | tuple):
        for item in value:
            if type(item) is not str:
                _check(item)
        return
    raise TypeError(f"{type(value).__name__} {value!r} has no place in canonical JSON; write numbers as text")


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
