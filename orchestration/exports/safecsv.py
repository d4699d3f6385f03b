"""CSV that a spreadsheet can open without executing anything (RFC 4180, UTF-8, CRLF).

Text that a spreadsheet would take for a formula gets a leading apostrophe (OWASP CSV injection). Numbers are written by
us and stay numbers: -5.00 is an amount, not a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

_RISKY = "=+-@\t\r\n\x00＝＋－＠"
_CONTROL = re.compile(r"[\r\n\x00]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def text_cell(value: str | None) -> str:
    """A quoted text cell that no spreadsheet evaluates; line breaks become spaces."""
    text = value or ""
    start = text.lstrip(" \ufeff\u00a0\u200b")[:1]
    flat = _CONTROL.sub(" ", text)
    guarded = f"'{flat}" if start and start in _RISKY else flat
    return '"' + guarded.replace('"', '""') + '"'


def number_cell(value: Decimal | int | str) -> str:
    """A plain decimal number. Raises ValueError for anything else."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"'{text}' is not a plain decimal number")
    return text


def render(columns: Mapping[str, str], rows: Iterable[Sequence[str | None]]) -> bytes:
    """The whole file. `columns` maps each name to `text` or `number`; every row has a value for each."""
    lines = [",".join(text_cell(name) for name in columns)]
    kinds = list(columns.values())
    for row in rows:
        cells = [
            number_cell(cell) if kind == "number" and cell is not None else text_cell(cell)
            for kind, cell in zip(kinds, row, strict=True)
        ]
        lines.append(",".join(cells))
    return ("\r\n".join(lines) + "\r\n").encode()
